"""Shows that a Python with its standard library is at home in a sandbox."""

import os
import platform
import socket
import subprocess

print(f"Python {platform.python_version()}, process {os.getpid()} on host {socket.gethostname()}")
print("a child says:", subprocess.run(["echo", "hello"], capture_output=True, text=True, check=True).stdout.strip())
