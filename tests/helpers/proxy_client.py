"""Makes attempts: reads a JSON list of them, does all at once, and prints what each got. Every attempt is
{resolve: [names], to: [address, port], send: [pieces in latin1], tls: {sni, alpn, hello}} or {udp: …}, {dns: …}, {icmp: …}.
A piece {until: text, times: 1} waits for an answer, {meet: path} makes that file and goes on when it is gone. Who expects something, or is patient, waits long for it."""
import json, os, socket, ssl, struct, sys, threading, time
DNS = "192.0.2.53"
TIMEOUT = float(os.environ.get("TIMEOUT", "1.5"))
PATIENCE = 30
def family(a): return socket.AF_INET6 if ":" in a else socket.AF_INET
def query(name, kind=1, ident=None, extra=b"", flags=0x100, raw=None):
    labels = raw if raw is not None else b"".join(bytes([len(l)]) + l.encode("latin1") for l in name.split(".") if l) + b"\0"
    return struct.pack(">HHHHHH", ident or 0x1234, flags, 1, 0, 0, 0) + labels + struct.pack(">HH", kind, 1) + extra
def addresses(data):
    if len(data) < 12: return []
    found, count, at = [], struct.unpack(">H", data[6:8])[0], 12
    def skip(at):
        while True:
            if data[at] >= 0xc0: return at + 2
            if data[at] == 0: return at + 1
            at += 1 + data[at]
    at = skip(at) + 4
    for _ in range(count):
        at = skip(at)
        kind, _, _, size = struct.unpack(">HHIH", data[at:at + 10]); at += 10
        if kind == 1: found.append(socket.inet_ntop(socket.AF_INET, data[at:at + 4]))
        if kind == 28: found.append(socket.inet_ntop(socket.AF_INET6, data[at:at + 16]))
        at += size
    return found
def ask(name, kind=1, server=DNS, tcp=False, wait=TIMEOUT, **more):
    message = query(name, kind, **more)
    s = socket.socket(family(server), socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM); s.settimeout(wait)
    with s:
        s.connect((server, 53))
        if tcp:
            s.sendall(struct.pack(">H", len(message)) + message)
            return s.recv(struct.unpack(">H", s.recv(2, socket.MSG_WAITALL))[0], socket.MSG_WAITALL)
        s.send(message); return s.recv(4096)
def attempt(a):
    wait = PATIENCE if a.get("expect") or a.get("patient") else TIMEOUT
    for name in a.get("resolve", []): ask(name, wait=PATIENCE)  # always answered
    if "dns" in a:
        d = a["dns"]; raw = d.get("raw"); extra = d.get("extra", "").encode("latin1")
        data = ask(d.get("name", ""), d.get("type", 1), d.get("server", DNS), d.get("tcp", False), wait, raw=raw.encode("latin1") if raw is not None else None, extra=extra, flags=d.get("flags", 0x100))
        return "rcode %d %s" % (data[3] & 15, " ".join(addresses(data)))
    if "udp" in a:
        s = socket.socket(family(a["udp"][0]), socket.SOCK_DGRAM); s.settimeout(TIMEOUT)
        s.sendto(a["send"][0].encode("latin1"), tuple(a["udp"])); return s.recv(4096).decode("latin1")
    if "raw" in a:
        s = socket.socket(family(a["raw"]), socket.SOCK_RAW, a["protocol"]); s.settimeout(TIMEOUT)
        data = a["send"][0].encode("latin1")
        if a["protocol"] == 1:
            body = struct.pack(">BBHHH", 8, 0, 0, 1, 1) + data + b"\0" * (len(data) % 2)
            total = sum(struct.unpack(">%dH" % (len(body) // 2), body)); total = (total >> 16) + (total & 0xffff); total += total >> 16
            data = body[:2] + struct.pack(">H", ~total & 0xffff) + body[4:]
        s.sendto(data, (a["raw"], 0)); return s.recv(4096).decode("latin1")
    to = tuple(a["to"])
    if to[0] == "resolved": to = (addresses(ask(a["resolve"][-1], wait=wait))[0], to[1])
    s = socket.socket(family(to[0])); s.settimeout(PATIENCE)  # what is refused is refused at once: only answers may never come
    with s:
        s.connect(to)
        if "tls" in a:
            c = ssl.create_default_context(cafile=a["tls"].get("ca")) if a["tls"].get("ca") else ssl._create_unverified_context()
            if not a["tls"].get("ca"): c.check_hostname = False
            if a["tls"].get("alpn"): c.set_alpn_protocols(a["tls"]["alpn"])
            s = c.wrap_socket(s, server_hostname=a["tls"].get("sni"))
        s.settimeout(wait)
        got = b""
        for index, piece in enumerate(a["send"]):
            if index: time.sleep(0.05)
            if "meet" in piece and isinstance(piece, dict):
                open(piece["meet"], "w").close(); end = time.monotonic() + PATIENCE
                while os.path.exists(piece["meet"]) and time.monotonic() < end: time.sleep(0.01)
                continue
            if isinstance(piece, dict):
                s.settimeout(PATIENCE)
                while got.count(piece["until"].encode("latin1")) < piece.get("times", 1):
                    data = s.recv(65536)
                    if not data: break
                    got += data
                s.settimeout(wait)
                continue
            try: s.sendall(piece.encode("latin1"))
            except OSError: break  # what was said before it was closed is there still, perhaps
        try:
            while True:
                data = s.recv(65536)
                if not data: break
                got += data
                if a.get("expect") and a["expect"].encode("latin1") in got: break
        except socket.timeout: pass
        except OSError:
            if not got: raise
        return got.decode("latin1")
attempts = json.load(sys.stdin)
results = [None] * len(attempts)
gate = threading.Semaphore(24)
def one(i):
    with gate:
        try: results[i] = attempt(attempts[i])
        except Exception as e: results[i] = "!%s %s" % (type(e).__name__, e)
threads = [threading.Thread(target=one, args=(i,)) for i in range(len(attempts))]
for t in threads: t.start()
for t in threads: t.join()
print(json.dumps(results))
