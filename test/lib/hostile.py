# SPDX-License-Identifier: MIT
"""A WebSocket peer that breaks the rules on purpose: what it sends right after
a good handshake, in either role. Frames are made here, not in native.py, which
cannot make bad ones."""
import struct

from native import (BINARY, CLOSE, CONNECT, CREDIT, INTERRUPT, PING, RESPOND,
                    TRANSFER, number, text)

CONT, TEXT = 0, 1


def frame(client, opcode, data=b"", fin=True, rsv=0, masked=None, length=None):
    """length: what the header says, if it is not true. (The key is zero.)"""
    masked = client if masked is None else masked
    bit = 128 if masked else 0
    n = len(data) if length is None else length
    head = bytes([opcode | rsv << 4 | fin << 7])
    if n < 126:
        head += bytes([n | bit])
    elif n < 65536:
        head += bytes([126 | bit]) + struct.pack(">H", n)
    else:
        head += bytes([127 | bit]) + struct.pack(">Q", n)
    return head + (bytes(4) if masked else b"") + data


def message(id_, cmd, data=b""):
    return text(1, id_) + number(2, cmd) + text(3, data)


def of(client, id_, cmd, data=b""):
    return frame(client, BINARY, message(id_, cmd, data))


def attacks():
    """name -> function of client (our role): the bytes. Each must end the
    connection."""
    out = {}

    def add(name, make):
        out[name] = make

    for op in (3, 7, 11, 15):
        add(f"opcode {op}", lambda c, op=op: frame(c, op, b"x"))
    for rsv in (1, 2, 4):
        add(f"rsv {rsv}", lambda c, r=rsv: frame(c, BINARY, b"x", rsv=r))
    add("wrong masking", lambda c: frame(c, BINARY, b"x", masked=not c))
    add("fragmented ping", lambda c: frame(c, PING, b"x", fin=False))
    add("fragmented close", lambda c: frame(c, CLOSE, b"", fin=False))
    add("long ping", lambda c: frame(c, PING, b"x" * 126))
    add("1 GiB announced", lambda c: frame(c, BINARY, b"x", length=1 << 30))
    add("2^63 announced", lambda c: frame(c, BINARY, b"x", length=1 << 63))
    add("2 MiB in fragments", lambda c: frame(
        c, BINARY, b"x" * (1 << 20), fin=False) + frame(
        c, CONT, b"x" * (1 << 20), fin=False))
    add("1-byte fragments", lambda c: frame(c, BINARY, b"x", fin=False) +
        frame(c, CONT, b"x", fin=False) * 5000)
    add("empty fragments", lambda c: frame(c, BINARY, b"", fin=False) +
        frame(c, CONT, b"", fin=False) * 5000)
    add("stray continuation", lambda c: frame(c, CONT, b"x"))
    add("message in a message", lambda c: frame(
        c, BINARY, b"\x0a", fin=False) + frame(c, BINARY, b"x"))
    add("length not minimal", lambda c: bytes([0x82, 126 | 128 * c, 0, 5]) +
        bytes(4 * c) + b"xxxxx")
    add("text that is no UTF-8", lambda c: frame(c, TEXT, b"\xff\xfe"))
    for code in (0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535):
        add(f"close {code}", lambda c, n=code: frame(
            c, CLOSE, struct.pack(">H", n)))
    add("close of one byte", lambda c: frame(c, CLOSE, b"\3"))
    add("close reason no UTF-8", lambda c: frame(c, CLOSE, b"\3\xe8\xff"))
    add("data after close", lambda c: frame(c, CLOSE, b"\3\xe8") +
        of(c, b"1", CONNECT, b"junk") * 1000)
    for name, junk in (("wire type 7", b"\x0f"), ("group", b"\x0b\x0c"),
                       ("field 0", b"\x02\x00"), ("varint", b"\xff" * 11),
                       ("length beyond", b"\x0a\x7f1"),
                       ("order", text(3, b"x") + text(1, b"1")),
                       ("twice", text(1, b"1") * 2),
                       ("noise", bytes(range(255, 0, -1)))):
        add(f"protobuf: {name}", lambda c, j=junk: frame(c, BINARY, j))
    add("id of 65 bytes", lambda c: of(c, b"i" * 65, TRANSFER, b"x"))
    add("id of 1 MiB", lambda c: of(c, b"i" * (1 << 20), CONNECT))
    add("long INTERRUPT", lambda c: of(c, b"9", INTERRUPT, b"x" * 2000))
    return out


def harmless(client):
    """What is odd, but must be ignored: other streams' ids among it."""
    out = [of(client, b"zz", TRANSFER, b"x" * 1000),
           of(client, b"zz", TRANSFER), of(client, b"zz", RESPOND, b"\x08\1"),
           of(client, b"zz", INTERRUPT, number(1, 99)),
           of(client, b"zz", CREDIT, number(1, 1 << 31)),
           of(client, b"zz", 77, b"x" * 3000), of(client, b"", TRANSFER, b"x"),
           frame(client, TEXT, b"hello"), frame(client, PING, b""),
           frame(client, 10, b"unasked")]
    return b"".join(out * 20)
