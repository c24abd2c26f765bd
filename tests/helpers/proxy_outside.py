"""Servers outside: they write down whatever arrives. `proxy_outside.py LOG CERTIFICATE KEY NAMES` (NAMES as JSON: name to addresses)."""
import base64, hashlib, json, os, socket, ssl, struct, sys, threading
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
certificate, key, names = sys.argv[2], sys.argv[3], json.loads(sys.argv[4])
def note(**what): os.write(log, (json.dumps(what) + "\n").encode())
def family(a): return socket.AF_INET6 if ":" in a else socket.AF_INET

def answers(data):
    """As naive servers do: a request ends at each empty line, or after the length it tells; bare line feeds will do."""
    text = data.replace(b"\r\n", b"\n")
    return max(1, text.count(b"\n\n")) if b"HTTP/" in text else 0

def serve_stream(c, local, server_name=None):
    with c:
        seen = b""
        told = 0
        c.settimeout(20)
        while True:
            try: data = c.recv(262144)
            except Exception: return
            if not data: return
            if local[1] == 9000:  # takes all
                continue
            seen += data
            note(kind="tcp", to=local[0], port=local[1], sni=server_name, data=data.decode("latin1"))
            if seen[:4] in (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"UPGR", b"TRAC"):
                first = seen.split(b"\n", 1)[0]
                if b" /101" in first:  # what was not asked for
                    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\nConnection: Upgrade\r\n\r\n"); continue
                if b" /ws" in first: return serve_socket(c, local, seen, first)
                while told < answers(seen):
                    told += 1
                    if b" /redirect" in first: c.sendall(b"HTTP/1.1 302 Found\r\nLocation: http://denied.test/away\r\nContent-Length: 0\r\n\r\n")
                    elif b" /echo" in first:
                        c.sendall(b"HTTP/1.1 200 OK\r\nX-Echo: " + seen.split(b"uthorization: ")[-1].split(b"\r\n")[0] + b"\r\nContent-Length: " + str(len(seen)).encode() + b"\r\n\r\n" + seen)
                    elif b" /early" in first: # says what it got in a head that is only a hint, and in words behind the status
                        got = seen.split(b"uthorization: ")[-1].split(b"\r\n")[0]
                        c.sendall(b"HTTP/1.1 103 Early Hints\r\nX-Echo: " + got + b"\r\n\r\nHTTP/1.1 200 " + got + b"\r\nContent-Length: 0\r\n\r\n")
                    elif b" /big" in first:
                        c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (1 << 28))
                        piece = b"x" * (1 << 20)
                        for _ in range(1 << 8): c.sendall(piece)
                    else: c.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello\n")
            else: c.sendall(b"hello " + data)

def serve_socket(c, local, seen, first):
    """Goes over to WebSocket, or says something else where the path tells it to, and sends back what comes."""
    name, low = b"sec-websocket-key: ", seen.lower()
    key = seen[low.index(name) + len(name):].split(b"\r\n")[0] if name in low else b""
    accept = base64.b64encode(hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())
    if b"/ws-wrong" in first: accept = accept[::-1]
    more = b"Sec-WebSocket-Protocol: other\r\n" if b"/ws-protocol" in first else b""
    c.sendall(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + accept + b"\r\n" + more + b"\r\nwelcome")
    while True:
        try: data = c.recv(65536)
        except Exception: return
        if not data: return
        note(kind="socket", to=local[0], port=local[1], data=data.decode("latin1")); c.sendall(b"echo:" + data)

def listen(port, context=None, address="::"):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind((address, port)); s.listen(256)
    def one(c):
        local = c.getsockname()
        local = (local[0].removeprefix("::ffff:"), local[1])
        note(kind="accepted", to=local[0], port=local[1])
        name = None
        if context:
            try:
                own = context()
                c = own.wrap_socket(c, server_side=True)
                name = getattr(c, "sni_seen", None)
            except Exception as e: return note(kind="tls-failed", to=local[0], port=local[1], data=str(e))
        serve_stream(c, local, name)
    def run():
        while True:
            c, _ = s.accept()
            threading.Thread(target=one, args=(c,), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()

def tls():
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    c.load_cert_chain(certificate, key)
    def seen(s, name, _):
        s.sni_seen = name
        note(kind="sni", data=name or "")
    c.sni_callback = seen
    c.set_alpn_protocols(["http/1.1"])
    return c

def question(data):
    labels, at = [], 12
    while data[at]:
        labels.append(data[at + 1:at + 1 + data[at]].decode("latin1")); at += 1 + data[at]
    return ".".join(labels), struct.unpack(">H", data[at + 1:at + 3])[0], at + 5

def pack(name): return b"".join(bytes([len(l)]) + l.encode() for l in name.split(".")) + b"\0"

turns = {}
def dns(data, most=65535):
    name, kind, end = question(data)
    note(kind="dns", data=name, type=kind)
    known = names.get(name.lower())
    if known is None: return data[:2] + struct.pack(">HHHHH", 0x8183, 1, 0, 0, 0) + data[12:end]
    if isinstance(known, dict): # one answer after the other
        turn = turns.get((name, kind), 0); turns[(name, kind)] = turn + 1
        known = known["turns"][min(turn, len(known["turns"]) - 1)]
    records, owner = [], b"\xc0\x0c"
    for each in known:
        if each.startswith("cname:"):
            target = pack(each[6:]); records.append(owner + struct.pack(">HHIH", 5, 1, 1, len(target)) + target); owner = target
        elif (":" in each) == (kind == 28):
            raw = socket.inet_pton(family(each), each)
            records.append(owner + struct.pack(">HHIH", kind, 1, 1, len(raw)) + raw)
    body = data[12:end] + b"".join(records)
    if 12 + len(body) > most: return data[:2] + struct.pack(">HHHHH", 0x8380, 1, 0, 0, 0) + data[12:end]
    return data[:2] + struct.pack(">HHHHH", 0x8180, 1, len(records), 0, 0) + body

def udp(address, port):
    s = socket.socket(family(address), socket.SOCK_DGRAM); s.bind((address, port))
    def run():
        while True:
            data, who = s.recvfrom(65536)
            if port == 53:
                try: s.sendto(dns(data, 512), who)
                except Exception as e: note(kind="bad-dns", to=address, data=data.decode("latin1"))
            else:
                note(kind="udp", to=address, port=port, data=data.decode("latin1")); s.sendto(b"hello", who)
    threading.Thread(target=run, daemon=True).start()

def dns_tcp(address):
    s = socket.socket(family(address)); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((address, 53)); s.listen(64)
    def one(c):
        with c:
            try:
                size = struct.unpack(">H", c.recv(2, socket.MSG_WAITALL))[0]
                answer = dns(c.recv(size, socket.MSG_WAITALL)); c.sendall(struct.pack(">H", len(answer)) + answer)
            except Exception: pass
    def run():
        while True: threading.Thread(target=one, args=(s.accept()[0],), daemon=True).start()
    threading.Thread(target=run, daemon=True).start()

for port in (80, 22, 25, 853, 8080, 3128, 9000): listen(port)
for port in (443, 8443): listen(port, tls)
for address in ("192.0.2.2", "198.51.100.2", "2001:db8::2", "169.254.169.254", "10.99.0.2"):
    for port in (53, 123, 443, 5353, 7777): udp(address, port)
udp("192.0.2.53", 53); dns_tcp("192.0.2.53"); dns_tcp("198.51.100.2")
sys.stdout.write("ready\n"); sys.stdout.flush()
threading.Event().wait()
