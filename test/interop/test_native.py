# SPDX-License-Identifier: MIT
"""wsp against native.py: the client against a server that was written from
docs/protocol.md alone, and the server against such a client."""
import socket
import ssl
import time

import pytest

import native
from harness import (FIN, RST, Target, closed_port, echo_handler, recv_all,
                     recv_exact, reset, run, socks_reply, socks_request)
from native import (BINARY, CLOSE, CONNECT, CREDIT, INTERRUPT, PING, PONG,
                    RESPOND, TRANSFER, Closed, fields, number, text)


@pytest.fixture
def server(start):
    s = start("server", "--listen", "127.0.0.1:0").ready()
    yield s
    assert s.stop() == 0, s.log()


@pytest.fixture
def tunnel(server):
    """We are the client."""
    t = native.dial(server.addr("ws"))
    yield t
    t.close()


class Client:
    """The real client with us as its server: app() is an application."""

    def __init__(self, start, **kw):
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(20)
        self.process = start("client", "--socks", "0", "--server",
                             "ws://127.0.0.1:%d" % listener.getsockname()[1])
        self.tunnel = native.accept(listener, **kw)
        self.process.ready()
        listener.close()

    def app(self, target=("target.example", 80), early=b""):
        s = socket.create_connection(self.process.addr("socks"), 20)
        s.sendall(b"\5\1\0" + socks_request(target) + early)
        assert recv_exact(s, 2) == b"\5\0"
        return s


@pytest.fixture
def client(start):
    c = Client(start)
    yield c
    c.tunnel.close()
    assert c.process.stop() == 0, c.process.log()


def name_of(target):
    return "%s:%d" % target.addr


# We are the client.

def test_server_states_its_promises(tunnel):
    assert 1 <= tunnel.peer["window"] <= 65536
    assert tunnel.peer["message"] >= 1024


def test_echo_with_data_behind_connect(tunnel):
    with Target(echo_handler) as t:
        tunnel.connect(b"1", name_of(t))
        tunnel.send(b"1", TRANSFER, b"early")
        r = fields(tunnel.recv_for(b"1", RESPOND).data)
        assert r[1] == 1 and r[4].startswith(b"127.0.0.1:")
        assert tunnel.recv_for(b"1", TRANSFER).data == b"early"
        tunnel.send(b"1", TRANSFER)  # FIN
        assert tunnel.recv_for(b"1", TRANSFER).data == b""


def test_refusals_are_reasons(tunnel):
    for id_, target, reason in ((b"1", "127.0.0.1:%d" % closed_port(), 7),
                                (b"3", "nosuch.invalid:1", 5),
                                (b"5", "bad host:1", 17),
                                (b"7", "h", 17)):
        tunnel.connect(id_, target)
        r = fields(tunnel.recv_for(id_, RESPOND).data)
        assert r.get(1, 0) == 0 and r[3] == reason and r[2]
    tunnel.send(b"9", CONNECT, number(1, 1) + text(2, b"tcp://a:b@c:1"))
    assert fields(tunnel.recv_for(b"9", RESPOND).data)[3] == 16


def test_an_id_in_use_is_refused_and_the_stream_lives(tunnel):
    with Target(echo_handler) as t:
        tunnel.connect(b"1", name_of(t))
        tunnel.recv_for(b"1", RESPOND)
        tunnel.connect(b"1", name_of(t))
        assert fields(tunnel.recv_for(b"1", RESPOND).data).get(1, 0) == 0
        tunnel.send(b"1", TRANSFER, b"alive")
        assert tunnel.recv_for(b"1", TRANSFER).data == b"alive"


def test_the_server_keeps_within_our_credit(server):
    t = native.dial(server.addr("ws"), window=1000)

    def handler(s):
        s.sendall(bytes(100000))
        s.close()

    with Target(handler) as target:
        t.connect(b"1", name_of(target))
        got, blocked = 0, False
        t.recv_for(b"1", RESPOND)
        while not blocked:
            m = t.recv_for(b"1", TRANSFER, CREDIT)
            if m.cmd == CREDIT:
                blocked = not m.data
            else:
                got += len(m.data)
            assert got <= 1000
        assert got == 1000
        t.credit(b"1", 500)
        while got < 1500:
            got += len(t.recv_for(b"1", TRANSFER).data)
        t.credit(b"1", 1 << 30)
        while True:
            m = t.recv_for(b"1", TRANSFER)
            if not m.data:
                break
            got += len(m.data)
        assert got == 100000
    t.close()


def test_credit_comes_back_for_what_has_left(tunnel):
    window = tunnel.peer["window"]
    with Target(lambda s: recv_all(s)) as t:
        tunnel.connect(b"1", name_of(t))
        left, sent = window, 0
        while sent < 2 << 20:
            n = min(left, 8192)
            if n:
                tunnel.send(b"1", TRANSFER, bytes(n))
                left, sent = left - n, sent + n
            else:
                m = tunnel.recv_for(b"1", CREDIT)
                left += fields(m.data).get(1, 0)


def test_more_than_the_credit_is_a_protocol_error(server, tunnel):
    with Target(lambda s: time.sleep(5)) as t:
        tunnel.connect(b"1", name_of(t))
        tunnel.recv_for(b"1", RESPOND)
        with pytest.raises((Closed, OSError)) as e:
            for _ in range(10000):
                tunnel.send(b"1", TRANSFER, bytes(1 << 20))
        if e.type is Closed:
            assert e.value.code == 1002
    server.wait_log("protocol error")


def test_blocked_windows_grow_sixteenfold(tunnel):
    """The promise reaches megabytes within three notices."""
    with Target(lambda s: recv_all(s)) as t:
        tunnel.connect(b"1", name_of(t))
        tunnel.recv_for(b"1", RESPOND)
        promised = tunnel.peer["window"]
        sent, rounds = 0, 0
        while promised - sent < 8 << 20:
            rounds += 1
            assert rounds < 10
            while promised > sent:
                n = min(promised - sent, 1 << 20)
                tunnel.send(b"1", TRANSFER, bytes(n))
                sent += n
            tunnel.send(b"1", CREDIT)  # blocked
            end = time.monotonic() + 0.3
            tunnel.sock.settimeout(0.1)
            while time.monotonic() < end:
                try:
                    m = tunnel.recv_for(b"1", CREDIT)
                    promised += fields(m.data).get(1, 0)
                except TimeoutError:
                    pass
            tunnel.sock.settimeout(20)


def test_our_reset_resets_the_target(tunnel):
    ends = []
    with Target(lambda s: ends.append(recv_all(s)[1])) as t:
        tunnel.connect(b"1", name_of(t))
        tunnel.recv_for(b"1", RESPOND)
        tunnel.reset(b"1")
        end = time.monotonic() + 10
        while not ends and time.monotonic() < end:
            time.sleep(0.01)
    assert ends == [RST]


def test_a_reset_of_the_target_comes_with_a_reason(tunnel):
    def handler(s):
        recv_exact(s, 1)  # a reset at once may come in time for the RESPOND
        reset(s)

    with Target(handler) as t:
        tunnel.connect(b"1", name_of(t))
        tunnel.recv_for(b"1", RESPOND)
        tunnel.send(b"1", TRANSFER, b"x")
        m = tunnel.recv_for(b"1", INTERRUPT)
        assert fields(m.data)[1] == 11


@pytest.mark.parametrize("message", [
    b"\x0a\x05ab",                      # an id that is cut
    b"\x10\x02\x0a\x01a",               # fields out of order
    b"\x0a\x41" + b"a" * 65,            # an id of 65 bytes
    b"\x1a\x01x\x1a\x01x",              # data twice
    b"\xff" * 11,                       # no varint
    b"\x0b",                            # a group
])
def test_malformed_messages_end_the_tunnel(server, tunnel, message):
    tunnel.frame(BINARY, message)
    with pytest.raises(Closed) as e:
        while True:
            tunnel.recv()
    assert e.value.code == 1002


def test_unknown_things_are_ignored(tunnel):
    with Target(echo_handler) as t:
        tunnel.frame(1, "text".encode())
        tunnel.send(b"99", TRANSFER, b"nobody")
        tunnel.send(b"99", INTERRUPT)
        tunnel.send(b"1", 77, b"later")
        tunnel.connect(b"1", name_of(t))
        tunnel.recv_for(b"1", RESPOND)
        tunnel.frame(BINARY, text(1, b"1") + number(2, TRANSFER) +
                     text(3, b"x") + number(9, 5) + text(100, b"later"))
        assert tunnel.recv_for(b"1", TRANSFER).data == b"x"


def test_fragments_and_pings_between_them(tunnel):
    with Target(echo_handler) as t:
        tunnel.connect(b"1", name_of(t))
        tunnel.recv_for(b"1", RESPOND)
        whole = text(1, b"1") + number(2, TRANSFER) + text(3, b"fragments")
        for i, c in enumerate(whole):
            tunnel.frame(0 if i else BINARY, bytes([c]), i == len(whole) - 1)
            if i == 5:
                tunnel.frame(PING, b"ping")
                while (PONG, b"ping") != tunnel.read_frame():
                    pass
        got = b""
        while got != b"fragments":
            got += tunnel.recv_for(b"1", TRANSFER).data


def test_close_is_answered(tunnel):
    tunnel.frame(CLOSE, b"\x03\xe8bye")
    with pytest.raises(Closed) as e:
        tunnel.recv()
    assert e.value.code == 1000


def test_without_the_field_the_seed_dialect_is_spoken(server):
    t = native.dial(server.addr("ws"), negotiate=False)
    assert t.peer is None
    with Target(echo_handler) as target:
        t.send(b"id", CONNECT, number(1, 2) +
               text(2, b"socks5://" + name_of(target).encode()))
        m = t.recv()
        assert (m.cmd, m.data) == (RESPOND, b"\x08\x01")
        t.send(b"id", TRANSFER, b"x" * 30000)
        got = b""
        while len(got) < 30000:
            m = t.recv()
            assert m.cmd == TRANSFER and len(m.data) <= 32768
            got += m.data
        t.send(b"id", INTERRUPT)
        t.send(b"nobody", TRANSFER, b"x")
        while m.id != b"nobody":
            m = t.recv()
        assert (m.cmd, m.data) == (INTERRUPT, b"connection does not exist")
    t.close()


# We are the server.

def test_client_sends_connect_and_early_data(client):
    app = client.app(early=b"early")
    m = client.tunnel.recv()
    assert m.cmd == CONNECT
    assert fields(m.data) == {1: 2, 2: b"tcp://target.example:80"}
    assert client.tunnel.recv_for(m.id, TRANSFER).data == b"early"
    client.tunnel.respond(m.id, bound=b"10.1.2.3:4567")
    code, bound = socks_reply(app)
    assert code == 0 and bound == bytes([10, 1, 2, 3]) + (4567).to_bytes(2,
                                                                         "big")
    client.tunnel.send(m.id, TRANSFER, b"hello")
    assert recv_exact(app, 5) == b"hello"
    client.tunnel.send(m.id, TRANSFER)
    assert recv_all(app) == (b"", FIN)
    app.sendall(b"after")
    app.close()
    assert client.tunnel.recv_for(m.id, TRANSFER).data == b"after"
    assert client.tunnel.recv_for(m.id, TRANSFER).data == b""


@pytest.mark.parametrize("reason,code", [(2, 2), (3, 3), (4, 4), (5, 4),
                                         (6, 4), (7, 5), (9, 1), (999, 1)])
def test_reasons_become_socks_codes(client, reason, code):
    app = client.app()
    m = client.tunnel.recv()
    client.tunnel.respond(m.id, reason)
    assert socks_reply(app)[0] == code


def test_ids_are_odd_and_new(client):
    seen = []
    for _ in range(3):
        client.app()
        seen.append(int(next(m for m in iter(client.tunnel.recv, 0) if m.cmd == CONNECT).id, 16))
    assert seen == sorted(set(seen)) and all(i % 2 for i in seen)


def test_the_client_keeps_within_our_credit(client):
    app = client.app()
    m = client.tunnel.recv()
    client.tunnel.respond(m.id)
    assert socks_reply(app)[0] == 0
    app.sendall(bytes(native.WINDOW + 5000))
    got = 0
    while True:
        x = client.tunnel.recv_for(m.id, TRANSFER, CREDIT)
        if x.cmd == TRANSFER:
            got += len(x.data)
        elif not x.data:
            break
    assert got == native.WINDOW
    client.tunnel.credit(m.id, 5000)
    while got < native.WINDOW + 5000:
        got += len(client.tunnel.recv_for(m.id, TRANSFER).data)


def test_our_reset_resets_the_application(client):
    app = client.app()
    m = client.tunnel.recv()
    client.tunnel.respond(m.id)
    assert socks_reply(app)[0] == 0
    client.tunnel.reset(m.id)
    assert recv_all(app) == (b"", RST)


def test_a_close_resets_the_application(client):
    app = client.app()
    m = client.tunnel.recv()
    client.tunnel.respond(m.id)
    assert socks_reply(app)[0] == 0
    client.tunnel.frame(CLOSE, b"\x03\xe9")
    assert recv_all(app) == (b"", RST)


def test_a_tls_connection_that_is_cut_is_a_reset(start, tmp_path):
    """A FIN without close_notify: anybody on the way can send one."""
    cert, key = str(tmp_path / "c"), str(tmp_path / "k")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
        "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out", cert,
        "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost")
    listener = socket.create_server(("127.0.0.1", 0))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    c = start("client", "--socks", "0", "--tls-ca", cert, "--server",
              "wss://localhost:%d" % listener.getsockname()[1])
    t = native.accept(context.wrap_socket(listener, server_side=True))
    c.ready()
    app = socket.create_connection(c.addr("socks"), 20)
    app.sendall(b"\5\1\0" + socks_request(("target.example", 80)))
    recv_exact(app, 2)
    m = t.recv()
    t.respond(m.id)
    assert socks_reply(app)[0] == 0
    # the socket below TLS: a FIN of its own
    raw = socket.socket(fileno=t.sock.detach())
    raw.shutdown(socket.SHUT_WR)
    assert recv_all(app) == (b"", RST)
    raw.close()
    assert c.stop() == 0
    assert "the TLS connection was cut" in c.log()


def test_a_violation_is_closed_with_1002(client):
    client.tunnel.send(b"2", RESPOND, b"\xff")
    app = client.app()
    m = client.tunnel.recv()
    client.tunnel.send(m.id, TRANSFER, b"before RESPOND")
    with pytest.raises(Closed) as e:
        while True:
            client.tunnel.recv()
    assert e.value.code == 1002
    assert socks_reply(app)[0] == 1
