# SPDX-License-Identifier: MIT
"""--max-memory is a promise (P3): what waits for those who never read stays
below it, beside BASE."""
import contextlib
import os
import resource
import socket
import time

import native
import pytest
from harness import (Pair, Target, count, echo_handler, recv_exact,
                     socks_connect, socks_reply, socks_request)
from stalled import Mute, Pushers, small_socket

MIB = 1 << 20
BASE = 8 * MIB  # the program, and what a pool keeps


@pytest.fixture
def descriptors():
    old = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (old[1], old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, old)


@pytest.fixture
def stalls():
    """(never read, pushed to by their target), and pushers of our own."""
    down, up = Pushers(), Pushers()
    source, sink = Mute(down), Mute()
    yield source, sink, up
    up.stop()
    down.stop()
    source.stop()
    sink.stop()


def stalled_stream(proxy, target):
    s = small_socket(proxy)
    s.sendall(b"\5\1\0" + socks_request(target.addr))
    recv_exact(s, 2)
    assert socks_reply(s)[0] == 0
    return s


def settle(processes):
    """RSS once it has not grown for half a second."""
    last, same = [p.rss() for p in processes], 0
    for _ in range(80):
        time.sleep(0.1)
        now = [p.rss() for p in processes]
        grows = any(a > b + 65536 for a, b in zip(now, last))
        same = 0 if grows else same + 1
        if same == 5:
            break
        last = now
    return now


def wait_taken(target, n):
    until = time.monotonic() + 120
    while target.taken < n:
        assert time.monotonic() < until, f"{target.taken} of {n}"
        time.sleep(0.02)


def is_bounded(rss, limit):
    """A sanitizer keeps what has been freed, and needs more of everything."""
    return "ASAN_OPTIONS" in os.environ or rss <= limit


def verified(proxy, target):
    s = socks_connect(proxy, target.addr, 60)
    for _ in range(20):  # no more than any window holds
        data = os.urandom(3000)
        s.sendall(data)
        assert recv_exact(s, len(data)) == data
    s.close()


@pytest.mark.parametrize("n", [1, 50, 2500])
def test_readers_that_never_read(pair, stalls, descriptors, n):
    """n of them in each direction."""
    if n == 2500:
        n = count(0, 2500)
        if not n:
            pytest.skip("only in make test-long")
    size = 16 if n <= 50 else 256
    args = ("--max-memory", f"{size}M")
    p = pair(server=args, client=args)
    source, sink, up = stalls
    kept = []
    for _ in range(n):
        kept.append(stalled_stream(p.socks, source))
        up.add(stalled_stream(p.socks, sink))
    rss = settle([p.client, p.server])
    print(f"{n} + {n} readers that never read: client, server "
          f"{[r // MIB for r in rss]} MiB of {size}")
    assert all(is_bounded(r, size * MIB + BASE) for r in rss), rss
    with Target(echo_handler) as echo:
        verified(p.socks, echo)
    for s in kept:
        s.close()


def test_readers_that_stop(pair, stalls, descriptors):
    """Their windows have grown before."""
    args = ("--max-memory", "16M")
    p = pair(server=args, client=args)
    source, _, _ = stalls
    kept = [stalled_stream(p.socks, source) for _ in range(3)]
    for s in kept:
        recv_exact(s, MIB)
    rss = settle([p.client, p.server])
    assert all(is_bounded(r, 16 * MIB + BASE) for r in rss), rss
    for s in kept:
        s.close()


def test_many_tunnels_that_nobody_reads(start, stalls, descriptors):
    """Ten streams in each, whose targets send without end."""
    n = count(20, 1000)
    size = 16 if n <= 20 else 256
    server = start("server", "--listen", "127.0.0.1:0", "--max-memory",
                   f"{size}M", "--connect-timeout", "100").ready()
    source, tunnels = stalls[0], []
    for _ in range(n):
        t = native.dial(server.addr("ws"), window=MIB)
        t.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for i in range(10):
            t.connect(b"%x" % (2 * i + 1), "127.0.0.1:%d" % source.addr[1])
        tunnels.append(t)
    wait_taken(source, 10 * n)
    rss = settle([server])[0]
    print(f"{n} tunnels of 10 streams: {rss // MIB} MiB of {size}")
    assert is_bounded(rss, size * MIB + BASE), rss
    with Target(echo_handler) as echo:
        p = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d"
                  % server.addr("ws")[1]).ready()
        verified(p.addr("socks"), echo)
        assert p.stop() == 0
    for t in tunnels:
        t.sock.close()
    assert server.stop() == 0, server.log()


# In a cgroup of 64 MiB.

class Cgroup:
    def __init__(self, mib):
        name = f"wsp-test-{os.getpid()}"
        self.path = None
        for root, file in (("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
                           ("/sys/fs/cgroup", "memory.max")):
            with contextlib.suppress(OSError):
                path = os.path.join(root, name)
                os.mkdir(path)
                self.path = path
                with open(os.path.join(path, file), "w") as f:
                    f.write(str(mib * MIB))
                return
        self.remove()
        pytest.skip("no cgroup can be made here")

    def enter(self):
        with open(os.path.join(self.path, "cgroup.procs"), "w") as f:
            f.write(str(os.getpid()))

    def remove(self):
        if not self.path:
            return
        for _ in range(50):
            with contextlib.suppress(OSError):
                os.rmdir(self.path)
                return
            time.sleep(0.1)


@pytest.fixture
def cgroup():
    group = Cgroup(64)
    yield group
    group.remove()


@pytest.mark.skipif("ASAN_OPTIONS" in os.environ or "TSAN_OPTIONS" in
                    os.environ, reason="a sanitizer needs more memory")
def test_a_small_cgroup(start, cgroup, stalls, descriptors):
    """A quarter of it is for windows, and that is enough not to be killed."""
    server = start("server", "--listen", "127.0.0.1:0", "--workers", "1",
                   "--grace", "0", preexec_fn=cgroup.enter).ready()
    t = native.dial(server.addr("ws"))
    assert t.peer["window"] == 4096  # of 16 MiB
    t.close()
    client = start("client", "--socks", "0", "--grace", "0", "--server",
                   "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    source, sink, up = stalls
    kept = []
    for _ in range(count(12, 1000)):
        kept.append(stalled_stream(client.addr("socks"), source))
        up.add(stalled_stream(client.addr("socks"), sink))
    mutes = [small_socket(server.addr("ws")) for _ in range(count(150, 3000))]
    settle([server])
    with Target(echo_handler) as echo:
        verified(client.addr("socks"), echo)
    for s in kept + mutes:
        s.close()
    assert client.stop() == 0 and server.stop() == 0, server.log()
