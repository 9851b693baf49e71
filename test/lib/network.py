# SPDX-License-Identifier: MIT
"""Network namespaces that a test makes itself, one for the client and one for
the server, with two links between them. Skipped where none can be made."""
import shutil
import subprocess

import pytest
from harness import WSP, Wsp, run

FAR = "10.99.9.9"  # the server, behind both links
SKIP = "no network namespace with veth can be made here"


class Lab:
    """Links 0 and 1: 10.99.N.2 is the client's side, 10.99.N.1 the
    server's. The first route to the server is over link 0."""

    def __init__(self):
        self.holders, self.programs = [], []
        self.near = self._namespace(["unshare", "-n"], ["-n"]) or \
            self._namespace(["unshare", "-Urn"],
                            ["-U", "-n", "--preserve-credentials"])
        self.far = self.near and self._namespace(
            [*self.near, "unshare", "-n"], self.near[3:])
        if not self.far or not self._links():
            self.close()
            pytest.skip(SKIP)

    def _namespace(self, make, flags):
        """The prefix of commands in a new namespace, or None."""
        p = subprocess.Popen([*make, "sh", "-c", "echo yes; exec sleep 600"],
                             stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.holders.append(p)
        if p.stdout.readline() != b"yes\n":
            return None
        return ["nsenter", "-t", str(p.pid), *flags]

    def _links(self):
        pid = self.holders[-1].pid
        for n in (0, 1):
            if self.ip(f"link add near{n} type veth peer name far{n}") or \
                    self.ip(f"link set far{n} netns {pid}"):
                return False
            self.ip(f"addr add 10.99.{n}.1/24 dev far{n}", self.far)
            self.ip(f"link set far{n} up", self.far)
            self.ip(f"link set near{n} up")
            self.up(n)
        self.ip("link set lo up", self.far)
        self.ip("link set lo up")
        self.ip(f"addr add {FAR}/32 dev lo", self.far)
        return True

    def ip(self, command, where=None):
        return run(*(where or self.near), "ip", *command.split()).returncode

    def up(self, n, metric=None):
        self.ip(f"addr add 10.99.{n}.2/24 dev near{n}")
        self.ip(f"route add {FAR} via 10.99.{n}.1 "
                f"metric {metric or 10 * n + 10}")

    def silence(self, n):
        """What comes from the client's address of link n gets no answer."""
        self.ip(f"route add blackhole 10.99.{n}.2/32", self.far)

    def away(self, n):
        self.ip(f"addr flush dev near{n}")
        self.ip(f"route flush dev near{n}")

    def slow(self, rate):
        """Both links carry so many bytes a second in each direction."""
        for n in (0, 1):
            for dev, where in ((f"near{n}", self.near), (f"far{n}", self.far)):
                r = run(*where, "tc", "qdisc", "replace", "dev", dev, "root",
                        "tbf", "rate", f"{rate * 8 // 1000}kbit", "burst",
                        str(max(10000, rate // 100)), "latency", "100ms")
                if r.returncode:
                    pytest.skip(f"no tbf here: {r.stderr.decode()}")

    def small_buffers(self):
        """Of TCP near the client: many sockets together must not reach the
        kernel's limit for all of them (tcp_mem)."""
        for name in ("rmem", "wmem"):
            run(*self.near, "sh", "-c", "echo 4096 16384 16384 > "
                f"/proc/sys/net/ipv4/tcp_{name}")

    def drop(self, way):
        """Nothing comes to the server, to the client, or both; nobody is
        told. "none": all arrives again."""
        up, down = ("input", "iifname"), ("output", "oifname")
        chains = {"up": [up], "down": [down], "both": [up, down],
                  "none": []}[way]
        text = "table inet test\ndelete table inet test\n" + "".join(
            "add table inet test\n"
            f"add chain inet test {c} {{ type filter hook {c} priority 0; }}\n"
            f"add rule inet test {c} {names} far* drop\n"
            for c, names in chains)
        if not shutil.which("nft"):
            pytest.skip("no nft here")
        r = run(*self.far, "nft", "-f", "-", input=text.encode())
        if r.returncode:
            pytest.skip(f"no nftables here: {r.stderr.decode()}")

    def start(self, where, *args, **kw):
        p = Wsp(*where[1:], WSP, *args, binary=where[0], **kw)
        self.programs.append(p)
        return p

    def server(self, *args, **kw):
        return self.start(self.far, "server", "--listen", "0.0.0.0:8010",
                          "--allow-anonymous", *args, **kw).ready()

    def client(self, *args, **kw):
        return self.start(self.near, "client", "--socks", "0", "--server",
                          f"ws://{FAR}:8010/", "-v", *args, **kw)

    def used(self, state="established"):
        """The addresses of this side that have connections to the server."""
        out = run(*self.near, "ss", "-Htn", "state", state, "dst",
                  f"{FAR}:8010").stdout.decode().split()
        return {w.split(":")[0] for w in out if w.startswith("10.99.")} - {FAR}

    def close(self):
        for p in self.programs:
            if p.process.poll() is None:
                p.kill()
        for p in self.holders:
            p.kill()
            p.wait()
