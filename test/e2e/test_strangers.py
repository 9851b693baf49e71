# SPDX-License-Identifier: MIT
"""Who is not known yet: how many may wait, who goes for whom, who guesses."""
import contextlib
import os
import resource
import selectors
import socket
import ssl
import threading
import time

import native
import pytest
from harness import (FIN, RST, Target, count, echo_handler, recv_all,
                     recv_exact)

TOKEN = "a token of some length"
WRONG = b"HTTP/1.1 401 "


@pytest.fixture
def descriptors():
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (old[1], old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


def server(start, *args, **kw):
    return start("server", "--listen", "127.0.0.1:0", "--token", TOKEN, *args,
                 **kw).ready()


def mute(addr, source="127.0.0.1"):
    s = socket.socket()
    s.bind((source, 0))
    s.settimeout(20)
    s.connect(addr)
    return s


def is_open(s):
    """Nothing has come, no end either."""
    s.setblocking(False)
    try:
        return bool(s.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False
    finally:
        s.settimeout(20)


def is_alive(s):
    """Whatever has come, no end has."""
    s.setblocking(False)
    try:
        while s.recv(1 << 16):
            pass
        return False
    except BlockingIOError:
        return True
    except ConnectionResetError:
        return False


def wait_closed(s):
    s.settimeout(20)
    assert recv_all(s) in ((b"", RST), (b"", FIN))


def request(token, more=b""):
    return (b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n"
            b"Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n" + more +
            b"Auth: " + token + b"\r\nProto: 0.10\r\n\r\n")


def client_hello():
    """The first flight of a TLS client."""
    ctx = ssl.create_default_context()
    out = ssl.MemoryBIO()
    tls = ctx.wrap_bio(ssl.MemoryBIO(), out, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        tls.do_handshake()
    return out.read()


def works(addr):
    with Target(echo_handler) as target:
        t = native.dial(addr, TOKEN)
        t.connect(b"1", "127.0.0.1:%d" % target.addr[1])
        # loopback is refused, but by the tunnel
        assert t.recv_for(b"1", native.RESPOND)
        t.close()


def test_the_oldest_goes_for_the_next(start):
    s = server(start, "--max-unauthenticated", "4", "--workers", "1")
    at = s.addr("ws")
    first = [mute(at) for _ in range(2)]
    works(at)
    assert all(map(is_open, first))
    first.append(mute(at))
    wait = mute(at)  # three quarters are there for one address
    wait_closed(first[0])
    other = mute(at, "127.0.0.2")  # there is room
    assert is_open(first[1])
    third = mute(at, "127.0.0.3")  # of all now, none being of its address
    wait_closed(first[1])
    assert all(map(is_open, [first[2], wait, other, third]))
    s.wait_log("closed for newer ones")
    works(at)
    assert s.stop() == 0


@pytest.mark.parametrize("kind", ["ws", "wss"])
def test_a_crowd_of_connections(start, descriptors, certs, kind):
    """They come on and on, mute or with half a TLS handshake; a client of the
    same address gets in."""
    n = count(600, 10000)
    tls = ("--tls-cert", certs["good"][0], "--tls-key", certs["good"][1])
    s = server(start, "--workers", "1", *(tls if kind == "wss" else ()))
    before, over = s.rss(), threading.Event()
    crowd, said = [], client_hello() if kind == "wss" else b""

    def flood():
        with contextlib.suppress(OSError):
            while not over.is_set():
                crowd.append(mute(s.addr(kind)))
                crowd[-1].send(said)
                if len(crowd) > n:
                    crowd.pop(0).close()

    t = threading.Thread(target=flood)
    t.start()
    until = time.monotonic() + 60
    while len(crowd) < n:
        assert time.monotonic() < until and t.is_alive()
        time.sleep(0.01)
    begin = time.monotonic()
    c = start("client", "--socks", "0", "--token", TOKEN, "--tls-ca",
              certs["ca"], "--server",
              f"{kind}://127.0.0.1:{s.addr(kind)[1]}").ready()
    took = time.monotonic() - begin
    over.set()
    t.join()
    print(f"{n} of {kind}: a client was ready after {took:.2f} s, "
          f"{s.rss() - before >> 10} KiB more")
    # over wss each of them costs a signature, for which a client waits too
    assert n < 10000 or kind == "wss" or took < 1
    if "ASAN_OPTIONS" not in os.environ:
        assert s.rss() - before < 16 << 20
    until = time.monotonic() + 10
    while sum(map(is_alive, crowd)) > 100:
        assert time.monotonic() < until
        time.sleep(0.1)
    assert c.stop() == 0 and s.stop() == 0, s.log()


def test_addresses_behind_a_front(start):
    """It is the PROXY header's address that counts, once it is known."""
    s = server(start, "--max-unauthenticated", "8", "--proxy-protocol",
               "--workers", "1")

    def come(source):
        c = mute(s.addr("ws"))
        if source:
            c.sendall(b"PROXY TCP4 %s 192.0.2.9 1 2\r\n" % source)
        return c

    mutes = [come(None) for _ in range(6)]
    mutes.append(come(b"192.0.2.1"))
    time.sleep(0.1)  # more would close it, fewer nothing
    works_through(s)
    assert all(map(is_open, mutes))
    for c in mutes:
        c.close()
    same = [come(b"192.0.2.1") for _ in range(7)]
    wait_closed(same[0])
    works_through(s)
    assert all(map(is_open, same[1:]))
    assert s.stop() == 0


def works_through(s):
    c = mute(s.addr("ws"))
    c.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.9 1 2\r\n" +
              request(TOKEN.encode()))
    assert c.recv(12) == b"HTTP/1.1 101"
    c.close()


def test_a_unix_socket_has_no_address(start, tmp_path):
    path = str(tmp_path / "s")
    s = start("server", "--listen", "unix:" + path, "--token", TOKEN,
              "--max-unauthenticated", "4", "--workers", "1").ready()
    mutes = []
    for _ in range(5):
        c = socket.socket(socket.AF_UNIX)
        c.connect(path)
        mutes.append(c)
    wait_closed(mutes[0])
    assert all(map(is_open, mutes[1:]))
    assert s.stop() == 0


@pytest.mark.parametrize("site", [False, True])
def test_a_site_keeps_its_guests(start, tmp_path, site):
    """At the limit a guest is the site's, and sees nothing of it."""
    (tmp_path / "index.html").write_text("hello")
    s = server(start, "--static", tmp_path, "--max-unauthenticated", "4",
               "--workers", "1" if site else "2")
    mutes = [mute(s.addr("ws")) for _ in range(20)]
    works(s.addr("ws"))
    for c in mutes:
        assert is_open(c)
        c.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert c.recv(12) == b"HTTP/1.1 200"
        c.close()
    assert s.stop() == 0


# Deadlines.

@pytest.mark.parametrize("kind,what", [
    ("ws", "nothing"), ("ws", "slow"), ("wss", "nothing"), ("wss", "slow"),
    ("wss", "half"), ("proxy", "nothing"), ("proxy", "slow")])
def test_ten_seconds_for_all_of_it(start, certs, kind, what):
    """However it is spent; the bytes come one by one."""
    args = {"ws": (), "proxy": ("--proxy-protocol",),
            "wss": ("--tls-cert", certs["good"][0], "--tls-key",
                    certs["good"][1])}[kind]
    s = server(start, *args, env={"WSP_TEST_SPEED": "10"})
    said = {"ws": request(b"x", b"X: " + b"y" * 4000 + b"\r\n"),
            "proxy": b"PROXY TCP4 192.0.2.1 192.0.2.9 1 2",
            "wss": client_hello()}[kind]
    c = mute(s.addr("wss" if kind == "wss" else "ws"))
    if what == "half":
        c.sendall(said)
        assert c.recv(1) == b"\x16"
    until = time.monotonic() + 30
    sel = selectors.DefaultSelector()
    sel.register(c, selectors.EVENT_READ)
    for b in said[:-1] if what == "slow" else b"":
        with contextlib.suppress(OSError):
            c.send(bytes([b]))
        if sel.select(0.04):
            break
    c.settimeout(max(0.1, until - time.monotonic()))
    with contextlib.suppress(ConnectionResetError):
        while c.recv(1 << 16):
            pass
    s.wait_log("client refused: timed out")
    assert s.stop() == 0


# Guesses.

def guess(s, n, more=b""):
    """n wrong tokens, all on their way before the first answer counts."""
    found = []
    for i in range(n):
        c = mute(s.addr("ws"))
        c.sendall(request(b"guess %d" % i, more))
        found.append(c)
    return found


@pytest.mark.parametrize("workers", [1, 3])
def test_who_guesses_has_to_wait(start, workers):
    s = server(start, "--workers", workers, env={"WSP_TEST_SPEED": "4"})
    answers = [recv_all(c) for c in guess(s, 14)]
    bodies = [a for a, _ in answers if a]
    assert len(bodies) == 9 and len(set(bodies)) == 1
    assert bodies[0].startswith(WRONG) and b"guess" not in bodies[0]
    assert sorted(e for a, e in answers if not a) == [RST] * 5
    works(s.addr("ws"))  # who knows it has not to wait, nor is he refused
    assert s.stop() == 0
    log = s.log()
    assert log.count("authorization refused") == 1, log
    assert log.count("wrong tokens within a minute") == 1, log
    assert TOKEN not in log and "guess 1" not in log


def test_guesses_are_counted_by_who_is_behind_the_front(start):
    s = server(start, "--trust-forwarded", "127.0.0.1",
               env={"WSP_TEST_SPEED": "4"})
    cs = guess(s, 10, b"X-Forwarded-For: 192.0.2.1\r\n")
    assert [recv_all(c)[0][:12] for c in cs].count(b"") == 1
    c = mute(s.addr("ws"))
    c.sendall(request(b"x", b"X-Forwarded-For: 192.0.2.2\r\n"))
    assert recv_all(c)[0].startswith(WRONG)
    assert s.stop() == 0
    assert s.log().count("wrong tokens within a minute") == 1


def test_behind_a_site_a_guess_is_a_visit(start, tmp_path):
    (tmp_path / "index.html").write_text("hello")
    s = server(start, "--static", tmp_path)
    seen = set()
    for c in guess(s, 15):
        a = b""
        while not a.endswith(b"hello"):
            a += recv_exact(c, 1)
        c.close()
        seen.add(b"\r\n".join(x for x in a.split(b"\r\n")
                              if not x.startswith(b"Date:")))
    assert len(seen) == 1, seen
    assert s.stop() == 0
    assert "wrong tokens" not in s.log()


def test_a_flood_of_guesses(start, descriptors):
    """From one address, and those who are refused do not go."""
    n = count(500, 10000)
    s = server(start)
    before, kept = s.rss(), []
    for i in range(n):
        c = mute(s.addr("ws"), f"127.0.{i % 250}.{1 + i % 3}")
        with contextlib.suppress(OSError):
            c.sendall(request(b"x"))
        kept.append(c)
    begin = time.monotonic()
    works(s.addr("ws"))
    took = time.monotonic() - begin
    print(f"{n} guesses: a client was in after {took:.3f} s, "
          f"RSS grew by {(s.rss() - before) >> 10} KiB")
    assert n < 10000 or took < 1
    if "ASAN_OPTIONS" not in os.environ:
        assert s.rss() - before < 16 << 20
    lines = s.log().count("\n")
    for c in kept:
        c.close()
    assert s.stop() == 0
    assert lines < 60
