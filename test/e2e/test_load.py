# SPDX-License-Identifier: MIT
"""Thousands of streams, each verified in both directions: at once in one
tunnel, one after the other for a long time, and while a process is told to
stop."""
import contextlib
import os
import signal
import time

import pytest
from harness import LONG, count, lasting_port
from network import Lab
from streams import Peer, Streams, check
from ways import Hostile

MANY, EACH = (count(500, 10000), 1 << 20) if LONG else (500, 64 << 10)
SOAK = count(2000, 1000000)
RECONNECTS = SOAK // 100


def descriptors(p):
    return len(os.listdir(f"/proc/{p.pid}/fd"))


def until(true, seconds=30):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.05)


@pytest.fixture
def peer():
    it = Peer()
    yield it
    it.kill()


def test_many_at_once():
    lab = Lab()
    with contextlib.closing(lab):
        lab.small_buffers()
        many(lab)


def many(lab):
    peer = Peer(where=lab.near)
    server = lab.start(lab.near, "server", "--listen", "127.0.0.1:0",
                       "--max-memory", "1G").ready()
    client = lab.start(lab.near, "client", "--socks", "0", "--connections",
                       "1", "--max-memory", "1G", "--server",
                       "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    before = descriptors(client), descriptors(server)
    begin = time.monotonic()
    app = Streams(client.addr("socks"), peer, MANY, EACH, "--once",
                  timeout=60, where=lab.near).stop(3600)
    target = peer.wait_for(lambda t: t["open"] == 0)
    peer.kill()
    for t in (app, target):
        assert t["done"] == MANY and t["bytes"] == MANY * EACH, t
    print(f"\n{MANY} streams of {EACH} bytes in each direction, all at once: "
          f"{time.monotonic() - begin:.1f} s")
    until(lambda: (descriptors(client), descriptors(server)) == before)
    assert client.stop() == 0 and server.stop() == 0


def slope(samples):
    """Of the line through these points that has the least squares."""
    n = len(samples)
    x, y = (sum(s[i] for s in samples) / n for i in (0, 1))
    return (sum((a - x) * (b - y) for a, b in samples)
            / sum((a - x) ** 2 for a, _ in samples))


def test_soak(start, peer):
    """Timers are fast, connections are cut again and again: at the end there
    are as many descriptors as at the start, and memory does not grow."""
    fast = {"WSP_TEST_SPEED": "100"}
    server = start("server", "--listen", "127.0.0.1:0", env=fast).ready()
    with Hostile(server.addr("ws")) as way:
        client = start("client", "--socks", "0", "--server",
                       "ws://127.0.0.1:%d" % way.addr[1], env=fast).ready()
        both = client, server
        # every pool has what it needs, every worker has had a tunnel
        soak(both, way, peer, max(500, SOAK // 20))
        time.sleep(3)  # what was opened beside bulk is closed again
        before = [descriptors(p) for p in both]
        tally, memory = soak(both, way, peer, SOAK)
        until(lambda: [descriptors(p) for p in both] == before)
    print(f"\n{tally['opened']} streams, {tally['reset']} of them reset by "
          f"{RECONNECTS} cuts; descriptors as before: {before}")
    for p, samples in zip(("client", "server"), memory):
        grown = slope(samples[len(samples) // 4:]) * 1000
        print(f"{p}: {grown:.0f} bytes of memory for 1000 streams, "
              f"{samples[-1][1] >> 10} KiB at the end")
        if SOAK >= 100000:
            assert grown < 1024
    assert client.stop() == 0 and server.stop() == 0


def soak(both, way, peer, n):
    """n streams or more, with a cut after each 100: the application's tally, and of
    each process samples of (streams, memory)."""
    app = Streams(both[0].addr("socks"), peer, 32, 8 << 10)
    memory = [], []
    cuts = 0
    while (t := app.tally())["opened"] < n:
        if t["opened"] // 100 > cuts:
            way.cut("reset" if cuts % 2 else "fin")
            cuts = t["opened"] // 100
            for p, samples in zip(both, memory):
                samples.append((t["opened"], p.rss()))
        time.sleep(0.005)
    tally = app.stop()
    check(tally, peer.wait_for(lambda t: t["open"] == 0))
    return tally, memory


@pytest.mark.parametrize("who", ["client", "server"])
def test_term_under_load(start, peer, who):
    """What runs comes to its end within --grace, what comes is refused."""
    port = lasting_port()
    for _ in range(count(2, 200)):
        server = start("server", "--listen", f"127.0.0.1:{port}", "--grace",
                       "20").ready()
        client = start("client", "--socks", "0", "--server",
                       f"ws://127.0.0.1:{port}", "--grace", "20",
                       "--connect-timeout", "0.5").ready()
        app = Streams(client.addr("socks"), peer, 64, 4 << 20)
        app.wait_for(lambda t: t["open"] > 40 and t["done"] > 9)
        stopping = client if who == "client" else server
        stopping.process.send_signal(signal.SIGTERM)
        assert stopping.wait() == 0, stopping.log()
        assert "after --grace" not in stopping.log()
        tally = app.stop()
        assert tally["done"] == tally["opened"] > 49, tally
        tally = peer.wait_for(lambda t: t["open"] == 0)
        assert tally["done"] == tally["opened"] and not tally["reset"], tally
        assert client.stop() == 0 and server.stop() == 0
