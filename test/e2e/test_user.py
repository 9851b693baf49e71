# SPDX-License-Identifier: MIT
"""--user: started as root, it becomes somebody else for good."""
import errno
import os
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile

import pytest

from harness import COUNTED, ROOT, WSP, Target, echo_handler, recv_exact, \
    run, socks_connect

NOBODY = 65534
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


def identity(pid):
    """(uids, gids, groups, effective capabilities)"""
    with open(f"/proc/{pid}/status") as f:
        rows = dict(line.split(":", 1) for line in f)
    return (set(map(int, rows["Uid"].split())),
            set(map(int, rows["Gid"].split())),
            set(map(int, rows["Groups"].split())), int(rows["CapEff"], 16))


@as_root
def test_low_port_and_private_key(start, certs):
    """What only root may bind and read is bound and read before."""
    for path in certs["good"]:
        os.chmod(path, 0o600)
    # of its own: the same test may be running beside this one
    host = "127.%d.%d.%d" % tuple(random.randrange(1, 255) for _ in range(3))
    server = start("server", "--listen", f"{host}:443",
                   "--workers", "2", "--tls-cert", certs["good"][0],
                   "--tls-key", certs["good"][1], "--token",
                   "a-token-that-is-long", "--user", "nobody").ready()
    client = start("client", "--socks", "0", "--server",
                   f"wss://{host}:443/", "--sni", "localhost", "--tls-ca",
                   certs["ca"], "--token", "a-token-that-is-long", "--user",
                   "nobody:daemon").ready()
    for task in os.listdir(f"/proc/{server.pid}/task"):
        assert identity(task) == ({NOBODY}, {NOBODY}, {NOBODY}, 0)
    assert identity(client.pid) == ({NOBODY}, {1}, {1}, 0)
    assert "now user nobody (65534), group 65534" in server.log()
    server.process.send_signal(signal.SIGHUP)
    assert [client.stop(), server.stop()] == [0, 0]


@as_root
def test_traffic(pair):
    p = pair(server=("--user", "nobody", "--allow", "loopback"),
             client=("--user", f"12345:{NOBODY}"))
    assert identity(p.client.pid) == ({12345}, {NOBODY}, set(), 0)
    with Target(echo_handler) as t, socks_connect(p.socks, t.addr) as s:
        s.sendall(b"x" * 100000)
        assert recv_exact(s, 100000) == b"x" * 100000


@as_root
def test_no_way_back(start, tmp_path):
    """Without the sandbox too."""
    lib = str(tmp_path / "intruder.so")
    run("cc", "-shared", "-fPIC", "-o", lib,
        os.path.join(ROOT, "test/lib/intruder.c"))
    if b"asan" in run("ldd", WSP).stdout:
        pytest.skip("nothing can be loaded ahead of the sanitizers")
    p = start("server", "--listen", "127.0.0.1:0", "--sandbox", "off",
              "--user", "nobody",
              env={"LD_PRELOAD": lib, "INTRUDER": "root"}).ready()
    os.kill(p.pid, signal.SIGUSR1)
    p.wait_log(f"intruder: root {errno.EPERM}")
    assert identity(p.pid) == ({NOBODY}, {NOBODY}, {NOBODY}, 0)
    assert p.stop() == 0


@pytest.fixture
def open_folder():
    """One that everybody can reach, unlike pytest's."""
    with tempfile.TemporaryDirectory(dir="/tmp") as d:
        os.chmod(d, 0o755)
        yield d


@as_root
def test_unix_socket_of_somebody_else(start, open_folder):
    """Given away as root; removed, if the folder is the user's."""
    os.chown(open_folder, NOBODY, NOBODY)
    p = start("server", "--listen", f"unix:{open_folder}/s", "--unix-owner",
              "daemon:daemon", "--unix-mode", "0660", "--user",
              "nobody").ready()
    st = os.stat(f"{open_folder}/s")
    assert (st.st_uid, st.st_gid, st.st_mode & 0o777) == (1, 1, 0o660)
    assert p.stop() == 0
    assert os.listdir(open_folder) == []


@as_root
def test_hup_reads_what_the_user_may(start, certs, open_folder):
    """What only root can read stays as it was, with a warning; what is put in
    its place for the user, where certbot's link leads to, counts."""
    for sub in ("live", "archive"):
        os.mkdir(f"{open_folder}/{sub}", 0o755)

    def put(number, name, mode):
        for kind, path in zip(("cert", "key"), certs[name]):
            new = f"archive/{kind}{number}.pem"
            shutil.copy(path, f"{open_folder}/{new}")
            os.chmod(f"{open_folder}/{new}", mode)
            os.symlink(f"../{new}", f"{open_folder}/new")
            os.rename(f"{open_folder}/new", f"{open_folder}/live/{kind}.pem")

    put(1, "good", 0o600)
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert",
                   f"{open_folder}/live/cert.pem", "--tls-key",
                   f"{open_folder}/live/key.pem", "--user", "nobody").ready()

    def seen():
        context = ssl.create_default_context(cafile=certs["ca"])
        context.check_hostname = False
        with socket.create_connection(server.addr("wss"), 20) as raw, \
                context.wrap_socket(raw) as s:
            return s.getpeercert()["subjectAltName"][0][1]

    assert seen() == "localhost"
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("what it said before stays in force")
    assert server.log().count("stays in force") == 1
    assert seen() == "localhost"
    put(2, "name", 0o644)
    server.process.send_signal(signal.SIGHUP)
    server.wait_log("HUP: read again")
    assert seen() == "other.example"
    assert server.stop() == 0


@as_root
@pytest.mark.skipif(COUNTED, reason="says that it cannot write counters")
def test_only_root_can(open_folder):
    wsp = shutil.copy(WSP, open_folder)
    r = subprocess.run([wsp, "server", "--user", "daemon"], user=NOBODY,
                       group=NOBODY, capture_output=True, timeout=30)
    assert r.returncode == 2
    assert r.stderr == b"wsp: option --user: \"daemon\": only root can become" \
        b" somebody else: start as root, or leave it out\n"


@pytest.mark.parametrize("mode", ["server", "client"])
@pytest.mark.parametrize("value, error", [
    ("", "not USER or USER:GROUP"),
    (":daemon", "not USER or USER:GROUP"),
    ("nobody:", "not USER or USER:GROUP"),
    ("x" * 64, "not USER or USER:GROUP"),
    ("no-such-user", "no such user"),
    ("4294967295", "no such user"),
    ("-1", "no such user"),
    ("nobody:no-such-group", "no such group"),
    ("54321", "this user has no group: give USER:GROUP"),
    ("root", "this is root, who should not run it"),
    ("0:5", "this is root, who should not run it"),
])
def test_bad_users(mode, value, error):
    r = run(WSP, mode, "--user", value)
    assert r.returncode == 2
    assert r.stderr.decode() == f'wsp: option --user: "{value}": {error}\n'
