# SPDX-License-Identifier: MIT
"""Unix sockets as listeners, of the client's proxies and of the server."""
import grp
import hashlib
import os
import pwd
import select
import signal
import socket
import stat
import threading
import time
from multiprocessing.connection import wait as readable

import pytest

from harness import (FIN, RST, Target, echo_handler, recv_all, recv_exact,
                     reset, run, socks_reply, socks_request)


class Bridge(Target):
    """TCP in front of a Unix socket, as a web server is."""

    def __init__(self, path):
        self.path = path
        super().__init__(self.serve)

    def serve(self, s):
        up = socket.socket(socket.AF_UNIX)
        up.connect(self.path)
        while True:
            for a in readable([s, up]):
                piece = a.recv(1 << 16)
                if not piece:
                    s.close()
                    up.close()
                    return
                (up if a is s else s).sendall(piece)


def local(path):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    return s


def through(path, kind, target):
    s = local(path)
    if kind == "http":
        name = "%s:%d" % target
        s.sendall(f"CONNECT {name} HTTP/1.1\r\nHost: {name}\r\n\r\n".encode())
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += recv_exact(s, 1)
        assert head.split()[1] == b"200", head
        return s
    s.sendall(b"\5\1\0" + socks_request(target))
    assert recv_exact(s, 2) == b"\5\0"
    assert socks_reply(s)[0] == 0
    return s


def mode(path):
    st = os.lstat(path)
    assert stat.S_ISSOCK(st.st_mode)
    return stat.S_IMODE(st.st_mode)


@pytest.fixture
def server(start):
    s = start("server", "--listen", "127.0.0.1:0").ready()
    s.url = "ws://127.0.0.1:%d/" % s.addr("ws")[1]
    return s


@pytest.fixture
def client(start, server, tmp_path):
    """make(kind, *args) -> a client, whose .path is that of its proxy."""
    def make(kind="socks", *args):
        path = str(tmp_path / kind)
        c = start("client", "--server", server.url, f"--{kind}",
                  f"unix:{path}", *args).ready()
        c.path = path
        return c

    return make


@pytest.mark.parametrize("kind", ["socks", "http", "mixed"])
def test_each_proxy_on_a_unix_socket(client, kind):
    c = client(kind)
    assert ["listening", kind, "unix:" + c.path] in c.seen
    assert mode(c.path) == 0o600
    data = os.urandom(5 << 20)

    def handler(s):
        got, end = recv_all(s)
        assert end == FIN
        s.sendall(hashlib.sha256(got).digest() + got)
        s.close()

    with Target(handler) as t:
        for way in ("socks", "http") if kind == "mixed" else (kind,):
            s = through(c.path, way, t.addr)
            sender = threading.Thread(target=lambda: (
                s.sendall(data), s.shutdown(socket.SHUT_WR)))
            sender.start()
            back, end = recv_all(s)
            sender.join()
            assert end == FIN
            assert back == hashlib.sha256(data).digest() + data
            s.close()
        assert not t.errors
    c.process.send_signal(signal.SIGTERM)
    assert c.wait() == 0
    assert not os.path.exists(c.path)


def test_the_log_tells_who_has_connected(client):
    c = client("socks", "-v")
    with Target(echo_handler) as t:
        s = through(c.path, "socks", t.addr)
        s.sendall(b"x")
        recv_exact(s, 1)
        s.close()
    c.wait_log(f"unix:pid={os.getpid()},uid={os.getuid()}")
    assert c.stop() == 0


def test_curl(client):
    c = client("socks")

    def handler(s):
        s.recv(1000)
        s.sendall(b"HTTP/1.0 200 OK\r\n\r\nhello")
        s.close()

    with Target(handler) as t:
        r = run("curl", "-sS", "--proxy", f"socks5h://localhost{c.path}",
                "http://%s:%d/" % t.addr)
    if b"nsupported proxy" in r.stderr or b"resolve" in r.stderr:
        pytest.skip("this curl knows no proxies on Unix sockets")
    assert (r.returncode, r.stdout) == (0, b"hello"), r.stderr
    assert c.stop() == 0


def test_many_at_once(client):
    c = client("socks")
    with Target(echo_handler) as t:
        all_ = [through(c.path, "socks", t.addr) for _ in range(100)]
        for i, s in enumerate(all_):
            s.sendall(b"%4d" % i * 1000)
        for i, s in enumerate(all_):
            assert recv_exact(s, 4000) == b"%4d" % i * 1000
            s.close()
    assert c.stop() == 0


def test_mode_and_owner(client):
    group = grp.getgrgid(os.getgid()).gr_name
    c = client("socks", "--unix-mode", "0660", "--unix-owner", f":{group}")
    assert mode(c.path) == 0o660 and os.stat(c.path).st_gid == os.getgid()
    assert c.stop() == 0
    if os.getuid() != 0:
        pytest.skip("only root may give files away")
    user = pwd.getpwnam("nobody")
    for text in (f"nobody:{user.pw_gid}", f"{user.pw_uid}:{user.pw_gid}"):
        c = client("socks", "--unix-mode=600", "--unix-owner", text)
        st = os.stat(c.path)
        assert (st.st_uid, st.st_gid) == (user.pw_uid, user.pw_gid)
        assert mode(c.path) == 0o600
        assert c.stop() == 0


@pytest.mark.parametrize("args,text", [
    (("--socks", "unix:"), "1 to 107 bytes"),
    (("--socks", "unix:@"), "1 to 107 bytes"),
    (("--socks", "unix:/" + "a" * 107), "1 to 107 bytes"),
    (("--socks", "unix:/a b"), "without blanks"),
    (("--socks", "0", "--unix-mode", "9"), "octal"),
    (("--socks", "0", "--unix-mode", "01000"), "octal"),
    (("--socks", "0", "--unix-mode", ""), "octal"),
    (("--socks", "0", "--unix-owner", ":"), "USER:GROUP"),
    (("--socks", "0", "--unix-owner", "no-such-user"), "no such user"),
    (("--socks", "0", "--unix-owner", ":no-such-group"), "no such group"),
    (("--socks", "0", "--unix-owner", "4294967295"), "no such user"),
])
def test_usage_errors(start, args, text):
    c = start("client", *args)
    assert c.wait() == 2 and text in c.log(), c.log()


def test_a_path_of_the_longest_kind_and_a_relative_one(start, server, tmp_path):
    folder = tmp_path / "d"
    folder.mkdir()
    name = "n" * 107
    for path in ("s", name):
        c = start("client", "--server", server.url, "--socks", f"unix:{path}",
                  cwd=folder).ready()
        assert ["listening", "socks", f"unix:{path}"] in c.seen
        assert mode(folder / path) == 0o600
        assert c.stop() == 0
        assert not list(folder.iterdir())


def test_what_is_there_already(start, server, client, tmp_path):
    c = client("socks")
    other = start("client", "--server", server.url, "--socks",
                  f"unix:{c.path}")
    assert other.wait() == 3
    assert "address already in use" in other.log()
    with Target(echo_handler) as t:  # the first one lives
        through(c.path, "socks", t.addr).close()
    c.kill()
    assert os.path.exists(c.path)
    c = client("socks")  # what a dead process has left is replaced
    os.unlink(c.path)  # and what belongs to another one stays
    another = socket.socket(socket.AF_UNIX)
    another.bind(c.path)
    assert c.stop() == 0
    assert os.path.exists(c.path)
    file = tmp_path / "file"
    file.write_text("precious")
    other = start("client", "--server", server.url, "--socks", f"unix:{file}")
    assert other.wait() == 3 and "no socket" in other.log()
    assert file.read_text() == "precious"


def test_an_abstract_name(start, server):
    name = f"wsp-test-{os.getpid()}"
    c = start("client", "--server", server.url, "--socks",
              f"unix:@{name}").ready()
    assert ["listening", "socks", f"unix:@{name}"] in c.seen
    with Target(echo_handler) as t:
        s = through("\0" + name, "socks", t.addr)
        s.sendall(b"x")
        assert recv_exact(s, 1) == b"x"
        s.close()
    assert c.stop() == 0


def test_an_application_that_dies_with_answers_unread(client):
    """The kernel tells: the target gets a reset, not an end."""
    c = client("socks")
    ends = []

    def handler(s):
        s.sendall(b"x" * 1000)
        ends.append(recv_all(s)[1])

    with Target(handler) as t:
        s = through(c.path, "socks", t.addr)
        s.sendall(b"some")
        readable([s], 10)
        s.close()
        until = time.monotonic() + 10
        while not ends and time.monotonic() < until:
            time.sleep(0.01)
    assert ends == [RST]
    assert c.stop() == 0


def test_an_application_that_sends_and_goes(client):
    """Everything arrives, and then its end."""
    c = client("socks")
    got = []
    data = os.urandom(3 << 20)
    with Target(lambda s: got.append(recv_all(s))) as t:
        s = through(c.path, "socks", t.addr)
        s.sendall(data)
        s.close()
        until = time.monotonic() + 10
        while not got and time.monotonic() < until:
            time.sleep(0.01)
    assert got == [(data, FIN)]
    assert c.stop() == 0


def test_an_application_that_has_gone_is_noticed(start, tmp_path):
    """The target never says anything: nothing would end it."""
    fast = {"WSP_TEST_SPEED": "30"}
    server = start("server", "--listen", "127.0.0.1:0", env=fast).ready()
    path = str(tmp_path / "s")
    c = start("client", "--server", "ws://127.0.0.1:%d" % server.addr("ws")[1],
              "--socks", f"unix:{path}", env=fast).ready()
    ends = []

    def handler(s):
        try:
            while s.recv(1):
                pass
            time.sleep(0.5)
            s.sendall(b"")
            p = select.poll()
            p.register(s, select.POLLERR)
            ends.append(bool(p.poll(15000)))
        finally:
            s.close()

    with Target(handler) as t:
        s = through(path, "socks", t.addr)
        s.sendall(b"x")
        s.close()
        until = time.monotonic() + 20
        while not ends and time.monotonic() < until:
            time.sleep(0.05)
    assert ends == [True]
    assert c.stop() == 0 and server.stop() == 0


def test_a_reset_of_the_target_with_data_unread(client):
    """What the application still sends is unread here, so the kernel tells it:
    all that a Unix socket can do (docs/security.md)."""
    c = client("socks")
    with Target(lambda s: (s.recv(1), time.sleep(0.5), reset(s))) as t:
        s = through(c.path, "socks", t.addr)
        s.settimeout(10)
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while True:
                s.sendall(b"x" * (1 << 20))
        s.close()
    assert c.stop() == 0


def test_a_server_on_a_unix_socket(start, tmp_path):
    path = str(tmp_path / "wsp.sock")
    server = start("server", "--listen", f"unix:{path}", "--allow",
                   "loopback").ready()
    assert ["listening", "ws", f"unix:{path}"] in server.seen
    data = os.urandom(5 << 20)
    with Bridge(path) as front, Target(echo_handler) as t:
        c = start("client", "--socks", f"unix:{path}2", "--server",
                  "ws://127.0.0.1:%d/" % front.addr[1]).ready()
        server.wait_log(f"unix:pid={os.getpid()},uid={os.getuid()}: tunnel up")
        s = through(path + "2", "socks", t.addr)
        threading.Thread(target=s.sendall, args=(data,)).start()
        assert recv_exact(s, len(data)) == data
        s.close()
        assert c.stop() == 0
        # a server that is killed: its tunnel ends without a Close, which no
        # client takes for an end
        c = start("client", "--socks", "0", "--server",
                  "ws://127.0.0.1:%d/" % front.addr[1]).ready()
        s = socket.create_connection(c.addr("socks"), 10)
        s.sendall(b"\5\1\0" + socks_request(t.addr))
        recv_exact(s, 12)
        s.sendall(b"x")
        recv_exact(s, 1)
        server.kill()
        assert recv_all(s) == (b"", RST)
        s.close()
    assert os.path.exists(path)
    server = start("server", "--listen", f"unix:{path}").ready()
    assert server.stop() == 0 and not os.path.exists(path)


def test_a_server_behind_a_front_shields_this_machine(start, tmp_path):
    """Without a token, on loopback, a server dials 127.0.0.1: its user is
    here. Behind a Unix socket the user is anywhere."""
    path = str(tmp_path / "wsp.sock")
    server = start("server", "--listen", f"unix:{path}").ready()
    with Bridge(path) as front, Target(echo_handler) as t:
        c = start("client", "--socks", "0", "--server",
                  "ws://127.0.0.1:%d/" % front.addr[1]).ready()
        s = socket.create_connection(c.addr("socks"), 10)
        s.sendall(b"\5\1\0" + socks_request(t.addr))
        assert recv_exact(s, 2) == b"\5\0"
        assert socks_reply(s)[0] == 2
        s.close()
        assert c.stop() == 0
    assert server.stop() == 0
