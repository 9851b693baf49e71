# SPDX-License-Identifier: MIT
"""Several connections to one server: how many there are, and where a stream
goes."""
import socket

import pytest
from harness import (Target, closed_port, echo_handler, free_port, recv_exact,
                     socks_connect, socks_reply, socks_request)
from peers import (ANYWHERE, App, Peers, client_of, established, near_client,
                   pump, until)
from ways import Hostile

LONG_WAY = 0.05  # seconds that the handshake takes


def far_client(start, url, **kw):
    """With the connections of a long way."""
    c = client_of(start, url, **kw)
    c.wait_log("one more connection: 4")
    return c


def new_numbers(client, n):
    """Of the connections that n streams get which are there together."""
    apps = [App(client) for _ in range(n)]
    for a in apps:
        a.close()
    return [a.number for a in apps]


def with_connections(start, url, n, *args, **kw):
    c = client_of(start, url, "--connections", n, *args, **kw)
    c.wait_log(f"one more connection: {n}")
    return c


def test_as_many_as_asked_for_share_the_streams(start):
    with Peers() as peers:
        c = with_connections(start, peers.url, 3)
        apps = [App(c) for _ in range(6)]
        assert sorted(a.number for a in apps) == [0, 0, 1, 1, 2, 2]
        apps[0].close()
        until(lambda: peers.all[apps[0].number].over[b"1"].is_set())
        assert App(c).number == apps[0].number
        assert len(peers.all) == 3
        assert c.stop() == 0


def test_one_is_one(start):
    with Peers(LONG_WAY) as peers:
        c = client_of(start, peers.url, "--connections", "1")
        apps = [App(c).bulk(), App(c), App(c)]
        assert {a.number for a in apps} == {0} and len(peers.all) == 1
        assert c.stop() == 0


def test_elastic_keeps_one_beside_bulk_on_a_long_way(start):
    with Peers(LONG_WAY) as peers:
        c = far_client(start, peers.url)
        apps = [App(c) for _ in range(4)]
        assert {a.number for a in apps} == {0, 1, 2, 3}
        for a in apps[1:]:
            a.bulk()
        # when three are busy, there is one left for the next ones
        until(lambda: new_numbers(c, 2) == [apps[0].number] * 2)
        apps[0].bulk()
        c.wait_log("one more connection: 5")
        calm = [App(c), App(c)]
        assert [a.number for a in calm] == [4, 4]
        App(c).bulk()  # so that there is one without
        c.wait_log("one more connection: 6")
        assert App(c).number == 5
        assert [a.who() for a in calm] == [4, 4]
        assert c.stop() == 0


def test_elastic_has_a_limit(start):
    with Peers(LONG_WAY) as peers:
        c = far_client(start, peers.url)
        assert {App(c).bulk().number for _ in range(4)} == {0, 1, 2, 3}
        for n in range(5, 9):
            c.wait_log(f"one more connection: {n}")
            assert App(c).bulk().number == n - 1
        until(lambda: new_numbers(c, 1) != [7])  # all are busy: any will do
        assert len(peers.all) == 8
        assert c.stop() == 0


def test_elastic_is_one_on_a_short_way(start):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    port = server.addr("ws")[1]
    c = near_client(start, f"ws://127.0.0.1:{port}", "--workers", "1")
    with Target(pump) as source:
        for _ in range(3):
            recv_exact(socks_connect(c.addr("socks"), source.addr), 1 << 20)
        assert established(port) == 1
        assert c.stop() == 0 and server.stop() == 0
        assert "one more connection" not in c.log()


def test_what_is_not_used_for_a_while_is_closed(start):
    with Peers(LONG_WAY) as peers:
        c = far_client(start, peers.url, env={"WSP_TEST_SPEED": "10"})
        app = App(c)
        # with 1000; the one with a stream stays, and is enough
        until(lambda: [p.closed for p in peers.all[1:]] == [1000] * 3)
        assert app.who() == 0 and peers.all[0].closed is None
        app.bulk()
        until(lambda: len(peers.all) == 5)
        app.close()
        until(lambda: sorted(p.closed or 0 for p in peers.all) ==
              [0] + [1000] * 4)
        App(c)  # in use again
        until(lambda: len(peers.all) == 8)
        assert "connection is down" not in c.log()
        assert c.stop() == 0


def test_a_connection_with_streams_leaves_when_they_have_ended(start):
    with Peers(LONG_WAY) as peers:
        c = far_client(start, peers.url, env={"WSP_TEST_SPEED": "10"})
        apps = [App(c) for _ in range(5)]
        stay = [apps[0], apps[4]]  # two streams are more than one
        assert [a.number for a in stay] == [0, 0]
        for a in apps[1:4]:
            assert [b.who() for b in apps] == [b.number for b in apps]
            apps.remove(a)
            a.close()
            until(lambda: peers.all[a.number].closed == 1000)
        assert [a.who() for a in stay] == [0, 0]
        assert c.stop() == 0


def test_a_connection_that_dies_takes_only_its_streams_along(start):
    with Peers() as peers:
        c = with_connections(start, peers.url, 2)
        apps = [App(c), App(c)]
        assert [a.number for a in apps] == [0, 1]
        peers.all[0].kill()  # the first one, too
        with pytest.raises((AssertionError, ConnectionResetError)):
            apps[0].who()
        assert apps[1].who() == 1
        assert App(c).number in (1, 2)
        until(lambda: len(peers.all) == 3)  # and it is replaced
        assert apps[1].who() == 1
        c.wait_log("one connection is down, 1 left")
        assert "tunnel down" not in c.log()
        assert sum(w[0] == "connected" for w in c.seen) == 1
        assert c.stop() == 0
        assert c.lines.get(timeout=5) == ["end"]


@pytest.mark.parametrize("close", [False, True])
def test_connections_that_fail_disturb_nobody(start, close):
    with Peers(most=1, close=close) as peers:
        c = client_of(start, peers.url, "--connections", "4")
        until(lambda: len(peers.refused) >= 3)
        assert [App(c).number for _ in range(3)] == [0, 0, 0]
        assert "warn" not in c.log() and "error" not in c.log()
        assert c.stop(seconds=5) == 0


def test_beside_a_stream_that_nobody_reads(start):
    """gowsp has no credit: all that comes behind it waits, on that
    connection."""
    with Peers() as peers:
        c = near_client(start, peers.url, "--workers", "1")
        stuck = App(c)
        before = stuck.number
        stuck.bulk(read=False)
        # at first it is not known yet, and so the answer may wait there
        until(lambda: len(peers.all) == before + 2)
        assert [App(c).number, App(c).number] == [before + 1] * 2
        App(c).bulk(read=False)
        until(lambda: len(peers.all) == before + 3)
        assert App(c).number == before + 2
        assert c.stop() == 0


def test_a_stream_waits_when_all_others_are_stuck(start):
    with Peers() as peers:
        c = near_client(start, peers.url, "--workers", "1")
        peers.gate.clear()
        asked = peers.asked
        App(c).bulk(read=False)
        until(lambda: peers.asked > asked)
        app = socket.create_connection(c.addr("socks"), 30)
        app.sendall(b"\5\1\0" + socks_request(ANYWHERE) + b"who")
        recv_exact(app, 2)
        peers.gate.set()
        assert socks_reply(app)[0] == 0
        number = recv_exact(app, 1)[0]
        until(lambda: len(peers.all) > number)
        assert number == len(peers.all) - 1 > 0
        assert c.stop() == 0


def test_without_another_connection_the_stuck_one_is_used(start):
    """It may be read again at any time."""
    with Peers(most=1, close=True) as peers:
        c = client_of(start, peers.url, "--workers", "1")
        stuck = App(c)
        stuck.bulk(read=False)
        until(lambda: peers.refused)
        app = socket.create_connection(c.addr("socks"), 30)
        app.sendall(b"\5\1\0" + socks_request(ANYWHERE))
        recv_exact(app, 2)
        # the CONNECT is out before anything of the stuck stream is read
        until(lambda: len(peers.all[0].over) == 2)
        stuck.close()
        assert socks_reply(app)[0] == 0
        assert c.stop() == 0


def test_a_server_that_comes_back_gets_them_all(start):
    port = free_port()
    server = start("server", "--listen", f"127.0.0.1:{port}").ready()
    c = with_connections(start, f"ws://127.0.0.1:{port}", 4,
                         env={"WSP_TEST_SPEED": "10"})  # no long pauses
    with Target(echo_handler) as t:
        for _ in range(3):
            server.kill()
            server = start("server", "--listen", f"127.0.0.1:{port}").ready()
            c.expect("connected")
            until(lambda: established(port) == 4)
            s = socks_connect(c.addr("socks"), t.addr)
            s.sendall(b"again")
            assert recv_exact(s, 5) == b"again"
            s.close()
    assert "warn: " not in server.log()
    assert c.stop() == 0 and server.stop() == 0


def test_all_go_to_the_server_that_works(start):
    with Peers() as peers:
        c = with_connections(start, f"ws://127.0.0.1:{closed_port()}", 3,
                             "--server", peers.url)
        assert len(peers.all) == 3
        assert c.stop() == 0


def test_downloads_over_a_long_way_leave_a_connection_free(start):
    """Both sides are wsp."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    with Hostile(server.addr("ws"), delay=LONG_WAY * 500) as way, \
            Target(pump) as source, Target(echo_handler) as echo:
        c = far_client(start, "ws://%s:%d" % way.addr)
        apps = [socks_connect(c.addr("socks"), source.addr)
                for _ in range(4)]
        while "one more connection: 5" not in c.log():
            for s in apps:
                assert s.recv(1 << 18)
        assert established(server.addr("ws")[1]) == 5
        s = socks_connect(c.addr("socks"), echo.addr)
        s.sendall(b"hello")
        assert recv_exact(s, 5) == b"hello"
        assert c.stop() == 0
    assert server.stop() == 0
