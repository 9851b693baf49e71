# SPDX-License-Identifier: MIT
"""Streams that are verified byte by byte at both ends, in both directions:
the load program (test/bench/duplex.h) as an application and as a target, which
may be killed at any moment."""
import json
import os
import queue
import subprocess
import threading
import time

from harness import WSP

LOAD = os.path.join(os.path.dirname(WSP), "bench/load")


class Side:
    """tally() is what it has counted. Complaints arrive in stderr. where: what
    begins a command in a network namespace."""

    def __init__(self, *args, where=()):
        self.stderr, self.answers = [], queue.Queue()
        self.process = subprocess.Popen(
            [*where, LOAD, *map(str, args), "--reset"], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.PIPE)
        self.readers = [threading.Thread(target=f, daemon=True)
                        for f in (self._read_out, self._read_err)]
        for r in self.readers:
            r.start()

    def _read_out(self):
        for line in self.process.stdout:
            self.answers.put(json.loads(line))
        self.answers.put(None)

    def _read_err(self):
        self.stderr += list(self.process.stderr)

    def tally(self):
        self.process.stdin.write("?\n")
        return self.answers.get(timeout=20)

    def wait_for(self, true, seconds=20):
        """The tally as soon as true(tally)."""
        until = time.monotonic() + seconds
        while not true(tally := self.tally()):
            assert time.monotonic() < until, tally
            time.sleep(0.01)
        return tally

    def kill(self):
        """With resets."""
        self.process.kill()
        self.process.wait()
        for r in self.readers:
            r.join(20)
        assert not self.stderr, self.stderr


class Peer(Side):
    """The target, at addr."""

    def __init__(self, port=0, where=()):
        super().__init__("target", "--port", port, where=where)
        self.addr = "127.0.0.1", self.answers.get(timeout=20)


class Streams(Side):
    """The application: count streams at a time to peer, each of up to size
    bytes in each direction; the next one when one has ended."""

    def __init__(self, socks, peer, count, size, *args, timeout=20, where=()):
        super().__init__("duplex", "--socks", socks[1], "--target",
                         peer.addr[1], "--streams", count, "--bytes", size,
                         "--timeout", timeout, *args, where=where)

    def stop(self, seconds=60):
        """No more of them; the tally when the last has ended."""
        self.process.stdin.close()
        code = self.process.wait(seconds)
        for r in self.readers:
            r.join(20)
        tally = None
        while (answer := self.answers.get(timeout=20)):
            tally = answer
        assert not self.stderr, self.stderr
        assert code == 0 and tally["open"] == 0, tally
        return tally


def check(*tallies):
    """P1 and P2."""
    for t in tallies:
        assert t["truncated"] == 0 and t["corrupt"] == 0, t
