# SPDX-License-Identifier: MIT
"""The tunnel comes and goes; listeners stay."""
import os
import signal
import socket
import time

import pytest

from harness import (FIN, Target, Wsp, closed_port, count, echo_handler,
                     free_port, recv_all, recv_exact, socks_connect,
                     socks_reply, socks_request)


def client_of(start, port, *args, **kw):
    return start("client", "--socks", "0", "--http", "0", "--server",
                 f"ws://127.0.0.1:{port}", *args, **kw)


def test_a_server_that_comes_back_is_found(start):
    port = free_port()
    server = start("server", "--listen", f"127.0.0.1:{port}").ready()
    c = client_of(start, port).ready()
    with Target(echo_handler) as t:
        for _ in range(3):
            server.kill()
            server = start("server", "--listen", f"127.0.0.1:{port}").ready()
            # whoever asks while the tunnel is down waits, and is served
            s = socks_connect(c.addr("socks"), t.addr)
            s.sendall(b"again")
            assert recv_exact(s, 5) == b"again"
            s.close()
    assert c.stop() == 0


def test_what_arrives_early_is_kept_until_the_tunnel_is_up(start):
    port = free_port()
    c = client_of(start, port)
    c.expect("listening")
    c.expect("listening")
    with Target(echo_handler) as t:
        s = socket.create_connection(c.addr("socks"), 10)
        s.sendall(b"\5\1\0" + socks_request(t.addr) + b"early")
        recv_exact(s, 2)
        time.sleep(0.3)
        start("server", "--listen", f"127.0.0.1:{port}").ready()
        assert socks_reply(s)[0] == 0
        assert recv_exact(s, 5) == b"early"
        s.close()
    assert c.stop() == 0


def test_without_a_tunnel_the_refusal_is_clear(start):
    c = client_of(start, closed_port(), "--connect-timeout", "0.5")
    c.expect("listening")
    c.expect("listening")
    s = socket.create_connection(c.addr("socks"), 10)
    s.sendall(b"\5\1\0" + socks_request(("127.0.0.1", 9)))
    recv_exact(s, 2)
    assert socks_reply(s)[0] == 1
    s = socket.create_connection(c.addr("http"), 10)
    s.sendall(b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n")
    data, end = recv_all(s)
    assert data.split()[1] == b"503" and end == FIN
    assert c.stop() == 0


def test_retries_spread_out(start):
    """Nobody waits: pauses grow. Somebody does: at most once a second."""
    hits = []

    def handler(s):
        hits.append(time.monotonic())
        s.close()

    with Target(handler) as t:
        c = client_of(start, t.addr[1])
        time.sleep(4)
        calm = len(hits)
        assert 2 <= calm <= 14
        s = socket.create_connection(c.addr("socks") if c.seen else
                                     (c.expect("listening"),
                                      c.addr("socks"))[1], 10)
        s.sendall(b"\5\1\0" + socks_request(("127.0.0.1", 9)))
        hits.clear()
        time.sleep(3.2)
        assert 2 <= len(hits) <= 5
        assert all(b - a > 0.9 for a, b in zip(hits, hits[1:]))
        s.close()
        assert c.stop() == 0


def test_a_silent_peer_is_dead_within_45_seconds(start):
    """Timers run 20 times as fast: 45 s are 2.25 s."""
    fast = {"WSP_TEST_SPEED": "20"}
    server = start("server", "--listen", "127.0.0.1:0", env=fast).ready()
    c = client_of(start, server.addr("ws")[1], env=fast).ready()
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        s.sendall(b"x")
        recv_exact(s, 1)
        os.kill(server.pid, signal.SIGSTOP)
        begin = time.monotonic()
        with pytest.raises(ConnectionResetError):
            recv_exact(s, 1)
        assert 1 < time.monotonic() - begin < 5
        os.kill(server.pid, signal.SIGCONT)
        s = socks_connect(c.addr("socks"), t.addr)
        s.sendall(b"x")
        assert recv_exact(s, 1) == b"x"
        s.close()
    assert c.stop() == 0
    assert server.stop() == 0


def test_an_idle_tunnel_lives(start):
    fast = {"WSP_TEST_SPEED": "20"}
    server = start("server", "--listen", "127.0.0.1:0", env=fast).ready()
    c = client_of(start, server.addr("ws")[1], env=fast).ready()
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        time.sleep(6)  # two minutes
        s.sendall(b"x")
        assert recv_exact(s, 1) == b"x"
        s.close()
    assert "down" not in c.log()
    assert c.stop() == 0 and server.stop() == 0


def test_beyond_the_limit_of_descriptors(start):
    """New ones are refused at once, nothing spins, and it recovers."""
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    server = start("server", "--listen", "127.0.0.1:0",
                   preexec_fn=limit).ready()
    c = client_of(start, server.addr("ws")[1]).ready()
    with Target(echo_handler) as t:
        held, refused = [], 0
        for _ in range(120):
            s = socket.create_connection(c.addr("socks"), 10)
            s.sendall(b"\5\1\0" + socks_request(t.addr))
            recv_exact(s, 2)
            code = socks_reply(s)[0]
            assert code in (0, 1)
            if code:
                refused += 1
            else:
                held.append(s)
        assert 30 < len(held) < 100 and refused
        before = server.cpu()
        time.sleep(1)
        assert server.cpu() - before < 0.1
        held[0].sendall(b"x")
        assert recv_exact(held[0], 1) == b"x"
        for s in held:
            s.close()
        time.sleep(0.3)
        socks_connect(c.addr("socks"), t.addr).close()
    assert c.stop() == 0 and server.stop() == 0


def test_a_client_at_its_limit_says_so(start):
    import resource

    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))

    server = start("server", "--listen", "127.0.0.1:0").ready()
    c = client_of(start, server.addr("ws")[1], preexec_fn=limit).ready()
    with Target(echo_handler) as t:
        apps, codes = [], []
        for _ in range(60):
            s = socket.create_connection(c.addr("socks"), 10)
            s.sendall(b"\5\1\0" + socks_request(t.addr))
            recv_exact(s, 2)
            codes.append(socks_reply(s)[0])
            apps.append(s)
        assert codes.count(0) > 30 and codes.count(1) > 5
        assert set(codes) == {0, 1}
        for s in apps:
            s.close()
        time.sleep(0.3)
        s = socks_connect(c.addr("socks"), t.addr)
        s.close()
