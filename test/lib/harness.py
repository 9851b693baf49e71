# SPDX-License-Identifier: MIT
"""What end-to-end tests are made of: the real binary, small origins, and raw
SOCKS5 and HTTP clients that see every end of a connection as it is."""
import contextlib
import os
import queue
import random
import signal
import socket
import struct
import subprocess
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(
    os.path.abspath(__file__))))
WSP = os.environ.get("WSP_BIN", os.path.join(ROOT, "build/wsp"))
ECHO = os.environ.get("WSP_ECHO_BIN", os.path.join(ROOT, "build/ws_echo"))
LONG = bool(os.environ.get("WSP_TEST_LONG"))
SANITIZED = "detect_leaks" in os.environ.get("ASAN_OPTIONS", "")
COUNTED = "/cov/" in WSP  # by make coverage: gcov has code of its own in it
RST = "reset"
# A system call that the sandbox does not allow ends the process (core/sandbox.h)
os.environ.setdefault("WSP_TEST_SANDBOX", "kill")
FIN = "end"


def count(small, full):
    """How often: small in make test, full (or N) in make test-long."""
    return int(os.environ.get("WSP_TEST_N", full)) if LONG else small


class Wsp:
    """A process; its announce lines arrive in .lines as lists of words."""

    def __init__(self, *args, env=None, announce=True, binary=None, **popen):
        argv = [binary or WSP, *map(str, args)]
        if announce:
            argv.append("--announce")
        self.argv = argv
        self.lines, self.stderr = queue.Queue(), []
        self.seen = []
        self.process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, text=True, errors="replace",
            env={**os.environ, **(env or {})}, **popen)
        self.pid = self.process.pid
        self.readers = [threading.Thread(target=f, daemon=True)
                        for f in (self._read_out, self._read_err)]
        for r in self.readers:
            r.start()

    def _read_out(self):
        for line in self.process.stdout:
            self.lines.put(line.split())
        self.lines.put(["end"])

    def _read_err(self):
        for line in self.process.stderr:
            self.stderr.append(line)

    def expect(self, word, seconds=10):
        """The next announce line that begins with word."""
        until = time.monotonic() + seconds
        while True:
            try:
                line = self.lines.get(timeout=max(0, until - time.monotonic()))
            except queue.Empty:
                raise AssertionError(
                    f"no '{word}' line: {self.log()}") from None
            self.seen.append(line)
            if line[0] == word:
                return line
            assert line[0] != "end", f"ended: {self.log()}"

    def ready(self, seconds=10):
        self.expect("ready", seconds)
        return self

    def addr(self, kind, nth=0):
        """(host, port) of a listener that was announced."""
        found = [w[2] for w in self.seen if w[:2] == ["listening", kind]]
        host, port = found[nth].rsplit(":", 1)
        return host.strip("[]"), int(port)

    def log(self):
        return "".join(self.stderr)

    def wait_log(self, text, seconds=10):
        until = time.monotonic() + seconds
        while text not in self.log():
            assert time.monotonic() < until, f"no '{text}' in {self.log()}"
            time.sleep(0.01)

    def wait(self, seconds=20):
        code = self.process.wait(seconds)
        for r in self.readers:
            r.join(5)
        if not any(r.is_alive() for r in self.readers):
            self.process.stdout.close()
            self.process.stderr.close()
        return code

    def stop(self, sig=signal.SIGTERM, seconds=20):
        if self.process.poll() is None:
            self.process.send_signal(sig)
        return self.wait(seconds)

    def kill(self):
        self.process.kill()
        self.wait()

    def rss(self):
        """Bytes of resident memory."""
        with open(f"/proc/{self.pid}/status") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) * 1024
        raise AssertionError("no VmRSS")

    def cpu(self):
        """Seconds of CPU."""
        with open(f"/proc/{self.pid}/stat") as f:
            words = f.read().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


class Pair:
    """A server and a client with a SOCKS5 and an HTTP proxy, all ready."""

    def __init__(self, server=(), client=(), env=None):
        self.server = Wsp("server", "--listen", "127.0.0.1:0", *server,
                          env=env).ready()
        kind = "wss" if "--tls-cert" in server else "ws"
        self.url = "%s://%s:%d/" % (
            kind, "localhost" if kind == "wss" else "127.0.0.1",
            self.server.addr(kind)[1])
        self.client = Wsp("client", "--socks", "0", "--http", "0", "--server",
                          self.url, *client, env=env).ready()
        self.socks = self.client.addr("socks")
        self.http = self.client.addr("http")

    def stop(self):
        codes = [self.client.stop(), self.server.stop()]
        assert codes == [0, 0], f"{codes}\n{self.client.log()}\n" \
            f"{self.server.log()}"
        for p in (self.client, self.server):
            assert "left behind" not in p.log(), p.log()


def socks_url(pair):
    return "socks5h://%s:%d" % pair.socks


def http_url(pair):
    return "http://%s:%d" % pair.http


def recv_exact(s, n):
    data = b""
    while len(data) < n:
        piece = s.recv(n - len(data))
        assert piece, f"end after {len(data)} of {n} bytes"
        data += piece
    return data


def recv_all(s):
    """(bytes, FIN or RST)"""
    data = []
    try:
        while piece := s.recv(1 << 18):
            data.append(piece)
        return b"".join(data), FIN
    except ConnectionResetError:
        return b"".join(data), RST


def reset(s):
    """Close s with a RST."""
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def socks_request(target):
    host, port = target
    try:
        head = b"\1" + socket.inet_pton(socket.AF_INET, host)
    except OSError:
        name = host.encode()
        head = b"\3" + bytes([len(name)]) + name
    if ":" in host:
        head = b"\4" + socket.inet_pton(socket.AF_INET6, host)
    return b"\5\1\0" + head + struct.pack(">H", port)


def socks_reply(s):
    """The code of the reply, and BND."""
    head = recv_exact(s, 4)
    n = {1: 4, 4: 16}[head[3]]
    return head[1], recv_exact(s, n + 2)


def socks_connect(proxy, target, timeout=20):
    s = socket.create_connection(proxy, timeout)
    s.sendall(b"\5\1\0" + socks_request(target))
    assert recv_exact(s, 2) == b"\5\0"
    code, _ = socks_reply(s)
    assert code == 0, f"SOCKS5 reply {code}"
    return s


def http_connect(proxy, target, timeout=20):
    s = socket.create_connection(proxy, timeout)
    name = "%s:%d" % target
    s.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        head += recv_exact(s, 1)
    assert head.split()[1] == b"200", head
    return s


class Target:
    """Listens on loopback; handler(socket) runs in a thread of its own."""

    def __init__(self, handler, host="127.0.0.1", port=0):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.socket(family)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(1024)
        self.addr = self.listener.getsockname()[:2]
        self.handler, self.errors = handler, []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            s.settimeout(60)
            threading.Thread(target=self._run, args=(s,), daemon=True).start()
            del s  # or the last one would stay open

    def _run(self, s):
        try:
            self.handler(s)
        except Exception as e:  # the test asks for them
            self.errors.append(e)
            with contextlib.suppress(OSError):
                s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()


def echo_handler(s):
    while piece := s.recv(1 << 16):
        s.sendall(piece)
    s.close()


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


_closed = []


def closed_port():
    """Nobody listens there, and nobody can while this process lives."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    _closed.append(s)
    return s.getsockname()[1]


def lasting_port():
    """Of none that the kernel gives to outgoing connections: one could take
    it while its owner is started again."""
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        first = int(f.read().split()[0])
    while True:
        with socket.socket() as s, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", random.randrange(10000, max(first, 20000))))
            return s.getsockname()[1]


def run(*argv, **kw):
    return subprocess.run(list(map(str, argv)), capture_output=True,
                          timeout=kw.pop("timeout", 60), **kw)
