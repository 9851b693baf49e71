# SPDX-License-Identifier: MIT
"""What the process can still do once it has started, whoever has got hold of
it: test/lib/intruder.c is loaded into it and tries."""
import errno
import os
import platform
import signal
import subprocess
import time

import pytest

import harness
from harness import ROOT, WSP, run

INTEL = platform.machine() == "x86_64"


@pytest.fixture(scope="module", autouse=True)
def whole():
    """Only where all of it is to be had."""
    p = subprocess.Popen([WSP, "server", "--listen", "127.0.0.1:0",
                          "--sandbox", "on", "--announce"],
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    line = p.stdout.readline()
    p.kill()
    _, err = p.communicate()
    if not line:
        assert b"--sandbox on: " in err, err
        pytest.skip(err.decode().split("--sandbox on: ")[1].strip())


@pytest.fixture(scope="module")
def intruder(tmp_path_factory):
    lib = str(tmp_path_factory.mktemp("intruder") / "intruder.so")
    r = run("cc", "-shared", "-fPIC", "-o", lib,
            os.path.join(ROOT, "test/lib/intruder.c"))
    assert r.returncode == 0, r.stderr.decode()
    return lib


@pytest.fixture
def attack(start, intruder):
    """attack(plan, args...) -> a process in which the words are tried."""
    def make(plan, *args, mode="server", test="", **kw):
        first = ("--listen", "127.0.0.1:0") if mode == "server" else \
            ("--socks", "0", "--server", "ws://127.0.0.1:9/")
        p = start(mode, *first, *args, **kw,
                  env={"LD_PRELOAD": intruder, "INTRUDER": ",".join(plan),
                       "WSP_TEST_SANDBOX": test})
        if mode == "server":
            p.ready()
        else:
            p.wait_log("tunnel not up")
        os.kill(p.pid, signal.SIGUSR1)
        return p
    return make


def results(p, plan):
    p.wait_log(f"intruder: {plan[-1]} ")
    found = {}
    for line in p.log().splitlines():
        if line.startswith("intruder: "):
            word, code = line.split()[1:]
            found[word] = int(code)
    return found


FATAL = ["exec", "fork", "space", "ptrace", "mount", "bpf", "uring", "memfd",
         "listen", "unshare"] + ["x32"] * INTEL


@pytest.mark.parametrize("word", FATAL)
def test_what_wsp_never_does_ends_the_process(attack, word):
    p = attack([word])
    assert p.wait() == -signal.SIGSYS
    assert "intruder:" not in p.log()


@pytest.mark.parametrize("mode", ["server", "client"])
def test_what_is_refused_is_only_refused(attack, mode):
    plan = {"code": errno.EPERM, "protect": errno.EPERM,
            "packet": errno.EPERM, "raw": errno.EPERM, "generic": errno.EPERM,
            "tiocsti": errno.EPERM, "dump": errno.EPERM,
            "limit": errno.ENOSYS, "other": errno.ENOSYS,
            "kill": errno.ENOSYS, "root": errno.ENOSYS,
            "clone3": errno.ENOSYS, "data": 0}
    p = attack(list(plan), mode=mode)
    assert results(p, list(plan)) == plan
    assert p.stop() == 0


def test_no_port_can_be_bound(attack):
    version = run(WSP, "version").stdout.decode()
    abi = int(version.split("Landlock ")[1].split()[0])
    p = attack(["bind"])
    assert results(p, ["bind"])["bind"] == (errno.EACCES if abi >= 4 else 0)


@pytest.mark.parametrize("mode", ["server", "client"])
def test_no_loop_has_a_ring(start, intruder, mode):
    """Newer libuv would hand its system calls to one, past the filter."""
    first = ("--listen", "127.0.0.1:0") \
        if mode == "server" else ("--socks", "0", "--server", "ws://127.0.0.1:9")
    p = start(mode, *first, "--workers", "2", env={"LD_PRELOAD": intruder, "INTRUDER_LOOP": "1"})
    p.wait_log("intruder: ring ")
    p.wait_log("listening on" if mode == "server" else "proxy on")
    found = [x.split()[-1] for x in p.log().splitlines()
             if x.startswith("intruder: ring ")]
    assert set(found) == {str(errno.ENOSYS)}
    assert len(found) == 2
    assert p.stop() == 0


def test_tests_are_told_which_call_was_refused(attack):
    p = attack(["root"], test="kill")
    assert p.wait() == 128 + signal.SIGSYS
    assert "wsp: sandbox: system call " in p.log()


def test_all_threads_are_in_it(start):
    p = start("server", "--listen", "127.0.0.1:0", "--workers", "3").ready()
    tasks = os.listdir(f"/proc/{p.pid}/task")
    assert len(tasks) == 3
    for task in tasks:
        with open(f"/proc/{p.pid}/task/{task}/status") as f:
            words = f.read().split()
        assert words[words.index("NoNewPrivs:") + 1] == "1"
        assert words[words.index("Seccomp:") + 1] == "2"
    assert p.stop() == 0


def test_no_core_dump(start):
    p = start("server", "--listen", "127.0.0.1:0").ready()
    with open(f"/proc/{p.pid}/limits") as f:
        line = [x for x in f if x.startswith("Max core file size")][0]
    assert line.split()[4:6] == ["0", "0"]
    assert os.stat(f"/proc/{p.pid}/mem").st_uid == 0


def certbot(d, certs):
    """As certbot keeps them: live/x/cert.pem -> ../../archive/x/cert1.pem"""
    for sub in ("live/x", "archive/x"):
        os.makedirs(d / sub)
    for name, path in zip(("cert", "key"), certs["good"]):
        (d / f"archive/x/{name}1.pem").write_bytes(open(path, "rb").read())
        os.symlink(f"../../archive/x/{name}1.pem", d / f"live/x/{name}.pem")


def test_only_files_of_the_options_can_be_read(attack, certs, tmp_path):
    certbot(tmp_path, certs)
    (tmp_path / "other").mkdir()
    (tmp_path / "other/file").write_text("secret")
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf/token").write_text("a-token-that-is-long")
    (tmp_path / "site").mkdir()
    (tmp_path / "site/index.html").write_text("hello")
    d = str(tmp_path)
    plan = {f"read:{d}/live/x/cert.pem": 0,
            f"read:{d}/archive/x/key1.pem": 0,
            f"read:{d}/conf/token": 0,
            f"read:{d}/site/index.html": 0,
            "read:/etc/resolv.conf": 0,
            f"read:{d}/other/file": errno.EACCES,
            f"read:{d}/conf": errno.EACCES,
            "read:/proc/self/mem": errno.EACCES,
            "read:/proc/self/environ": errno.EACCES,
            "read:/usr/bin/env": errno.EACCES,
            f"write:{d}/conf/token": errno.EACCES,
            f"write:{d}/site/index.html": errno.EACCES,
            f"make:{d}/site/new": errno.EACCES,
            f"remove:{d}/conf/token": errno.EACCES,
            f"mkdir:{d}/site/new": errno.ENOSYS}
    p = attack(list(plan), "--tls-cert", f"{d}/live/x/cert.pem", "--tls-key",
               f"{d}/live/x/key.pem", "--token-file", f"{d}/conf/token",
               "--static", f"{d}/site")
    assert results(p, list(plan)) == plan
    assert p.stop() == 0


def test_a_file_may_be_replaced(attack, certs, tmp_path):
    """By rename, by a link to a new file, by a link to a new folder."""
    certbot(tmp_path, certs)
    (tmp_path / "releases/1").mkdir(parents=True)
    (tmp_path / "releases/1/token").write_text("a-token-that-is-long")
    os.symlink("releases/1", tmp_path / "current")
    d = str(tmp_path)
    plan = [f"read:{d}/live/x/cert.pem", f"read:{d}/live/x/key.pem",
            f"read:{d}/current/token"]
    p = attack(plan, "--tls-cert", f"{d}/live/x/cert.pem", "--tls-key",
               f"{d}/live/x/key.pem", "--token-file", f"{d}/current/token")
    assert set(results(p, plan).values()) == {0}
    (tmp_path / "archive/x/cert2.pem").write_text("new")
    os.symlink("../../archive/x/cert2.pem", tmp_path / "live/x/new")
    os.rename(tmp_path / "live/x/new", tmp_path / "live/x/cert.pem")
    (tmp_path / "live/x/new").write_text("no link any more")
    os.rename(tmp_path / "live/x/new", tmp_path / "live/x/key.pem")
    (tmp_path / "releases/2").mkdir()
    (tmp_path / "releases/2/token").write_text("new")
    os.symlink("releases/2", tmp_path / "next")
    os.rename(tmp_path / "next", tmp_path / "current")
    p.stderr.clear()
    os.kill(p.pid, signal.SIGUSR1)
    assert results(p, plan) == {w: 0 for w in plan}


def test_its_own_files_are_removed_at_the_end(start, tmp_path):
    for sub in ("a", "b"):
        (tmp_path / sub).mkdir()
    p = start("server", "--listen", f"unix:{tmp_path}/a/socket",
              "--ready-file", f"{tmp_path}/b/ready").ready()
    until = time.monotonic() + 20
    while not (tmp_path / "b/ready").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    assert (tmp_path / "b/ready").read_text() == f"{p.pid}\n"
    assert p.stop() == 0
    assert os.listdir(tmp_path / "a") == os.listdir(tmp_path / "b") == []


def test_off_is_off(attack, tmp_path):
    (tmp_path / "file").write_text("")
    plan = [f"read:{tmp_path}/file", "code", "memfd"]
    p = attack(plan, "--sandbox", "off", "--log-level", "debug")
    assert set(results(p, plan).values()) == {0}
    assert "sandbox: off" in p.log()
    assert p.stop() == 0


def test_on_is_no_less_than_all(start, intruder, tmp_path):
    """As under valgrind, which is told by what it loads."""
    lib = tmp_path / "vgpreload_core.so"
    lib.write_bytes(open(intruder, "rb").read())
    args = ("server", "--listen", "127.0.0.1:0", "--log-level", "debug")
    p = start(*args, env={"LD_PRELOAD": str(lib)}).ready()
    p.wait_log("sandbox: off: valgrind is watching")
    p = start(*args, "--sandbox", "on", env={"LD_PRELOAD": str(lib)})
    assert p.wait() == 2
    assert "--sandbox on: valgrind is watching" in p.log()


@pytest.mark.parametrize("value", ["", "maybe", "ON"])
def test_bad_words(value):
    r = run(WSP, "server", "--sandbox", value)
    assert r.returncode == 2
    assert b"option --sandbox: " in r.stderr
    assert b"not auto, on or off" in r.stderr
