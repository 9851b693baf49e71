# SPDX-License-Identifier: MIT
"""The negotiated protocol in both roles, written from docs/protocol.md alone:
nothing of wsp's source is used, no protobuf library either."""
import base64
import hashlib
import os
import socket
import struct

CONNECT, RESPOND, TRANSFER, INTERRUPT, CREDIT = range(5)
DYNAMIC = 2
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
WINDOW, MESSAGE = 16384, 1048832


# Protobuf: what section 4 and 5 need of it.

def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def number(field, n):
    return varint(field << 3) + varint(n) if n else b""


def text(field, data):
    return varint(field << 3 | 2) + varint(len(data)) + data if data else b""


def fields(data):
    """{field: int or bytes}"""
    out, at = {}, 0

    def take():
        nonlocal at
        n = shift = 0
        while True:
            c = data[at]
            at += 1
            n |= (c & 127) << shift
            shift += 7
            if c < 128:
                return n

    while at < len(data):
        tag = take()
        if tag & 7 == 0:
            out[tag >> 3] = take()
        else:
            assert tag & 7 == 2, f"wire type {tag & 7}"
            n = take()
            assert at + n <= len(data), "truncated"
            out[tag >> 3] = data[at:at + n]
            at += n
    return out


class Message:
    def __init__(self, data):
        f = fields(data)
        assert list(f) == sorted(f), "fields out of order"
        self.id, self.cmd = f.get(1, b""), f.get(2, 0)
        self.data = f.get(3, b"")

    def __repr__(self):
        return f"<{self.id!r} {self.cmd} {self.data[:40]!r}>"


class Closed(Exception):
    """The WebSocket has ended; code is that of the Close frame, or None."""

    def __init__(self, code):
        super().__init__(f"close code {code}")
        self.code = code


class Tunnel:
    """A WebSocket connection after its handshake."""

    def __init__(self, sock, client, rest=b"", peer=None):
        self.sock, self.client, self.buf = sock, client, rest
        self.peer = peer  # what the other side has promised, or None
        self.longest = 0  # message that has come
        self.closed = None

    # Frames, RFC 6455 section 5.

    def exact(self, n):
        while len(self.buf) < n:
            try:
                piece = self.sock.recv(1 << 18)
            except ConnectionResetError:
                piece = b""
            if not piece:
                raise Closed(self.closed)
            self.buf += piece
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def frame(self, opcode, data, fin=True):
        head = bytes([opcode | fin << 7])
        bit = 128 if self.client else 0
        if len(data) < 126:
            head += bytes([len(data) | bit])
        elif len(data) < 65536:
            head += bytes([126 | bit]) + struct.pack(">H", len(data))
        else:
            head += bytes([127 | bit]) + struct.pack(">Q", len(data))
        if self.client:
            key = os.urandom(4)
            mask = int.from_bytes((key * (len(data) // 4 + 1))[:len(data)],
                                  "big")
            data = (int.from_bytes(data, "big") ^ mask).to_bytes(len(data),
                                                                 "big")
            head += key
        self.sock.sendall(head + data)

    def read_frame(self):
        first, second = self.exact(2)
        n = second & 127
        assert bool(second & 128) != self.client, "masking"
        if n == 126:
            n = struct.unpack(">H", self.exact(2))[0]
        elif n == 127:
            n = struct.unpack(">Q", self.exact(8))[0]
        key = None if self.client else self.exact(4)
        data = self.exact(n)
        if key:
            mask = int.from_bytes((key * (n // 4 + 1))[:n], "big")
            data = (int.from_bytes(data, "big") ^ mask).to_bytes(n, "big")
        return first & 15, data

    # Messages, section 4.

    def send(self, id_, cmd, data=b""):
        self.frame(BINARY, text(1, id_) + number(2, cmd) + text(3, data))

    def recv(self):
        while True:
            opcode, data = self.read_frame()
            if opcode == PING:
                self.frame(PONG, data)
            elif opcode == CLOSE:
                self.closed = struct.unpack(">H", data[:2])[0]
                raise Closed(self.closed)
            elif opcode == BINARY:
                self.longest = max(self.longest, len(data))
                return Message(data)

    def recv_for(self, id_, *cmds):
        """The next message of one stream that is one of cmds."""
        while True:
            m = self.recv()
            if m.id == id_ and m.cmd in cmds:
                return m

    def connect(self, id_, target):
        self.send(id_, CONNECT, number(1, DYNAMIC) +
                  text(2, b"tcp://" + target.encode()))

    def respond(self, id_, reason=0, bound=b""):
        self.send(id_, RESPOND, number(1, reason == 0) +
                  text(2, b"refused" if reason else b"") + number(3, reason) +
                  text(4, bound))

    def credit(self, id_, n):
        self.send(id_, CREDIT, number(1, n))

    def reset(self, id_, reason=11):
        self.send(id_, INTERRUPT, number(1, reason))

    def close(self):
        self.sock.close()


def parse_wsp(value):
    parts = [p.strip() for p in value.split(";")]
    assert parts[0] == "1"
    return {k: int(v) for k, v in (p.split("=") for p in parts[1:])}


def read_head(sock):
    head = b""
    while b"\r\n\r\n" not in head:
        piece = sock.recv(4096)
        assert piece, f"end inside {head!r}"
        head += piece
    head, rest = head.split(b"\r\n\r\n", 1)
    first, *lines = head.decode().split("\r\n")
    return first, {k.lower(): v.strip() for k, v in
                   (line.split(":", 1) for line in lines)}, rest


def accept_of(key):
    return base64.b64encode(hashlib.sha1(key.encode() + GUID).digest()).decode()


def dial(addr, token="", window=WINDOW, message=MESSAGE, negotiate=True,
         proto="0.10", more=""):
    """The client's side, section 2. proto None: no such field."""
    sock = socket.create_connection(addr, 20)
    key = base64.b64encode(os.urandom(16)).decode()
    head = (f"GET / HTTP/1.1\r\nHost: {addr[0]}:{addr[1]}\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\n"
            "Sec-WebSocket-Version: 13\r\n"
            f"Sec-WebSocket-Key: {key}\r\nAuth: {token}\r\n{more}")
    if proto is not None:
        head += f"Proto: {proto}\r\n"
    if negotiate:
        head += f"Wsp: 1; window={window}; message={message}\r\n"
    sock.sendall(head.encode() + b"\r\n")
    first, fields_, rest = read_head(sock)
    assert first.split()[1] == "101", first
    assert fields_["sec-websocket-accept"] == accept_of(key)
    peer = parse_wsp(fields_["wsp"]) if "wsp" in fields_ else None
    return Tunnel(sock, True, rest, peer)


def accept(listener, window=WINDOW, message=MESSAGE, negotiate=True):
    """The server's side, section 2."""
    sock, _ = listener.accept()
    sock.settimeout(20)
    _, fields_, rest = read_head(sock)
    assert fields_["proto"] == "0.10" and "auth" in fields_
    head = ("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Accept: "
            f"{accept_of(fields_['sec-websocket-key'])}\r\n")
    if negotiate:
        head += f"Wsp: 1; window={window}; message={message}\r\n"
    sock.sendall(head.encode() + b"\r\n")
    peer = parse_wsp(fields_["wsp"]) if negotiate else None
    return Tunnel(sock, False, rest, peer)
