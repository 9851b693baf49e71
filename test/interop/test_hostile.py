# SPDX-License-Identifier: MIT
"""Peers that break every rule, in both roles. Each loses its connection, for a
reason that the log has; a healthy stream beside them loses nothing."""
import contextlib
import multiprocessing
import os
import socket
import struct
import threading
import time

import hostile
import native
import pytest
from harness import (Target, count, echo_handler, recv_exact,
                     socks_connect, socks_request)
from native import CONNECT, CREDIT, INTERRUPT, RESPOND, TRANSFER, number, text

MIB = 1 << 20
TOKEN = "a token of some length"
ATTACKS = hostile.attacks()


class Healthy:
    """A stream of a real client whose echo is verified, on and on."""

    def __init__(self, proxy):
        self.target = Target(echo_handler)
        self.sock = socks_connect(proxy, self.target.addr, 60)
        self.times, self.over, self.error = [], False, None
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        try:
            while not self.over:
                data = os.urandom(1000)
                begin = time.monotonic()
                self.sock.sendall(data)
                assert recv_exact(self.sock, len(data)) == data
                self.times.append(time.monotonic() - begin)
                time.sleep(0.001)
        except BaseException as e:  # told by progress()
            self.error = e

    def progress(self):
        """It goes on, three times from now."""
        seen, until = len(self.times), time.monotonic() + 30
        while len(self.times) < seen + 3:
            assert not self.error and time.monotonic() < until, self.error
            time.sleep(0.002)

    def p99(self):
        return sorted(self.times)[len(self.times) * 99 // 100]

    def stop(self):
        self.over = True
        self.thread.join(30)
        self.sock.close()
        self.target.listener.close()
        assert not self.error


@pytest.fixture
def town(pair):
    """A server with a token, a client of it, and a healthy stream."""
    p = pair(server=("--token", TOKEN, "--allow", "loopback"),
             client=("--token", TOKEN, "--workers", "1"))
    p.healthy = Healthy(p.socks)
    p.healthy.progress()
    yield p
    p.healthy.progress()
    p.healthy.stop()


def push(sock, data):
    with contextlib.suppress(OSError):
        sock.sendall(data)


def ended(t):
    """Wait for the end; the code of the Close frame that came before, if
    any."""
    code = 0
    t.sock.settimeout(30)
    with contextlib.suppress(native.Closed):
        while True:
            op, data = t.read_frame()
            if op == native.CLOSE and not code:
                code = struct.unpack(">H", data[:2])[0]
    return code


def wait_count(process, text, n, name):
    until = time.monotonic() + 30
    while process.log().count(text) < n:
        assert time.monotonic() < until, f"{name}: {process.log()}"
        time.sleep(0.01)


def grown(process, before):
    return 0 if "ASAN_OPTIONS" in os.environ else process.rss() - before


def test_every_rule_broken_towards_the_server(town):
    server = town.server
    before, lines = server.rss(), 1
    for name, make in ATTACKS.items():
        t = native.dial(server.addr("ws"), TOKEN)
        push(t.sock, make(True))
        code = ended(t)
        t.sock.close()
        lines += 1
        wait_count(server, "tunnel down: ", lines - 1, name)
        last = [x for x in server.log().splitlines() if "tunnel down: " in x]
        assert "connection reset" not in last[-1], (name, last[-1])
        assert name == "data after close" or code in (
            1000, 1002, 1003, 1007, 1008, 1009), (name, code, last[-1])
        assert grown(server, before) < 16 * MIB, name
        town.healthy.progress()


def test_what_is_odd_is_ignored(town):
    t = native.dial(town.server.addr("ws"), TOKEN)
    t.sock.sendall(hostile.harmless(True))
    with Target(echo_handler) as echo:
        t.connect(b"1", "127.0.0.1:%d" % echo.addr[1])
        assert native.fields(t.recv_for(b"1", RESPOND).data)[1] == 1
        t.send(b"1", TRANSFER, b"still here")
        assert t.recv_for(b"1", TRANSFER).data == b"still here"
    t.close()


def test_without_the_token_nothing_is_looked_at(town):
    server = town.server
    before = server.rss()
    wrong = (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
             b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
             b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nAuth: no\r\n"
             b"Proto: 0.10\r\n\r\n")
    for i, make in enumerate(ATTACKS.values()):
        for head in (wrong if i < 3 else b"", wrong[:60], b"\r\n\r\n"):
            s = socket.create_connection(server.addr("ws"), 20)
            push(s, head + make(True))
            s.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionResetError):
                while s.recv(4096):
                    pass
            s.close()
    town.healthy.progress()
    assert server.log().count("tunnel up") == 1
    assert grown(server, before) < 16 * MIB


def streams(t, target, n):
    for i in range(n):
        id_ = b"%x" % (2 * i + 1)
        t.connect(id_, "127.0.0.1:%d" % target.addr[1])
        assert native.fields(t.recv_for(id_, RESPOND).data)[1] == 1


BROKEN = {
    "credit broken": lambda w: hostile.of(True, b"1", TRANSFER, b"x" * 65536) *
    40,
    "credit overflows": lambda w: hostile.of(True, b"1", CREDIT, number(
        1, (1 << 32) - 1)) * 2,
    "credit that is none": lambda w: hostile.of(True, b"1", CREDIT, b"\xff"),
    "RESPOND to what is open": lambda w: hostile.of(True, b"1", RESPOND,
                                                    number(1, 1)),
    "data behind FIN": lambda w: hostile.of(True, b"1", TRANSFER) +
    hostile.of(True, b"1", TRANSFER, b"x"),
    "two FINs": lambda w: hostile.of(True, b"1", TRANSFER) * 2,
}


@pytest.mark.parametrize("name", BROKEN)
def test_rules_of_streams(town, name):
    """The target reads nothing, so that nothing gives credit back."""
    over = threading.Event()
    with Target(lambda s: over.wait(60)) as deaf:
        t = native.dial(town.server.addr("ws"), TOKEN)
        streams(t, deaf, 2)
        push(t.sock, BROKEN[name](t.peer["window"]))
        assert ended(t) == 1002
        over.set()
        t.sock.close()
    town.server.wait_log("tunnel down: protocol error")


def test_ids_of_others(town):
    """Whoever guesses the ids of other connections reaches nothing: not one
    byte crosses."""
    with Target(echo_handler) as echo:
        mine = native.dial(town.server.addr("ws"), TOKEN)
        streams(mine, echo, 1)
        evil = native.dial(town.server.addr("ws"), TOKEN)
        for n in range(count(300, 20000)):
            for cmd, data in ((TRANSFER, b"EVIL"), (INTERRUPT, number(1, 11)),
                              (CREDIT, number(1, 1 << 20)), (TRANSFER, b"")):
                push(evil.sock, hostile.of(True, b"%x" % n, cmd, data))
        evil.connect(b"1", "127.0.0.1:%d" % echo.addr[1])  # the same id
        assert native.fields(evil.recv_for(b"1", RESPOND).data)[1] == 1
        evil.send(b"1", TRANSFER, b"mine")
        assert evil.recv_for(b"1", TRANSFER).data == b"mine"
        mine.send(b"1", TRANSFER, b"good")
        assert mine.recv_for(b"1", TRANSFER).data == b"good"
        evil.close()
        mine.send(b"1", TRANSFER, b"too")
        assert mine.recv_for(b"1", TRANSFER).data == b"too"
        mine.close()


# How much a healthy stream feels of it (P4).

def pings(addr, _):
    """Whose answers nobody reads."""
    t = native.dial(addr, TOKEN)
    t.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    t.sock.settimeout(0.5)
    push(t.sock, hostile.frame(True, native.PING, b"p" * 125) * 20000)
    t.sock.close()


def bad_frames(addr, _):
    for make in ATTACKS.values():
        t = native.dial(addr, TOKEN)
        push(t.sock, make(True))
        t.sock.close()


def mutes(addr, _):
    socks = [socket.create_connection(addr, 20) for _ in range(300)]
    for s in socks:
        s.close()


def burn(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        pass


def nothing(addr, source):
    """To compare with: two processors are as busy as an attacker and the
    thread of the server that he has to himself."""
    del addr, source
    other = os.fork()
    burn(0.5)
    if other == 0:
        os._exit(0)
    os.waitpid(other, 0)


def unread(addr, source):
    """Sources that send without end, on streams that nobody reads."""
    t = native.dial(addr, TOKEN, window=MIB)
    for i in range(50):
        t.connect(b"%x" % (2 * i + 1), "127.0.0.1:%d" % source[1])
    time.sleep(2)
    t.sock.close()


def flood(s):
    with contextlib.suppress(OSError):
        while True:
            s.sendall(bytes(1 << 16))


def attack_on(attack, *args):
    until = time.monotonic() + 5
    while time.monotonic() < until:
        attack(*args)


@pytest.mark.long
@pytest.mark.parametrize("attack", [nothing, pings, bad_frames, mutes, unread])
def test_what_a_healthy_stream_feels(town, attack):
    """The attacker is a process of its own, and needs a processor, too."""
    with Target(flood) as source:
        town.healthy.times.clear()
        time.sleep(5)
        quiet = town.healthy.p99()
        town.healthy.times.clear()
        p = multiprocessing.get_context("fork").Process(
            target=attack_on,
            args=(attack, town.server.addr("ws"), source.addr))
        p.start()
        p.join(30)
        print(f"{attack.__name__}: p99 {town.healthy.p99() * 1000:.2f} ms, "
              f"quiet {quiet * 1000:.2f} ms")
        assert town.healthy.p99() < 1  # it does not stand still


class Evil:
    """A real client whose server we are, again and again."""

    def __init__(self, start):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.settimeout(30)
        self.process = start(
            "client", "--socks", "0", "--connections", "1", "--server",
            "ws://127.0.0.1:%d" % self.listener.getsockname()[1],
            env={"WSP_TEST_SPEED": "10"})

    def accept(self):
        return native.accept(self.listener)

    def ask(self):
        """An application that waits makes the client dial at once."""
        s = socket.create_connection(self.process.addr("socks"), 20)
        s.sendall(b"\5\1\0" + socks_request(("target.example", 80)))
        return s


def test_every_rule_broken_towards_the_client(start):
    e = Evil(start)
    t = e.accept()
    e.process.ready()
    before, lines = e.process.rss(), 0
    for name, make in ATTACKS.items():
        push(t.sock, make(False))
        code = ended(t)
        t.sock.close()
        lines += 1
        app = e.ask()
        t = e.accept()
        app.close()
        wait_count(e.process, "tunnel down: ", lines, name)
        assert name == "data after close" or code in (
            1000, 1002, 1003, 1007, 1008, 1009), (name, code)
        assert grown(e.process, before) < 16 * MIB, name
    assert "connection reset" not in e.process.log()
    t.sock.sendall(hostile.harmless(False))
    t.sock.settimeout(30)
    s = e.ask()
    assert recv_exact(s, 2) == b"\5\0"
    ids = set()
    while b"\0" not in ids:  # that of the last app, and of this one
        m = t.recv()
        if m.cmd == CONNECT:
            t.respond(m.id)
        s.settimeout(0.1)
        with contextlib.suppress(TimeoutError):
            ids.add(s.recv(4)[1:2])
    s.close()
    t.close()
    assert e.process.stop() == 0, e.process.log()


def test_a_server_that_pings_and_never_reads(start):
    e = Evil(start)
    t = e.accept()
    e.process.ready()
    t.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    before = e.process.rss()
    some = hostile.frame(False, native.PING, b"p" * 125) * 8
    t.sock.settimeout(2)
    with contextlib.suppress(OSError):
        for _ in range(count(4000, 40000)):
            t.sock.sendall(some)
    assert grown(e.process, before) < 8 * MIB
    t.sock.close()
    assert e.process.stop() == 0, e.process.log()


def test_a_server_that_opens_streams(start):
    """Only clients may."""
    e = Evil(start)
    t = e.accept()
    e.process.ready()
    with Target(lambda s: s.sendall(b"here")) as inside:
        for i in range(100):
            t.connect(b"%x" % (2 * i), "127.0.0.1:%d" % inside.addr[1])
            r = native.fields(t.recv_for(b"%x" % (2 * i), RESPOND).data)
            assert r.get(1, 0) == 0
    t.close()
    assert e.process.stop() == 0, e.process.log()
