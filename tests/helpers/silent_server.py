"""
Takes connections and never answers: `silent_server.py LOG CERTIFICATE KEY PORT TLS-PORT…`. At TLS ports the handshake is
made, and nothing read after it. Writes down when a connection comes, and when it ends.
"""
import os, select, socket, ssl, sys, threading
log = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[2], sys.argv[3])
def one(c, port, opens):
    os.write(log, b"taken %d\n" % port)
    try:
        if opens:
            c = context.wrap_socket(c, server_side=True)
            poll = select.poll(); poll.register(c, select.POLLRDHUP); poll.poll()
        else:
            while c.recv(65536): pass
    except OSError: pass
    os.write(log, b"ended %d\n" % port)
def take(s, port, opens):
    while True: threading.Thread(target=one, args=(s.accept()[0], port, opens), daemon=True).start()
for word in sys.argv[4:]:
    port, opens = int(word.removeprefix("tls:")), word.startswith("tls:")
    s = socket.create_server(("0.0.0.0", port))
    threading.Thread(target=take, args=(s, port, opens), daemon=True).start()
os.write(1, b"ready\n")
threading.Event().wait()
