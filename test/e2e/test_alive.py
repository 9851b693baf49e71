# SPDX-License-Identifier: MIT
"""Who is dead and who is not (P5): a peer that is silent for 45 seconds is, and
every stream through it ends with a reset. A slow way, a short pause, and the
process's own sleep kill nobody.

In make test, timers run 10 or 20 times as fast, and rates and pauses with
them."""
import json
import signal
import subprocess
import time

import pytest
from harness import LONG, Target, echo_handler, recv_exact, socks_connect
from network import FAR, Lab
from streams import LOAD, Peer, Streams, check
from ways import Hostile

SPEED = 1 if LONG else 10
DEAD = 45 / SPEED
LATE = 5 if LONG else 15  # a busy machine
SLOW = 200000 * SPEED     # bytes a second
LASTS = 300 if LONG else 3
ENV = {"WSP_TEST_SPEED": str(SPEED)}
REAL = {"WSP_TEST_SPEED": "1"}
ASLEEP = {"WSP_TEST_SPEED": "1" if LONG else "20"}


class Loopback:
    """A server and a client with a hostile relay in between."""
    near = far = ()

    def __init__(self, start, rate=0):
        self.server = start("server", "--listen", "127.0.0.1:0",
                            env=ENV).ready()
        self.way = Hostile(self.server.addr("ws"), rate=rate)
        self.client = start("client", "--socks", "0", "--connect-timeout", "60",
                            "--server", "ws://%s:%d" % self.way.addr,
                            env=ENV).ready()

    def drop(self, way):
        self.way.say(stall=way)

    def end(self):
        assert self.client.stop() == 0, self.client.log()
        assert self.server.stop() == 0, self.server.log()

    def close(self):
        self.way.close()


class Namespaces:
    """The same, with packets that get lost."""

    def __init__(self, start, rate=0):
        self.lab = Lab()
        self.near, self.far = self.lab.near, self.lab.far
        if rate:
            self.lab.slow(rate)
        self.lab.drop("none")
        self.server = self.lab.server("--allow", "loopback", env=ENV)
        self.client = self.lab.client("--connect-timeout", "60",
                                      env=ENV).ready()

    def drop(self, way):
        self.lab.drop(way)

    end = Loopback.end

    def close(self):
        self.lab.close()


WAYS = [pytest.param(Loopback, id="relay"),
        pytest.param(Namespaces, id="namespaces")]


@pytest.fixture(params=WAYS)
def ways(request, start):
    """ways(...) -> a way from a client to a server."""
    made = []

    def make(**kw):
        made.append(request.param(start, **kw))
        return made[-1]

    yield make
    for way in made:
        way.close()


def streams(way, count, size, *args, peer=None):
    peer = peer or Peer(where=way.far)
    return peer, Streams(way.client.addr("socks"), peer, count, size, *args,
                         where=way.near, timeout=2 * DEAD + LATE)


def endless(way, peer):
    """A stream that only a reset ends."""
    app = streams(way, 1, 1 << 40, "--once", peer=peer)[1]
    app.wait_for(lambda t: t["bytes"])
    return app


def load(way, peer, *args):
    """What a bulk transfer has to say at its end."""
    return subprocess.Popen(
        [*way.near, LOAD, "bulk", "--socks", str(way.client.addr("socks")[1]),
         "--target", str(peer.addr[1]), "--bytes", str(SLOW * LASTS),
         "--timeout", str(60 + LASTS), *args],
        stdout=subprocess.PIPE, text=True)


@pytest.mark.parametrize("ways", WAYS if LONG else WAYS[:1], indirect=True)
def test_a_slow_way_is_no_dead_peer(ways):
    """Full in both directions, or in one: who only sends hears nothing."""
    both, up, down = (ways(rate=SLOW) for _ in range(3))
    peers = [Peer(where=w.far) for w in (up, down)]
    bulk = load(up, peers[0], "--up"), load(down, peers[1])
    peer, app = streams(both, 8, SLOW // 10)
    time.sleep(LASTS)
    tally = app.stop(60)
    assert tally["done"] == tally["opened"] > 8, tally
    check(peer.tally())
    for b in bulk:
        result = json.loads(b.communicate(timeout=60)[0])
        assert result["done"] == 1, result
    for p in (peer, *peers):
        p.kill()
    for way in (both, up, down):
        assert "tunnel down" not in way.client.log()
        assert "does not answer" not in way.server.log()
        way.end()


def silence(way, how):
    if how == "stop":
        way.client.process.send_signal(signal.SIGSTOP)
    else:
        way.drop(how)


def speech(way):
    way.client.process.send_signal(signal.SIGCONT)
    way.drop("none")


def test_silence_is_death(ways):
    """Nothing comes to the server, or to the client, or to both, or the client
    is stopped: the streams of both sides are reset, and all works again with
    the network."""
    silent = {how: ways() for how in ("up", "down", "both", "stop")}
    sides = {how: streams(way, 8, 1 << 20) for how, way in silent.items()}
    for peer, app in sides.values():
        app.wait_for(lambda t: t["done"] > 8)
    stuck = [endless(silent[how], side[0]) for how, side in sides.items()]
    begin = time.monotonic()
    for how, way in silent.items():
        silence(way, how)
    for how, (peer, app) in sides.items():
        peer.wait_for(lambda t: t["open"] == 0 and t["reset"], DEAD + LATE)
        assert time.monotonic() - begin < DEAD + LATE
    silent["stop"].client.process.send_signal(signal.SIGCONT)
    assert all(app.stop()["reset"] == 1 for app in stuck)
    for how, way in silent.items():
        speech(way)
        peer, app = sides[how]
        before = app.tally()["done"]
        app.wait_for(lambda t: t["done"] > before + 8, 30)
        check(app.stop(), peer.wait_for(lambda t: t["open"] == 0))
        peer.kill()
        way.end()


def stop(processes, seconds):
    for p in processes:
        p.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    for p in processes:
        p.process.send_signal(signal.SIGCONT)


def patient(s):
    s.settimeout(None)
    echo_handler(s)


class Talk:
    """A pair and a stream through it that says something now and then."""

    def __init__(self, start, target, server_env=ASLEEP, client_env=ASLEEP):
        self.server = start("server", "--listen", "127.0.0.1:0",
                            env=server_env).ready()
        self.client = start("client", "--socks", "0", "--server",
                            "ws://127.0.0.1:%d" % self.server.addr("ws")[1],
                            env=client_env).ready()
        self.s = socks_connect(self.client.addr("socks"), target)

    def goes_on(self):
        self.s.sendall(b"still")
        assert recv_exact(self.s, 5) == b"still"

    def end(self):
        self.s.close()
        assert "tunnel down" not in self.client.log(), self.client.log()
        assert self.client.stop() == 0 and self.server.stop() == 0


def test_who_has_slept_blames_nobody(start):
    """A client that was stopped, a server that was, and a machine that was:
    silence that they have made themselves. The peer's timers are slow, or it
    would be right to give up."""
    with Target(patient) as t:
        client = Talk(start, t.addr, server_env=REAL)
        server = Talk(start, t.addr, client_env=REAL)
        machine = Talk(start, t.addr)
        all_ = client, server, machine
        for talk in all_:
            talk.goes_on()
        if LONG:
            stop([machine.client, machine.server], 60)
        else:  # two minutes for who is stopped
            stop([client.client, server.server, machine.client,
                  machine.server], 6)
        # until everybody has looked whether the other one lives
        time.sleep(30 if LONG else 2)
        for talk in all_:
            talk.goes_on()
            talk.end()


def test_a_short_pause_is_forgiven(start):
    env = {"WSP_TEST_SPEED": "1" if LONG else "10"}
    with Target(patient) as t:
        talks = [Talk(start, t.addr, env, env) for _ in range(2)]
        stop([talks[0].client, talks[1].server], 20 if LONG else 2)
        for talk in talks:
            talk.goes_on()
            talk.end()
