# SPDX-License-Identifier: MIT
"""Many clients lose their server at the same moment: they come back soon, and
not all at once."""
import collections
import subprocess
import time

import pytest
from harness import LONG, WSP, count, lasting_port
from ways import Hostile

CLIENTS = count(50, 1000)
SPEED = 1 if LONG else 4
# of all attempts, in one second: of so few, chance makes more
MOST = 0.15 if CLIENTS >= 1000 else 0.3
ENV = {"WSP_TEST_SPEED": str(SPEED)}


def until(true, seconds):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def busiest(times, width):
    """The most of times that fall into one window of width."""
    best, first = 0, 0
    for last, t in enumerate(times):
        while times[first] <= t - width:
            first += 1
        best = max(best, last - first + 1)
    return best


@pytest.fixture
def clients():
    """clients(url): a crowd of them."""
    crowd = []

    def make(url):
        for _ in range(CLIENTS):
            crowd.append(subprocess.Popen(
                [WSP, "client", "--socks", "0", "--connections", "1",
                 "--server", url],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL))
        return crowd

    yield make
    for c in crowd:
        if c.poll() is None:
            c.kill()
        c.wait()


@pytest.mark.parametrize("outage", [0, 5] if LONG else [2])
def test_a_restart_is_no_storm(start, clients, outage, monkeypatch):
    monkeypatch.setenv("WSP_TEST_SPEED", str(SPEED))
    port = lasting_port()

    def server():
        return start("server", "--listen", f"127.0.0.1:{port}").ready()

    def tunnels():
        return running.log().count("tunnel up")

    running = server()
    with Hostile(("127.0.0.1", port)) as way:
        crowd = clients(f"ws://127.0.0.1:{way.addr[1]}")
        until(lambda: tunnels() >= CLIENTS, 60)
        way.say(refuse=1)
        begin = time.monotonic()
        running.kill()
        time.sleep(outage / SPEED)
        running = server()
        way.say(refuse=0)
        back = time.monotonic()
        until(lambda: tunnels() >= CLIENTS, 60)
        took = (time.monotonic() - back) * SPEED
        attempts = [t for t in way.accepts if t >= begin]
        most = busiest(attempts, 1 / SPEED)
        seconds = collections.Counter(int((t - begin) * SPEED)
                                      for t in attempts)
        print(f"\n{CLIENTS} clients, away for {outage} s: all back after "
              f"{took:.1f} s; {len(attempts)} attempts, {most} in one second "
              f"({most / len(attempts):.1%}); {sorted(seconds.items())}")
        assert most <= MOST * len(attempts)
        assert took < 30
        for c in crowd:
            c.terminate()
        assert [c.wait(20) for c in crowd] == [0] * CLIENTS
    assert running.stop() == 0
