# SPDX-License-Identifier: MIT
"""Servers of which each connection says who it is, and applications whose
streams ask for that."""
import contextlib
import socket
import threading
import time
from multiprocessing.connection import wait as readable

import native
import pytest
from harness import recv_exact, reset, run, socks_connect
from native import CONNECT, INTERRUPT, RESPOND, TRANSFER

ANYWHERE = ("a.example", 9)


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not (got := condition()):
        assert time.monotonic() < end
        time.sleep(0.01)
    return got


class Connection:
    """Of a gowsp: no credit. On each stream b"who" is answered with our
    number, b"bulk" begins to send for ever."""

    def __init__(self, tunnel, number):
        self.tunnel, self.number = tunnel, number
        self.lock, self.over = threading.Lock(), {}
        self.closed = None
        threading.Thread(target=self._read, daemon=True).start()

    def send(self, id_, cmd, data=b""):
        with self.lock:
            self.tunnel.send(id_, cmd, data)

    def _bulk(self, id_):
        with contextlib.suppress(OSError):
            while not self.over[id_].is_set():
                self.send(id_, TRANSFER, bytes(32 * 1024))
                time.sleep(0.001)  # who reads keeps up

    def _take(self, m):
        if m.cmd == CONNECT:
            self.over[m.id] = threading.Event()
            self.send(m.id, RESPOND, native.number(1, 1))
        elif m.cmd == TRANSFER and m.data == b"who":
            self.send(m.id, TRANSFER, bytes([self.number]))
        elif m.cmd == TRANSFER and m.data == b"bulk":
            threading.Thread(target=self._bulk, args=(m.id,),
                             daemon=True).start()
        elif m.cmd == INTERRUPT and m.id in self.over:
            self.over[m.id].set()

    def _read(self):
        try:
            while True:
                self._take(self.tunnel.recv())
        except native.Closed as e:
            self.closed = e.code
        except OSError:
            pass
        self.kill()

    def kill(self):
        for over in self.over.values():
            over.set()
        with contextlib.suppress(OSError):
            self.tunnel.sock.shutdown(socket.SHUT_RDWR)


class Peers:
    """seconds: what a handshake takes; more than most connections are not
    answered, or closed; all wait while the gate is closed."""

    def __init__(self, seconds=0.0, most=99, close=False):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = "ws://127.0.0.1:%d/" % self.listener.getsockname()[1]
        self.seconds, self.most, self.close = seconds, most, close
        self.all, self.refused = [], []
        self.asked, self.gate = 0, threading.Event()
        self.gate.set()
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError, ValueError):
            while readable([self.listener]):
                self.asked += 1
                self.gate.wait()
                time.sleep(self.seconds)
                if len(self.all) >= self.most:
                    self.refused.append(self.listener.accept()[0])
                    if self.close:
                        self.refused[-1].close()
                    continue
                t = native.accept(self.listener, negotiate=False)
                t.sock.settimeout(None)
                self.all.append(Connection(t, len(self.all)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.close()
        for c in self.all:
            c.kill()


class App:
    """An application with a stream; number: of its connection."""

    def __init__(self, client):
        self.sock = socks_connect(client.addr("socks"), ANYWHERE, 30)
        self.over, self.reader = False, None
        self.number = self.who()

    def who(self):
        self.sock.sendall(b"who")
        return recv_exact(self.sock, 1)[0]

    def bulk(self, read=True):
        self.sock.sendall(b"bulk")
        if read:
            self.reader = threading.Thread(target=self._read, daemon=True)
            self.reader.start()
        return self

    def _read(self):
        with contextlib.suppress(OSError):
            while not self.over and self.sock.recv(1 << 18):
                pass

    def close(self):
        """With a reset: gowsp does not hear of a FIN."""
        self.over = True
        if self.reader:
            self.reader.join()
        reset(self.sock)


def client_of(start, url, *args, **kw):
    return start("client", "--socks", "0", "--server", url, "-v", "--grace",
                 "0.1", *args, **kw).ready()


def near_client(start, url, *args, **kw):
    """Started again until the machine is not too busy for a short way."""
    for _ in range(50):
        c = client_of(start, url, *args, **kw)
        rtt = [w[2] for w in c.seen if w[0] == "connected"][0]
        if int(rtt[len("rtt="):-len("ms")]) < 5:
            return c
        c.stop()
    pytest.skip("loopback takes 5 ms here")


def pump(s):
    """Sends until the other side has gone."""
    with contextlib.suppress(OSError):
        while True:
            s.sendall(bytes(1 << 18))
    s.close()


def established(port):
    """Connections that a server on this port has."""
    out = run("ss", "-Htn", "state", "established", "sport", f"= :{port}")
    return len(out.stdout.splitlines())
