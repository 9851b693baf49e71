# SPDX-License-Identifier: MIT
"""A name server for tests, given to wsp as WSP_TEST_DNS."""
import contextlib
import socket
import threading

A, AAAA = b"\0\1", b"\0\x1c"  # types


class Names:
    """Says the same addresses for every name, or that there is no such name if
    there are none. It is silent about the types in mute. asked has the
    questions (name, type, class); .env is for the process that shall ask."""

    def __init__(self, v6=(), v4=(), mute=()):
        self.say(v6, v4)
        self.mute = mute
        self.asked = []
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.env = {"WSP_TEST_DNS": "127.0.0.1:%d"
                    % self.socket.getsockname()[1]}
        threading.Thread(target=self._serve, daemon=True).start()

    def say(self, v6=(), v4=()):
        """From now on these."""
        self.records = {
            AAAA: [socket.inet_pton(socket.AF_INET6, a) for a in v6],
            A: [socket.inet_pton(socket.AF_INET, a) for a in v4]}

    def _serve(self):
        with contextlib.suppress(OSError):
            while True:
                query, peer = self.socket.recvfrom(4096)
                answer = self._answer(query)
                if answer:
                    self.socket.sendto(answer, peer)

    def _answer(self, query):
        end = query.index(b"\0", 12) + 5
        kind = query[end - 4:end - 2]
        self.asked.append(query[12:end])
        if kind in self.mute:
            return None
        known = any(self.records.values())
        found = self.records.get(kind, [])
        return (query[:2] + (b"\x81\x80" if known else b"\x81\x83") + b"\0\1" +
                len(found).to_bytes(2, "big") + bytes(4) + query[12:end] +
                b"".join(b"\xc0\x0c" + kind + b"\0\1\0\0\0\x3c" +
                         len(a).to_bytes(2, "big") + a for a in found))
