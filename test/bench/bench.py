#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make bench: speed and memory of one server and one client on this machine.

Each row stands beside a direct connection in the same run: compare ratios, and
CPU seconds of both processes for each gigabyte; the clock of a shared machine
says little. MB=... megabytes for each transfer (1024), STREAMS=... idle (1000).
"""
import hashlib
import os
import socket
import statistics
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)),
                                "..", "lib"))
from harness import (Pair, Target, WSP, http_connect,  # noqa: E402
                     recv_exact, run, socks_connect)

MB = int(os.environ.get("MB", 1024))
STREAMS = int(os.environ.get("STREAMS", 1000))
BLOCK = os.urandom(1 << 20)


def expected():
    h = hashlib.sha256()
    for _ in range(MB):
        h.update(BLOCK)
    return h.hexdigest()


def send_all(s):
    for _ in range(MB):
        s.sendall(BLOCK)
    s.shutdown(socket.SHUT_WR)


def receive(s, hashed):
    h, n, buf = hashlib.sha256(), 0, bytearray(1 << 20)
    while k := s.recv_into(buf):
        n += k
        if hashed:
            h.update(memoryview(buf)[:k])
    return n, h.hexdigest()


def transfer(connect, up, hashed):
    """(seconds, bytes, sha256) of one transfer."""
    result = []

    def handler(s):
        if up:
            result.append(receive(s, hashed))
            s.sendall(b"done")
        else:
            send_all(s)
        s.close()

    with Target(handler) as t:
        s = connect(t.addr)
        begin = time.monotonic()
        if up:
            send_all(s)
            recv_exact(s, 4)
        else:
            result.append(receive(s, hashed))
        seconds = time.monotonic() - begin
        s.close()
    return seconds, *result[0]


def rows_of(kind, pair, want):
    ways = {
        "direct": lambda a: socket.create_connection(a),
        "socks": lambda a: socks_connect(pair.socks, a),
        "http": lambda a: http_connect(pair.http, a),
    }
    for up in (False, True):
        for name, connect in ways.items():
            cpu = pair.client.cpu() + pair.server.cpu()
            seconds, n, _ = transfer(connect, up, False)
            cpu = pair.client.cpu() + pair.server.cpu() - cpu
            assert n == MB << 20
            equal = ""
            if name != "direct":
                good = transfer(connect, up, True)[2] == want
                equal = "hash equal" if good else "HASH DIFFERS"
            print(f"{kind:4} {name:7} {'up' if up else 'down':5}"
                  f"{n * 8 / seconds / 1e9:7.2f} Gbit/s  "
                  f"{cpu * (1 << 30) / n:5.2f} CPU s/GiB  {equal}")


def curl_times(pair):
    """A small request: the time that the proxy adds."""
    def origin(s):
        s.recv(65536)
        s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
                  b"Connection: close\r\n\r\nok")
        s.close()

    with Target(origin) as t:
        url = "http://127.0.0.1:%d/" % t.addr[1]
        for name, args in (("direct", []),
                           ("socks5h", ["-x", "socks5h://%s:%d" % pair.socks]),
                           ("http", ["-x", "http://%s:%d" % pair.http])):
            times = [float(run("curl", "-s", "-o", os.devnull, "-w",
                               "%{time_total}", *args, url).stdout)
                     for _ in range(100)]
            print(f"curl {name:8} median {statistics.median(times) * 1e3:6.2f}"
                  f" ms, 95 % below {sorted(times)[94] * 1e3:6.2f} ms")


def memory(pair):
    def handler(s):
        while s.recv(4096):
            s.sendall(b"x")

    idle = pair.client.rss(), pair.server.rss()
    with Target(handler) as t:
        held = []
        for _ in range(STREAMS):
            s = socks_connect(pair.socks, t.addr)
            s.sendall(b"x")
            recv_exact(s, 1)
            held.append(s)
        time.sleep(0.5)
        full = pair.client.rss(), pair.server.rss()
        for s in held:
            s.close()
    print(f"idle: client {idle[0] >> 10} KiB, server {idle[1] >> 10} KiB")
    print(f"with {STREAMS} idle streams: client {full[0] >> 10} KiB, server "
          f"{full[1] >> 10} KiB; {(sum(full) - sum(idle)) / STREAMS:.0f} bytes "
          "a stream, both together")


def main():
    print(f"{WSP}: {os.path.getsize(WSP) >> 10} KiB; {MB} MiB a transfer")
    want = expected()
    pair = Pair()
    memory(pair)
    pair.stop()
    pair = Pair()
    curl_times(pair)
    rows_of("ws", pair, want)
    pair.stop()
    with tempfile.TemporaryDirectory() as d:
        cert, key = f"{d}/cert", f"{d}/key"
        run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
            "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", key, "-out",
            cert, "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost")
        pair = Pair(server=("--tls-cert", cert, "--tls-key", key),
                    client=("--tls-ca", cert))
        rows_of("wss", pair, want)
        pair.stop()


main()
