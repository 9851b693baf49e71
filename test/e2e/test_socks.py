# SPDX-License-Identifier: MIT
"""SOCKS at its edges: names that are none, splits, and what is not offered."""
import random
import socket
import time

import pytest

from harness import (FIN, Target, Wsp, echo_handler, recv_all, recv_exact,
                     socks_reply, socks_request)
from names import Names


@pytest.fixture(scope="module")
def way():
    """A server with a resolver of its own, and a client."""
    names = Names()
    server = Wsp("server", "--listen", "127.0.0.1:0",
                 env=names.env).ready()
    client = Wsp("client", "--socks", "0", "--mixed", "0", "--server",
                 "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    client.names = names
    yield client
    assert client.stop() == 0 and server.stop() == 0, client.log()


def socks5(addr, name, port=80, command=1):
    """The code of the reply; then there is only an end."""
    with socket.create_connection(addr, 20) as s:
        s.sendall(b"\5\1\0\5" + bytes([command]) + b"\0\3" +
                  bytes([len(name)]) + name + port.to_bytes(2, "big"))
        assert recv_exact(s, 2) == b"\5\0"
        code, _ = socks_reply(s)
        assert code == 0 or recv_all(s) == (b"", FIN)
        return code


def socks4a(addr, name, port=80, command=1):
    with socket.create_connection(addr, 20) as s:
        s.sendall(b"\4" + bytes([command]) + port.to_bytes(2, "big") +
                  b"\0\0\0\1me\0" + name + b"\0")
        answer, end = recv_all(s)
        assert len(answer) == 8 and answer[0] == 0 and end == FIN
        return answer[1]


LABEL = b"a" * 63
NO_NAMES = [
    b"", b"a" * 255, b".".join([LABEL] * 4)[:254], LABEL + b"a.example",
    b"0x7f.1", b"0x7f000001", b"127.1", b"2130706433", b"0177.0.0.1",
    b"1.2.3.4.5", b"1.2.3.4.", b"256.1.1.1", b"1.2.3", b"example.1",
    b"a..example", b".example", b"a b", b"a/b", b"a:b", b"a@b", b"[::1]",
    b"::g", b"fe80::1%lo", b"-\r\nx", b"\xc3\xa9.example", b"a\x7f", b"%41",
]


@pytest.mark.parametrize("listener", ["socks", "mixed"])
def test_what_is_no_name_is_refused_and_never_looked_up(way, listener):
    """trust.md 3.7: address not supported, and the resolver does not hear."""
    before = len(way.names.asked)
    for name in NO_NAMES:
        assert socks5(way.addr(listener), name) == 8, name
        assert socks4a(way.addr(listener), name) == 91, name
    for name in (b"a\0b.example", b"127.0.0.1\0.example", b"\0"):
        assert socks5(way.addr(listener), name) == 8, name
    assert way.names.asked[before:] == []


def test_names_at_the_limit_are_looked_up(way):
    """253 bytes; a dot behind it, and '_', are a name's too."""
    for name in (b".".join([LABEL] * 3) + b"." + b"b" * 61, b"c.example.",
                 b"_d._tcp.example", b"e1.example", b"1f.example"):
        before = len(way.names.asked)
        assert socks5(way.addr("socks"), name) == 4, name
        first = name.split(b".")[0].lower()
        asked = b"".join(way.names.asked[before:]).lower()
        assert bytes([len(first)]) + first in asked, name


@pytest.mark.parametrize("listener", ["socks", "mixed"])
def test_only_connect_is_there(way, listener):
    for command in (0, 2, 3, 4, 255):  # BIND, UDP ASSOCIATE
        assert socks5(way.addr(listener), b"localhost", 80, command) == 7
        assert socks4a(way.addr(listener), b"localhost", 80, command) == 91
    assert socks5(way.addr(listener), b"localhost", 0) == 8


@pytest.mark.parametrize("listener", ["socks", "mixed"])
def test_any_split_and_any_delay(way, listener):
    """Greeting, request and data in one packet, and in pieces."""
    rng = random.Random(1)

    def one(request, greeting):
        data = rng.randbytes(rng.choice((0, 1, 3000))) + b"."
        out = request + data
        cuts = sorted(rng.sample(range(1, len(out)), rng.randrange(6)))
        with socket.create_connection(way.addr(listener), 20) as s:
            s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for a, b in zip([0, *cuts], [*cuts, len(out)]):
                s.sendall(out[a:b])
                time.sleep(rng.choice((0, 0, 0.001, 0.01)))
            if greeting:
                assert recv_exact(s, 2) == b"\5\0"
                assert socks_reply(s)[0] == 0
            else:
                assert recv_exact(s, 8)[:2] == b"\0\x5a"
            assert recv_exact(s, len(data)) == data

    with Target(echo_handler) as t:
        ip, port = socket.inet_aton(t.addr[0]), t.addr[1].to_bytes(2, "big")
        for _ in range(25):
            one(b"\5\3\2\0\1" + socks_request(t.addr), True)
            one(b"\5\1\0" + socks_request(("LocalHost", t.addr[1])), True)
            one(b"\4\1" + port + ip + b"user\0", False)
            one(b"\4\1" + port + b"\0\0\0\xff\0localhost\0", False)
