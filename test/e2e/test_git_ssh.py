# SPDX-License-Identifier: MIT
"""ssh and git through the proxies, with the commands of the README."""
import functools
import getpass
import http.server
import os
import shutil
import socket
import subprocess
import threading
import time

import pytest

from harness import free_port, run

SSHD = shutil.which("sshd") or "/usr/sbin/sshd"


@pytest.fixture(scope="module")
def sshd(tmp_path_factory):
    """An sshd on loopback that lets us in by key: the ssh command for it."""
    if not os.path.exists(SSHD):
        pytest.skip("no sshd")
    d = tmp_path_factory.mktemp("ssh")
    os.chmod(d, 0o700)
    for name in ("host", "user"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", d / name)
    shutil.copy(d / "user.pub", d / "authorized")
    port = free_port()
    (d / "config").write_text(f"""
Port {port}
ListenAddress 127.0.0.1
HostKey {d}/host
AuthorizedKeysFile {d}/authorized
StrictModes no
UsePAM no
PidFile none
PermitRootLogin yes
""")
    if os.getuid() == 0:  # which no service has made here; else not needed
        os.makedirs("/run/sshd", exist_ok=True)
    p = subprocess.Popen([SSHD, "-D", "-e", "-f", d / "config"],
                         stderr=open(d / "log", "w"))
    for _ in range(100):
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            break
        except OSError:
            time.sleep(0.05)
    args = ["ssh", "-p", str(port), "-i", str(d / "user"), "-o",
            "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null",
            "-o", "LogLevel=ERROR", "-o", "IdentitiesOnly=yes", "-l",
            getpass.getuser()]
    yield args
    p.terminate()
    p.wait()


def proxy_command(pair, kind):
    if kind == "socks":
        return "nc -X 5 -x %s:%d %%h %%p" % pair.socks
    return "nc -X connect -x %s:%d %%h %%p" % pair.http


@pytest.mark.parametrize("kind", ["socks", "http"])
def test_ssh(pair, sshd, kind):
    p = pair()
    r = run(*sshd, "-o", "ProxyCommand=" + proxy_command(p, kind),
            "127.0.0.1", "cat; echo done", input=b"x" * 1000000)
    assert r.stdout == b"x" * 1000000 + b"done\n", r.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    d = tmp_path_factory.mktemp("git")
    env = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull}
    work = d / "work"
    run("git", "init", "-q", work, env=env)
    (work / "file").write_bytes(os.urandom(2 << 20))
    run("git", "-C", work, "add", ".", env=env)
    run("git", "-C", work, "-c", "user.name=a", "-c", "user.email=a@b",
        "commit", "-q", "-m", "one", env=env)
    run("git", "clone", "-q", "--bare", work, d / "bare.git", env=env)
    run("git", "-C", d / "bare.git", "update-server-info", env=env)
    return d / "bare.git", (work / "file").read_bytes()


@pytest.mark.parametrize("kind", ["socks", "http"])
def test_git_over_http(pair, repository, tmp_path, kind):
    bare, content = repository

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=bare.parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    p = pair()
    proxy = ("socks5h://%s:%d" % p.socks if kind == "socks" else
             "http://%s:%d" % p.http)
    r = run("git", "-c", f"http.proxy={proxy}", "clone", "-q",
            f"http://127.0.0.1:{server.server_port}/bare.git", tmp_path / "c")
    server.shutdown()
    assert r.returncode == 0, r.stderr
    assert (tmp_path / "c" / "file").read_bytes() == content


@pytest.mark.parametrize("kind", ["socks", "http"])
def test_git_over_ssh(pair, sshd, repository, tmp_path, kind):
    bare, content = repository
    p = pair()
    command = " ".join(sshd) + \
        f" -o ProxyCommand='{proxy_command(p, kind)}'"
    r = run("git", "-c", "safe.directory=*", "clone", "-q",
            f"127.0.0.1:{bare}", tmp_path / "c",
            env={**os.environ, "GIT_SSH_COMMAND": command})
    assert r.returncode == 0, r.stderr
    assert (tmp_path / "c" / "file").read_bytes() == content
