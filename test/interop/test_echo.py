# SPDX-License-Identifier: MIT
"""RFC 6455 on the code that wsp uses for handshake and framing, in both roles
(build/ws_echo): what a WebSocket test suite would ask."""
import os
import socket
import struct

import pytest

import native
from harness import ECHO
from native import BINARY, CLOSE, PING, PONG, TEXT


class Role:
    """ws_echo at the other end of t; frame() masks as our role needs it."""

    def __init__(self, start, server):
        if server:
            self.process = start("--listen", "127.0.0.1:0", binary=ECHO,
                                 announce=False)
            self.process.expect("listening")
            self.t = native.dial(self.process.addr("ws"), negotiate=False)
        else:
            listener = socket.create_server(("127.0.0.1", 0))
            self.process = start(
                "--connect", "ws://127.0.0.1:%d/runCase?case=1&agent=x"
                % listener.getsockname()[1], binary=ECHO, announce=False)
            sock, _ = listener.accept()
            sock.settimeout(20)
            first, fields, rest = native.read_head(sock)
            assert first == "GET /runCase?case=1&agent=x HTTP/1.1"
            assert "auth" not in fields and "wsp" not in fields
            sock.sendall(b"HTTP/1.1 101 Switching Protocols\r\n"
                         b"Upgrade: websocket\r\nConnection: Upgrade\r\n"
                         b"Sec-WebSocket-Accept: " + native.accept_of(
                             fields["sec-websocket-key"]).encode() +
                         b"\r\n\r\n")
            self.t = native.Tunnel(sock, False, rest)

    def message(self):
        """(opcode, data) of the next whole message, control frames too."""
        opcode, data = None, b""
        while True:
            first = self.t.exact(1)[0]
            second = self.t.exact(1)[0]
            n = second & 127
            if n > 125:
                n = int.from_bytes(self.t.exact(2 if n == 126 else 8), "big")
            key = None if self.t.client else self.t.exact(4)
            piece = self.t.exact(n)
            if key:
                piece = unmask(piece, key)
            if first & 8:
                return first & 15, piece
            opcode = first & 15 or opcode
            data += piece
            if first & 128:
                return opcode, data

    def closed_with(self):
        """The close code that comes, and then the end of the connection."""
        while True:
            opcode, data = self.message()
            if opcode == CLOSE:
                break
        self.t.sock.shutdown(socket.SHUT_WR)
        with pytest.raises(native.Closed):
            while True:
                self.t.exact(1)
        return struct.unpack(">H", data[:2])[0] if data else None


def unmask(data, key):
    n = len(data)
    mask = int.from_bytes((key * (n // 4 + 1))[:n], "big")
    return (int.from_bytes(data, "big") ^ mask).to_bytes(n, "big")


@pytest.fixture(params=["server", "client"])
def echo(start, request):
    role = Role(start, request.param == "server")
    yield role
    role.t.close()
    if request.param == "client":
        assert role.process.wait() == 0, role.process.log()
    else:
        assert role.process.stop() == 0, role.process.log()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 128, 4096, 65535, 65536,
                                  1 << 20, (1 << 20) + 1, 16 << 20])
def test_messages_of_all_sizes(echo, size):
    for opcode in (BINARY, TEXT):
        data = os.urandom(size) if opcode == BINARY else b"*" * size
        echo.t.frame(opcode, data)
        assert echo.message() == (opcode, data)


def test_fragments(echo):
    data = os.urandom(1 << 18)
    for step in (1 << 17, 1024, 64):
        pieces = [data[i:i + step] for i in range(0, len(data), step)]
        for i, piece in enumerate(pieces):
            echo.t.frame(0 if i else BINARY, piece, i == len(pieces) - 1)
        assert echo.message() == (BINARY, data)


def test_empty_fragments_and_pings_between(echo):
    echo.t.frame(TEXT, b"", False)
    echo.t.frame(PING, b"p1")
    assert echo.message() == (PONG, b"p1")
    echo.t.frame(0, "h\u00e9".encode()[:2], False)
    echo.t.frame(PING, b"")
    assert echo.message() == (PONG, b"")
    echo.t.frame(0, "h\u00e9".encode()[2:], False)
    echo.t.frame(0, b"", True)
    assert echo.message() == (TEXT, "h\u00e9".encode())


def test_byte_by_byte(echo):
    """Every border of a frame is a border of a read."""
    sent = []
    real = echo.t.sock
    echo.t.sock = type("S", (), {"sendall": lambda _, b: sent.append(b)})()
    echo.t.frame(BINARY, os.urandom(300))
    echo.t.frame(TEXT, b"text")
    echo.t.sock = real
    real.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for c in b"".join(sent):
        real.sendall(bytes([c]))
    assert len(echo.message()[1]) == 300
    assert echo.message() == (TEXT, b"text")


def test_pings_up_to_125_bytes(echo):
    echo.t.frame(PING, b"x" * 125)
    assert echo.message() == (PONG, b"x" * 125)
    echo.t.frame(PONG, b"unasked")
    echo.t.frame(PING, b"x" * 126)
    assert echo.closed_with() == 1002


def raw(echo, first, data=b"", masked=None):
    """A frame whose first byte may be anything."""
    masked = echo.t.client if masked is None else masked
    n = len(data)
    head = bytes([first, (128 if masked else 0) | min(n, 126)])
    if n > 125:
        head += struct.pack(">H", n)
    echo.t.sock.sendall(head + (b"\0\0\0\0" if masked else b"") + data)


@pytest.mark.parametrize("first", [0x92, 0xa2, 0xc2, 0x83, 0x87, 0x8b, 0x8f,
                                   0x09, 0x08, 0x80, 0x00])
def test_reserved_bits_opcodes_and_stray_fragments(echo, first):
    raw(echo, first, b"x")
    assert echo.closed_with() == 1002


def test_a_message_inside_a_fragmented_one(echo):
    echo.t.frame(BINARY, b"a", False)
    echo.t.frame(BINARY, b"b")
    assert echo.closed_with() == 1002


def test_the_wrong_masking(echo):
    raw(echo, 0x82, b"x", masked=not echo.t.client)
    assert echo.closed_with() == 1002


def test_a_length_that_is_not_minimal(echo):
    bit = 128 if echo.t.client else 0
    key = b"\0\0\0\0" if bit else b""
    echo.t.sock.sendall(bytes([0x82, 126 | bit]) + b"\0\x05" + key + b"12345")
    assert echo.closed_with() == 1002


def test_a_length_of_63_bits(echo):
    bit = 128 if echo.t.client else 0
    echo.t.sock.sendall(bytes([0x82, 127 | bit]) + b"\x7f" + b"\xff" * 7 +
                        (b"\0\0\0\0" if bit else b""))
    assert echo.closed_with() == 1009


def test_more_than_16_mib_in_fragments(echo):
    for i in range(17):
        echo.t.frame(0 if i else BINARY, bytes(1 << 20), False)
    assert echo.closed_with() == 1009


@pytest.mark.parametrize("data", [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5", b"\xf0\x90\x80\x80",
    b"\xf4\x8f\xbf\xbf", b"\xef\xbf\xbf", b"\xc2\x80", b"\0"])
def test_good_utf8(echo, data):
    echo.t.frame(TEXT, data)
    assert echo.message() == (TEXT, data)
    for i, c in enumerate(data):
        echo.t.frame(0 if i else TEXT, bytes([c]), i == len(data) - 1)
    assert echo.message() == (TEXT, data)


@pytest.mark.parametrize("data", [
    b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80edited", b"\xf4\x90\x80\x80", b"\xc0\xaf",
    b"\xff", b"\x80", b"\xe2\x82", b"\xf8\x88\x80\x80\x80", b"\xed\xbf\xbf"])
def test_bad_utf8(echo, data):
    echo.t.frame(TEXT, data)
    assert echo.closed_with() == 1007


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009,
                                  1010, 1011, 3000, 3999, 4000, 4999])
def test_close_codes_come_back(echo, code):
    echo.t.frame(CLOSE, struct.pack(">H", code) + b"why")
    assert echo.closed_with() == code


def test_close_without_a_code(echo):
    echo.t.frame(CLOSE, b"")
    assert echo.closed_with() in (None, 1000)


@pytest.mark.parametrize("data", [
    b"\x03", struct.pack(">H", 0), struct.pack(">H", 999),
    struct.pack(">H", 1004), struct.pack(">H", 1005), struct.pack(">H", 1006),
    struct.pack(">H", 1016), struct.pack(">H", 1100), struct.pack(">H", 2000),
    struct.pack(">H", 5000), b"\x03\xe8" + b"x" * 124])
def test_bad_closes(echo, data):
    raw(echo, 0x88, data)
    assert echo.closed_with() == 1002


def test_a_close_reason_that_is_no_utf8(echo):
    raw(echo, 0x88, b"\x03\xe8\xff")
    assert echo.closed_with() in (1002, 1007)


def test_nothing_is_taken_behind_a_close(echo):
    echo.t.frame(CLOSE, b"\x03\xe8")
    try:
        echo.t.frame(TEXT, b"late")
    except OSError:
        pass
    assert echo.closed_with() == 1000


def test_a_message_before_a_close_is_echoed(echo):
    echo.t.frame(TEXT, b"last words")
    echo.t.frame(CLOSE, b"\x03\xe8")
    assert echo.message() == (TEXT, b"last words")
    assert echo.closed_with() == 1000
