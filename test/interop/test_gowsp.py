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
MOST = 33 * 1024  # bytes of a message: gowsp 0.5 takes 64 KiB, ours are less


class Stream:
    def __init__(self):
        self.known = threading.Event()
        self.ended = threading.Event()
        self.data = b""
        self.refused = 0


class Wspc:
    """The client's side. late: seconds from RESPOND until a stream is known;
    slow: seconds that each TRANSFER takes; fields: see native.dial()."""

    def __init__(self, addr, late=0, slow=0, **fields):
        self.tunnel = native.dial(addr, negotiate=False, **fields)
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
    refused = 0
    for size in (0, 1, 1000, 32768, 32769, 300000):
        data = os.urandom(size)
        with Target(lambda s: (s.sendall(data), s.close())) as t:
            _, s = peer.open(t.addr)
            assert s.ended.wait(10), f"no end after {size} bytes"
            assert s.data == data, f"{len(s.data)} of {size} bytes"
        refused += s.refused
    assert refused > 0 if late > 0.05 else True


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


# What clients of 0.2 to 0.5 send beside: no Proto, and an offer to compress
# that is not taken up.
DEFLATE = "Sec-WebSocket-Extensions: permessage-deflate; " \
    "client_no_context_takeover; server_no_context_takeover\r\n"


@pytest.mark.parametrize("fields", [
    {"proto": None, "more": DEFLATE}, {"proto": "0.03", "more": DEFLATE},
    {"proto": "0.10"}])
def test_clients_of_all_versions_are_served(server, fields):
    peer = Wspc(server, late=0.005, **fields)
    data = os.urandom(200000)
    with Target(lambda s: (s.sendall(recv_exact(s, len(data))),
                           s.close())) as t:
        id_, s = peer.open(t.addr)
        assert s.known.wait(10)
        for at in range(0, len(data), 32768):
            peer._send(id_, TRANSFER, data[at:at + 32768])
        assert s.ended.wait(10) and s.data == data


def test_another_protocol_is_refused(server):
    for proto in ("1.0", "x", ""):
        with pytest.raises(AssertionError, match="400"):
            native.dial(server, negotiate=False, proto=proto)


def test_no_message_to_a_client_is_too_long(server):
    """Bulk, however much of it waits, and with the longest id there is."""
    tunnel = native.dial(server, negotiate=False)
    data, got = os.urandom(1 << 20) * 8, []
    with Target(lambda s: (s.recv(1), s.sendall(data), s.close())) as t:
        id_ = b"i" * 64
        tunnel.send(id_, CONNECT, native.number(1, 2) + text(
            2, b"socks5://%s:%d" % (t.addr[0].encode(), t.addr[1])))
        assert native.fields(tunnel.recv_for(id_, RESPOND).data).get(1) == 1
        tunnel.send(id_, TRANSFER, b"x")
        while sum(map(len, got)) < len(data):
            got.append(tunnel.recv_for(id_, TRANSFER).data)
    assert b"".join(got) == data
    assert 16 * 1024 <= tunnel.longest <= MOST
    tunnel.sock.close()


def test_no_message_to_a_server_is_too_long(start):
    listener = socket.create_server(("127.0.0.1", 0))
    client = start("client", "--socks", "0", "--server",
                   "ws://127.0.0.1:%d" % listener.getsockname()[1])
    tunnel = native.accept(listener, negotiate=False)
    client.ready()
    app = socket.create_connection(client.addr("socks"))
    app.sendall(b"\x05\x01\x00" + socks_request(("a" * 63 + ".example", 9)))
    m = tunnel.recv()
    assert m.cmd == CONNECT
    tunnel.send(m.id, RESPOND, native.number(1, 1))
    recv_exact(app, 12)
    data, got = os.urandom(1 << 20) * 8, []
    threading.Thread(target=app.sendall, args=(data,), daemon=True).start()
    while sum(map(len, got)) < len(data):
        got.append(tunnel.recv_for(m.id, TRANSFER).data)
    assert b"".join(got) == data
    assert 16 * 1024 <= tunnel.longest <= MOST
    tunnel.sock.close()
    app.close()
    assert client.stop() == 0


@pytest.mark.parametrize("kind, url", [
    (0, b"tcp://ssh:pw@127.0.0.1:22"), (1, b"tunnel://ssh:pw@"),
    (1, b"http://127.0.0.1:8080?mode=path&value=api"), (9, b"tcp://a:1"),
    (2, b"udp://127.0.0.1:53"), (2, b"127.0.0.1:80"), (2, b"")])
def test_what_is_not_there_is_refused_with_a_text(server, kind, url):
    """And the tunnel lives."""
    tunnel = native.dial(server, negotiate=False)
    for i in range(3):
        tunnel.send(b"%d" % i, CONNECT, native.number(1, kind) + text(2, url))
        answer = native.fields(tunnel.recv_for(b"%d" % i, RESPOND).data)
        assert answer.get(1, 0) == 0 and answer[2]
    tunnel.sock.close()


def test_a_client_is_asked_for_what_it_does_not_offer(start):
    """A wsps may pass on a CONNECT: LOCAL of another client, REMOTE of HTTP."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = start("client", "--socks", "0", "--server",
                   "ws://127.0.0.1:%d" % listener.getsockname()[1])
    tunnel = native.accept(listener, negotiate=False)
    client.ready()
    for kind in (0, 1, 2):
        tunnel.send(b"%d" % kind, CONNECT, native.number(1, kind) +
                    text(2, b"tcp://127.0.0.1:1"))
        answer = native.fields(tunnel.recv_for(b"%d" % kind, RESPOND).data)
        assert answer.get(1, 0) == 0 and answer[2]
    tunnel.sock.close()
    assert client.stop() == 0


def test_what_comes_behind_an_answer_holds_up_nobody(start):
    """An origin that says more than its Content-Length: nobody reads that, and
    the other streams of the tunnel go on."""
    listener = socket.create_server(("127.0.0.1", 0))
    client = start("client", "--socks", "0", "--http", "0", "--server",
                   "ws://127.0.0.1:%d" % listener.getsockname()[1])
    tunnel = native.accept(listener, negotiate=False)
    client.ready()
    web = socket.create_connection(client.addr("http"), 10)
    web.sendall(b"GET http://a.example/ HTTP/1.1\r\nHost: x\r\n\r\n")
    m = tunnel.recv()
    assert m.cmd == CONNECT
    tunnel.send(m.id, RESPOND, native.number(1, 1))
    tunnel.sock.settimeout(5)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    tunnel.send(m.id, TRANSFER, answer)
    for _ in range(100):
        tunnel.send(m.id, TRANSFER, bytes(32 * 1024))
    app = socket.create_connection(client.addr("socks"), 5)
    app.sendall(b"\x05\x01\x00" + socks_request(("b.example", 9)))
    while (other := tunnel.recv()).cmd != CONNECT:
        pass
    tunnel.send(other.id, RESPOND, native.number(1, 1))
    recv_exact(app, 12)
    tunnel.sock.close()
    web.close()
    app.close()
    assert client.stop() == 0
