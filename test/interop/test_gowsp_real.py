# SPDX-License-Identifier: MIT
"""The real wspc and wsps, from the folder $GOWSP (make interop GOWSP=DIR); they
are built elsewhere, and without them all of this is skipped. Older ones,
wspc-v0.3.3, wsps-v0.3.3 and so on beside them, are tried too."""
import concurrent.futures
import contextlib
import glob
import hashlib
import json
import os
import random
import socket
import subprocess
import time

import pytest
from harness import (Target, closed_port, count, echo_handler, free_port,
                     http_connect, recv_exact, socks_connect)

GOWSP = os.environ.get("GOWSP", "")
pytestmark = pytest.mark.skipif(
    not GOWSP, reason="no $GOWSP with the programs wspc and wsps")


def until_it_listens(port):
    for _ in range(200):
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port)).close()
            return
        time.sleep(0.05)
    raise AssertionError(f"nothing listens on {port}")


@pytest.fixture
def go(tmp_path):
    """go(name, config, port) -> the process, once it listens."""
    processes = []

    def make(name, config, port):
        file = tmp_path / f"{name}{len(processes)}.json"
        file.write_text(json.dumps(config))
        processes.append(subprocess.Popen(
            [os.path.join(GOWSP, name), "-c", file],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        until_it_listens(port)
        return processes[-1]

    yield make
    for p in processes:
        p.kill()
        p.wait()


class Way:
    socks = http = client = server = None


def our_server(go, start, certs, tls):
    cert, key = certs["good"]
    s = start("server", "--listen", "127.0.0.1:0", "--path", "/tunnel",
              "--token", "0123456789abcdef", "--allow", "loopback",
              *(("--tls-cert", cert, "--tls-key", key) if tls else ())).ready()
    kind = "wss" if tls else "ws"
    way = Way()
    way.server = s
    way.socks = ("127.0.0.1", free_port())
    way.http = ("127.0.0.1", free_port())
    way.url = "%s://%s:%d/tunnel" % (kind, "localhost" if tls else "127.0.0.1",
                                     s.addr(kind)[1])
    os.environ["SSL_CERT_FILE"] = certs["ca"]
    try:
        go("wspc", {"log": {"level": "error"}, "client": [{
            "auth": "0123456789abcdef", "server": way.url, "dynamic": [
                "socks5://127.0.0.1:%d" % way.socks[1],
                "http://127.0.0.1:%d" % way.http[1]]}]}, way.socks[1])
    finally:
        del os.environ["SSL_CERT_FILE"]
    return way


def our_client(go, start, certs, tls):
    cert, key = certs["good"]
    port = free_port()
    go("wsps", {"log": {"level": "error"}, "ssl": {"enable": tls, "key": key, "cert": cert}, "host": "",
                "auth": "0123456789abcdef", "path": "/tunnel", "port": port},
       port)
    way = Way()
    way.client = start(
        "client", "--socks", "0", "--http", "0", "--token", "0123456789abcdef",
        "--tls-ca", certs["ca"], "--server", "%s://localhost:%d/tunnel" % (
            "wss" if tls else "ws", port)).ready()
    way.socks = way.client.addr("socks")
    way.http = way.client.addr("http")
    return way


@pytest.fixture(params=["wspc", "wsps", "wspc-tls", "wsps-tls"])
def way(request, go, start, certs):
    make = our_server if request.param.startswith("wspc") else our_client
    w = make(go, start, certs, request.param.endswith("tls"))
    yield w
    for p in (w.client, w.server):
        if p:
            assert p.stop() in (0,), p.log()


def sized(n):
    return random.Random(n).randbytes(n)


def test_closes_right_behind_the_last_byte(way):
    """Random sizes up to 1 MiB: none truncated."""
    def handler(s):
        s.sendall(sized(int.from_bytes(recv_exact(s, 4), "big")))
        s.close()

    def one(n):
        s = socks_connect(way.socks, t.addr)
        s.settimeout(30)
        s.sendall(n.to_bytes(4, "big"))
        got = b"".join(iter(lambda: s.recv(1 << 18), b""))
        s.close()
        return got == sized(n)

    sizes = [random.randrange(1 << 20) for _ in range(count(100, 1000))]
    with Target(handler) as t, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        assert list(pool.map(one, sizes)).count(False) == 0


def test_banners_of_targets_that_close_at_once(way):
    """The server speaks first, and has gone before anybody answers."""
    with Target(lambda s: (s.sendall(b"banner\r\n" * 100), s.close())) as t:
        for _ in range(count(50, 500)):
            s = socks_connect(way.socks, t.addr)
            s.settimeout(20)
            got = b"".join(iter(lambda: s.recv(1 << 16), b""))
            assert got == b"banner\r\n" * 100
            s.close()


def test_300_streams_at_once(way):
    def one(i):
        connect = socks_connect if i % 2 else http_connect
        with connect(way.socks if i % 2 else way.http, t.addr) as s:
            s.settimeout(60)
            data = sized(20000 + i)
            s.sendall(data)
            return recv_exact(s, len(data)) == data

    with Target(echo_handler) as t, \
            concurrent.futures.ThreadPoolExecutor(300) as pool:
        assert all(pool.map(one, range(300)))


def test_a_long_upload_with_pauses(way):
    """Nothing comes back for a while: no side may take that for an end."""
    def handler(s):
        h = hashlib.sha256()
        for _ in range(30 << 20 >> 16):
            h.update(recv_exact(s, 1 << 16))
        s.sendall(h.digest())
        s.close()

    data = sized(30 << 20)
    with Target(handler) as t:
        s = socks_connect(way.socks, t.addr)
        s.settimeout(60)
        for at in range(0, len(data), 10 << 20):
            s.sendall(data[at:at + (10 << 20)])
            time.sleep(1)
        assert recv_exact(s, 32) == hashlib.sha256(data).digest()


def test_refused_targets_are_refused(way):
    with pytest.raises((AssertionError, OSError)):
        socks_connect(way.socks, ("127.0.0.1", closed_port()))


def test_a_stalled_reader_beside_others(way):
    """Towards gowsp there is no credit: it holds up to 1 MiB here."""
    block = bytes(1 << 16)

    def handler(s):
        with contextlib.suppress(OSError):
            for _ in range(8):
                s.sendall(block)
            s.recv(1)

    with Target(handler) as bulk, Target(echo_handler) as t:
        stuck = socks_connect(way.socks, bulk.addr)
        for _ in range(20):
            with socks_connect(way.socks, t.addr) as s:
                s.settimeout(10)
                s.sendall(b"question")
                assert recv_exact(s, 8) == b"question"
        stuck.settimeout(20)
        assert recv_exact(stuck, 8 << 16) == bytes(8 << 16)
        stuck.close()


def truncated(proxy, n):
    """How many of n downloads end early; and uploads must arrive."""
    def handler(s):
        size = int.from_bytes(recv_exact(s, 4), "big")
        recv_exact(s, size)
        s.sendall(sized(size))
        s.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError):
            while s.recv(1 << 16):
                pass
        s.close()

    def one(size):
        with socks_connect(proxy, t.addr) as s:
            s.settimeout(30)
            s.sendall(size.to_bytes(4, "big") + sized(size))
            return b"".join(iter(lambda: s.recv(1 << 18), b"")) != sized(size)

    sizes = [random.randrange(1 << 20) for _ in range(n)]
    with Target(handler) as t, \
            concurrent.futures.ThreadPoolExecutor(4) as pool:
        return sum(pool.map(one, sizes))


def banners_lost(proxy, n):
    lost = 0
    with Target(lambda s: (s.sendall(b"banner\r\n"), s.close())) as t:
        for _ in range(n):
            with socks_connect(proxy, t.addr) as s:
                s.settimeout(20)
                lost += b"".join(iter(lambda: s.recv(99), b"")) != \
                    b"banner\r\n"
    return lost


def older(name):
    """Not 0.4: wspc closes what it has not written yet, and answers fences
    before that; wsps uses a connection before it has one, and crashes."""
    found = glob.glob(os.path.join(GOWSP, name + "-*"))
    return sorted(os.path.basename(f) for f in found if "-v0.4." not in f)


@pytest.mark.parametrize("program", older("wspc"))
def test_older_clients(program, go, start):
    server = start("server", "--listen", "127.0.0.1:0", "--token",
                   "0123456789abcdef", "--allow", "loopback").ready()
    proxy = ("127.0.0.1", free_port())
    entry = {"auth": "0123456789abcdef",
             "server": "ws://127.0.0.1:%d" % server.addr("ws")[1],
             "dynamic": ["socks5://127.0.0.1:%d" % proxy[1]]}
    go(program, {**entry, "client": [entry]}, proxy[1])
    assert truncated(proxy, count(40, 1000)) == 0
    assert banners_lost(proxy, count(40, 1000)) == 0
    assert server.stop() == 0


@pytest.mark.parametrize("program", older("wsps"))
def test_older_servers(program, go, start):
    port = free_port()
    go(program, {"auth": "0123456789abcdef", "path": "/proxy", "port": port},
       port)
    client = start("client", "--socks", "0", "--grace", "1", "--token",
                   "0123456789abcdef", "--server",
                   f"ws://127.0.0.1:{port}/proxy").ready()
    proxy = client.addr("socks")
    assert truncated(proxy, count(40, 1000)) == 0
    assert banners_lost(proxy, count(40, 1000)) == 0
    assert client.stop() == 0


def test_one_file_for_both(go, start, tmp_path):
    """The files of the real programs, read by ours."""
    port, socks, http = free_port(), free_port(), free_port()
    wsps = {"log": {"level": "info"}, "auth": "0123456789abcdef",
            "ssl": {"enable": False, "key": "", "cert": ""},
            "host": "mywsps.com", "path": "/proxy", "port": port}
    wspc = {"log": {"level": "info"}, "client": [
        {"auth": "0123456789abcdef", "server": f"ws://127.0.0.1:{port}/proxy",
         "dynamic": [f"socks5://127.0.0.1:{socks}", f"http://:{http}"],
         "remote": ["tcp://ssh:pw@127.0.0.1:22"],
         "local": ["tcp://ssh:pw@127.0.0.1:2200"]}]}

    def ours(mode, config, *args):
        file = tmp_path / mode
        file.write_text(json.dumps(config))
        return start(mode, "--config", file, "--grace", "1", *args).ready()

    def all_proxies_work():
        with Target(echo_handler) as t:
            for connect, at in ((socks_connect, socks), (http_connect, http)):
                with connect(("127.0.0.1", at), t.addr) as s:
                    s.settimeout(20)
                    s.sendall(b"hello")
                    assert recv_exact(s, 5) == b"hello"

    theirs = go("wsps", wsps, port)
    client = ours("client", wspc)
    all_proxies_work()
    assert client.stop() == 0
    theirs.kill()
    theirs.wait()
    server = ours("server", wsps, "--allow", "loopback")
    go("wspc", wspc, http)
    until_it_listens(socks)
    all_proxies_work()
    assert server.stop() == 0
