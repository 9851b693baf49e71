# SPDX-License-Identifier: MIT
"""A relay on loopback that does to connections what networks do
(test/tools/hostile.c, whose head names the faults)."""
import os
import queue
import subprocess
import threading

from harness import WSP

TOOL = os.path.join(os.path.dirname(WSP), "hostile")


class Hostile:
    """with Hostile(target, rate=200000) as way: way.addr leads to target.
    accepts: when connections came, in seconds of time.monotonic()."""

    def __init__(self, target, **faults):
        self.process = subprocess.Popen(
            [TOOL, str(target[1]), *self._words(faults)], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=1)
        self.addr = "127.0.0.1", int(self.process.stdout.readline())
        self.accepts, self.answers = [], queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    @staticmethod
    def _words(faults):
        return [f"{name}={value}" for name, value in faults.items()]

    def _read(self):
        for line in self.process.stdout:
            word, value = line.split()
            if word == "accept":
                self.accepts.append(float(value))
            else:
                self.answers.put(int(value))

    def say(self, *words, **faults):
        """From now on; the number of connections."""
        self.process.stdin.write(
            " ".join([*self._words(faults), *words]) + "\n")
        return self.answers.get(timeout=20)

    def cut(self, how, **faults):
        """End all connections, by reset, fin, half or stall."""
        return self.say("now", how=how, **faults)

    def close(self):
        self.process.kill()
        self.process.wait()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
