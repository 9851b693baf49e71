# SPDX-License-Identifier: MIT
"""Our decoding of messages beside Google's, on messages that are good, random,
and changed: what we take, protobuf takes, with the same fields. What we refuse
beyond that is what docs/protocol.md, section 4, says, and the proto3 features
that no peer of ours uses; each refusal must have one of these reasons.

The ways in which we take more: a text is not checked to be UTF-8 (addresses are
ASCII, other texts are only logged, escaped), it ends at its first zero byte,
and in the data of a message a number that is skipped, or the tag of a field
that is, may be of ten bytes and more."""
import importlib
import os
import random
import struct
import subprocess
import sys
import warnings

import pytest
from harness import ECHO, ROOT, count

pytest.importorskip("google.protobuf")
from google.protobuf.message import DecodeError  # noqa: E402

TOOL = os.path.join(os.path.dirname(ECHO), "msg_decode")
ID_MAX, TEXTS = 64, {"q": {2: 511}, "s": {2: 511, 4: 63}}  # wsp.options
KINDS = {"m": "WspMessage", "q": "WspRequest", "s": "WspResponse",
         "c": "WspCredit"}
# The fields that we know, and how they come: 0 a number, 2 bytes.
WIRE = {"m": {1: 2, 2: 0, 3: 2}, "q": {1: 0, 2: 2},
        "s": {1: 0, 2: 2, 3: 0, 4: 2}, "c": {1: 0}}


@pytest.fixture(scope="module")
def pb(tmp_path_factory):
    d = tmp_path_factory.mktemp("pb")
    subprocess.run(["protoc", f"--python_out={d}", "-I",
                    os.path.join(ROOT, "proto"), "wsp.proto"], check=True)
    sys.path.insert(0, str(d))
    yield importlib.import_module("wsp_pb2")
    sys.path.remove(str(d))


def decode(messages):
    """A line for each (kind, bytes)."""
    blob = b"".join(k.encode() + struct.pack("<I", len(m)) + m
                    for k, m in messages)
    p = subprocess.run([TOOL], input=blob, capture_output=True, timeout=300)
    assert p.returncode == 0, p.stderr
    lines = p.stdout.decode().splitlines()
    assert len(lines) == len(messages)
    return lines


def varint(p, at):
    """(value, the next place); raises IndexError at the end."""
    v = shift = 0
    while True:
        v |= (p[at] & 127) << shift
        shift += 7
        at += 1
        if p[at - 1] < 128:
            return v, at


def fields_of(p):
    """[(number, wire type, value or bytes)], as far as they can be read."""
    at, out = 0, []
    while at < len(p):
        tag, at = varint(p, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = varint(p, at)
        elif wire == 2:
            n, at = varint(p, at)
            value, at = p[at:at + n], at + n
        else:
            value, at = None, at + {1: 8, 5: 4}.get(wire, 0)
        out.append((number, wire, value))
    return out


def reasons(kind, p):
    """Why we may refuse what protobuf takes."""
    known, last, seen_data = WIRE[kind], 0, False
    for number, wire, value in fields_of(p):
        if wire in (3, 4):
            yield "a group"
        if number >> 29:
            yield "a number that no field can have"
        if number in known and wire != known[number]:
            yield "another type"
        if wire == 0 and value >> 64:
            yield "a number of more than 64 bits"
        if kind != "m":
            if wire == 2 and len(value) > TEXTS.get(kind, {}).get(
                    number, 1 << 31):
                yield "a long text"
            if kind == "c" or number == 3:
                if wire == 0 and value > 0xffffffff:
                    yield "a large number"
            if wire == 0 and number == 1 and not -2**31 <= signed(
                    value) < 2**31:
                yield "a large enum"
            continue
        if number == 1 and wire == 2 and len(value) > ID_MAX:
            yield "a long id"
        if number <= 3:
            if number <= last or seen_data:
                yield "order"
            last, seen_data = number, seen_data or number == 3


def signed(v):
    return v - 2**64 if v & 2**63 else v


def hexed(b):
    return b.hex() or "-"


def text(s):
    return hexed(s.encode().split(b"\0")[0])


def shown(kind, m):
    if kind == "m":
        return f"{m.cmd} {hexed(m.id)} {hexed(m.data)}"
    if kind == "q":
        return f"{m.type} {text(m.data)}"
    if kind == "s":
        return f"{m.code} {text(m.data)} {m.reason} {text(m.bound)}"
    return str(m.bytes)


def is_utf8(kind, p):
    for number, wire, value in fields_of(p):
        if wire == 2 and number in (2, 4) and kind in "qs":
            try:
                value.decode()
            except UnicodeDecodeError:
                return False
    return True


def is_long(p):
    """Is there a number of ten bytes or more?"""
    return any(all(b & 0x80 for b in p[at:at + 9])
               for at in range(len(p) - 9))


def compare(pb, kind, p, line):
    m = getattr(pb, KINDS[kind])()
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            m.ParseFromString(p)
        if said:  # "not all data was converted"
            raise DecodeError
    except DecodeError:
        assert line == "bad" or (kind != "m" and (
            not is_utf8(kind, p) or is_long(p))), (kind, p.hex(), line)
        return False
    if line == "bad":
        assert list(reasons(kind, p)), (kind, p.hex(), m)
        return False
    assert line == shown(kind, m), (kind, p.hex())
    return True


def good(r, pb):
    """A message that any encoder could have written."""
    kind = r.choice("mmmqsc")
    m = getattr(pb, KINDS[kind])()
    size = r.choice((0, 1, 5, 27, 127, 128, 300))
    if kind == "m":
        m.id = r.randbytes(r.choice((0, 1, 27, 64)))
        m.cmd = r.choice((0, 1, 2, 3, 4, 9, -1, 2**31 - 1))
        m.data = r.randbytes(size)
    elif kind == "q":
        m.type, m.data = r.choice((0, 1, 2, 9)), "t" * size
    elif kind == "s":
        m.code, m.data = r.choice((0, 1, 7)), "\u00fc" * (size % 255)
        m.reason, m.bound = r.choice((0, 11, 2**32 - 1)), "1.2.3.4:5"
    else:
        m.bytes = r.choice((0, 1, 127, 128, 2**32 - 1))
    return kind, m.SerializeToString()


def changed(r, p):
    """Bytes are flipped, lost, added; fields go elsewhere or come twice."""
    p = bytearray(p)
    for _ in range(r.randint(1, 3)):
        at = r.randint(0, len(p))
        what = r.randrange(6)
        if what == 0 and at < len(p):
            p[at] ^= 1 << r.randrange(8)
        elif what == 1 and at < len(p):
            del p[at]
        elif what == 2:
            p[at:at] = r.randbytes(r.randint(1, 12))
        elif what == 3:
            p += p[:at]
        elif what == 4:
            p[at:at] = r.choice((b"\x22\x02zz", b"\x28\x01", b"\x25abcd",
                                 b"\x21abcdefgh", b"\x23\x24", b"\x1a\0",
                                 b"\x10" + b"\x80" * 9 + b"\x01", b"\0"))
        else:
            p = p[:at]
    return bytes(p)


def test_what_we_take_is_what_protobuf_takes(pb):
    r = random.Random(7)
    messages = []
    for _ in range(count(20000, 1000000)):
        kind, p = good(r, pb)
        messages.append((kind, p))
        messages.append((kind, changed(r, p)))
        messages.append((r.choice("mqsc"), r.randbytes(r.randint(0, 20))))
    both = sum(compare(pb, kind, p, line) for (kind, p), line
               in zip(messages, decode(messages)))
    assert both > len(messages) // 3


def test_good_messages_are_taken(pb):
    r = random.Random(8)
    messages = [good(r, pb) for _ in range(2000)]
    for (kind, p), line in zip(messages, decode(messages)):
        assert line != "bad" and compare(pb, kind, p, line)
