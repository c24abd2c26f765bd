# Greets from inside a sandbox.
echo "Hello from inside a sandbox: I am process $$ on host $(uname -n)."
