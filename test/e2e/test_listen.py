# SPDX-License-Identifier: MIT
"""A listener when the process has no descriptor left."""
import contextlib
import os
import re
import resource
import socket
import subprocess
import time
from multiprocessing.connection import wait as readable

import pytest
from harness import RST, recv_all


def fds(p):
    return sorted(int(n) for n in os.listdir(f"/proc/{p.pid}/fd"))


def limit(p, n):
    hard = resource.prlimit(p.pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(p.pid, resource.RLIMIT_NOFILE, (n, hard))


def served(s):
    """Does the server at the other end of s speak?"""
    s.settimeout(10)
    s.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    return s.recv(12) == b"HTTP/1.1 400"


def test_who_comes_is_reset_at_once(start):
    """The descriptor that is kept for it takes him, and is kept again."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    addr = server.addr("ws")
    used = fds(server)
    # libuv, too, keeps one: the next free number is beyond the limit
    limit(server, next(n for n in range(len(used) + 1) if n not in used))
    for _ in range(3):
        # the reset may be here before connect() returns
        with contextlib.suppress(ConnectionResetError):
            with socket.create_connection(addr, 10) as s:
                assert recv_all(s) == (b"", RST)
    server.wait_log("connection refused: too many open files")
    end = time.monotonic() + 10
    while fds(server) != used:
        assert time.monotonic() < end, fds(server)
        time.sleep(0.01)
    limit(server, 1000)
    with socket.create_connection(addr, 10) as s:
        assert served(s)
    assert server.stop() == 0


@pytest.mark.parametrize("end", ["more", "TERM"])
def test_without_any_the_loop_sleeps(start, end):
    server = start("server", "--listen", "127.0.0.1:0", env={
        "ASAN_OPTIONS": "detect_leaks=0"}).ready()  # it would open files
    limit(server, 3)
    with socket.create_connection(server.addr("ws"), 10) as s:
        server.wait_log("connection refused: too many open files")
        before = server.cpu()
        assert readable([s], 1) == []
        assert server.cpu() - before < 0.3
        if end == "more":
            limit(server, 1000)
            assert served(s)
    assert server.stop() == 0


def test_nothing_is_paced_on_this_machine(start):
    """Where bbr is the usual congestion control, its timers would cost more
    than the copying, and megabytes would wait in front of small streams."""
    server = start("server", "--listen", "127.0.0.1:0", "--token", "secret",
                   "--allow", "loopback").ready()
    port = server.addr("ws")[1]
    client = start("client", "--server", f"ws://127.0.0.1:{port}", "--token",
                   "secret", "--socks", "127.0.0.1:0").ready()
    client.wait_log("tunnel up")
    found = subprocess.run(
        ["ss", "-tnmiHO", "state", "established",
         f"( sport = {port} or dport = {port} )"], stdout=subprocess.PIPE,
        text=True, check=True).stdout.splitlines()
    # whom it accepts inherits it: once connected it would be too late
    found += subprocess.run(["ss", "-tlnmiHO", f"sport = {port}"],
                            stdout=subprocess.PIPE, text=True,
                            check=True).stdout.splitlines()
    assert len(found) == 3
    for line in found:
        assert " reno " in line, line
    for line in found[:2]:
        assert re.search(r"\brb425984\b", line), line
    assert client.stop() == 0
    assert server.stop() == 0
