# SPDX-License-Identifier: MIT
"""Several servers: which one is tried, and when."""
import contextlib
import socket
import time

from harness import (Target, closed_port, echo_handler, recv_exact,
                     socks_connect)
from test_upstream import pipe

TOKEN = "a token of enough bytes"
# behind the end of a tunnel, 10 seconds may pass until the next dial
SOON = {"WSP_TEST_SPEED": "10"}


def url(port):
    return f"ws://127.0.0.1:{port}/"


def client_of(start, *urls, args=(), env=None):
    servers = [w for u in urls for w in ("--server", u)]
    return start("client", "--socks", "0", *servers, *args, env=env)


def connected(c, seconds=10):
    return c.expect("connected", seconds)[1]


def server_on(start, port=0, *args):
    return start("server", "--listen", f"127.0.0.1:{port}", *args).ready()


def port_of(server):
    return server.addr("ws")[1]


class Note(Target):
    """Notes when it is asked, and answers nothing."""

    def __init__(self, hits, name):
        self.hits, self.name = hits, name
        super().__init__(self.serve)

    def serve(self, s):
        self.hits.append((time.monotonic(), self.name))
        s.close()


class Relay(Target):
    """In front of a server; the way there can be cut, and stays open."""

    def __init__(self, port):
        self.port, self.sockets = port, []
        super().__init__(self.serve)

    def serve(self, s):
        up = socket.create_connection(("127.0.0.1", self.port), 10)
        self.sockets += [s, up]
        pipe(s, up)

    def cut(self):
        for s in self.sockets:
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


def test_the_next_one_is_tried_at_once(start):
    server = server_on(start)
    begin = time.monotonic()
    c = client_of(start, url(closed_port()), url(closed_port()),
                  url(port_of(server)))
    assert connected(c) == url(port_of(server))
    assert time.monotonic() - begin < 1
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        s.sendall(b"x")
        assert recv_exact(s, 1) == b"x"
        s.close()
    assert c.stop() == 0 and server.stop() == 0


def test_the_variable_is_a_list(start):
    server = server_on(start)
    env = {"WSP_SERVER": f"{url(closed_port())} {url(port_of(server))}"}
    c = client_of(start, env=env)
    assert connected(c) == url(port_of(server))
    assert c.stop() == 0
    c = client_of(start, url(closed_port()), args=("--wait", "0.5"), env=env)
    assert c.wait() == 4  # the command line replaces it
    assert server.stop() == 0


def test_a_pause_comes_behind_a_round(start):
    hits = []
    with Note(hits, "a") as a, Note(hits, "b") as b, Note(hits, "c") as d:
        c = client_of(start, *(url(t.addr[1]) for t in (a, b, d)))
        time.sleep(3)
        assert c.stop() == 0
    names = "".join(name for _, name in hits)
    whole = len(hits) // 3 * 3
    assert 6 <= whole <= 39, names
    assert names[:whole] == "abc" * (whole // 3)
    rounds = [[t for t, _ in hits[i:i + 3]] for i in range(0, whole, 3)]
    assert all(r[2] - r[0] < 0.2 for r in rounds), rounds
    assert max(b[0] - a[2] for a, b in zip(rounds, rounds[1:])) > 0.2


def test_what_no_retry_mends_is_fatal_when_no_server_is_left(start):
    closed = server_on(start, 0, "--token", TOKEN)
    open_ = server_on(start)
    bad, down = url(port_of(closed)), url(closed_port())
    c = client_of(start, bad, url(port_of(open_)))
    assert connected(c) == url(port_of(open_))
    c.wait_log("authorization refused")
    assert c.stop() == 0
    for urls in ((bad,), (bad, down), (down, bad), (bad, bad)):
        c = client_of(start, *urls)
        assert c.wait() == 6, c.log()
    with Target(lambda s: (s.recv(999), s.sendall(
            b"HTTP/1.1 404 Not Found\r\n\r\n"), s.close())) as web:
        c = client_of(start, url(web.addr[1]), bad)
        assert c.wait() == 7  # the first one says it
    c = client_of(start, bad, down, args=("--retry-all",))
    c.wait_log("connection refused")
    time.sleep(0.5)
    assert c.process.poll() is None
    assert c.stop() == 0
    assert closed.stop() == 0 and open_.stop() == 0


def test_retries_begin_with_the_server_that_worked(start):
    hits = []
    server = server_on(start)
    with Note(hits, "a") as a, Note(hits, "c") as d, \
            Relay(port_of(server)) as b:
        c = client_of(start, *(url(t.addr[1]) for t in (a, b, d)), env=SOON)
        assert connected(c) == url(b.addr[1])
        assert [name for _, name in hits] == ["a"]
        hits.clear()
        for _ in range(3):
            b.cut()
            assert connected(c) == url(b.addr[1])
            assert not hits
        b.listener.shutdown(socket.SHUT_RDWR)
        b.cut()  # now the others are asked: those behind it first
        c.wait_log("connection refused")
        deadline = time.monotonic() + 5
        while len(hits) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert [name for _, name in hits[:2]] == ["c", "a"]
        assert c.stop() == 0 and server.stop() == 0


def test_a_wrong_token_is_no_end_once_a_tunnel_was_up(start):
    server = server_on(start)
    port = port_of(server)
    c = client_of(start, url(port), env=SOON)
    connected(c)
    server.kill()
    server = server_on(start, port, "--token", TOKEN)
    c.wait_log("authorization refused")
    assert c.process.poll() is None
    assert c.stop() == 0 and server.stop() == 0


def test_config_files_have_lists(start, tmp_path):
    server = server_on(start)
    f = tmp_path / "c.json"
    f.write_text('{"socks": "0", "server": ["%s", "%s"]}' % (
        url(closed_port()), url(port_of(server))))
    c = start("client", "--config", f)
    assert connected(c) == url(port_of(server))
    assert c.stop() == 0 and server.stop() == 0
