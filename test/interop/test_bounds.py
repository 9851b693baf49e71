# SPDX-License-Identifier: MIT
"""A peer with a valid token that wants our memory: what it sends, and what it
does not read, must stay inside bounds."""
import contextlib
import os
import resource
import socket
import threading
import time

import native
import pytest
from harness import Target, count
from native import BINARY, CONNECT, PING, RESPOND, TRANSFER, number, text

MIB = 1 << 20


def holds_less(process, bytes_):
    """A sanitizer keeps what has been freed, and needs more of everything."""
    return "ASAN_OPTIONS" in os.environ or process.rss() < bytes_


def masked(opcode, data):
    """A frame of up to 125 bytes whose masking key is zero."""
    return bytes([opcode | 128, len(data) | 128, 0, 0, 0, 0]) + data


def connect(t, id_, addr):
    t.send(id_, CONNECT, number(1, 2) + text(2, b"tcp://%s:%d" % (
        addr[0].encode(), addr[1])))
    assert native.fields(t.recv_for(id_, RESPOND).data).get(1) == 1


@pytest.fixture
def small(start):
    s = start("server", "--listen", "127.0.0.1:0", "--max-memory",
              "16M").ready()
    yield s
    assert s.stop() == 0, s.log()


def test_many_small_messages_cost_what_they_hold(small):
    """Early data in messages of one byte, while the dial hangs."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        fill = [socket.socket() for _ in range(3)]
        for s in fill:
            s.setblocking(False)
            s.connect_ex(deaf.getsockname())
        t = native.dial(small.addr("ws"))
        for i in range(30):
            id_ = b"%x" % (2 * i + 1)
            t.send(id_, CONNECT, number(1, 2) + text(
                2, b"tcp://127.0.0.1:%d" % deaf.getsockname()[1]))
            one = text(1, id_) + number(2, TRANSFER) + text(3, b"x")
            t.sock.sendall(masked(BINARY, one) * t.peer["window"])
        time.sleep(0.3)
        assert holds_less(small, 24 * MIB)
        t.sock.close()
        for s in fill:
            s.close()


def test_pings_whose_answers_nobody_reads(small):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.settimeout(2)
    s.connect(small.addr("ws"))
    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
              b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
              b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
              b"Auth: \r\nProto: 0.10\r\n\r\n")
    assert s.recv(12) == b"HTTP/1.1 101"
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    some = masked(PING, b"p" * 125) * 8  # as many as are answered at a time
    with contextlib.suppress(socket.timeout):
        for _ in range(15000):
            s.sendall(some)
            time.sleep(1e-6)  # so that each read brings these alone
    assert holds_less(small, 16 * MIB)
    s.close()


def test_a_promise_of_gigabytes_is_no_order(small):
    """The peer promises to take 2 GiB from each of 200 sources, and reads
    nothing."""
    block = bytes(MIB)

    def source(s):
        with contextlib.suppress(OSError):
            while True:
                s.sendall(block)

    with Target(source) as target:
        t = native.dial(small.addr("ws"), window=(1 << 31) - 1)
        for i in range(200):
            t.send(b"%x" % (2 * i + 1), CONNECT, number(1, 2) + text(
                2, b"tcp://%s:%d" % (target.addr[0].encode(),
                                     target.addr[1])))
        time.sleep(2)
        assert holds_less(small, 28 * MIB)
        t.sock.close()


def test_an_unknown_command_may_be_long(small):
    t = native.dial(small.addr("ws"))
    t.send(b"1", 9, b"x" * 5000)
    with Target(lambda s: s.close()) as target:
        connect(t, b"3", target.addr)
    t.close()


@pytest.fixture
def descriptors():
    """As many as there may be."""
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (old[1], old[1]))
    yield old[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


def test_idle_streams_leave_room_for_more(start, descriptors):
    """Each has answered, and keeps its socket: 10,000 need 256 MiB."""
    n = count(600, 9900)
    assert n + 50 < descriptors
    server = start("server", "--listen", "127.0.0.1:0", "--max-memory",
                   "256M" if n > 600 else "1M", "--workers", "1").ready()
    over = threading.Event()

    def answer(s):
        s.sendall(b"ok")
        over.wait(300)
        s.close()

    threading.stack_size(256 * 1024)
    with Target(answer) as target:
        t = native.dial(server.addr("ws"))
        for i in range(n):
            id_ = b"%x" % (2 * i + 1)
            connect(t, id_, target.addr)
            assert t.recv_for(id_, TRANSFER).data == b"ok"
        over.set()
        t.sock.close()
    threading.stack_size(0)
    assert server.stop() == 0, server.log()
