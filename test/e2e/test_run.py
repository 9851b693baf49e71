# SPDX-License-Identifier: MIT
"""What make run does: a server and a client, proven and ready to try."""
import os
import signal
import subprocess
import sys

from harness import ROOT, WSP, free_port


def test_make_run_gets_ready_and_ends_clean():
    ports = [str(free_port()) for _ in range(3)]
    p = subprocess.Popen(
        [sys.executable, os.path.join(ROOT, "test/lib/try.py"), "--wsp", WSP,
         "--listen", ports[0], "--socks", ports[1], "--http", ports[2]],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    seen = []
    for line in p.stdout:
        seen.append(line)
        if line == "ready\n":
            p.send_signal(signal.SIGINT)
    assert p.wait(20) == 0, seen
    said = "".join(seen)
    for proxy in ("SOCKS5", "HTTP"):
        assert f"a request through the {proxy} proxy: works" in said
