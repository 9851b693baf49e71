# SPDX-License-Identifier: MIT
"""A server's name with several addresses, of both families (RFC 8305)."""
import contextlib
import datetime
import socket
import time

import pytest

from names import A, AAAA, Names


class Deaf:
    """An address that never answers: the queue of its listener is full."""

    def __init__(self, host, port):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.sockets = [socket.socket(family)]
        self.sockets[0].bind((host, port))
        self.sockets[0].listen(0)
        for _ in range(4):
            s = socket.socket(family)
            s.setblocking(False)
            s.connect_ex((host, port))
            self.sockets.append(s)
        time.sleep(0.05)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for s in self.sockets:
            s.close()


def dial_took(c):
    """Seconds from the first dial, right behind the listeners, to a tunnel."""
    c.wait_log("tunnel up")
    at = {words[2]: datetime.datetime.fromisoformat(words[0].rstrip("Z"))
          for words in (line.split() for line in c.log().splitlines())}
    return (at["tunnel"] - at["socks"]).total_seconds()


def has_ipv6():
    try:
        with socket.socket(socket.AF_INET6) as s:
            s.bind(("::1", 0))
        return True
    except OSError:
        return False


def listen_twice(start, host, deaf):
    """A server, its port, and somebody deaf at the same port of another
    address, which another test may have taken."""
    for _ in range(20):
        server = start("server", "--listen", f"{host}:0").ready()
        port = server.addr("ws")[1]
        try:
            return server, port, Deaf(deaf, port) if deaf else \
                contextlib.nullcontext()
        except OSError:
            server.stop()
    raise AssertionError("no port is free at both addresses")


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("v6,v4,alive,deaf,most", [
    (["::1"], ["127.0.0.1"], "127.0.0.1", "::1", 1),
    (["::1"], ["127.0.0.1"], "::1", "127.0.0.1", 1),
    ([], ["127.0.0.2", "127.0.0.1"], "127.0.0.1", "127.0.0.2", 1),
    (["::1"], ["127.0.0.1"], "127.0.0.1", None, 0.2),  # refused: no pause
    (["::1"], ["127.0.0.1"], "::1", None, 0.2),
])
def test_a_dead_address_costs_a_moment(start, v6, v4, alive, deaf, most):
    host = f"[{alive}]" if ":" in alive else alive
    names = Names(v6, v4)
    server, port, other = listen_twice(start, host, deaf)
    with other:
        c = start("client", "--socks", "0", "--server",
                  f"ws://both.test:{port}/", env=names.env).ready()
        assert dial_took(c) < most
        assert c.stop() == 0
    assert server.stop() == 0


def test_one_server_with_no_address_is_no_end(start):
    """A name that is unknown is as good as a server that is away."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    url = "ws://127.0.0.1:%d/" % server.addr("ws")[1]
    c = start("client", "--socks", "0", "--server", "ws://none.test/",
              "--server", url, env=Names([], []).env)
    assert c.expect("connected")[1] == url
    c.wait_log("no such name")
    assert c.stop() == 0 and server.stop() == 0


@pytest.mark.skipif(not has_ipv6(), reason="no IPv6 on this machine")
@pytest.mark.parametrize("mute", [AAAA, A])
def test_a_family_nobody_answers_for(start, mute):
    """A name server that drops questions for AAAA, as some do, or for A."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    port = server.addr("ws")[1]
    if mute == A:
        server.stop()
        server = start("server", "--listen", f"[::1]:{port}").ready()
    names = Names(["::1"], ["127.0.0.1"], mute=(mute,))
    begin = time.monotonic()
    c = start("client", "--socks", "0", "--server",
              f"ws://both.test:{port}/", env=names.env)
    c.ready()
    assert time.monotonic() - begin < 1.5
    assert c.stop() == 0 and server.stop() == 0
