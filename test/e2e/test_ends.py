# SPDX-License-Identifier: MIT
"""How connections end: promises P1 (a prefix), P2 (a clean end only after every
byte, a failure as a reset), on all sides."""
import concurrent.futures
import contextlib
import hashlib
import os
import queue
import random
import socket
import threading
import time

import pytest

from harness import (FIN, RST, Target, count, http_connect, recv_all,
                     recv_exact, reset, socks_connect, socks_request)

SIZES = [0, 1, 1000, 16384, 65537, 1 << 20, 10 << 20]
TCP_CLOSE = 7  # a FIN would have made it CLOSE_WAIT
NOISE = random.Random(1).randbytes(11 << 20)


def state_of(s):
    return s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]


def connect(pair, proxy, target):
    return (socks_connect if proxy == "socks" else http_connect)(
        getattr(pair, proxy), target)


@pytest.fixture(scope="module")
def shared():
    import harness
    p = harness.Pair()
    yield p
    p.stop()


@pytest.mark.parametrize("proxy", ["socks", "http"])
@pytest.mark.parametrize("size", SIZES)
def test_app_finishes_first_and_still_gets_the_answer(shared, proxy, size):
    """FIN by the application; the target answers after it has seen it."""
    got = {}

    def handler(s):
        data, end = recv_all(s)
        got["end"], got["data"] = end, data
        s.sendall(NOISE[:size] + b"after")
        s.close()

    with Target(handler) as t:
        s = connect(shared, proxy, t.addr)
        s.sendall(NOISE[:size])
        s.shutdown(socket.SHUT_WR)
        data, end = recv_all(s)
    assert got["data"] == NOISE[:size] and got["end"] == FIN
    assert data == NOISE[:size] + b"after" and end == FIN


@pytest.mark.parametrize("size", SIZES)
def test_target_finishes_first_and_still_gets_the_rest(shared, size):
    """FIN by the target; the application goes on sending."""
    got, done = {}, threading.Event()

    def handler(s):
        s.sendall(NOISE[:size])
        s.shutdown(socket.SHUT_WR)
        got["data"], got["end"] = recv_all(s)
        done.set()

    with Target(handler) as t:
        s = socks_connect(shared.socks, t.addr)
        data, end = recv_all(s)
        assert data == NOISE[:size] and end == FIN
        s.sendall(NOISE[:size] + b"after")
        s.shutdown(socket.SHUT_WR)
        assert done.wait(20)
    assert got["data"] == NOISE[:size] + b"after" and got["end"] == FIN


@pytest.mark.parametrize("size", SIZES)
def test_a_reset_of_the_app_reaches_the_target(shared, size):
    got, done = {}, threading.Event()

    def handler(s):
        got["data"], got["end"] = recv_all(s)
        done.set()

    with Target(handler) as t:
        s = socks_connect(shared.socks, t.addr)
        s.sendall(NOISE[:size])
        reset(s)
        assert done.wait(20)
    assert got["end"] == RST
    assert NOISE.startswith(got["data"])


@pytest.mark.parametrize("size", SIZES)
def test_a_reset_of_the_target_reaches_the_app(shared, size):
    def handler(s):
        s.recv(1)  # a reset at once would be a refusal
        s.sendall(NOISE[:size])
        reset(s)

    with Target(handler) as t:
        s = socks_connect(shared.socks, t.addr)
        s.sendall(b"x")
        data, end = recv_all(s)
    assert end == RST
    assert NOISE.startswith(data)


def test_a_reset_after_a_half_close(shared):
    """The application has finished; then the target fails."""
    def handler(s):
        recv_all(s)
        s.sendall(b"part")
        time.sleep(0.05)
        reset(s)

    with Target(handler) as t:
        s = socks_connect(shared.socks, t.addr)
        s.shutdown(socket.SHUT_WR)
        data, end = recv_all(s)
    assert (data, end) == (b"part", RST)


def one_close(pair, seed):
    """Both send a random size and close; both must have all of it."""
    r = random.Random(seed)
    up, down = (r.choice([r.randrange(100), r.randrange(70000),
                          r.randrange(1 << 20)]) for _ in range(2))
    a, b = r.randrange(1 << 20), r.randrange(1 << 20)
    got, done = {}, threading.Event()

    def handler(s):
        sender = threading.Thread(target=send, args=(s, NOISE[b:b + down]))
        sender.start()
        got["up"] = recv_all(s)
        sender.join()
        s.close()
        done.set()

    def send(s, data):
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)

    with Target(handler) as t:
        s = connect(pair, r.choice(["socks", "http"]), t.addr)
        sender = threading.Thread(target=send, args=(s, NOISE[a:a + up]))
        sender.start()
        got["down"] = recv_all(s)
        sender.join()
        s.close()
        assert done.wait(30)
    digest = hashlib.sha256
    for way, data in (("up", NOISE[a:a + up]), ("down", NOISE[b:b + down])):
        assert got[way][1] == FIN, f"seed {seed} {way}"
        assert len(got[way][0]) == len(data), f"seed {seed} {way}"
        assert digest(got[way][0]).digest() == digest(data).digest()


def test_nothing_is_lost_at_closes(shared):
    n = count(200, 10000)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for f in [pool.submit(one_close, shared, i) for i in range(n)]:
            f.result()


def test_server_speaks_first(shared):
    def handler(s):
        s.sendall(b"220 hello\r\n")
        s.close()

    with Target(handler) as t:
        for _ in range(count(200, 10000)):
            s = socks_connect(shared.socks, t.addr)
            assert recv_all(s) == (b"220 hello\r\n", FIN)
            s.close()


def settled(figure):
    """The figure, once it has been the same for half a second."""
    seen = [figure()]
    while len(seen) < 100 and (len(seen) < 6 or len(set(seen[-6:])) > 1):
        time.sleep(0.1)
        seen.append(figure())
    return seen[-1]


def test_a_stream_that_nobody_reads_stops_nobody(pair):
    p = pair()

    def flood(s):
        with pytest.raises(OSError):
            while True:
                s.sendall(bytes(1 << 16))

    with Target(flood) as bulk, Target(lambda s: s.sendall(s.recv(9))) as t:
        stuck = [socks_connect(p.socks, bulk.addr) for _ in range(20)]
        before = settled(lambda: p.client.rss() + p.server.rss())
        assert before < 20 * (16 << 20)
        for _ in range(50):
            s = socks_connect(p.socks, t.addr)
            s.sendall(b"question?")
            assert recv_exact(s, 9) == b"question?"
            s.close()
        time.sleep(0.5)
        assert p.client.rss() + p.server.rss() < before + (8 << 20)
        for s in stuck:
            reset(s)


@pytest.mark.parametrize("victim", ["client", "server"])
def test_a_kill_resets_idle_connections_too(start, victim):
    """With nothing unread, only SO_LINGER keeps the kernel from a FIN."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    client = start("client", "--socks", "0", "--server",
                   "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    ends = queue.Queue()

    def handler(s):
        s.sendall(s.recv(5))
        ends.put(recv_all(s))

    with Target(handler) as t:
        apps = [socks_connect(client.addr("socks"), t.addr) for _ in range(8)]
        for s in apps:
            s.sendall(b"hello")
            assert recv_exact(s, 5) == b"hello"
        time.sleep(0.1)
        (server if victim == "server" else client).kill()
        for s in apps:
            assert recv_all(s) == (b"", RST)
            assert ends.get(timeout=20) == (b"", RST)


@pytest.mark.parametrize("victim", ["client", "server"])
def test_a_kill_is_a_reset_never_a_clean_end(start, victim):
    """Kill one process while both directions run: neither the application nor
    the target may see a FIN, and what they have is a prefix."""
    for round_ in range(count(12, 300)):
        server = start("server", "--listen", "127.0.0.1:0").ready()
        client = start("client", "--socks", "0", "--server",
                       "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
        ends, lock = [], threading.Lock()

        def pump(s, who):
            def send():
                try:
                    while True:
                        s.sendall(NOISE[:1 << 20])
                except OSError:
                    pass
            threading.Thread(target=send, daemon=True).start()
            data, end = recv_all(s)
            # the sending thread may have fetched the error: ask the kernel
            if state_of(s) == TCP_CLOSE:
                end = RST
            whole = NOISE[:1 << 20] * (len(data) // (1 << 20) + 1)
            with lock:
                ends.append((who, end, whole.startswith(data)))

        with Target(lambda s: pump(s, "target")) as t:
            threads = []
            for _ in range(4):
                s = socks_connect(client.addr("socks"), t.addr)
                threads.append(threading.Thread(target=pump, args=(s, "app")))
                threads[-1].start()
            time.sleep(random.Random(round_).random() * 0.1)
            (server if victim == "server" else client).kill()
            for thread in threads:
                thread.join(20)
            until = time.monotonic() + 20
            while len(ends) < 8 and time.monotonic() < until:
                time.sleep(0.01)
        assert len(ends) == 8
        for who, end, prefix in ends:
            assert end == RST, f"round {round_}: the {who} got a clean end"
            assert prefix, f"round {round_}: the {who} got other bytes"
        server.kill()
        client.kill()


def test_a_reset_behind_a_half_close_is_noticed(start):
    """Nobody sends, nobody reads: only a look at the socket can tell."""
    fast = {"WSP_TEST_SPEED": "20"}
    server = start("server", "--listen", "127.0.0.1:0", env=fast).ready()
    client = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d"
                   % server.addr("ws")[1], env=fast).ready()
    ends = queue.Queue()

    def handler(s):
        assert recv_all(s) == (b"", FIN)
        while state_of(s) != TCP_CLOSE:
            time.sleep(0.05)
        ends.put(RST)

    with Target(handler) as t:
        s = socks_connect(client.addr("socks"), t.addr)
        s.shutdown(socket.SHUT_WR)
        time.sleep(0.2)
        reset(s)
        assert ends.get(timeout=10) == RST
    assert client.stop() == 0 and server.stop() == 0


def test_a_reset_behind_bulk_is_no_end(pair):
    """The application has finished, the target sends much and resets: splice()
    hears of it first, and asks the socket for its error only once."""
    p = pair(client=("--workers", "1"))
    much = NOISE * 3

    def handler(s):
        recv_all(s)
        s.sendall(much)
        reset(s)

    with Target(handler) as t:
        for _ in range(count(10, 200)):
            s = socks_connect(p.socks, t.addr)
            s.sendall(b"x")
            s.shutdown(socket.SHUT_WR)
            data, end = recv_all(s)
            assert much.startswith(data)
            assert end == RST, len(data)


def sockets(p):
    """How many it has; bulk has made a pipe, which stays."""
    n = 0
    for fd in os.listdir(f"/proc/{p.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            n += os.readlink(f"/proc/{p.pid}/fd/{fd}").startswith("socket:")
    return n


def test_streams_end_soon_when_the_application_has_gone(pair):
    """Its FIN, then a reset, while targets send that care for neither: what
    it has sent is on its way, and nobody wants the rest."""
    p = pair(client=("--workers", "1"))
    before = sockets(p.client), sockets(p.server)

    def flood(s):
        s.recv(1)
        with contextlib.suppress(OSError):
            while True:
                s.sendall(bytes(1 << 16))

    with Target(flood) as t:
        apps = [socks_connect(p.socks, t.addr) for _ in range(20)]
        for s in apps:
            s.sendall(b"x")
            recv_exact(s, 1)
            s.shutdown(socket.SHUT_WR)
        for s in apps:
            reset(s)
        until = time.monotonic() + 10
        while (sockets(p.client), sockets(p.server)) != before:
            assert time.monotonic() < until
            time.sleep(0.05)


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("way", ["up", "down"])
def test_term_cuts_nothing_that_was_sent(start, who, way):
    """Who sent has gone, who reads is slow, and TERM comes in between."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    client = start("client", "--socks", "0", "--server",
                   "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    data = random.Random(7).randbytes(600000)
    got = queue.Queue()

    def slow_reader(s):
        time.sleep(0.7)
        got.put(recv_all(s))

    def target(s):
        if way == "up":
            s.shutdown(socket.SHUT_WR)
            slow_reader(s)
        else:
            s.sendall(data)
        s.close()

    with Target(target) as t:
        # what the target's kernel takes does not wait in the server
        t.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        app = socket.create_connection(client.addr("socks"), 20)
        app.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        app.sendall(b"\5\1\0" + socks_request(t.addr))
        recv_exact(app, 12)
        stopping = client if who == "client" else server
        if way == "up":
            assert recv_all(app) == (b"", FIN)
        stopping.process.terminate()
        stopping.wait_log("stopping")
        if way == "up":
            app.sendall(data)
        app.shutdown(socket.SHUT_WR)
        if way == "down":
            slow_reader(app)
        assert got.get(timeout=20) == (data, FIN)
    assert server.stop() == 0, server.log()
    assert client.stop() == 0, client.log()
