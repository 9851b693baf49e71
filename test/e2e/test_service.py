# SPDX-License-Identifier: MIT
"""docs/*.service: what they start works, and is exposed to little."""
import json
import os
import re
import shutil
import signal
import socket

import pytest

from harness import ROOT, Target, echo_handler, recv_exact, run, socks_connect

UNITS = ["wsp.service", "wsp-client@.service"]


def read(unit):
    """{key: [values]}"""
    found = {}
    with open(os.path.join(ROOT, "docs", unit)) as f:
        for line in f:
            if "=" in line and line[0] not in "#[":
                key, value = line.rstrip("\n").split("=", 1)
                found.setdefault(key, []).append(value)
    return found


@pytest.mark.parametrize("unit", UNITS)
def test_exposure(unit):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze")
    r = run("systemd-analyze", "security", "--no-pager", "--offline=true",
            os.path.join(ROOT, "docs", unit))
    found = re.search(r"Overall exposure level for \S+: ([0-9.]+)",
                      r.stdout.decode())
    if not found:
        pytest.skip("this systemd-analyze cannot do it offline")
    assert float(found[1]) <= 1.5


class Unit:
    """What systemd would do with it, as far as a test can."""

    def __init__(self, start, unit, etc):
        keys = read(unit)
        assert keys["Type"] == ["notify"]
        command = keys["ExecStart"][0].replace("%i", "home").split()
        assert command[0] == "/usr/local/bin/wsp"
        name, source = keys["LoadCredential"][0].split(":")
        source = source.replace("%i", "home").replace("/etc/wsp", str(etc))
        # each unit's own: a server that reloads may be reading its file
        credentials = etc / f"credentials of {unit}"
        credentials.mkdir()
        shutil.copy(source, credentials / name)
        env = dict(e.replace("%d", str(credentials)).split("=")
                   for e in keys["Environment"])
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(str(etc / unit))
        self.notify.settimeout(30)
        self.process = start(
            *(w.replace("/etc/wsp", str(etc)) for w in command[1:]),
            env={**env, "NOTIFY_SOCKET": str(etc / unit)})
        assert self.notify.recv(99) == b"READY=1"
        assert keys["ExecReload"] == ["/bin/kill -HUP $MAINPID"]
        self.process.process.send_signal(signal.SIGHUP)

    def stop(self):
        assert self.process.stop() == 0
        assert self.notify.recv(99) == b"STOPPING=1"


def test_they_start_and_stop(start, tmp_path):
    (tmp_path / "server.json").write_text(json.dumps(
        {"listen": "127.0.0.1:0", "allow": "loopback"}))
    for name in ("token", "home.token"):
        (tmp_path / name).write_text("a-token-that-is-long\n")
    server = Unit(start, UNITS[0], tmp_path)
    server.process.expect("ready")
    (tmp_path / "home.json").write_text(json.dumps(
        {"server": "ws://127.0.0.1:%d/" % server.process.addr("ws")[1],
         "socks": "127.0.0.1:0"}))
    client = Unit(start, UNITS[1], tmp_path)
    client.process.expect("ready")
    with Target(echo_handler) as t, \
            socks_connect(client.process.addr("socks"), t.addr) as s:
        s.sendall(b"hello")
        assert recv_exact(s, 5) == b"hello"
    client.stop()
    server.stop()
