# SPDX-License-Identifier: MIT
"""A relay on loopback that holds bytes for a while in each direction, in a
process of its own: what a long way does to flow control."""
import collections
import multiprocessing
import selectors
import socket
import time

CHUNK = 1 << 18


class Way:
    """One direction: bytes wait in it for seconds, at most size of them."""

    def __init__(self, src, dst, seconds, size):
        self.src, self.dst, self.seconds, self.size = src, dst, seconds, size
        self.held, self.bytes, self.ended = collections.deque(), 0, False

    def read(self, now):
        while self.bytes < self.size and not self.ended:
            try:
                data = self.src.recv(CHUNK)
            except BlockingIOError:
                return
            self.ended = not data
            self.bytes += len(data)
            self.held.append((now + self.seconds, data))

    def write(self, now):
        while self.held and self.held[0][0] <= now:
            due, data = self.held.popleft()
            if not data:
                self.dst.shutdown(socket.SHUT_WR)
                continue
            try:
                n = self.dst.send(data)
            except BlockingIOError:
                n = 0
            self.bytes -= n
            if n < len(data):
                self.held.appendleft((due, data[n:]))
                return


def _serve(listener, target, seconds, size):
    ways = []
    listener.setblocking(False)
    with selectors.DefaultSelector() as wait:
        wait.register(listener, selectors.EVENT_READ)
        while True:
            wait.select(0.001)
            try:
                a, _ = listener.accept()
                b = socket.create_connection(target)
                for s in (a, b):
                    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                    s.setblocking(False)
                    wait.register(s, selectors.EVENT_READ)
                ways += [Way(a, b, seconds, size), Way(b, a, seconds, size)]
            except BlockingIOError:
                pass
            now = time.monotonic()
            try:
                for w in ways:
                    w.read(now)
                    w.write(now)
            except OSError:
                return


class Delay:
    """with Delay(target, seconds) as d: d.addr is a way to target."""

    def __init__(self, target, seconds, size=256 << 20):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addr = listener.getsockname()
        self.process = multiprocessing.get_context("fork").Process(
            target=_serve, args=(listener, target, seconds, size),
            daemon=True)
        self.process.start()
        listener.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.join()
