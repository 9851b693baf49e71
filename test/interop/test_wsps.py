# SPDX-License-Identifier: MIT
"""A server that takes messages as badly as gowsp's wsps does
(docs/protocol.md, section 10): it loses what is glued to the handshake, refuses
data while it still dials, takes INTERRUPT before data that came first, and
answers no pings, and a Close but not the end of the connection."""
import contextlib
import os
import queue
import select
import socket
import threading
import time

import native
import pytest
from harness import (FIN, RST, Target, echo_handler, recv_all, recv_exact,
                     reset, socks_connect, socks_reply, socks_request)
from native import (CLOSE, CONNECT, INTERRUPT, PING, RESPOND, TRANSFER,
                    number)

GONE = b"connection does not exist"


class Wsps:
    """dials: seconds that each dial takes; slow: seconds that each TRANSFER
    takes, in its turn."""

    def __init__(self, listener, dials=0, slow=0, answers_close=True):
        self.tunnel = native.accept(listener, negotiate=False)
        assert self.tunnel.buf == b"", "glued to the handshake"
        self.dials, self.slow = dials, slow
        self.answers_close = answers_close
        self.sockets, self.transfers = {}, queue.Queue()
        self.refused = self.pings = 0
        self.lock = threading.Lock()
        self.closed = threading.Event()  # a Close frame has come
        for loop in (self._read, self._transfer):
            threading.Thread(target=loop, daemon=True).start()

    def send(self, id_, cmd, data=b""):
        with self.lock, contextlib.suppress(OSError):
            self.tunnel.send(id_, cmd, data)

    def _read(self):
        while True:
            try:
                opcode, data = self.tunnel.read_frame()
            except (OSError, native.Closed):
                return
            if opcode == CLOSE:
                self.closed.set()
                if self.answers_close:
                    self.tunnel.frame(CLOSE, data[:2])
            elif opcode == PING:
                self.pings += 1
            else:
                self._take(native.Message(data))

    def _take(self, m):
        if m.cmd == CONNECT:
            threading.Thread(target=self._dial, args=(m,), daemon=True).start()
        elif m.cmd == TRANSFER:
            self.transfers.put(m)
        elif m.cmd == INTERRUPT and m.id in self.sockets:
            self._end(m.id)

    def _end(self, id_):
        """Both directions; what waits in self.transfers is lost."""
        s = self.sockets.pop(id_, None)
        if s:
            s.shutdown(socket.SHUT_RDWR)
            self.send(id_, INTERRUPT)

    def _dial(self, m):
        time.sleep(self.dials)
        host, port = native.fields(m.data)[2].split(b"//")[1].split(b":")
        try:
            s = socket.create_connection((host.decode(), int(port)), 5)
        except OSError as e:
            self.send(m.id, RESPOND, native.text(2, str(e).encode()))
            return
        s.settimeout(None)
        self.sockets[m.id] = s
        self.send(m.id, RESPOND, number(1, 1))
        with contextlib.suppress(OSError):
            while data := s.recv(32768):
                self.send(m.id, TRANSFER, data)
        self._end(m.id)

    def _transfer(self):
        while True:
            m = self.transfers.get()
            time.sleep(self.slow)
            s = self.sockets.get(m.id)
            if not s:
                self.refused += 1
                self.send(m.id, INTERRUPT, GONE)
                continue
            with contextlib.suppress(OSError):
                s.sendall(m.data)


@pytest.fixture
def far(start):
    """make(env, dials=.., slow=..) -> the client and its server."""
    listener = socket.create_server(("127.0.0.1", 0))
    made = []

    def make(env=None, **how):
        c = start("client", "--socks", "0", "--server",
                  "ws://127.0.0.1:%d" % listener.getsockname()[1], env=env)
        peer = Wsps(listener, **how)
        made.append((c.ready(), peer))
        return c, peer

    yield make
    for c, peer in made:
        assert c.stop() == 0, c.log()
        peer.tunnel.sock.close()
    listener.close()


def test_nothing_is_said_before_101(start):
    """What comes with the request is lost, so there is only the request,
    though an application waits."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        c = start("client", "--socks", "0", "--server",
                  "ws://127.0.0.1:%d" % listener.getsockname()[1])
        c.expect("listening")
        app = socket.create_connection(c.addr("socks"))
        app.sendall(b"\5\1\0" + socks_request(("127.0.0.1", 9)) + b"data")
        s, _ = listener.accept()
        _, _, rest = native.read_head(s)
        assert rest == b""
        s.settimeout(0.5)
        with pytest.raises(TimeoutError):
            s.recv(1)
        s.close()
        app.close()
    assert c.stop() == 0


def test_nothing_is_said_behind_101(start):
    """Nor by the server, before the client has said something."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    tunnel = native.dial(server.addr("ws"), negotiate=False)
    assert tunnel.buf == b""
    tunnel.sock.settimeout(0.5)
    with pytest.raises(TimeoutError):
        tunnel.sock.recv(1)
    tunnel.sock.close()
    assert server.stop() == 0


@pytest.mark.parametrize("dials", [0, 0.1])
def test_early_data_waits_for_the_dial(far, dials):
    c, peer = far(dials=dials)
    data = os.urandom(100000)
    with Target(lambda s: (s.sendall(recv_exact(s, len(data))),
                           s.close())) as t:
        s = socket.create_connection(c.addr("socks"), 20)
        s.sendall(b"\5\1\0" + socks_request(t.addr) + data)
        assert recv_exact(s, 2) == b"\5\0" and socks_reply(s)[0] == 0
        assert recv_all(s) == (data, FIN)
        s.close()
    assert peer.refused == 0


def test_closes_right_behind_the_last_byte(far):
    c, _ = far()
    for size in (0, 1, 32768, 32769, 1 << 20):
        data = os.urandom(size)
        with Target(lambda s: (s.sendall(data), s.close())) as t:
            with socks_connect(c.addr("socks"), t.addr) as s:
                assert recv_all(s) == (data, FIN), size


def test_an_upload_that_ends_arrives_whole(far):
    """The application's end is held back; the peer is slow, and takes an
    INTERRUPT before the data that it has not looked at. (30 seconds are 6.)"""
    c, peer = far({"WSP_TEST_SPEED": "5"}, slow=0.005)
    data, got = os.urandom(1 << 20), queue.Queue()
    with Target(lambda s: got.put(recv_all(s))) as t:
        with socks_connect(c.addr("socks"), t.addr) as s:
            s.sendall(data)
            s.shutdown(socket.SHUT_WR)
            assert got.get(timeout=20) == (data, FIN)
            assert recv_all(s) == (b"", FIN)
    assert peer.refused == 1  # the fence


def test_an_answer_behind_a_half_close_arrives(far):
    """gowsp has no half-close: the target does not hear of it, and answers."""
    c, _ = far()
    with Target(lambda s: (recv_exact(s, 8), s.sendall(b"x" * 200000),
                           s.close())) as t:
        with socks_connect(c.addr("socks"), t.addr) as s:
            s.sendall(b"question")
            s.shutdown(socket.SHUT_WR)
            assert recv_all(s) == (b"x" * 200000, FIN)


def test_a_reset_goes_on(far):
    c, peer = far()
    ended = threading.Event()
    with Target(lambda s: (recv_all(s), ended.set())) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        s.sendall(b"x")
        reset(s)
        assert ended.wait(10)
    assert not peer.sockets


def test_a_stalled_reader_beside_others(far):
    """There is no credit: what nobody reads stops the whole connection, and is
    reset when it has done so for 8 seconds (here 0.4) and others wait. What is
    there alone waits for its reader."""
    c, _ = far({"WSP_TEST_SPEED": "20"})
    data = bytes(1 << 20)

    def bulk(s):
        with contextlib.suppress(OSError):
            for _ in range(40):
                s.sendall(data)
            s.close()

    with Target(bulk) as t, Target(echo_handler) as echo:
        with socks_connect(c.addr("socks"), t.addr, 60) as s:
            time.sleep(2)
            assert recv_all(s) == (data * 40, FIN)
        with socks_connect(c.addr("socks"), t.addr) as s, \
                socks_connect(c.addr("socks"), echo.addr) as other:
            ends = select.poll()
            ends.register(s, 0)  # POLLERR, POLLHUP: it is not read
            assert ends.poll(20000)
            assert recv_all(s)[1] == RST
            other.sendall(b"question")
            assert recv_exact(other, 8) == b"question"


def test_pings_without_answers(far):
    """Whatever comes counts as life; without anything the tunnel is dead.
    (Timers run 20 times as fast: a ping after 1.25 s, dead after 2.25 s.)"""
    c, peer = far({"WSP_TEST_SPEED": "20"})
    go = threading.Event()

    def handler(s):
        for _ in range(3):
            go.wait(20)
            go.clear()
            s.sendall(b"x")
        s.recv(1)

    with Target(handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        for i in range(3):
            until = time.monotonic() + 10
            while peer.pings <= i:
                assert time.monotonic() < until, c.log()
                time.sleep(0.01)
            go.set()
            assert recv_exact(s, 1) == b"x"
        assert "tunnel down" not in c.log()
        assert recv_all(s) == (b"", RST)
    c.wait_log("tunnel down")


def stopped(c, peer):
    """Seconds from TERM to the end."""
    begin = time.monotonic()
    c.process.terminate()
    assert peer.closed.wait(10)
    assert c.wait() == 0
    return time.monotonic() - begin


def test_a_close_that_is_answered_is_the_end(far):
    """Though the connection stays open: wsps leaves that to the collector of
    its garbage. Without an answer it takes 5 seconds."""
    assert stopped(*far()) < 4


def test_a_close_without_an_answer(far):
    assert stopped(*far({"WSP_TEST_SPEED": "10"}, answers_close=False)) < 5
