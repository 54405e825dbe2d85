"""Stories: functions that take a laboratory, and what must hold at the end of every one of them.

    @story("two clients fetch a page")
    def fetch(lab): ...

    if __name__ == "__main__": main()

After each story: no frame with an inside IPv4 source was ever seen outside (K-29), and every frame
that came into the router is accounted for.
"""
import contextlib
import http.client
import json
import os
import pathlib
import shutil
import sys
import traceback

import lab as l
import router as r

SKIPPED = 77  # meson's and automake's word for it
stories = []


def story(name, needs_masqgate=False, invariants=True):
    """Declares a story. One that looks through masqgate's doors cannot be told with the kernel."""
    def declare(function):
        stories.append((name, function, needs_masqgate, invariants))
        return function
    return declare


def check(condition, message):
    if not condition:
        raise l.Failed(message)


def check_equal(got, expected, what):
    check(got == expected, f"{what}: {got!r}, not {expected!r}")


class Witness:
    """Watches the server's NIC for inside source addresses; loses nothing, as it sees nothing else."""

    FILTER = f"src net {l.LAN} or src net {l.LAN2}"  # of ARP too

    def __init__(self, lab):
        self.lab, self.captures = lab, []
        self.watch()

    def watch(self, only=""):
        """Watches the server's present NIC; again after it was replaced."""
        self.captures.append(l.Capture(self.lab.server, "eth0", f"{only} ({self.FILTER})"))

    def dismiss(self):
        """For a story that lets inside addresses out on purpose."""
        for capture in self.captures:
            capture.stop()
        self.captures.clear()

    def testify(self):
        leaks = [line for capture in self.captures for line in capture.stop().packets()]
        check(not leaks, "inside addresses outside:\n" + "\n".join(leaks[:10]))


def check_account(masqgate):
    """frames in + made = frames out + consumed + drops, to the unit, as soon as no frame waits for anything.

    Made are ICMP errors and resets of the router's own, and fragments.
    """
    drops = {}

    def balanced():
        drops.update(masqgate.rest.get("/v1/drops"))
        came = drops["frames_in"] + drops["frames_made"]
        return came == drops["frames_out"] + drops["consumed"] + sum(drops["drops"].values())
    try:
        l.wait_until(balanced, "the account to balance", 5)
    except l.Failed as failed:
        raise l.Failed(f"{failed}: {drops}") from None


def tell(function, invariants):
    lab = l.Lab()
    lab.masqgate = r.Kernel(lab) if kernel() else r.Masqgate(lab)
    try:
        lab.witness = Witness(lab)
        function(lab)
        lab.witness.testify()
        if invariants and not kernel() and lab.masqgate.process and lab.masqgate.process.running():
            check_account(lab.masqgate)
            lab.masqgate.stop()
    except Exception:
        traceback.print_exc(file=sys.stdout)
        show_account(lab.masqgate)
        show_logs(lab)
        keep_evidence(lab)
        return False
    finally:
        lab.close()
        shutil.rmtree(lab.directory)
        shutil.rmtree("/run/masqgate", ignore_errors=True)
    return True


def show_account(masqgate):
    """What the router did with its frames, if it still answers."""
    if kernel() or not masqgate.process or not masqgate.process.running():
        return
    with contextlib.suppress(OSError, http.client.HTTPException, r.Refused):
        print("--- account", json.dumps({**masqgate.rest.get("/v1/drops"), "drops": {
            reason: count for reason, count in masqgate.rest.get("/v1/drops")["drops"].items() if count}}))
        print(masqgate.rest.get("/v1/net/nf_conntrack"))


def show_logs(lab):
    for process in lab.processes:
        if text := process.output().strip():
            print(f"--- {' '.join(process.command[3:6])} …\n" + "\n".join(text.splitlines()[-40:]))


def keep_evidence(lab):
    """Copies captures and logs of a failed story to $NETNS_EVIDENCE, if that is set."""
    if folder := os.environ.get("NETNS_EVIDENCE"):
        shutil.copytree(lab.directory, pathlib.Path(folder), dirs_exist_ok=True)


def kernel():
    return os.environ.get("NETNS_ROUTER") == "kernel"


def main():
    """Tells the stories (or those whose name contains an argument) and exits with the result."""
    l.isolate()
    if not kernel():
        try:
            os.close(os.open("/dev/net/tun", os.O_RDWR))
        except OSError as error:
            print(f"skipped: {error}: TAP devices cannot be made here")
            sys.exit(SKIPPED)
    wanted = [s for s in stories if all(word in s[0] for word in sys.argv[1:])]
    told = failed = 0
    for name, function, needs_masqgate, invariants in wanted:
        if needs_masqgate and kernel():
            continue
        print(f"# {name}", flush=True)
        good = tell(function, invariants)
        print("ok" if good else "FAILED", flush=True)
        told, failed = told + 1, failed + (not good)
    sys.exit(1 if failed else 0 if told else SKIPPED)
