# SPDX-License-Identifier: MIT
"""wsp client --workers: what is opened beside bulk has a thread and a
connection of its own."""
import contextlib
import os
import resource
import socket
import time

import pytest
from harness import (Target, echo_handler, recv_exact, run,
                     socks_connect, socks_reply, socks_request)
from peers import App, Peers, established, near_client, pump, until

SPARE = "one more connection, on a thread of its own"
FAST = {"WSP_TEST_SPEED": "10"}


def lanes_of(start, url, *args, **kw):
    return near_client(start, url, "--workers", "2", *args, **kw)


def busy(c):
    """A stream with bulk, when the other lane is ready."""
    app = App(c).bulk()
    c.wait_log(SPARE)
    return app


def test_what_is_opened_beside_bulk_goes_elsewhere(start):
    with Peers() as peers:
        c = lanes_of(start, peers.url)
        before = App(c)
        bulk = busy(c)
        later = {App(c).number for _ in range(3)}
        assert len(later) == 1 and later != {bulk.number}
        assert before.who() == bulk.number == before.number
        assert "warn" not in c.log()
        assert c.stop() == 0


def test_when_the_bulk_has_ended_the_first_is_used_again(start):
    with Peers() as peers:
        c = lanes_of(start, peers.url, env=FAST)
        bulk = busy(c)
        stays = App(c)
        assert stays.number != bulk.number
        bulk.close()
        until(lambda: App(c).number == bulk.number)
        assert stays.who() == stays.number
        assert peers.all[stays.number].closed is None
        stays.close()
        until(lambda: peers.all[stays.number].closed == 1000)
        assert peers.all[bulk.number].closed is None
        again = App(c).bulk()  # and it can be woken once more
        until(lambda: App(c).number > stays.number)
        assert again.number == bulk.number
        assert c.stop() == 0
        assert "connection is down" not in c.log()


def test_both_with_bulk(start):
    """Then the first of those that have the least."""
    with Peers() as peers:
        c = lanes_of(start, peers.url)
        first = busy(c)
        second = App(c).bulk()
        assert second.number != first.number
        until(lambda: App(c).number == first.number)
        first.close()
        until(lambda: App(c).number == first.number)
        assert c.stop() == 0


def test_a_connection_that_dies_takes_its_streams_along(start):
    with Peers() as peers:
        c = lanes_of(start, peers.url, env=FAST)
        bulk = busy(c)
        app = App(c)
        peers.all[app.number].kill()
        with pytest.raises((AssertionError, ConnectionResetError)):
            app.who()
        assert App(c).number != app.number
        # as there is bulk still
        until(lambda: App(c) and c.log().count(SPARE) == 2)
        assert App(c).number not in (app.number, bulk.number)
        assert "tunnel down" not in c.log()
        assert c.stop() == 0


def test_nobody_waits_for_one_that_is_down(start):
    with Peers() as peers:
        c = lanes_of(start, peers.url)
        bulk = busy(c)
        app = App(c)
        peers.gate.clear()
        peers.all[bulk.number].kill()
        c.wait_log("tunnel down")
        assert App(c).number == app.number
        peers.gate.set()
        assert c.stop() == 0


@pytest.mark.parametrize("close", [False, True])
def test_a_server_that_wants_only_one(start, close):
    with Peers(most=1, close=close) as peers:
        c = lanes_of(start, peers.url)
        bulk = App(c).bulk()
        until(lambda: peers.refused)
        assert [App(c).number for _ in range(5)] == [0] * 5
        assert bulk.number == 0
        assert "warn" not in c.log() and "error" not in c.log()
        assert c.stop(seconds=5) == 0


def test_a_number_of_connections_is_that_number(start):
    with Peers() as peers:
        c = lanes_of(start, peers.url, "--connections", "1")
        bulk = App(c).bulk()
        time.sleep(0.5)
        assert App(c).number == bulk.number == len(peers.all) - 1
        assert c.stop() == 0


def native_pair(start, *args, server=(), certs=None, **kw):
    """certs: over TLS."""
    if certs:
        server = [*server, "--tls-cert", certs["good"][0], "--tls-key",
                  certs["good"][1]]
        args = [*args, "--tls-ca", certs["ca"]]
    kind = "wss" if certs else "ws"
    s = start("server", "--listen", "127.0.0.1:0", "--allow", "loopback",
              "--workers", "2", *server).ready()
    url = f"{kind}://localhost:{s.addr(kind)[1]}"
    return s, lanes_of(start, url, *args, **kw)


def download(app, c):
    """Until the other lane is ready."""
    until(lambda: app.recv(1 << 18) and SPARE in c.log())
    return app


def bulk_beside(c, target):
    return download(socks_connect(c.addr("socks"), target.addr), c)


@pytest.mark.parametrize("kind", ["ws", "wss"])
def test_both_are_wsp_and_stop_gracefully(start, certs, kind):
    server, c = native_pair(start, "--grace", "20",
                            certs=certs if kind == "wss" else None)
    with Target(pump) as far, Target(echo_handler) as echo:
        bulk = bulk_beside(c, far)
        assert established(server.addr(kind)[1]) == 2
        app = socks_connect(c.addr("socks"), echo.addr)
        app.sendall(b"before")
        assert recv_exact(app, 6) == b"before"
        c.process.terminate()
        c.wait_log("stopping")
        bulk.close()
        time.sleep(0.2)
        app.sendall(b"after")  # what runs may end by itself
        assert recv_exact(app, 5) == b"after"
        app.shutdown(socket.SHUT_WR)
        assert app.recv(1) == b""
        assert c.process.wait(10) == 0
    assert server.stop() == 0


def test_stop_ends_what_runs_on_both(start, certs):
    server, c = native_pair(start, certs=certs)
    with Target(pump) as far, Target(echo_handler) as echo:
        bulk_beside(c, far)
        apps = [socks_connect(c.addr("socks"), echo.addr) for _ in range(20)]
        assert c.stop() == 0  # the grace of near_client() is short
        for a in apps:
            with pytest.raises(ConnectionResetError):
                a.recv(1)
    assert server.stop() == 0


def write_user(path, password):
    path.write_bytes(b"me:" + run("openssl", "passwd", "-6", password).stdout)


def signed_in(c, target, password):
    """A stream to target, or None: the password is wrong."""
    s = socket.create_connection(c.addr("socks"), 30)
    s.sendall(b"\5\1\2\1\2me" + bytes([len(password)]) + password)
    if recv_exact(s, 4)[3]:
        return None
    s.sendall(socks_request(target.addr))
    assert socks_reply(s)[0] == 0
    return s


def works(c, target, password):
    with contextlib.suppress(ConnectionResetError):
        s = signed_in(c, target, password)
        if s:
            s.sendall(b"hello")
            return recv_exact(s, 5) == b"hello"
    return False


def test_users_are_known_on_both(start, tmp_path):
    users = tmp_path / "users"
    write_user(users, "secret")
    server, c = native_pair(start, "--proxy-users", users)
    with Target(pump) as far, Target(echo_handler) as echo:
        bulk = download(signed_in(c, far, b"secret"), c)
        assert works(c, echo, b"secret") and not works(c, echo, b"wrong")
        write_user(users, "another")
        c.process.send_signal(1)
        c.wait_log("HUP: read again")
        until(lambda: works(c, echo, b"another"))
        assert not works(c, echo, b"secret")
        bulk.close()
        assert c.log().count("HUP: read again") == 1
    assert c.stop() == 0 and server.stop() == 0


def test_the_one_user_is_known_on_both(start):
    server, c = native_pair(start, "--proxy-auth", "me:secret")
    with Target(pump) as far, Target(echo_handler) as echo:
        bulk = download(signed_in(c, far, b"secret"), c)
        assert works(c, echo, b"secret") and not works(c, echo, b"wrong")
        bulk.close()
    assert c.stop() == 0 and server.stop() == 0


def test_users_from_a_pipe(start):
    """Which can be read only once."""
    users, write = os.pipe()
    with open(write, "wb") as f:
        f.write(b"me:" + run("openssl", "passwd", "-6", "secret").stdout)
    c = start("client", "--socks", "0", "--workers", "3", "--server",
              "ws://127.0.0.1:9", "--proxy-users", f"/dev/fd/{users}",
              pass_fds=[users])
    os.close(users)
    c.wait_log("1 users in")
    c.wait_log("3 workers")
    assert c.stop() == 0


def test_who_has_asked_for_nothing_does_not_end_the_others(start):
    """TERM drops him; what runs on the other lane has --grace."""
    server, c = native_pair(start, "--grace", "20")
    with Target(pump) as far, Target(echo_handler) as echo:
        bulk = bulk_beside(c, far)
        app = socks_connect(c.addr("socks"), echo.addr)
        app.sendall(b"before")
        assert recv_exact(app, 6) == b"before"
        bulk.close()
        c.wait_log(" to 127.0.0.1:%d: " % far.addr[1])  # it has ended
        mute = socket.create_connection(c.addr("socks"), 20)
        mute.sendall(b"\5")
        time.sleep(0.2)
        c.process.terminate()
        c.wait_log("stopping")
        with contextlib.suppress(ConnectionResetError):
            assert mute.recv(1) == b""
        app.sendall(b"after")
        assert recv_exact(app, 5) == b"after"
        app.close()
        assert c.process.wait(10) == 0
    assert server.stop() == 0


def test_a_new_token_is_for_both(start, tmp_path):
    token = tmp_path / "token"
    token.write_text("the token of before")
    args = ["--token-file", token]
    server, c = native_pair(start, *args, server=args)
    token.write_text("the token of afterwards")
    for p in (server, c):
        p.process.send_signal(1)
        p.wait_log("HUP: read again")
    assert c.log().count("HUP: read again") == 1
    with Target(pump) as far:
        bulk_beside(c, far).close()
        assert established(server.addr("ws")[1]) == 2
    assert c.stop() == 0 and server.stop() == 0


def few_files():
    resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))


def test_streams_beyond_the_descriptors_of_one(start):
    """Each of the lanes has half of them."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    with Target(echo_handler) as echo:
        c = lanes_of(start, "ws://127.0.0.1:%d" % server.addr("ws")[1],
                     preexec_fn=few_files)
        apps = []
        for i in range(70):
            apps.append(socks_connect(c.addr("socks"), echo.addr))
            if i == 40:
                c.wait_log(SPARE)
        for a in apps:
            a.sendall(b"x")
            assert recv_exact(a, 1) == b"x"
        assert c.stop() == 0
    assert server.stop() == 0
