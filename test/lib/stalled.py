# SPDX-License-Identifier: MIT
"""Many connections whose peers never read: what waits, waits in wsp."""
import contextlib
import selectors
import socket
import threading

BLOCK = bytes(1 << 16)


class Pushers:
    """Writes to every socket that it is given, whenever it takes something."""

    def __init__(self):
        self.sel = selectors.DefaultSelector()
        self.over = False
        self.sent = 0
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def add(self, s):
        s.setblocking(False)
        self.sel.register(s, selectors.EVENT_WRITE)  # epoll takes it any time

    def _run(self):
        while not self.over:
            for key, _ in self.sel.select(0.05):
                try:
                    self.sent += key.fileobj.send(BLOCK)
                except BlockingIOError:
                    pass
                except OSError:
                    with contextlib.suppress(KeyError):
                        self.sel.unregister(key.fileobj)

    def stop(self):
        self.over = True
        self.thread.join()
        for key in list(self.sel.get_map().values()):
            key.fileobj.close()
        self.sel.close()


class Mute:
    """A target that takes connections and does nothing with them, or gives
    them to Pushers. Its sockets are small: tcp_mem is for all of them."""

    def __init__(self, pushers=None):
        self.listener = socket.socket()
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
        self.listener.bind(("127.0.0.1", 0))
        self.listener.listen(1024)
        self.addr = self.listener.getsockname()
        self.pushers, self.kept, self.taken = pushers, [], 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                s, _ = self.listener.accept()
                self.taken += 1
                if self.pushers:
                    self.pushers.add(s)
                else:
                    self.kept.append(s)

    def stop(self):
        self.listener.close()
        for s in self.kept:
            s.close()


def small_socket(addr):
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16384)
    s.settimeout(30)
    s.connect(addr)
    return s
