# SPDX-License-Identifier: MIT
"""wsp server --workers: who goes where, and how all of them end."""
import contextlib
import os
import re
import resource
import signal
import socket
import threading
import time

import pytest
from harness import (FIN, RST, Target, echo_handler, recv_all, recv_exact, run,
                     socks_connect, WSP)

BIG = 24 << 20


def server_on(start, *args, listen="127.0.0.1:0", **kw):
    return start("server", "--listen", listen, "--workers", "2", "-v",
                 *args, **kw).ready()


def client_of(start, url, *args):
    """With one tunnel, though a busy machine may look like a long way."""
    c = start("client", "--socks", "0", "--connections", "1", "--server", url,
              *args)
    c.expect("connected")
    return c.ready()


def url_of(server, kind="ws"):
    host = "localhost" if kind == "wss" else "127.0.0.1"
    return f"{kind}://{host}:{server.addr(kind)[1]}/"


def workers_of(server, n):
    """The workers of at least n visitors, in the order of their threads."""
    def found():
        return re.findall(r"client \S+: worker (\d)", server.log())

    until(lambda: len(found()) >= n)
    return list(map(int, found()))


def until(done):
    end = time.monotonic() + 10
    while not done():
        assert time.monotonic() < end
        time.sleep(0.01)


def download(socks, target, n):
    s = socks_connect(socks, target)
    s.sendall(n.to_bytes(8, "big"))
    return s


def source(s):
    """Sends as many bytes as it is asked for, then ends."""
    n = int.from_bytes(recv_exact(s, 8), "big")
    piece = bytes(1 << 16)
    while n:
        n -= s.send(piece[:min(n, len(piece))])
    s.shutdown(socket.SHUT_WR)
    recv_all(s)
    s.close()


@pytest.mark.parametrize("kind", ["ws", "wss"])
def test_each_tunnel_has_its_worker(start, certs, kind):
    tls = ["--tls-cert", certs["good"][0], "--tls-key", certs["good"][1]]
    server = server_on(start, *(tls if kind == "wss" else ()))
    trust = ["--tls-ca", certs["ca"]] if kind == "wss" else []
    clients = [client_of(start, url_of(server, kind), *trust)
               for _ in range(4)]
    assert sorted(workers_of(server, 4)) == [1, 1, 2, 2]
    with Target(echo_handler) as t:
        apps = [socks_connect(c.addr("socks"), t.addr)
                for c in clients for _ in range(3)]
        for i, s in enumerate(apps):
            s.sendall(bytes([i]) * 100000)
        for i, s in enumerate(apps):
            assert recv_exact(s, 100000) == bytes([i]) * 100000
            s.shutdown(socket.SHUT_WR)
            assert recv_all(s) == (b"", FIN)
            s.close()
    assert [p.stop() for p in (*clients, server)] == [0] * 5
    assert "left behind" not in server.log()


def test_a_ticket_is_good_at_every_worker(start, certs, tmp_path):
    cert, key = certs["good"]
    server = server_on(start, "--tls-cert", cert, "--tls-key", key)
    at = "127.0.0.1:%d" % server.addr("wss")[1]
    file = str(tmp_path / "session")

    def visit(option):
        return run("openssl", "s_client", "-connect", at, "-tls1_2", option,
                   file, input=b"").stdout

    assert b"New, TLSv1.2" in visit("-sess_out")
    for _ in range(4):
        assert b"Reused, TLSv1.2" in visit("-sess_in")
    assert set(workers_of(server, 5)) == {1, 2}
    assert server.stop() == 0


def test_who_has_gone_makes_room(start):
    """The place of a tunnel that has ended is the next one's."""
    server = server_on(start)
    a, b = (client_of(start, url_of(server)) for _ in range(2))
    first, second = workers_of(server, 2)
    assert {first, second} == {1, 2}
    for _ in range(3):
        seen = len(workers_of(server, 2))
        before = server.log().count("tunnel down")
        assert b.stop() == 0
        until(lambda: server.log().count("tunnel down") > before)
        b = client_of(start, url_of(server))
        assert workers_of(server, seen + 1)[-1] == second
    assert [p.stop() for p in (a, b, server)] == [0] * 3


def test_visitors_that_say_nothing_count_too(start):
    server = server_on(start)
    with contextlib.ExitStack() as held:
        for _ in range(6):
            held.enter_context(
                socket.create_connection(server.addr("ws"), 10))
        c = client_of(start, url_of(server))
        found = workers_of(server, 7)
        assert {found.count(1), found.count(2)} == {3, 4}
    assert [p.stop() for p in (c, server)] == [0, 0]


def test_a_unix_socket_is_shared_too(start, tmp_path):
    path = f"unix:{tmp_path}/s"
    server = server_on(start, listen=path)

    def upgrade():
        s = socket.socket(socket.AF_UNIX)
        s.connect(f"{tmp_path}/s")
        s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n"
                  b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                  b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
                  b"Sec-WebSocket-Protocol: gowsp\r\n\r\n")
        s.settimeout(10)
        assert s.recv(4096).startswith(b"HTTP/1.1 101")
        return s

    held = [upgrade() for _ in range(2)]
    assert sorted(workers_of(server, 2)) == [1, 2]
    for s in held:
        s.close()
    assert server.stop() == 0
    assert not os.path.exists(f"{tmp_path}/s")


def test_transfers_of_all_workers_outlive_term(start):
    server = server_on(start, "--grace", "60")
    clients = [client_of(start, url_of(server)) for _ in range(2)]
    assert sorted(workers_of(server, 2)) == [1, 2]
    with Target(source) as t:
        apps = [download(c.addr("socks"), t.addr, BIG)
                for c in clients for _ in range(2)]
        heads = [recv_exact(s, 100000) for s in apps]
        server.process.send_signal(signal.SIGTERM)
        server.wait_log("stopping")
        with pytest.raises(OSError):
            socket.create_connection(server.addr("ws"), 10)
        with pytest.raises(AssertionError, match="SOCKS5 reply"):
            socks_connect(clients[0].addr("socks"), t.addr)
        # one after the other: each worker waits for the rest
        for s, head in zip(apps, heads):
            assert server.process.poll() is None
            data, end = recv_all(s)
            assert (len(head) + len(data), end) == (BIG, FIN)
            s.close()
    assert server.wait() == 0
    assert "left behind" not in server.log()
    assert [c.stop() for c in clients] == [0, 0]


@pytest.mark.parametrize("busy", [0, 1])
def test_the_end_of_grace_is_the_end_of_all(start, busy):
    """Whichever worker has the stream that does not end."""
    server = server_on(start, "--grace", "1")
    clients = [client_of(start, url_of(server)) for _ in range(2)]
    with Target(echo_handler) as t:
        s = socks_connect(clients[busy].addr("socks"), t.addr)
        s.sendall(b"x")
        assert recv_exact(s, 1) == b"x"
        assert server.stop() == 0
        assert "after --grace" in server.log()
        assert recv_all(s) == (b"", RST)
        s.close()
    assert [c.stop() for c in clients] == [0, 0]


@pytest.mark.parametrize("busy", [0, 1])
def test_a_second_term_ends_all_threads(start, busy):
    server = server_on(start, "--grace", "60", env={
        "ASAN_OPTIONS": "detect_leaks=0"})  # nothing is freed then
    clients = [client_of(start, url_of(server)) for _ in range(2)]
    with Target(echo_handler) as t:
        s = socks_connect(clients[busy].addr("socks"), t.addr)
        s.sendall(b"x")
        assert recv_exact(s, 1) == b"x"
        server.process.send_signal(signal.SIGTERM)
        server.wait_log("stopping")
        assert server.stop() == 128 + signal.SIGTERM
        assert recv_all(s) == (b"", RST)
        s.close()
    assert [c.stop() for c in clients] == [0, 0]


def test_kill_9_truncates_nothing_silently(start):
    server = server_on(start)
    clients = [client_of(start, url_of(server)) for _ in range(2)]
    with Target(source) as t:
        apps = [download(c.addr("socks"), t.addr, 1 << 40) for c in clients]
        for s in apps:
            recv_exact(s, 100000)
        server.kill()
        for s in apps:
            assert recv_all(s)[1] == RST
            s.close()
    assert [c.stop() for c in clients] == [0, 0]


def test_hup_changes_nothing(start):
    server = server_on(start)
    clients = [client_of(start, url_of(server)) for _ in range(2)]
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("HUP")
    with Target(echo_handler) as t:
        for c in clients:
            s = socks_connect(c.addr("socks"), t.addr)
            s.sendall(b"x")
            assert recv_exact(s, 1) == b"x"
            s.close()
    assert [p.stop() for p in (*clients, server)] == [0] * 3


def test_at_the_limit_of_descriptors(start):
    """Each worker has its part of them; who comes then is refused, not kept,
    on his way to a worker neither."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, 300))

    def used():
        return len(os.listdir(f"/proc/{server.pid}/fd"))

    server = server_on(start, "--max-unauthenticated", "1000",
                       preexec_fn=limit)
    most = before = used()
    with contextlib.ExitStack() as held:
        # all at once: one worker accepts faster than the other one takes
        server.process.send_signal(signal.SIGSTOP)
        for _ in range(400):
            s = held.enter_context(socket.socket())
            s.setblocking(False)
            s.connect_ex(server.addr("ws"))
        server.process.send_signal(signal.SIGCONT)
        end = time.monotonic() + 30
        while "refused" not in server.log() or used() > most:
            most = max(most, used())
            assert time.monotonic() < end
        # 48 are kept back, 16 for the second worker; 16 hear that they are refused
        assert most <= before + 300 - 48 - 16 + 16 + 1
    c = client_of(start, url_of(server), "--wait", "30")
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        s.sendall(b"x")
        assert recv_exact(s, 1) == b"x"
        s.close()
    assert [p.stop() for p in (c, server)] == [0, 0]


def test_a_worker_without_descriptors_gets_nobody(start):
    """One client's streams have them all; the other worker takes the rest,
    though it has more visitors."""
    def limit():
        resource.setrlimit(resource.RLIMIT_NOFILE, (160, 160))

    server = server_on(start, preexec_fn=limit)
    clients, apps = [client_of(start, url_of(server))], []
    with Target(echo_handler) as t:
        with pytest.raises(AssertionError, match="SOCKS5 reply"):
            while len(apps) < 160:
                apps.append(socks_connect(clients[0].addr("socks"), t.addr))
        clients += [client_of(start, url_of(server)) for _ in range(4)]
        full, *others = workers_of(server, 5)
        assert others == [3 - full] * 4
        for s in apps:
            s.close()
    assert [p.stop() for p in (*clients, server)] == [0] * 6
    assert "refused" not in server.log()


def test_visitors_at_the_moment_of_term(start):
    """Sockets may be on their way to a worker that ends."""
    server = server_on(start)
    addr, over = server.addr("ws"), threading.Event()

    def knock():
        while not over.is_set():
            with contextlib.suppress(OSError):
                with socket.create_connection(addr, 10) as s:
                    s.sendall(b"GET / HTTP/1.1\r\n\r\n")
                    s.recv(100)

    knocking = [threading.Thread(target=knock) for _ in range(8)]
    for k in knocking:
        k.start()
    server.wait_log("worker 2")
    assert server.stop() == 0
    over.set()
    for k in knocking:
        k.join()
    assert "left behind" not in server.log()


def test_auto_is_the_number_of_cpus(start):
    def threads(workers, **kw):
        server = start("server", "--listen", "127.0.0.1:0", "--workers",
                       workers, **kw).ready()
        n = len(os.listdir(f"/proc/{server.pid}/task"))
        assert server.stop() == 0
        return n

    cpus = os.sched_getaffinity(0)
    assert threads("auto") == threads(min(64, len(cpus)))
    assert threads("auto", preexec_fn=lambda: os.sched_setaffinity(
        0, {min(cpus)})) == threads(1)
    assert threads(5) == threads(2) + 3


def test_a_listener_that_fails_ends_the_threads(start):
    with socket.create_server(("127.0.0.1", 0)) as busy:
        at = "127.0.0.1:%d" % busy.getsockname()[1]
        r = run(WSP, "server", "--workers", "3", "--listen", at)
    assert r.returncode == 3 and b"address already in use" in r.stderr
    assert b"left behind" not in r.stderr


@pytest.mark.parametrize("value", ["0", "65", "-1", "two", "2x", "", " 2",
                                   "1.5", "99999999999999999999"])
def test_a_bad_number_is_refused(value):
    r = run(WSP, "server", f"--workers={value}")
    assert r.returncode == 2
    assert b"--workers" in r.stderr


def test_memory_for_each(start):
    r = run(WSP, "server", "--workers", "4", "--max-memory", "3M")
    assert r.returncode == 2
    assert b"--max-memory: each of the --workers needs 1M" in r.stderr
