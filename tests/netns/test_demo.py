#!/usr/bin/env python3
"""./demo as a newcomer meets it: as root, as nobody in particular, and staying until it is told to stop."""
import os
import pathlib
import subprocess
import sys
import tempfile

DEMO = pathlib.Path(__file__).resolve().parents[2] / "demo"
STAYING = pathlib.Path(tempfile.gettempdir(), f"masqgate-demo-{os.getuid()}.pid")

# A /dev of its own, where everybody may open the two devices; the machine's keeps its permissions.
OPEN_DEVICES = """
set -e
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/net
mknod -m 666 /mnt/net/tun c 10 200
mknod -m 666 /mnt/fuse c 10 229
for node in null zero full random urandom tty; do
  : > /mnt/$node
  mount --bind /dev/$node /mnt/$node
done
ln -s /proc/self/fd /mnt/fd
mount --move /mnt /dev
exec setpriv --reuid=65534 --regid=65534 --clear-groups env HOME=/tmp "$@"
"""


def run(*command, expect):
    done = subprocess.run(list(map(str, command)), stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=150, check=False)
    if done.returncode != 0 or expect not in done.stdout:
        sys.exit(f"{' '.join(map(str, command))}: status {done.returncode}, wanted {expect!r}:\n"
                 f"{done.stdout}{done.stderr}")
    print(f"ok: {expect or 'stopped'}", flush=True)
    return done.stdout


def check_summary(text):
    good, _, rest = text.rstrip().splitlines()[-1].partition(" of ")
    total = rest.split()[0]
    if good != total or int(total) < 8:
        sys.exit(f"not everything as expected:\n{text}")


def may_make_namespaces(prefix):
    done = subprocess.run([*prefix, "unshare", "--map-root-user", "--net", "--mount", "true"], check=False,
                          capture_output=True)
    return done.returncode == 0


def main():
    check_summary(run(DEMO, expect="as expected"))

    run(DEMO, "--stay", expect="The hosts stay")
    try:
        run(DEMO, "client", "curl", "--silent", "http://198.51.100.1/", expect="hello from the server")
        run(DEMO, "router", "masqctl", "status", expect="masqgate")
        run(DEMO, "router", "cat", "/run/masqgate/tree/net/ip_masquerade", expect="TCP C0A8000A")
    finally:
        run(DEMO, "--stop", expect="")
    if STAYING.exists():
        sys.exit("the one that stayed is still remembered")

    if os.geteuid() != 0:
        return  # all of the above was without root
    as_nobody = ["unshare", "--mount", "sh", "-c", OPEN_DEVICES, "sh"]
    if not may_make_namespaces(as_nobody):
        print("not tried: without root users may not make namespaces here")
        return
    check_summary(run(*as_nobody, DEMO, expect="as expected"))


if __name__ == "__main__":
    main()
