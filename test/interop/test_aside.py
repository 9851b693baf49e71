# SPDX-License-Identifier: MIT
"""A server that wsp did not write, whose large messages the client passes from
socket to socket without reading them (docs/architecture.md, the straight line):
however they are cut, whatever they claim, it must be as if it had."""
import contextlib
import hashlib
import random
import socket
import threading
import time

import native
import pytest
from harness import FIN, count, recv_all, socks_reply, socks_request
from native import BINARY, CONNECT, INTERRUPT, TRANSFER, number, text

WHERE = ("10.0.0.1", 80)
NOISE = random.Random(3).randbytes(3 << 20)


def asked(tunnel):
    """The id of the stream that the client asks for next."""
    m = tunnel.recv()
    while m.cmd != CONNECT:
        m = tunnel.recv()
    return m.id


@pytest.fixture
def stage(start):
    """A client, the tunnel that it has made, an application, its stream."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = start("client", "--server", "ws://%s:%d" %
                       listener.getsockname(), "--socks", "127.0.0.1:0",
                       "--connections", "1", "--workers", "1")
        tunnel = native.accept(listener)
        client.ready()
        app = socket.create_connection(client.addr("socks"), 20)
        app.sendall(b"\5\1\0" + socks_request(WHERE))
        assert app.recv(2) == b"\5\0"
        id_ = asked(tunnel)
        tunnel.respond(id_)
        assert socks_reply(app)[0] == 0
        yield client, tunnel, app, id_
        app.close()
        tunnel.close()
    assert client.stop() == 0


def frame(data):
    n = len(data)
    head = (bytes([n]) if n < 126 else b"\x7e" + n.to_bytes(2, "big")
            if n < 65536 else b"\x7f" + n.to_bytes(8, "big"))
    return b"\x82" + head + data


def transfer(id_, data):
    return text(1, id_) + number(2, TRANSFER) + text(3, data)


@pytest.mark.parametrize("seed", range(count(4, 60)))
def test_messages_cut_anywhere_arrive_whole(stage, seed):
    """Large and small ones, of two streams, pings among them, in pieces of any
    size; the promise of the window is kept."""
    client, tunnel, app, id_ = stage
    rnd = random.Random(seed)
    got = {}
    reader = threading.Thread(target=lambda: got.update(all=recv_all(app)))
    reader.start()
    may, sent, out = tunnel.peer["window"], 0, b""
    while sent < len(NOISE):
        if may == 0:
            tunnel.send(id_, native.CREDIT)  # blocked
        while may == 0:
            may += native.fields(
                tunnel.recv_for(id_, native.CREDIT).data).get(1, 0)
        n = min(rnd.choice([1, 3000, 65536, 70000, 200000]), may,
                len(NOISE) - sent)
        body = transfer(id_, NOISE[sent:sent + n])
        if rnd.random() < 0.3:  # a field that nobody knows, behind the data
            body += b"\x22\x03abc"
        out = frame(body)
        if rnd.random() < 0.3:
            out += b"\x89\x02hi"
        while out:
            k = rnd.choice([7, 19, 20, 1000, 60000, 1 << 20])
            tunnel.sock.sendall(out[:k])
            out = out[k:]
            if rnd.random() < 0.1:
                time.sleep(0.002)
        sent, may = sent + n, may - n
    tunnel.frame(BINARY, text(1, id_) + number(2, TRANSFER))  # FIN
    reader.join(20)
    data, end = got["all"]
    assert hashlib.sha256(data).digest() == hashlib.sha256(NOISE).digest()
    assert end == FIN


@pytest.mark.parametrize("claim", [100000, 1000000])
def test_a_message_that_claims_more_than_its_frame_has(stage, claim):
    client, tunnel, app, id_ = stage
    head = text(1, id_) + number(2, TRANSFER) + b"\x1a" + native.varint(claim)
    body = head + NOISE[:60000]
    tunnel.sock.sendall(frame(body)[:5000])
    time.sleep(0.2)
    with contextlib.suppress(OSError):
        tunnel.sock.sendall(frame(body)[5000:] + b"\x82\x7e\x03\x84" +
                            NOISE[:900])
    client.wait_log("the peer broke the protocol")


def test_a_stream_that_goes_in_the_middle_takes_nothing_along(stage):
    """Its application has gone; what is left of its message is for nobody, and
    the next stream's is whole."""
    client, tunnel, app, id_ = stage
    body = frame(transfer(id_, NOISE[:65536]))
    tunnel.sock.sendall(body[:30000])
    time.sleep(0.1)
    app.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    app.close()
    tunnel.recv_for(id_, INTERRUPT)
    tunnel.sock.sendall(body[30000:])
    with socket.create_connection(client.addr("socks"), 20) as other:
        other.sendall(b"\5\1\0" + socks_request(WHERE))
        assert other.recv(2) == b"\5\0"
        new = asked(tunnel)
        tunnel.respond(new)
        assert socks_reply(other)[0] == 0
        tunnel.sock.sendall(frame(transfer(new, NOISE[:65536])))
        tunnel.frame(BINARY, text(1, new) + number(2, TRANSFER))
        assert recv_all(other) == (NOISE[:65536], FIN)
