# SPDX-License-Identifier: MIT
"""The command line: errors, exit codes, readiness, signals."""
import json
import os
import signal
import socket
import subprocess
import time

import pytest

from harness import (WSP, Target, closed_port, echo_handler, recv_exact, run,
                     socks_connect)


@pytest.mark.parametrize("args,text", [
    (["server", "--lisen"], "did you mean --listen?"),
    (["server", "--listen", "12x"], '--listen: "12x"'),
    (["server", "--listen=1:2:3"], '"1:2:3"'),
    (["server", "--listen", "99999"], "not a port"),
    (["server", "word"], "options begin with"),
    (["server", "--path"], "needs a value"),
    (["server", "--allow-origin=1"], "takes no value"),
    (["server", "--tls-cert", "x"], "give both or neither"),
    (["server", "--listen", "0.0.0.0:0"], "--allow-anonymous"),
    (["server", "--allow", "10.0.0.0/33"], "CIDR"),
    (["server", "--deny", "a:b"], "port"),
    (["server", "--tls-cert", "/nonexistent", "--tls-key", "x"],
     "--tls-cert /nonexistent"),
    (["client"], "--socks"),
    (["client", "--socks", "[::]:0"], "--allow-anonymous"),
    (["client", "--http", ":0"], "--allow-anonymous"),
    (["client", "--socks", "--server", "ftp://x"], "--server"),
    (["client", "--socks", "--token-file", "/nonexistent"], "--token-file"),
    (["client", "--socks", "--connect-timeout", "0"], "--connect-timeout"),
    (["client", "--socks", "--connect-timeout", "abc"], "seconds"),
    (["client", "--socks", "--connections", "0"], "from 1 to 16"),
    (["client", "--socks", "--connections", "17"], "from 1 to 16"),
    (["client", "--socks", "--connections", "2x"], "from 1 to 16"),
    (["client", "--socks", "--connections", "+2"], "from 1 to 16"),
    (["server", "--connections", "2"], "--connections"),
    (["client", "--socks", "--max-memory", "12Q"], "--max-memory"),
    (["client", "--socks", "--log-level", "loud"], "trace"),
    (["client", "--socks", "--config", "/nonexistent"], "/nonexistent"),
    (["sever"], "did you mean server?"),
    (["help", "nothing"], "topics"),
    (["completion", "tcsh"], "bash"),
])
def test_bad_usage_exits_2_and_says_why(args, text):
    r = run(WSP, *args)
    assert r.returncode == 2
    assert text in r.stderr.decode()
    assert len(r.stderr.splitlines()) <= 2 and not r.stdout


def test_help_fits_a_screen():
    for args in (["server", "--help"], ["client", "-h"], ["help"], ["--help"],
                 ["help", "rules"], ["help", "exit-codes"]):
        r = run(WSP, *args)
        lines = r.stdout.decode().splitlines()
        assert r.returncode == 0 and 4 < len(lines) <= 60
        assert max(map(len, lines)) <= 80, max(lines, key=len)


def test_version_names_the_libraries():
    out = run(WSP, "version").stdout.decode()
    for name in ("wsp", "libuv", "wslay", "nanopb", "mbedTLS", "llhttp",
                 "c-ares", "sandbox"):
        assert name in out


def test_completions_work():
    script = run(WSP, "completion", "bash").stdout.decode()
    ask = script + "\nCOMP_WORDS=(wsp client --so); COMP_CWORD=2; _wsp; " \
        "echo ${COMPREPLY[@]}"
    assert run("bash", "-c", ask).stdout.split() == [b"--socks"]
    for shell in ("zsh", "fish"):
        assert b"--socks" in run(WSP, "completion", shell).stdout \
            or b"-l socks" in run(WSP, "completion", shell).stdout


def test_the_environment_and_the_file(start, tmp_path):
    server = start("server", env={"WSP_LISTEN": "127.0.0.1:0"}).ready()
    url = "ws://127.0.0.1:%d/" % server.addr("ws")[1]
    config = tmp_path / "wsp.json"
    config.write_text(json.dumps({"socks": ["0", "0"], "http": "0",
                                  "server": "ws://127.0.0.1:1"}))
    c = start("client", "--config", config, env={"WSP_SERVER": url}).ready()
    kinds = [w[1] for w in c.seen if w[0] == "listening"]
    assert kinds == ["socks", "socks", "http"]
    assert c.stop() == 0
    # the command line replaces the list
    c = start("client", "--config", config, "--socks", "0", "--server",
              url).ready()
    assert [w[1] for w in c.seen if w[0] == "listening"] == ["socks", "http"]
    assert c.stop() == 0
    config.write_text('{"socks": 1080,\n "nope": 1}')
    r = run(WSP, "client", "--config", config)
    assert r.returncode == 2 and b'"nope": unknown key' in r.stderr
    config.write_text('{"socks": 1080,\n oops}')
    r = run(WSP, "client", "--config", config)
    assert r.returncode == 2 and b"wsp.json:2:" in r.stderr
    r = run(WSP, "server", env={**os.environ, "WSP_LISTEN": "x"})
    assert r.returncode == 2 and b"environment WSP_LISTEN" in r.stderr


def test_a_port_that_is_taken_exits_3(start):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        at = "127.0.0.1:%d" % s.getsockname()[1]
        r = run(WSP, "server", "--listen", at)
        assert r.returncode == 3 and at.encode() in r.stderr
        r = run(WSP, "client", "--socks", "0", "--http", at)
        assert r.returncode == 3 and at.encode() in r.stderr


def test_wait_gives_up_with_4(start):
    begin = time.monotonic()
    c = start("client", "--socks", "0", "--wait", "1", "--server",
              "ws://127.0.0.1:%d" % closed_port())
    assert c.wait() == 4
    assert 0.5 < time.monotonic() - begin < 4


def test_ready_fd_file_and_notify_socket(start, tmp_path):
    r, w = os.pipe()
    ready = tmp_path / "ready"
    notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    notify.bind(str(tmp_path / "notify"))
    notify.settimeout(10)
    server = start("server", "--listen", "127.0.0.1:0", "--ready-fd", w,
                   "--ready-file", ready, pass_fds=[w],
                   env={"NOTIFY_SOCKET": str(tmp_path / "notify")})
    os.close(w)
    with os.fdopen(r) as f:
        lines = f.read().splitlines()
    assert lines[0].startswith("listening ws 127.0.0.1:")
    assert lines[-2:] == ["ready", "READY=1"]
    assert notify.recv(99) == b"READY=1"
    assert int(ready.read_text()) == server.pid
    assert server.stop() == 0
    assert notify.recv(99) == b"STOPPING=1"
    assert not ready.exists()


def test_stdout_is_silent_without_announce(start):
    s = start("server", "--listen", "127.0.0.1:0", announce=False)
    s.wait_log("listening on")
    assert s.stop() == 0
    assert list(s.lines.queue) == [["end"]]


def test_term_drains_and_a_second_one_ends_at_once(start):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    c = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d"
              % server.addr("ws")[1]).ready()
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        c.process.send_signal(signal.SIGTERM)
        c.wait_log("stopping")
        s.sendall(b"still here")
        assert recv_exact(s, 10) == b"still here"
        with pytest.raises(OSError):
            socket.create_connection(c.addr("socks"), 1)
        s.close()
        assert c.wait() == 0

        c = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d"
                  % server.addr("ws")[1],
                  env={"ASAN_OPTIONS": "detect_leaks=0"}).ready()
        s = socks_connect(c.addr("socks"), t.addr)
        c.process.send_signal(signal.SIGINT)
        c.wait_log("stopping")
        c.process.send_signal(signal.SIGINT)
        assert c.wait(2) == 130
    assert server.stop() == 0


def test_grace_has_an_end(start):
    server = start("server", "--listen", "127.0.0.1:0", "--grace",
                   "0.5").ready()
    c = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d"
              % server.addr("ws")[1]).ready()
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        assert server.stop(seconds=5) == 0
        with pytest.raises(ConnectionResetError):
            recv_exact(s, 1)
    assert c.stop() == 0


def test_json_logs_are_json(start):
    s = start("server", "--listen", "127.0.0.1:0", "--log-format",
              "json").ready()
    assert s.stop() == 0
    for line in s.stderr:
        assert {"time", "level", "text"} <= json.loads(line).keys()


def test_every_listener_may_be_given_16_times(start):
    server = start("server", *["--listen=127.0.0.1:0"] * 16).ready()
    c = start("client", *["--socks=0"] * 16, *["--http=0"] * 16,
              *["--mixed=0"] * 16, "--server",
              "ws://127.0.0.1:%d" % server.addr("ws")[1]).ready()
    for kind in ("socks", "http", "mixed"):
        socket.create_connection(c.addr(kind, 15), 5).close()
    assert c.stop() == 0 and server.stop() == 0
