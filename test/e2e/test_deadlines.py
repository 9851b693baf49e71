# SPDX-License-Identifier: MIT
"""No state without a deadline (P5): slow heads, targets, resolvers and servers
that never answer. However slowly bytes trickle, the whole has an end, and
others are served meanwhile."""
import contextlib
import selectors
import socket
import time

import pytest
from harness import (Target, echo_handler, recv_exact, socks_connect,
                     socks_reply, socks_request)

SPEED = {"WSP_TEST_SPEED": "20"}  # ten seconds are half of one


def drip(addr, data):
    """Send byte after byte until the other side has had enough."""
    s = socket.create_connection(addr, 30)
    sel = selectors.DefaultSelector()
    sel.register(s, selectors.EVENT_READ)
    got, until = b"", time.monotonic() + 30
    with contextlib.suppress(ConnectionResetError, BrokenPipeError):
        for b in data:
            s.sendall(bytes([b]))
            assert time.monotonic() < until, "it takes for ever"
            if sel.select(0.04):
                break
        while piece := s.recv(4096):
            got += piece
    s.close()
    return got


def serves(pair):
    with Target(echo_handler) as echo:
        s = socks_connect(pair.socks, echo.addr)
        s.sendall(b"hello")
        assert recv_exact(s, 5) == b"hello"
        s.close()


NAME = b"n" * 250
SLOW = {
    "greeting": ("socks", b"\5\xff" + bytes(255)),
    "request": ("socks", b"\5\1\0\5\1\0\3\xfa" + NAME),
    "socks4": ("socks", b"\4\1\0\x50\0\0\0\1" + b"u" * 250),
    "request line": ("http", b"GET http://" + NAME + b".example/" + NAME),
    "fields": ("http", b"GET http://a.example/ HTTP/1.1\r\nX: " + NAME * 4),
    "connect": ("http", b"CONNECT a.example:1 HTTP/1.1\r\nX: " + NAME * 4),
    "nothing": ("http", b""),
    "nothing at all": ("socks", b""),
}


@pytest.mark.parametrize("what", SLOW)
def test_a_slow_head(pair, what):
    p = pair(env=SPEED)
    kind, data = SLOW[what]
    drip(p.socks if kind == "socks" else p.http, data)
    serves(p)


@contextlib.contextmanager
def deaf_target():
    """Connections to it hang: its queue is full."""
    with socket.socket() as deaf, contextlib.ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            s = stack.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(deaf.getsockname())
        time.sleep(0.2)
        yield deaf.getsockname()


def ask(proxy, target):
    s = socket.create_connection(proxy, 30)
    s.sendall(b"\5\1\0" + socks_request(target))
    assert recv_exact(s, 2) == b"\5\0"
    return s


def test_targets_that_never_answer(pair):
    p = pair(env=SPEED)
    with deaf_target() as deaf:
        waiting = [ask(p.socks, deaf) for _ in range(20)]
        serves(p)
        assert {socks_reply(s)[0] for s in waiting} == {4}
        h = socket.create_connection(p.http, 30)
        h.sendall(b"CONNECT 127.0.0.1:%d HTTP/1.1\r\nHost: a\r\n\r\n" %
                  deaf[1])
        assert recv_exact(h, 12) == b"HTTP/1.1 504"
        for s in [*waiting, h]:
            s.close()


def test_a_resolver_that_never_answers(pair):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as mute:
        mute.bind(("127.0.0.1", 0))
        p = pair(env={**SPEED, "WSP_TEST_DNS": "127.0.0.1:%d" %
                      mute.getsockname()[1]})
        waiting = [ask(p.socks, (f"host{i}.example", 80)) for i in range(20)]
        serves(p)
        assert all(socks_reply(s)[0] != 0 for s in waiting)
        for s in waiting:
            s.close()


@pytest.mark.parametrize("scheme,text", [
    ("ws", "no WebSocket handshake in time"), ("wss", "timed out")])
def test_a_server_that_says_nothing(start, certs, scheme, text):
    with Target(lambda s: s.recv(1 << 16) and time.sleep(60)) as mute:
        c = start("client", "--socks", "0", "--tls-ca", certs["ca"],
                  "--server", "%s://localhost:%d/" % (scheme, mute.addr[1]),
                  env=SPEED)
        c.wait_log(text, 30)
        assert c.stop() == 0, c.log()
