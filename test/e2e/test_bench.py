# SPDX-License-Identifier: MIT
"""The benchmark itself: its load program sees what is wrong, and a tiny run
works. Nothing is timed."""
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading

import pytest
from harness import ROOT, WSP

TOOLS = os.path.join(os.path.dirname(WSP), "bench")
LOAD = os.path.join(TOOLS, "load")
MB = 1 << 20
HALF = MB // 2


@pytest.fixture
def target():
    with subprocess.Popen([LOAD, "target"], stdout=subprocess.PIPE) as p:
        yield int(p.stdout.readline())
        p.kill()


class Spoiler:
    """A way to port; spoil(offset, data) sees what goes in one direction and
    says what arrives, None for an end."""

    def __init__(self, port, up, spoil):
        self.target, self.up, self.spoil = port, up, spoil
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        with contextlib.suppress(OSError):
            a, _ = self.listener.accept()
            b = socket.create_connection(("127.0.0.1", self.target))
            threading.Thread(target=self.copy, args=(a, b, self.up),
                             daemon=True).start()
            self.copy(b, a, not self.up)

    def copy(self, src, dst, spoiled):
        n = 0
        with contextlib.suppress(OSError):
            while data := src.recv(65536):
                size = len(data)
                if spoiled:
                    data = self.spoil(n, data)
                if data is None:
                    break
                n += size
                dst.sendall(data)
            else:
                dst.shutdown(socket.SHUT_WR)
                return
        for s in (src, dst):
            with contextlib.suppress(OSError):
                s.shutdown(socket.SHUT_RDWR)


def flipped(n, data):
    """One bit of the byte in the middle."""
    if n <= HALF < n + len(data):
        data = bytearray(data)
        data[HALF - n] ^= 1
    return data


def cut(n, data):
    return None if n + len(data) > HALF else data


def doubled(n, data):
    """A byte too many, in the middle."""
    if n <= HALF < n + len(data):
        data = data[:HALF - n] + data[HALF - n:HALF - n + 1] + data[HALF - n:]
    return data


def bulk(port, up, n=MB):
    argv = [LOAD, "bulk", "--direct", str(port), "--bytes", str(n), "--streams",
            "1", *(["--up"] if up else [])]
    return json.loads(subprocess.run(argv, capture_output=True,
                                     timeout=60).stdout)


@pytest.mark.parametrize("up", [False, True])
@pytest.mark.parametrize("spoil, seen", [
    (None, "done"), (flipped, "corrupt"), (doubled, "corrupt"),
    (cut, "truncated")])
def test_load_sees_what_is_wrong(target, up, spoil, seen):
    way = Spoiler(target, up, spoil or (lambda n, data: data))
    result = bulk(way.port, up)
    assert result.pop(seen) == 1, result
    assert not any(result.get(w) for w in (
        "done", "corrupt", "truncated", "failed", "unfinished")), result


def test_a_stream_that_stops_is_unfinished(target):
    stop = threading.Event()
    way = Spoiler(target, False, lambda n, data: stop.wait(60) and None)
    argv = [LOAD, "bulk", "--direct", str(way.port), "--bytes", "100000",
            "--timeout", "0.2"]
    result = json.loads(subprocess.run(argv, capture_output=True,
                                       timeout=60).stdout)
    stop.set()
    assert result["unfinished"] == 1 and result["done"] == 0


def test_a_port_that_nobody_has_fails():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        result = bulk(s.getsockname()[1], False)
    assert result["failed"] == 1 and result["done"] == 0


def test_a_tiny_run(tmp_path):
    rows = ["down1", "up8", "ping4d", "opens", "stall1", "longfirst"]
    r = subprocess.run(
        [sys.executable, os.path.join(ROOT, "test/bench/bench.py"), "--rounds",
         "1", "--seconds", "0.1", "--mb", "16", "--timeout", "60", "--rows",
         ",".join(rows), "--systems", "wsp ws", "--wsp", WSP, "--tools", TOOLS,
         "--out", str(tmp_path)], capture_output=True, text=True, timeout=300)
    assert r.returncode == 0, r.stderr
    done = json.loads((tmp_path / "result.json").read_text())
    assert list(done["rows"]) == rows and not done["skipped"]
    for row, results in done["rows"].items():
        assert list(results) == ["bare", "wsp ws"]
        for rounds in results.values():
            assert len(rounds) == 1 and "error" not in rounds[0], rounds
            assert not any(rounds[0].get(w) for w in (
                "corrupt", "truncated", "failed", "unfinished")), rounds
        assert "<svg" in (tmp_path / f"{row}.svg").read_text()
    assert done["rows"]["down1"]["wsp ws"][0]["mbps"] > 0
    text = (tmp_path / "result.txt").read_text()
    assert "| download, 1 stream" in (tmp_path / "result.md").read_text()
    assert "what it must reach" in text and "    aim: " in text
