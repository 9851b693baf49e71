# SPDX-License-Identifier: MIT
"""An origin that keeps what it receives, byte by byte, and a parser that takes
only what RFC 9112 asks for: what the proxy passes on must be that good."""
import re
import socket
import threading
import time

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
LINE = re.compile(rb"(" + TOKEN + rb") ([!-~]+) HTTP/1\.[01]")
FIELD = re.compile(rb"(" + TOKEN + rb"):[ \t]*((?:[!-~\x80-\xff]"
                   rb"(?:[ \t!-~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*")
CHUNK = re.compile(rb"([0-9A-Fa-f]{1,16})\r\n")
ANSWER = b"HTTP/1.1 200 OK\r\nX-Origin: 1\r\nContent-Length: 2\r\n\r\nok"


class Request:
    """method, target, version, fields, body, trailer; size: its bytes."""

    def values(self, name):
        return [v for n, v in self.fields if n.lower() == name.lower()]

    def end_to_end(self):
        """What every proxy must pass: names in lower case, sorted."""
        ours = (b"connection", b"via", b"host", b"te", b"keep-alive",
                b"transfer-encoding", b"content-length", b"upgrade", b"expect")
        return sorted((n.lower(), v) for n, v in self.fields
                      if n.lower() not in ours)


def parse_fields(block):
    fields = []
    for line in block.split(b"\r\n")[:-1]:
        m = FIELD.fullmatch(line)
        assert m, f"no field: {line[:99]!r}"
        fields.append(m.groups())
    return fields


def parse_chunks(r, data, at):
    """True: complete."""
    while True:
        m = CHUNK.match(data, at)
        if not m:
            assert b"\r\n" not in data[at:], data[at:at + 99]
            return False
        n, at = int(m[1], 16), m.end()
        if n == 0:
            break
        r.body += data[at:at + n]
        at += n
        if len(data) < at + 2:
            return False
        assert data[at:at + 2] == b"\r\n", data[at:at + 99]
        at += 2
    end = data.find(b"\r\n\r\n", at - 2)
    if end < 0:
        return False
    r.trailer = parse_fields(data[at:end + 2])
    r.size = end + 4
    return True


def parse(data):
    """The first request; None: it is not complete."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return None
    line, _, block = data[:end + 2].partition(b"\r\n")
    m = LINE.fullmatch(line)
    assert m, f"no request line: {line[:99]!r}"
    r = Request()
    r.line, r.method, r.target = line, m[1], m[2]
    r.fields, r.body, r.trailer = parse_fields(block), b"", []
    lengths, codings = (r.values(b"content-length"),
                        r.values(b"transfer-encoding"))
    assert len(lengths) + len(codings) <= 1, "framed twice"
    if codings:
        assert codings == [b"chunked"], codings
        return r if parse_chunks(r, data, end + 4) else None
    n = int(lengths[0]) if lengths else 0
    r.size = end + 4 + n
    r.body = data[end + 4:r.size]
    return r if len(r.body) == n else None


class Recorder:
    """Listens on 127.0.0.1 and ::1 at one port; each connection is an item of
    .seen: a bytearray. Answers each request."""

    def __init__(self):
        self.seen, self.open, self.errors = [], 0, []
        self.lock = threading.Lock()
        for _ in range(20):
            v4 = socket.create_server(("127.0.0.1", 0), backlog=128)
            self.port = v4.getsockname()[1]
            try:
                v6 = socket.create_server(("::1", self.port), backlog=128,
                                          family=socket.AF_INET6)
                break
            except OSError:
                v4.close()
        self.listeners = [v4, v6]
        for s in self.listeners:
            threading.Thread(target=self._accept, args=(s,),
                             daemon=True).start()

    def _accept(self, listener):
        while True:
            try:
                s, _ = listener.accept()
            except OSError:
                return
            data = bytearray()
            with self.lock:
                self.seen.append(data)
                self.open += 1
            threading.Thread(target=self._run, args=(s, data),
                             daemon=True).start()
            del s

    def _run(self, s, data):
        try:
            self._serve(s, data)
        except ConnectionError:
            pass
        except Exception as e:
            self.errors.append(e)
        finally:
            s.close()
            with self.lock:
                self.open -= 1

    def _serve(self, s, data):
        s.settimeout(20)
        done = 0
        while piece := s.recv(1 << 18):
            data += piece
            while (r := parse(bytes(data[done:]))) is not None:
                done += r.size
                s.sendall(ANSWER)

    def take(self, seconds=5):
        """What has arrived since the last time, once all connections have
        ended."""
        until = time.monotonic() + seconds
        while self.open and time.monotonic() < until:
            time.sleep(0.0005)
        seen, self.seen = self.seen, []
        errors, self.errors = self.errors, []
        assert not errors, errors
        return [bytes(d) for d in seen]

    def close(self):
        for s in self.listeners:
            s.close()
