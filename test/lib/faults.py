# SPDX-License-Identifier: MIT
"""The fault injector (fault.h) from the test's side, and the script that a
server and a client go through under it: verified bytes in both directions
through both proxies, a refusal, a tunnel that is cut."""
import base64
import hashlib
import mmap
import os
import random
import socket
import struct
import subprocess
import tempfile
import threading
import time

from harness import (ROOT, RST, Target, echo_handler, recv_all, reset,
                     socks_request)

LIBRARY = os.path.join(ROOT, "build/fault.so")
KNOWN = os.path.join(ROOT, "test/lsan.supp")  # leaks of libraries
DATA = random.Random(7).randbytes(4 << 20)
FRAMES = 24
FIELDS = {"off": (0, "I"), "nframes": (4, "I"), "clock": (8, "q"),
          "allocs": (16, "Q"), "fail_at": (24, "Q"), "fail_ppm": (32, "Q"),
          "failed": (40, "Q"), "faults": (48, "Q")}


class Faults:
    """struct control; its fields are attributes. env(rules) makes a program
    obey it."""

    def __init__(self):
        f = tempfile.NamedTemporaryFile(prefix="wsp-fault-")
        f.truncate(56 + 8 * FRAMES)
        self.__dict__.update(file=f, map=mmap.mmap(f.fileno(), 0))

    def env(self, rules=""):
        old = os.environ.get("ASAN_OPTIONS", "")
        return {"LD_PRELOAD": LIBRARY, "WSP_FAULT": rules,
                "WSP_FAULT_CONTROL": self.file.name,
                "LSAN_OPTIONS": "print_suppressions=0:suppressions=" + KNOWN,
                # it comes before the sanitizer's library, and passes on
                "ASAN_OPTIONS": old + ":verify_asan_link_order=0"
                                      ":allocator_may_return_null=1"}

    def __getattr__(self, name):
        at, kind = FIELDS[name]
        return struct.unpack_from(kind, self.map, at)[0]

    def __setattr__(self, name, value):
        at, kind = FIELDS[name]
        struct.pack_into(kind, self.map, at, value)

    def fail(self, n):
        """The nth allocation from now on fails, once; 0: none does."""
        self.fail_at = 0
        self.failed = 0
        self.allocs = 0
        self.fail_at = n

    def where(self, pid):
        """What called the allocation that failed, for who reads a failure."""
        n = self.nframes
        frames = struct.unpack_from(f"{n}Q", self.map, 56)
        maps = []
        with open(f"/proc/{pid}/maps") as f:
            for line in f:
                w = line.split()
                if len(w) > 5 and w[5].startswith("/"):
                    a, b = (int(x, 16) for x in w[0].split("-"))
                    maps.append((a, b, int(w[2], 16), w[5]))
        out = []
        for x in frames[2:]:
            for a, b, off, name in maps:
                if a <= x < b:
                    r = subprocess.run(
                        ["addr2line", "-fse", name, hex(x - a + off - 1)],
                        capture_output=True, text=True, check=False)
                    out.append("%s %s" % (os.path.basename(name),
                                          " ".join(r.stdout.split())))
        return "\n".join(out)


class Cutter:
    """A relay on loopback; cut() resets all that goes through it."""

    def __init__(self, target):
        self.target, self.pairs, self.lock = target, [], threading.Lock()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                a, _ = self.listener.accept()
                b = socket.create_connection(self.target)
            except OSError:
                return
            for s in (a, b):
                s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.lock:
                self.pairs.append((a, b))
            for x, y in ((a, b), (b, a)):
                threading.Thread(target=self._copy, args=(x, y),
                                 daemon=True).start()

    @staticmethod
    def _copy(x, y):
        try:
            while data := x.recv(1 << 18):
                y.sendall(data)
            y.shutdown(socket.SHUT_WR)
        except OSError:
            for s in (x, y):
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def cut(self):
        with self.lock:
            pairs, self.pairs = self.pairs, []
        for pair in pairs:
            for s in pair:
                try:
                    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER,
                                 struct.pack("ii", 1, 0))
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def close(self):
        self.listener.close()
        self.cut()


class Ended(Exception):
    """A program has ended before it was ready: exit code, log."""


class Failed(Exception):
    """A step was refused or reset, and that was clear."""


def _target(s):
    """8 bytes say how many follow; the answer is their hash and themselves."""
    got, end = recv_all(s)
    n = int.from_bytes(got[:8], "big") if len(got) >= 8 else None
    assert DATA.startswith(got[8:n and 8 + n]), "what came is no prefix"
    if end == RST:
        reset(s)
        return
    assert n is not None and len(got) == 8 + n, \
        f"a clean end after {len(got)} bytes of {n}"
    s.sendall(hashlib.sha256(got[8:]).digest() + got[8:])
    s.close()


def _origin(s):
    """GET /N: N bytes. POST /N: the hash of the body of N bytes."""
    with s, s.makefile("rb") as f:
        while line := f.readline():
            method, path, _ = line.split()
            n, length = int(path[1:]), 0
            while (field := f.readline()) != b"\r\n":
                if not field:
                    return
                if field.lower().startswith(b"content-length:"):
                    length = int(field.split(b":")[1])
            body = f.read(length)
            if len(body) < length:
                return
            body = DATA[:n] if method == b"GET" else \
                hashlib.sha256(body).digest()
            s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s"
                      % (len(body), body))


def _quiet(handler):
    def run(s):
        try:
            handler(s)
        except OSError:
            s.close()

    return run


class Rig:
    """Server, cutter, client. env: of the one that is called faulty (server,
    client or both)."""

    def __init__(self, start, env=None, faulty="both", certs=None, server=(),
                 client=(), speed=1, size=100000, user=None):
        """user: (name, password) of the client's proxies."""
        self.size, self.user = size, user
        self.target = Target(_quiet(_target))
        self.origin = Target(_quiet(_origin))
        self.echo = Target(_quiet(echo_handler))
        self.envs = {who: {"WSP_TEST_SPEED": str(speed),
                           **(env if env and faulty in (who, "both") else {})}
                     for who in ("server", "client")}
        self.start, self.certs, self.args = start, certs, {
            "server": [*server], "client": [*client]}
        kind = "ws"
        if certs:
            kind = "wss"
            self.args["server"] += ["--tls-cert", certs["good"][0],
                                    "--tls-key", certs["good"][1]]
            self.args["client"] += ["--tls-ca", certs["ca"]]
        self.cutter = None
        self.server = self._start("server", "--listen", "127.0.0.1:0")
        self.at = self.server.addr(kind)
        self.cutter = Cutter(self.at)
        self.args["client"] += ["--server", "%s://localhost:%d/" % (
            kind, self.cutter.port)]
        self.client = self._start("client", "--socks", "0", "--http", "0")

    def _start(self, who, *args):
        p = self.start(who, *args, *self.args[who], env=self.envs[who])
        try:
            return p.ready(30)
        except AssertionError:
            try:
                code = p.wait(1)
            except subprocess.TimeoutExpired:
                raise AssertionError(f"never ready: {p.log()}") from None
            self._end()
            raise Ended(code, p.log()) from None

    def stop(self):
        """Exit codes."""
        codes = {"client": self.client.stop(), "server": self.server.stop()}
        self._end()
        assert not self.target.errors, self.target.errors
        assert not self.origin.errors, self.origin.errors
        return codes

    def _end(self):
        if self.cutter:
            self.cutter.close()
        for t in (self.target, self.origin, self.echo):
            t.listener.close()

    def logs(self):
        return f"client:\n{self.client.log()}\nserver:\n{self.server.log()}"

    # The steps. Each says Failed, or asserts.

    @staticmethod
    def _exact(s, n):
        data = b""
        while len(data) < n:
            piece = s.recv(n - len(data))
            if not piece:
                raise Failed(f"an end after {data!r}")
            data += piece
        return data

    def _ask(self, s, target):
        hello, sign_in = b"\0", b""
        if self.user:
            name, password = (x.encode() for x in self.user)
            hello = b"\2"
            sign_in = b"\1%c%s%c%s" % (len(name), name, len(password), password)
        s.sendall(b"\5\1" + hello + sign_in + socks_request(target))
        assert self._exact(s, 2) == b"\5" + hello
        if self.user and self._exact(s, 2) != b"\1\0":
            raise Failed("the password was not taken")
        head = self._exact(s, 4)
        if head[1] == 0:
            self._exact(s, 6 if head[3] == 1 else 18)
        return head[1]

    def _exchange(self, s):
        n = self.size
        s.sendall(n.to_bytes(8, "big") + DATA[:n])
        s.shutdown(socket.SHUT_WR)
        back, end = recv_all(s)
        good = hashlib.sha256(DATA[:n]).digest() + DATA[:n]
        assert good.startswith(back), "what came is no prefix"
        if end == RST:
            raise Failed(f"reset after {len(back)} bytes")
        assert len(back) == len(good), f"a clean end after {len(back)}"

    def _sign_in(self):
        if not self.user:
            return b""
        return b"Proxy-Authorization: Basic %s\r\n" % base64.b64encode(
            ":".join(self.user).encode())

    def socks(self):
        with socket.create_connection(self.client.addr("socks"), 30) as s:
            code = self._ask(s, self.target.addr)
            if code:
                raise Failed(f"SOCKS reply {code}")
            self._exchange(s)

    def connect(self):
        with socket.create_connection(self.client.addr("http"), 30) as s:
            name = b"localhost:%d" % self.target.addr[1]
            s.sendall(b"CONNECT %s HTTP/1.1\r\nHost: %s\r\n%s\r\n"
                      % (name, name, self._sign_in()))
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += self._exact(s, 1)
            if head.split()[1] != b"200":
                raise Failed(f"CONNECT: {head.split()[1]}")
            self._exchange(s)

    def _http(self, s, f, method, body, good):
        s.sendall(b"%s http://127.0.0.1:%d/%d HTTP/1.1\r\nHost: x\r\n"
                  b"Content-Length: %d\r\n%s\r\n%s" % (
                      method, self.origin.addr[1], self.size, len(body),
                      self._sign_in(), body))
        line = f.readline()
        if not line:
            raise Failed("no answer")
        status, n = line.split()[1], 0
        while (field := f.readline()).strip():
            if field.lower().startswith(b"content-length:"):
                n = int(field.split(b":")[1])
        got = f.read(n)
        if status != b"200":
            assert status.startswith(b"5"), status
            raise Failed(f"status {status}")
        if len(got) < n or not n:
            assert good.startswith(got), "what came is no prefix"
            raise Failed("the answer was cut")
        assert got == good

    def http(self):
        """Download and upload, on one connection."""
        with socket.create_connection(self.client.addr("http"), 30) as s, \
                s.makefile("rb") as f:
            body = DATA[:self.size]
            self._http(s, f, b"GET", b"", body)
            self._http(s, f, b"POST", body, hashlib.sha256(body).digest())

    def refused(self):
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))
            with socket.create_connection(self.client.addr("socks"), 30) as s:
                code = self._ask(s, closed.getsockname())
        assert code, "a closed port has answered"
        if code != 5:
            raise Failed(f"SOCKS reply {code}")

    def again(self):
        """The tunnel is cut; who asks then is served."""
        def seen(word):
            return self.client.log().count(f"tunnel {word}: ")

        ups, until = seen("up"), time.monotonic() + 10
        self.cutter.cut()
        # who asks before that is known may be on the tunnel that was cut
        while seen("down") < ups and time.monotonic() < until:
            time.sleep(0.01)
        self.socks()

    STEPS = ("socks", "connect", "http", "refused", "again")

    def script(self, steps=STEPS):
        """{step: how it has failed}; {}: as if there were no faults."""
        failed = {}
        for name in steps:
            try:
                getattr(self, name)()
            except TimeoutError:
                raise AssertionError(f"{name} hangs\n{self.logs()}") from None
            except (Failed, OSError) as e:
                failed[name] = repr(e)
        return failed

    def recovers(self, steps, seconds=20):
        """Without faults, all is well again."""
        until = time.monotonic() + seconds
        while failed := self.script(steps):
            assert time.monotonic() < until, f"{failed}\n{self.logs()}"
            time.sleep(0.02)
