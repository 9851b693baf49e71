# SPDX-License-Identifier: MIT
"""The tools that the tests of trust are made of: the hostile relay does what
it is told, and who verifies sees it."""
import socket
import time

import pytest
from harness import FIN, RST, Target, recv_all, recv_exact
from streams import LOAD, Peer, Side
from test_bench import Spoiler, doubled, flipped
from ways import Hostile


class Direct(Side):
    """Streams without a proxy in between."""

    def __init__(self, port, *args):
        super().__init__("duplex", "--direct", port, "--once", "--bytes",
                         1 << 20, *args)

    def end(self):
        tally = self.answers.get(timeout=30)
        self.process.wait(20)
        return tally


@pytest.fixture
def peer():
    it = Peer()
    yield it
    it.process.kill()
    it.process.wait()


def seen(peer, count, **faults):
    """The tallies of both sides."""
    with Hostile(peer.addr, **faults) as way:
        app = Direct(way.addr[1], "--streams", count, "--timeout", 5).end()
        return app, peer.wait_for(lambda t: t["open"] == 0)


@pytest.mark.parametrize("faults", [
    {}, {"delay": 30}, {"jitter": 200}, {"rate": 4000000}, {"chunk": 999}])
def test_a_way_that_loses_nothing(peer, faults):
    for tally in seen(peer, 4, **faults):
        assert tally["done"] == tally["opened"] == 4, tally


@pytest.mark.parametrize("how, word", [
    ("reset", "reset"), ("fin", "truncated"), ("half", "truncated")])
def test_a_way_that_is_cut(peer, how, word):
    """What no proxy may do is seen; by one side at least, since who has seen
    it resets the other."""
    app, target = seen(peer, 4, cut=300000, how=how)
    assert app["done"] == target["done"] == 0
    assert app[word] + target[word] >= 4, (app, target)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("spoil", [flipped, doubled])
def test_a_wrong_byte_is_seen(peer, up, spoil):
    way = Spoiler(peer.addr[1], up, spoil)
    app = Direct(way.port, "--streams", 1).end()
    sides = app, peer.wait_for(lambda t: t["open"] == 0)
    assert sides[up]["corrupt"] == 1, sides


def test_who_is_killed_resets(peer):
    app = Direct(peer.addr[1], "--streams", 1, "--bytes", 1 << 40)
    peer.wait_for(lambda t: t["open"] == 1)
    app.kill()
    assert peer.wait_for(lambda t: t["open"] == 0)["reset"] == 1


def test_bytes_one_by_one():
    reads = []

    def handler(s):
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while piece := s.recv(1 << 16):
            reads.append(len(piece))
        s.sendall(b"x" * sum(reads))
        s.close()

    with Target(handler) as t, Hostile(t.addr, chunk=1) as way:
        s = socket.create_connection(way.addr, 20)
        s.sendall(bytes(2000))
        s.shutdown(socket.SHUT_WR)
        assert recv_all(s) == (b"x" * 2000, FIN)
        assert len(reads) > 20  # what came while it slept comes at once


def test_a_stall_and_what_ends_it():
    def handler(s):
        s.sendall(s.recv(1))
        s.recv(1)

    with Target(handler) as t, Hostile(t.addr) as way:
        s = socket.create_connection(way.addr, 20)
        way.say(stall="up")
        s.sendall(b"x")
        s.settimeout(0.3)
        with pytest.raises(TimeoutError):
            s.recv(1)
        assert way.say(stall="none") == 1
        s.settimeout(20)
        assert recv_exact(s, 1) == b"x"
        way.cut("reset")
        assert recv_all(s) == (b"", RST)


def test_it_knows_who_came_and_refuses():
    with Hostile(("127.0.0.1", 9), refuse=1) as way:
        begin = time.monotonic()
        for _ in range(3):
            s = socket.create_connection(way.addr, 20)
            assert recv_all(s)[0] == b""
        way.say()
        assert len(way.accepts) == 3
        assert all(begin <= t <= time.monotonic() for t in way.accepts)


def test_what_the_tools_do_not_know():
    import harness
    assert harness.run(LOAD, "duplex", "--nonsense").returncode == 2
    with pytest.raises(ValueError):
        Hostile(("127.0.0.1", 9), colour="red")
