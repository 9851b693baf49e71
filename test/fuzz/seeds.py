#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""seeds.py DIR: writes seeds that are made of bytes rather than text, a folder
of DIR for each fuzz target: one frame of each opcode, class of length and mask;
the messages of docs/protocol.md; conversations of a mux, native and with a
gowsp; what the users of a pair do.

Those that are text are in test/fuzz/seeds/."""
import os
import struct
import sys


def varint(n):
    out = b""
    while n > 127:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def field(number, value):
    """A field of protobuf; 0 and empty ones are left out."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value) if value else b""
    return varint(number << 3 | 2) + varint(len(value)) + value if value \
        else b""


CONNECT, RESPOND, TRANSFER, INTERRUPT, CREDIT = range(5)
DYNAMIC = 2


def message(ident, cmd, data=b""):
    return field(1, ident) + field(2, cmd) + field(3, data)


def connect(ident, url=b"tcp://h:2", kind=DYNAMIC):
    return message(ident, CONNECT, field(1, kind) + field(2, url))


def respond(ident, code=1, text=b"", reason=0, bound=b""):
    return message(ident, RESPOND, field(1, code) + field(2, text)
                   + field(3, reason) + field(4, bound))


def interrupt(ident, reason=0, text=b""):
    return message(ident, INTERRUPT, field(1, reason) or text)


def credit(ident, n):
    return message(ident, CREDIT, field(1, n))


GONE = b"connection does not exist"
TEXTS = (b"dial tcp 1.2.3.4:5: connect: connection refused", b"no such host",
         b"i/o timeout", b"network is unreachable", b"no route to host",
         b"timeout", b"connection reset", b"channel X not registered")


def msg():
    yield "empty", b""
    for n in (0, 1, 27, 64, 65):
        yield f"id{n}", message(b"i" * n, TRANSFER, b"data")
    for cmd in (0, 1, 2, 3, 4, 5, 77, 2 ** 64 - 1):
        yield f"cmd{cmd % 1000}", message(b"1", cmd, b"x")
    for n in (0, 1, 127, 128, 16384):
        yield f"data{n}", message(b"1", TRANSFER, b"d" * n)
    yield "unknown", message(b"1", TRANSFER, b"d") + field(4, 7) \
        + field(19, b"skipped")
    yield "fixed", varint(4 << 3 | 1) + bytes(8) + varint(5 << 3 | 5) \
        + bytes(4) + message(b"1", TRANSFER, b"d")
    yield "order", field(2, 2) + field(1, b"1") + field(3, b"d")
    yield "twice", message(b"1", 2, b"d") + field(3, b"e")
    yield "long-varint", b"\x10" + b"\x80" * 9 + b"\x01"
    yield "too-long-varint", b"\x10" + b"\x80" * 11
    yield "group", varint(6 << 3 | 3)
    yield "field0", b"\0\0"
    yield "cut", message(b"1", 2, b"data")[:-2]
    yield "request", field(1, 2) + field(2, b"tcp://h:1")
    yield "nul", field(1, 2) + field(2, b"tcp://h\0:1")
    for i, text in enumerate(TEXTS):
        yield f"failed{i}", field(2, text)
    for reason in (1, 11, 21, 99):
        yield f"reason{reason}", field(2, b"x") + field(3, reason)
    yield "success", field(1, 1) + field(4, b"10.0.0.1:80")
    yield "reset", field(1, 11)
    yield "credit", field(1, 2 ** 32 - 1)


FILLER = b"x" * 256


def pieces(*messages, step=126):
    """As fuzz_mux.c reads them: a byte, 0x80 for the last of a message; 0x7f
    and N for N times 256 bytes, with which a message may end."""
    out = b""
    for m in messages:
        if m.endswith(FILLER):
            head = m.rstrip(b"x")
            head += b"x" * ((len(m) - len(head)) % 256)
            out += bytes([len(head)]) + head \
                + bytes([0xff, (len(m) - len(head)) // 256])
            continue
        cut = [m[i:i + step] for i in range(0, len(m), step)] or [b""]
        for i, c in enumerate(cut):
            last = 0x80 if i == len(cut) - 1 else 0
            out += bytes([last | len(c)]) + c
    return out


def wait(seconds):
    """An unknown command is ignored, and half a second goes by."""
    return [message(b"zz", 9)] * int(seconds * 2)


# The first byte: 1 native, 2 we have made the connection; what remains is a
# salt. Without one, streams to an even port are accepted, and read unless it
# has 4 in it.
NATIVE, GOWSP = 1, 0


def mux():
    one, two = b"1", b"2"
    data = message(one, TRANSFER, b"d" * 100)
    fin = message(one, TRANSFER)
    big = message(one, TRANSFER, b"x" * 16128)
    full = message(one, TRANSFER, b"x" * 255 * 256)
    accepted = connect(one)
    unread = connect(one, b"tcp://h:4")
    data9 = message(two, TRANSFER, b"d" * 9)
    talks = {
        "echo": [accepted, data, data, fin],
        "refused": [connect(one, b"tcp://h:1")],
        "bulk": [accepted] + [x for _ in range(40) for x in
                              (full, credit(one, 65536), credit(one, 0))],
        "stuck": [unread] + [full] * 20 + [connect(two), data9]
        + wait(10) + [data9],
        "stuck-alone": [unread] + [full] * 20 + wait(10),
        "grows": [x for i in range(1, 9) for x in (
            connect(b"%d" % i), message(b"%d" % i, TRANSFER, b"x" * 15872),
            credit(b"%d" % i, 0))] * 6,
        "early": [accepted, data, fin, credit(one, 65536)],
        "window": [accepted, big, credit(one, 16384), big, big, credit(one, 0)],
        "over": [accepted] + [big] * 30,
        "reset": [accepted, data, interrupt(one, 11)],
        "reset0": [accepted, interrupt(one)],
        "late": [accepted, fin, fin],
        "credit-unknown": [credit(b"9", 1), interrupt(b"9", 1)],
        "credit-all": [accepted, credit(one, 2 ** 32 - 1),
                       credit(one, 2 ** 32 - 1)],
        "blocked": [accepted, data, credit(one, 0), data, credit(one, 0)],
        "same-id": [accepted, accepted],
        "bad-url": [connect(one, b"udp://h"), connect(two, b"tcp://h"),
                    connect(b"3", b"x"), connect(b"4", b"tcp://h:1", 1)],
        "bad-request": [message(one, CONNECT, b"\xff\xff")],
        "long-connect": [connect(one, b"tcp://" + b"h" * 1100 + b":1")],
        "long-respond": [respond(one, 0, b"x" * 1100)],
        "malformed": [b"\x1a\x7f"],
        "no-id": [connect(b""), message(b"", TRANSFER, b"d")],
        "long-id": [connect(b"i" * 64),
                    message(b"i" * 64, TRANSFER, b"d"),
                    interrupt(b"i" * 64)],
        "many": [connect(b"%d" % i) for i in range(40)],
    }
    for name, talk in talks.items():
        for dialect in (NATIVE, GOWSP):
            yield f"{name}-{dialect}", bytes([dialect]) + pieces(*talk)
        yield f"{name}-small", bytes([NATIVE]) + pieces(*talk, step=3)
    # a stream that speaks first (8), ends (16), is dropped (32), with a gowsp:
    # hold, probe, fence, refusal, retry, the end
    fence = b"!" + one
    refused = interrupt(one, text=GONE)
    for port in (2, 10, 18, 26, 34, 42):
        begin = [connect(one, b"tcp://h:%d" % port)] + wait(0.5)
        for name, talk in {
            "silent": wait(12),
            "speaks": [data] + wait(6),
            "refuses": [refused, interrupt(fence, text=GONE), refused,
                        interrupt(b'"' + one, text=GONE)] * 2
            + [interrupt(b"#" + one, text=GONE), interrupt(one)] + wait(6),
            "fenced": [interrupt(fence, text=GONE)] + wait(1)
            + [interrupt(b'"' + one, text=GONE), data] + wait(1)
            + [interrupt(one)] + wait(6),
            "refuses-all": [refused] * 40,
            "ends": [interrupt(one)] + wait(6),
        }.items():
            yield f"first-{name}{port}", bytes([GOWSP]) + pieces(
                *begin, *talk)
    for salt in (0, 8):  # the user drops it at the end
        yield f"orphan-held{salt}", bytes([GOWSP | salt]) + pieces(
            accepted, fin, interrupt(one), *wait(1), interrupt(fence))
    yield "orphan", bytes([GOWSP]) + pieces(
        accepted, *wait(1), data, fin, interrupt(one), interrupt(fence),
        *wait(4))
    # we open: the peer answers
    for dialect in (NATIVE, GOWSP):
        head = bytes([dialect | 2])
        for name, talk in {
            "opened": [respond(one), data, fin, credit(one, 1000)],
            "opened-bound": [respond(one, bound=b"1.2.3.4:5"), data,
                             interrupt(one)],
            "failed": [respond(one, 0, b"no such host"),
                       respond(b"3", 0, b"x", 11)],
            "respond-twice": [respond(one), respond(one)],
            "data-first": [data],
            "reset-first": [interrupt(one, 11)],
            "gone": [respond(one), interrupt(one, text=GONE)],
            "silent": [respond(one), data] + wait(6) + [interrupt(one)]
            + wait(6),
            "choke": [respond(one)] + [big] * 30 + wait(10),
        }.items():
            yield f"{name}-{dialect}", head + pieces(*talk)


def frame(opcode, payload, mask=True, fin=True, wide=0):
    """wide: 2 or 8 bytes of length though fewer would do."""
    n = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    bit = 0x80 if mask else 0
    if n < 126 and not wide:
        head += bytes([bit | n])
    elif n < 65536 and wide < 8:
        head += bytes([bit | 126]) + struct.pack(">H", n)
    else:
        head += bytes([bit | 127]) + struct.pack(">Q", n)
    if mask:
        key = b"\x11\x22\x33\x44"
        payload = bytes(c ^ key[i % 4] for i, c in enumerate(payload))
        head += key
    return head + payload


def ws():
    for client in (0, 1):
        role, mask = bytes([client]), not client
        for opcode in range(16):
            for n in (0, 5, 125, 126, 700):
                yield f"{client}-{opcode}-{n}", role + frame(
                    opcode, b"p" * n, mask) * 2
        yield f"{client}-unmasked", role + frame(2, b"data", not mask)
        for wide in (2, 8):
            yield f"{client}-wide{wide}", role + frame(2, b"d", mask, True, wide)
        yield f"{client}-fragments", role + b"".join(
            [frame(1, b"\xc3", mask, False), frame(9, b"ping", mask),
             frame(0, b"\xa4", mask, False), frame(0, b"", mask),
             frame(2, b"next", mask)])
        yield f"{client}-many", role + frame(2, b"", mask, False) \
            + frame(0, b"x", mask, False) * 20
        yield f"{client}-utf8", role + frame(1, b"\xff\xfe", mask)
        yield f"{client}-stray", role + frame(0, b"x", mask)
        yield f"{client}-large", role + frame(2, b"x" * 4097, mask)
        yield f"{client}-large-parts", role + frame(
            2, b"x" * 4000, mask, False) + frame(0, b"x" * 200, mask)
        yield f"{client}-large-text", role + frame(1, b"x" * 4097, mask)
        yield f"{client}-pings", role + frame(9, b"p", mask) * 12
        yield f"{client}-pong", role + frame(10, b"", mask)
        yield f"{client}-rsv", role + b"\xc2" + frame(2, b"x", mask)[1:]
        for code in (999, 1000, 1004, 1005, 1011, 3000, 65535):
            yield f"{client}-close{code}", role + frame(
                8, struct.pack(">H", code) + b"bye", mask)
        yield f"{client}-close1", role + frame(8, b"x", mask)
        yield f"{client}-close-utf8", role + frame(8, b"\x03\xe8\xff", mask)
        yield f"{client}-stop", bytes([client | 6]) + frame(2, b"x", mask) * 3
        yield f"{client}-stop-text", bytes([client | 2]) + frame(
            1, b"x", mask) * 3 + frame(1, b"y" * 300, mask)
        yield f"{client}-huge", role + b"\x82" + bytes(
            [(not client) << 7 | 127]) + b"\x7f" + b"\xff" * 7


def gcm():
    for bits in range(3):
        for niv in (11, 0, 31):
            for nad in (0, 13):
                for in_place in (0, 1):
                    yield f"{bits}-{niv}-{nad}-{in_place}", \
                        bytes(range(64)) + bytes(
                            [bits, niv, nad, bits, in_place, 3, 0, 9]) \
                        + b"text " * (niv + 1)


# fuzz_pair.c: two bytes are a step, what and for whom.
SEND, FIN, READ, LEFT, DROP, OPEN, PULL, SOME, MUCH = 0, 2, 3, 4, 5, 6, 8, 10, 11


def user(pair, side, more=0):
    return more << 4 | side << 3 | pair


def carry():
    """Both sides say what they have, and hear it."""
    return [(PULL, 0), (MUCH, 0xfe), (PULL, 1), (MUCH, 0xff)]


def pair():
    opened = [(OPEN, 0)] + carry()
    reads = [(READ, user(1, 0, 12)), (READ, user(1, 1, 12))]
    left = [(LEFT, user(1, 0)), (LEFT, user(1, 1))]
    up = [(SEND, user(1, 0, 14))] + carry() + left
    down = [(SEND, user(1, 1, 14))] + carry() + left
    talks = {
        "echo": opened + reads + up + down + [(FIN, user(1, 0))] + carry()
        + [(FIN, user(1, 1))] + carry(),
        "bulk": opened + reads + up * 40 + down * 40,
        "stalled": opened + up * 10 + reads + up * 4,
        "drop": opened + reads + up + [(DROP, user(1, 1))] + carry(),
        "early": [(OPEN, 0), (SEND, user(1, 0, 12)), (FIN, user(1, 0))]
        + carry(),
        "small": opened + reads + [(SEND, user(1, 0, 5)), (PULL, 0)]
        + [(SOME, 2)] * 30,
        "many": [(OPEN, 0)] * 7 + carry() + [
            (what, user(p, s, 10)) for p in range(8) for s in (0, 1)
            for what in (READ, SEND, SEND)] + carry() * 3,
        "ping": opened + [(12, 0), (12, 1)] + carry(),
        "flip": opened + reads + [(SEND, user(1, 0, 9)), (PULL, 0), (14, 0xd0)]
        + carry(),
        "lose": opened + reads + [(SEND, user(1, 0, 9)), (PULL, 0), (13, 0xd0)]
        + carry(),
        "cut": opened + up + [(15, 0xf4)] + carry(),
        "close": opened + up + [(15, 0xf6)] + carry(),
    }
    for name, steps in talks.items():
        for how in (0, 1, 2):
            yield f"{name}{how}", bytes([how]) + bytes(
                b for s in steps for b in s)


def options():
    client, env, is_file = 1, 2, 4
    for name, mode, text in (
        ("server", 0, "--listen\n*:80\n--token\n0123456789abcdef\n--path=/p"),
        ("rules", 0, "--allow-anonymous\n--deny\nprivate\n--allow\n"
         "10.0.0.0/8:1-80\n--allow=*.example"),
        ("tls", 0, "--tls-cert=c\n--tls-key=k\n--tls-client-ca\nca\n"
         "--tls-min=1.3"),
        ("backend", 0, "--token=0123456789abcdef\n--backend\n"
         "http://127.0.0.1:80"),
        ("fronts", 0, "--proxy-protocol\n--trust-forwarded=10.0.0.0/8\n"
         "--listen=unix:/tmp/x\n--unix-mode=660\n--unix-owner=root:root"),
        ("times", 0, "--grace=1.5\n--connect-timeout=3\n--tcp-keepalive=0\n"
         "--max-memory=64M\n--workers=2\n--log-level=debug\n-v\n-q"),
        ("client", client, "--server\nwss://h:1/p\n--socks=1080\n"
         "--http=:0\n--allow-anonymous"),
        ("proxies", client, "--mixed=[::1]:1\n--proxy=http://u:p@h:1\n"
         "--proxy-auth=u:p\n--header=X: y\n--host=h\n--sni=s"),
        ("pins", client, "--socks=1\n--server=wss://h\n--tls-pin=sha256/"
         "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n--connections=4"),
        ("guess", client, "--sock=1"),
        ("novalue", client, "--insecure=1\n--socks"),
        ("env", env, "WSP_LISTEN=1\nWSP_TOKEN=0123456789abcdef\n"
         "WSP_ALLOW_ANONYMOUS=no\nWSP_PROXY_PROTOCOL=1\nWSP_WORKERS=x"),
        ("env-client", client | env, "WSP_SOCKS=1\nWSP_INSECURE=maybe\n"
         "https_proxy=http://h:1\nno_proxy=a,b"),
        ("env-proxy", client | env, "WSP_SOCKS=1\nHTTPS_PROXY=socks5://h:1\n"
         "WSP_SERVER=wss://h\nNO_PROXY=.x"),
        ("file", client | is_file,
         '{"socks": [1080, "1.2.3.4:1"], "insecure": true, "wait": 1.5,'
         ' "allow-anonymous": true, "server": ["ws://a", "wss://b:1"]}'),
        ("file-bad", is_file, '{"listen": {}, "x": 1}'),
        ("file-array", is_file, "[1]"),
        ("file-cut", is_file, '{"listen": '),
        ("wspc", client | is_file,
         '{"log": {"level": "Debug", "output": "/x"}, "client": [{"auth":'
         ' "0123456789abcdef", "server": "wss://h:8010/proxy", "dynamic":'
         ' ["socks5://:1080", "http://u:p@127.0.0.1:80"], "remote":'
         ' ["tcp://ssh:p@192.168.1.100:22", "tunnel://t:p@"], "local":'
         ' ["tcp://ssh:p@127.0.0.1:2200"]}, {"server": "ws://b", "dynamic":'
         ' "socks5://127.0.0.1:2"}]}'),
        ("wspc-one", client | is_file,
         '{"auth": "", "server": "h", "dynamic": ["x://", ""], "y": null}'),
        ("wsps", is_file,
         '{"host": "h", "auth": "0123456789abcdef", "port": 8010, "path":'
         ' "/proxy", "ssl": {"enable": true, "key": "k", "cert": "c"}}'),
        ("wsps-bad", is_file,
         '{"Port": 65536, "PATH": "x y", "ssl": {"enable": 1}, "log": 1}'),
    ):
        yield name, bytes([mode]) + text.encode()


def write(where):
    for target in (msg, mux, ws, gcm, pair, options):
        folder = os.path.join(where, f"fuzz_{target.__name__}")
        os.makedirs(folder, exist_ok=True)
        for name, data in target():
            with open(os.path.join(folder, name), "wb") as f:
                f.write(data)


write(sys.argv[1])
