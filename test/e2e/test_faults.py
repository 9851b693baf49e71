# SPDX-License-Identifier: MIT
"""The kernel does what it may: short reads and writes, EAGAIN where there was
something, interrupted calls, errors of accept(). See test/lib/fault.h."""
import contextlib
import os
import resource
import socket
import threading
import time
from multiprocessing.connection import wait as readable

import pytest

from faults import Faults, Rig
from harness import (LONG, SANITIZED, Target, count, echo_handler, recv_all,
                     recv_exact, socks_connect, socks_reply, socks_request)

# rules, bytes in each step, where also in make test
STORMS = {
    "mixed": ("short=50%,eagain=30%,eintr=10%", 100000, "ws wss"),
    "single bytes": ("short=100%:1", 700, "ws wss"),
    "mostly EAGAIN": ("eagain=90%,short=50%:700", 100000, "wss"),
    "interrupted": ("eintr=50%", 400000, "ws"),
    "full buffers": ("enobufs=50%@write,eagain=90%@write", 200000, "ws"),
    "slow reader": ("eagain=95%@read,short=90%@read", 200000, "wss"),
    "aside": ("short=40%:70000,eagain=20%,eintr=5%", 4000000, "ws"),
    "full pipes": ("short=30%@write,enobufs=30%@write", 4000000, "ws"),
    "no getrandom": ("enosys=100%", 100000, "wss"),
}


CASES = [(storm, scheme) for storm in STORMS for scheme in ("ws", "wss")
         if LONG or scheme in STORMS[storm][2].split()]


@pytest.mark.parametrize("storm,scheme", CASES)
def test_the_result_is_the_same(start, certs, storm, scheme):
    rules, size, _ = STORMS[storm]
    # the cut needs a second, as nobody dials more often
    steps = Rig.STEPS if LONG or storm == "mixed" else Rig.STEPS[:-1]
    if storm == "single bytes":
        steps = ["socks", "http"]
    for seed in range(count(1, 20)):
        faults = Faults()
        rig = Rig(start, faults.env(f"seed={seed},{rules}"),
                  certs=certs if scheme == "wss" else None, size=size)
        assert rig.script(steps) == {}, rig.logs()
        assert faults.faults > 1
        assert rig.stop() == {"client": 0, "server": 0}, rig.logs()


# accept(), socket() and connect() fail for a while. Figures of CPU are those
# of a loaded machine; a loop that spins takes all.

LOOK = 3 if LONG else 0.7
IDLE = 0.05 if LONG else 0.3


def is_idle(*processes):
    before = [p.cpu() for p in processes]
    time.sleep(LOOK)
    return all(p.cpu() - b < IDLE * LOOK for p, b in zip(processes, before))


ACCEPT = {
    "ECONNABORTED": "econnaborted=100%",
    "EPROTO": "eproto=100%",
    "EMFILE": "emfile=100%@accept+open",
    "ENFILE": "enfile=100%@accept+open+socket",
    "ENOBUFS": "enobufs=100%@accept",
}


@pytest.mark.parametrize("error", ACCEPT)
def test_accept_fails_and_nothing_spins(start, error):
    faults = Faults()
    faults.off = 1
    rig = Rig(start, faults.env(ACCEPT[error]))
    faults.off = 0
    with socket.create_connection(rig.client.addr("socks"), 10) as a, \
            socket.create_connection(rig.at, 10) as b:
        assert is_idle(rig.client, rig.server)
        assert faults.faults > 1
        faults.off = 1
        for s, text in ((a, b"\5\1\0"), (b, b"no HTTP\r\n\r\n")):
            s.sendall(text)
            assert s.recv(1)  # taken as soon as it can be
    assert rig.script(Rig.STEPS[:-1]) == {}
    assert rig.stop() == {"client": 0, "server": 0}, rig.logs()


HTTP = {1: 503, 3: 502, 4: 504}  # of the reply of SOCKS
DIAL = {
    "emfile=100%@socket": 1,
    "enfile=100%@socket": 1,
    "enobufs=100%@socket": 1,
    "enomem=100%@connect": 1,
    "eaddrnotavail=100%": 3,
    "enetunreach=100%": 3,
    "etimedout=100%": 4,
}


@pytest.mark.parametrize("rule", DIAL)
def test_a_dial_that_fails_is_answered_at_once(start, rule):
    faults = Faults()
    faults.off = 1
    rig = Rig(start, faults.env(rule), "server")
    faults.off = 0
    assert rig.script(["socks", "connect", "http"]) == {
        "socks": f"Failed('SOCKS reply {DIAL[rule]}')",
        "connect": "Failed(\"CONNECT: b'%d'\")" % HTTP[DIAL[rule]],
        "http": "Failed(\"status b'%d'\")" % HTTP[DIAL[rule]]}
    faults.off = 1
    assert rig.script(Rig.STEPS[:-1]) == {}
    assert rig.stop() == {"client": 0, "server": 0}, rig.logs()


def test_a_client_that_cannot_dial_goes_on_trying(start):
    faults = Faults()
    faults.off = 1
    rig = Rig(start, faults.env("enfile=100%@socket"), "client", speed=5)
    faults.off = 0
    rig.cutter.cut()
    rig.client.wait_log("tunnel not up")
    assert is_idle(rig.client)
    faults.off = 1
    assert rig.script(Rig.STEPS[:-1]) == {}
    assert rig.stop() == {"client": 0, "server": 0}, rig.logs()


# No descriptor is left.

def narrow(n):
    return lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (n, n))


class Flow:
    """A stream that goes on and on, every byte verified."""

    def __init__(self, proxy, target):
        self.s = socks_connect(proxy, target)
        self.rounds, self.error = 0, None
        self.resume()

    def resume(self):
        self.on = True
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def pause(self):
        self.on = False
        self.thread.join(20)

    def _run(self):
        try:
            while self.on:
                data = os.urandom(3000)
                self.s.sendall(data)
                assert recv_exact(self.s, len(data)) == data
                self.rounds += 1
                time.sleep(0.01)
        except Exception as e:
            self.error = e

    def moves(self):
        until, old = time.monotonic() + 20, self.rounds
        while self.rounds < old + 3 and not self.error:
            assert time.monotonic() < until, "stalled"
            time.sleep(0.01)
        assert not self.error, self.error

    def stop(self):
        self.pause()
        self.s.close()
        assert not self.error, self.error


def fill(proxy, target, n=120):
    """SOCKS requests until n are held, refused or reset: codes, sockets."""
    codes, held = [], []
    for _ in range(n):
        try:  # the reset may be here before connect() returns
            s = socket.create_connection(proxy, 10)
            held.append(s)
            s.sendall(b"\5\1\0" + socks_request(target))
            recv_exact(s, 2)
            codes.append(socks_reply(s)[0])
        except (ConnectionError, AssertionError):
            codes.append("gone")
    return codes, held


@pytest.mark.parametrize("who", ["server", "client"])
def test_full_of_streams(start, who):
    """What flows goes on, what comes is answered, and the loop sleeps."""
    limits = {p: {"preexec_fn": narrow(64)} if p == who else {}
              for p in ("server", "client")}
    server = start("server", "--listen", "127.0.0.1:0",
                   **limits["server"]).ready()
    client = start("client", "--socks", "0", "--http", "0", "--server",
                   "ws://127.0.0.1:%d" % server.addr("ws")[1],
                   **limits["client"]).ready()
    p = server if who == "server" else client
    with Target(echo_handler) as t:
        flow = Flow(client.addr("socks"), t.addr)
        for _ in range(count(1, 5)):
            codes, held = fill(client.addr("socks"), t.addr)
            assert codes.count(0) >= 5 and set(codes) <= {0, 1, "gone"}
            assert 1 in codes
            flow.moves()
            flow.pause()  # it costs CPU too
            assert is_idle(p)
            if who == "server":
                with socket.create_connection(client.addr("http"), 10) as s:
                    s.sendall(b"CONNECT %s:%d HTTP/1.1\r\nHost: a\r\n\r\n"
                              % (t.addr[0].encode(), t.addr[1]))
                    assert recv_all(s)[0].startswith(b"HTTP/1.1 503 ")
            flow.resume()
            for s in held:
                s.close()
            until = time.monotonic() + 20
            while fill(client.addr("socks"), t.addr, 1)[0] != [0]:
                assert time.monotonic() < until
            flow.moves()
        flow.stop()
    assert client.stop() == 0 and server.stop() == 0


def test_full_of_the_mute(start):
    """Who connects and says nothing takes nothing from who has a stream."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    client = start("client", "--socks", "0", "--server",
                   "ws://127.0.0.1:%d" % server.addr("ws")[1],
                   preexec_fn=narrow(64)).ready()
    with Target(echo_handler) as t:
        flow = Flow(client.addr("socks"), t.addr)
        mute = []
        for _ in range(150):
            with contextlib.suppress(ConnectionResetError):
                mute.append(socket.create_connection(client.addr("socks"), 10))
        flow.moves()
        flow.pause()
        assert is_idle(client)
        flow.resume()
        for s in mute:
            s.close()
        until = time.monotonic() + 20
        while fill(client.addr("socks"), t.addr, 1)[0] != [0]:
            assert time.monotonic() < until
        flow.stop()
    assert client.stop() == 0 and server.stop() == 0


@pytest.mark.skipif(SANITIZED, reason="a sanitizer needs descriptors itself")
@pytest.mark.parametrize("args", [
    ("server", "--listen", "127.0.0.1:0"),
    ("server", "--listen", "127.0.0.1:0", "--workers", "3"),
    ("client", "--socks", "0", "--http", "0", "--server", "ws://127.0.0.1:9"),
], ids=["server", "workers", "client"])
def test_few_at_the_start(start, args):
    """It works, or says that it cannot."""
    started = 0
    for n in range(5, 25):
        p = start(*args, preexec_fn=narrow(n))
        words = p.lines.get(timeout=20)
        if words[:2] == ["listening", "socks"]:
            words = p.lines.get(timeout=20)  # the next may still find none
        if words[0] == "end":
            assert p.wait() in (1, 3), (n, p.log())
            assert "descriptors" in p.log() or "open files" in p.log()
        else:
            started += 1
            p.stop()
            assert p.process.returncode >= 0, (n, p.log())
    assert 0 < started < 19


# The clock on the wall jumps. Timers run by another one.

YEAR = 365 * 86400


def jumps():
    now = int(time.time())
    return [3600, -3600, 10 * YEAR, -10 * YEAR, -now, 2**31 - now, 2**32 - now,
            0]


def test_the_clock_jumps_and_nothing_happens(start):
    faults = Faults()
    rig = Rig(start, faults.env(), speed=4)
    flow = Flow(rig.client.addr("socks"), rig.echo.addr)
    begin = time.monotonic()
    with socket.create_connection(rig.client.addr("socks"), 30) as mute:
        for faults.clock in jumps():
            flow.moves()
            assert rig.script(["socks", "http", "refused"]) == {}, rig.logs()
            # without a request it ends after 10 s, of which four make one
            assert not readable([mute], 0) or \
                time.monotonic() - begin > 2, "too early"
        faults.clock = -int(time.time())
        assert readable([mute], 30), "too late"
    assert "tunnel down" not in rig.client.log()
    flow.stop()
    assert rig.stop() == {"client": 0, "server": 0}, rig.logs()


def test_a_certificate_has_its_time_at_the_handshake(start, certs):
    faults = Faults()
    rig = Rig(start, faults.env(), certs=certs, speed=4)
    flow = Flow(rig.client.addr("socks"), rig.echo.addr)
    faults.clock = 10 * YEAR
    flow.moves()
    assert rig.script(["socks", "http"]) == {}
    flow.stop()
    rig.cutter.cut()
    rig.client.wait_log("expired")
    faults.clock = 0
    rig.recovers(Rig.STEPS[:-1])
    assert rig.stop() == {"client": 0, "server": 0}, rig.logs()
