# SPDX-License-Identifier: MIT
"""Raw HTTP/1.1 for tests: origins that answer as a test wants, and a client
that sees heads, bodies and ends as they are."""
import socket

from harness import Target


class Message:
    """first (the line), fields (lower-case names), body; raw: the head."""

    def status(self):
        return int(self.first.split(b" ")[1])


def read_head(f):
    """None: the connection has ended."""
    m = Message()
    m.raw = b""
    while not m.raw.endswith(b"\r\n\r\n"):
        line = f.readline(1 << 17)
        if not line:
            assert not m.raw, f"end in a head: {m.raw!r}"
            return None
        m.raw += line
    m.first, *lines = m.raw[:-4].split(b"\r\n")
    m.fields = {}
    for line in lines:
        name, value = line.decode("latin-1").split(":", 1)
        m.fields.setdefault(name.lower(), []).append(value.strip())
    m.body = b""
    return m


def read_exact(f, n):
    data = f.read(n)
    assert len(data) == n, f"end after {len(data)} of {n} bytes"
    return data


def read_chunks(f):
    body = b""
    while n := int(f.readline(), 16):
        body += read_exact(f, n)
        assert f.read(2) == b"\r\n"
    while f.readline() != b"\r\n":
        pass
    return body


def read_body(f, m, close=False):
    if m.fields.get("transfer-encoding") == ["chunked"]:
        m.body = read_chunks(f)
    elif "content-length" in m.fields:
        m.body = read_exact(f, int(m.fields["content-length"][0]))
    elif close:
        m.body = f.read()
    return m


def ok(body=b"", *fields):
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (
        len(body), b"".join(x + b"\r\n" for x in fields), body)


class Origin(Target):
    """answer(request, socket, file) gives the bytes of each answer, or None:
    the connection ends. .accepts, .requests: what has come."""

    def __init__(self, answer, whole=True):
        self.answer, self.whole = answer, whole
        self.accepts, self.requests = 0, []
        super().__init__(self._serve)
        self.at = b"127.0.0.1:%d" % self.addr[1]

    def url(self, path="/"):
        return "http://%s%s" % (self.at.decode(), path)

    def _serve(self, s):
        self.accepts += 1
        with s, s.makefile("rb") as f:
            while r := read_head(f):
                self.requests.append(r)
                if self.whole:
                    read_body(f, r)
                data = self.answer(r, s, f)
                if data is None:
                    return
                s.sendall(data)


class Client:
    """A connection to the proxy."""

    def __init__(self, proxy, timeout=20):
        self.s = socket.create_connection(proxy, timeout)
        self.f = self.s.makefile("rb")

    def send(self, method, origin, path=b"/", *fields, body=b"",
             version=b"1.1"):
        self.s.sendall(b"%s http://%s%s HTTP/%s\r\nHost: %s\r\n%s\r\n%s" % (
            method, origin.at, path, version, origin.at,
            b"".join(x + b"\r\n" for x in fields), body))
        return self

    def head(self):
        m = read_head(self.f)
        assert m, "no answer"
        return m

    def answer(self, method=b"GET"):
        m = self.head()
        if method == b"HEAD" or m.status() in (204, 304) or m.status() < 200:
            return m
        return read_body(self.f, m, close=True)

    def ended(self):
        """Has the proxy ended the connection, with nothing left?"""
        return self.f.read() == b""

    def close(self):
        self.f.close()
        self.s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
