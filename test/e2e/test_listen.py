# SPDX-License-Identifier: MIT
"""A listener when the process has no descriptor left."""
import contextlib
import os
import resource
import socket
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
