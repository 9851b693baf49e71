# SPDX-License-Identifier: MIT
"""A peer that takes messages as badly as gowsp does (docs/protocol.md, section
10): it knows a stream some time after our RESPOND and refuses what comes
earlier, it takes data late, and INTERRUPT before the data that came first."""
import os
import queue
import random
import socket
import threading
import time

import native
import pytest
from harness import Target, recv_exact, reset, socks_request
from native import CONNECT, INTERRUPT, RESPOND, TRANSFER, text

GONE = b"connection does not exist"


class Stream:
    def __init__(self):
        self.known = threading.Event()
        self.ended = threading.Event()
        self.data = b""
        self.refused = 0


class Wspc:
    """The client's side. late: seconds from RESPOND until a stream is known;
    slow: seconds that each TRANSFER takes."""

    def __init__(self, addr, late=0, slow=0):
        self.tunnel = native.dial(addr, negotiate=False)
        self.late, self.slow = late, slow
        self.streams, self.transfers = {}, queue.Queue()
        self.lock = threading.Lock()
        for loop in (self._read, self._transfer):
            threading.Thread(target=loop, daemon=True).start()

    def _send(self, id_, cmd, data=b""):
        with self.lock:
            self.tunnel.send(id_, cmd, data)

    def _read(self):
        while True:
            try:
                m = self.tunnel.recv()
            except (OSError, native.Closed):
                self.tunnel.sock.close()
                return
            s = self.streams.get(m.id)
            if m.cmd == TRANSFER:
                self.transfers.put(m)
            elif m.cmd == RESPOND and native.fields(m.data).get(1) == 1:
                threading.Timer(self.late, s.known.set).start()
            elif m.cmd == INTERRUPT and s and s.known.is_set():
                s.ended.set()  # what waits in self.transfers is lost
                self._send(m.id, INTERRUPT)

    def _transfer(self):
        while True:
            m = self.transfers.get()
            time.sleep(self.slow)
            s = self.streams.get(m.id)
            if not s or not s.known.is_set():
                if s:
                    s.refused += 1
                self._send(m.id, INTERRUPT, GONE)
            elif not s.ended.is_set():
                s.data += m.data

    def open(self, addr):
        id_ = ("%027d" % random.getrandbits(80)).encode()
        self.streams[id_] = Stream()
        url = "socks5://%s:%d" % addr
        self._send(id_, CONNECT, native.number(1, 2) + text(2, url.encode()))
        return id_, self.streams[id_]


@pytest.fixture
def server(start):
    s = start("server", "--listen", "127.0.0.1:0").ready()
    yield s.addr("ws")
    assert s.stop() == 0, s.log()


@pytest.mark.parametrize("late", [0, 0.015, 0.04, 0.08])
@pytest.mark.parametrize("slow", [0, 0.003])
def test_nothing_is_lost_by_a_target_that_speaks_first(server, late, slow):
    """Banner, data and end at once; sizes from nothing to some messages."""
    peer = Wspc(server, late, slow)
    for size in (0, 1, 1000, 32768, 32769, 300000):
        data = os.urandom(size)
        with Target(lambda s: (s.sendall(data), s.close())) as t:
            _, s = peer.open(t.addr)
            assert s.ended.wait(10), f"no end after {size} bytes"
            assert s.data == data, f"{len(s.data)} of {size} bytes"
        assert s.refused > 0 if late > 0.03 and size else True


def test_a_peer_that_speaks_is_not_held_up(server):
    """The answer to a request goes at once: no hold, no fence before it."""
    peer = Wspc(server)
    with Target(lambda s: s.sendall(recv_exact(s, 4) * 2)) as t:
        id_, s = peer.open(t.addr)
        assert s.known.wait(10)
        peer._send(id_, TRANSFER, b"ping")
        assert s.ended.wait(10)
        assert s.data == b"pingping" and s.refused == 0


@pytest.mark.parametrize("late", [0, 0.015])
def test_a_reset_at_once_is_heard_too(server, late):
    peer = Wspc(server, late)
    with Target(lambda s: (time.sleep(0.001), reset(s))) as t:
        for _ in range(20):
            _, s = peer.open(t.addr)
            if s.known.wait(1):  # else the dial itself was reset
                assert s.ended.wait(5)


def test_who_goes_at_once_leaves_nothing(server, start):
    """INTERRUPT within the hold: the stream is over, not an orphan."""
    peer = Wspc(server)
    ended = threading.Semaphore(0)

    def handler(s):
        s.recv(1)
        s.close()
        ended.release()

    with Target(handler) as t:
        for _ in range(200):
            id_, s = peer.open(t.addr)
            assert s.known.wait(5)
            peer._send(id_, INTERRUPT)
        for _ in range(200):
            assert ended.acquire(timeout=10)


def test_a_stream_that_is_never_known_ends(server):
    peer = Wspc(server, late=60)
    ended = threading.Event()

    def handler(s):
        try:
            s.sendall(b"banner")
            s.recv(1)
        except OSError:
            ended.set()

    with Target(handler) as t:
        _, s = peer.open(t.addr)
        assert ended.wait(10)
        assert s.refused > 3


def test_a_late_success_is_answered(start):
    """The application has gone while the server dialled."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = start("client", "--socks", "0", "--server",
                   "ws://127.0.0.1:%d" % listener.getsockname()[1])
    tunnel = native.accept(listener, negotiate=False)
    client.ready()
    app = socket.create_connection(client.addr("socks"))
    app.sendall(b"\x05\x01\x00" + socks_request(("127.0.0.1", 9)))
    m = tunnel.recv()
    assert m.cmd == CONNECT
    reset(app)
    assert tunnel.recv_for(m.id, INTERRUPT).data == b""
    tunnel.send(m.id, RESPOND, native.number(1, 1))
    assert tunnel.recv_for(m.id, INTERRUPT).data == GONE
    tunnel.sock.close()
    assert client.stop() == 0


def test_the_echo_of_an_end_is_not_a_failure(server):
    """gowsp says INTERRUPT, and GONE for what was on its way to it: the target
    still gets all that was sent, and a clean end."""
    peer = Wspc(server)
    got = queue.Queue()

    def handler(s):
        s.sendall(b"x" * 100000)
        time.sleep(0.2)
        data = b""
        while piece := s.recv(1 << 16):
            data += piece
        got.put(data)

    with Target(handler) as t:
        id_, s = peer.open(t.addr)
        assert s.known.wait(10)
        peer._send(id_, TRANSFER, b"y" * 30000)
        peer._send(id_, INTERRUPT)
        peer._send(id_, INTERRUPT, GONE)
        assert got.get(timeout=10) == b"y" * 30000
