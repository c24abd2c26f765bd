"""Decides over one system call: takes the listener of a seccomp filter at a Unix socket and answers EACCES.

Prints the message that came with the listener, then the number of the call.
"""

import fcntl
import socket
import struct
import sys

SECCOMP_IOCTL_NOTIF_RECV, SECCOMP_IOCTL_NOTIF_SEND = 0xC0502100, 0xC0182101
EACCES = 13

server = socket.socket(socket.AF_UNIX)
server.bind(sys.argv[1])
server.listen(1)
print("listening", flush=True)
message, (listener,), _, _ = socket.recv_fds(server.accept()[0], 65536, 1)
print(message.decode(), flush=True)
request = bytearray(80)
fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, request)
number, = struct.unpack_from("<Q", request)
call, = struct.unpack_from("<i", request, 16)
print(call, flush=True)
fcntl.ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, struct.pack("<QqiI", number, 0, -EACCES, 0))
