# SPDX-License-Identifier: MIT
"""P1 and P2 while processes are killed or the network is cut at random
moments, beside 64 streams that are verified in both directions: what arrives
is a prefix, a clean end comes only after all, and it goes on by itself."""
import random
import time

import pytest
from harness import LONG, count, lasting_port
from streams import Peer, Streams, check
from ways import Hostile

STREAMS = 64
SIZE = (4 if LONG else 2) << 20
SEED = 7
# make test has no time for pauses between dials
ENV = {} if LONG else {"WSP_TEST_SPEED": "4"}


class Field:
    """A server, a client, a target and an application that is never done;
    each can be killed and is there again. The client reaches the server over
    a hostile relay, if faults are given."""

    def __init__(self, start, server=(), client=(), scheme="ws", faults=None,
                 env=None):
        self.start = lambda *args: start(*args, env=env or ENV)
        self.peer = Peer(lasting_port())
        self.tallies, self.beside = [], []
        port = lasting_port()
        self.server_args = ("server", "--listen", f"127.0.0.1:{port}", *server)
        self.server = self.start(*self.server_args).ready()
        self.way = None
        if faults is not None:
            self.way = Hostile(("127.0.0.1", port), **faults)
            port = self.way.addr[1]
        host = "localhost" if scheme == "wss" else "127.0.0.1"
        self.socks = "127.0.0.1", lasting_port()
        self.client_args = ("client", "--socks", self.socks[1], "--server",
                            f"{scheme}://{host}:{port}", *client)
        self.client = self.start(*self.client_args).ready()
        self.app = self.streams()

    def streams(self):
        return Streams(self.socks, self.peer, STREAMS, SIZE)

    def kill(self, who):
        """who is dead, and has been started again."""
        self.beside.append(self.app.tally()["open"])
        if who in ("server", "client"):
            getattr(self, who).kill()
            again = self.start(*getattr(self, who + "_args"))
            setattr(self, who, again.ready())
        elif who == "target":
            self.tallies.append(self.peer.tally())
            self.peer.kill()
            self.peer = Peer(self.peer.addr[1])
        else:
            self.tallies.append(self.app.tally())
            self.app.kill()
            self.app = self.streams()

    def cut(self, how, **faults):
        self.beside.append(self.app.tally()["open"])
        self.way.cut(how, **faults)

    def works_again(self, seconds=20):
        """Streams that came after this call are done: how long it took."""
        begin = time.monotonic()
        before = self.app.tally()["done"]
        self.app.wait_for(lambda t: t["done"] >= before + 3, seconds)
        return time.monotonic() - begin

    def end(self):
        """Everything ends as it should; all that was counted."""
        self.tallies += [self.app.stop()]
        self.tallies += [self.peer.wait_for(lambda t: t["open"] == 0)]
        self.peer.kill()
        if self.way:
            self.way.close()
        assert self.client.stop() == 0, self.client.log()
        assert self.server.stop() == 0, self.server.log()
        check(*self.tallies)
        return {k: sum(t[k] for t in self.tallies) for k in self.tallies[0]}


def report(what, field, times):
    total, times = field.end(), sorted(times)
    beside = sum(field.beside) // len(times)
    print(f"\n{what}: {len(times)} times beside {beside} streams on average; "
          f"{total['opened'] // 2} streams, "
          f"{total['bytes'] >> 20} MiB verified, {total['done'] // 2} done, "
          f"{total['reset']} reset, {total['truncated']} truncated, "
          f"{total['corrupt']} corrupt; back to work after "
          f"{times[len(times) // 2]:.2f} s, {times[-1]:.2f} s at most")


def shape(certs, name):
    """A word for each: ws or wss, 1 or 2 workers."""
    scheme, workers = name.split()
    server, client = ["--workers", workers], []
    if scheme == "wss":
        server += ["--tls-cert", certs["good"][0], "--tls-key",
                   certs["good"][1]]
        client += ["--tls-ca", certs["ca"]]
    return {"server": server, "client": client, "scheme": scheme}


SETUPS = ["ws 1", "ws 2", "wss 1", "wss 2"] if LONG else ["ws 2", "wss 1"]


def share(nth, *numbers):
    """Of the kills or cuts, for the setup with this number."""
    return range(nth, count(*numbers), len(SETUPS))


@pytest.mark.parametrize("nth", range(len(SETUPS)), ids=SETUPS)
def test_kills(start, certs, nth):
    chance = random.Random(SEED + nth)
    field = Field(start, **shape(certs, SETUPS[nth]))
    victims = ["client", "server", "target", "application"]
    field.works_again()
    times = []
    for i in share(nth, 20, 5000):
        time.sleep(chance.random() * 0.15)
        field.kill(victims[i // len(SETUPS) % len(victims)])
        times.append(field.works_again())
    report(f"kills, {SETUPS[nth]}", field, times)
    if LONG:
        assert sorted(times)[len(times) * 99 // 100] < 2


@pytest.mark.parametrize("nth", range(len(SETUPS)), ids=SETUPS)
def test_cuts(start, certs, nth):
    """The network instead; half of the times what is dialled next is cut too,
    in the middle of its handshake."""
    chance = random.Random(SEED + nth)
    fast = {"WSP_TEST_SPEED": "20"}  # a silent peer is dead within 2.25 s
    field = Field(start, **shape(certs, SETUPS[nth]), faults={}, env=fast)
    hows = ["reset", "fin", "half", "stall"]
    field.works_again()
    times = []
    for i in share(nth, 8, 1000):
        how = hows[i // len(SETUPS) % len(hows)]
        time.sleep(chance.random() * 0.15)
        again = chance.random() < 0.5
        field.cut(how, cut=chance.randrange(1, 3000) if again else 0)
        time.sleep(0.1)
        field.way.say(cut=0)
        times.append(field.works_again())
    report(f"cuts, {SETUPS[nth]}", field, times)
