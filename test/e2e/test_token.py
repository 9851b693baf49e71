# SPDX-License-Identifier: MIT
"""wsp token: new tokens, and their lines in the file of --tokens."""
import hashlib
import os
import re
import stat
import subprocess

import pytest

from harness import WSP, Target, echo_handler, recv_exact, run, socks_connect


def token(*args, code=0, **kw):
    r = run(WSP, "token", *args, **kw)
    assert r.returncode == code, r
    return r.stdout.decode(), r.stderr.decode()


def line_of(name, secret, *settings):
    digest = hashlib.sha256(secret.encode()).hexdigest()
    return " ".join([name, f"sha256:{digest}", *settings]) + "\n"


def test_tokens_are_random_and_fit_anywhere():
    seen = {token()[0] for _ in range(50)}
    assert len(seen) == 50
    for t in seen:
        assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{31}\n", t)


def test_which_is_which_is_said_beside_them():
    out, err = token("alice", "rate=1M", "deny=any", "allow=*.example.com")
    secret, line = out.splitlines(True)
    assert line == line_of("alice", secret[:-1], "rate=1M", "deny=any",
                           "allow=*.example.com")
    assert err == ("the token, for the client's --token-file:\n"
                   "the line, for the server's --tokens FILE:\n")


def test_a_file_for_the_server_and_a_token_for_the_client(start, tmp_path):
    file = tmp_path / "tokens"
    for i, name in enumerate(("alice", "bob")):
        out, err = token(name, "--file", file, "streams=9")
        assert err == "" and re.fullmatch(r"\S{32}\n", out)
        assert file.read_text().endswith(line_of(name, out[:-1], "streams=9"))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        (tmp_path / name).write_text(out)
    server = start("server", "--listen", "127.0.0.1:0", "--allow", "loopback",
                   "--tokens", file).ready()
    for name in ("alice", "bob"):
        c = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d/"
                  % server.addr("ws")[1], "--token-file",
                  tmp_path / name).ready()
        with Target(echo_handler) as t:
            s = socks_connect(c.addr("socks"), t.addr)
            s.sendall(b"hello")
            assert recv_exact(s, 5) == b"hello"
            s.close()
        server.wait_log(f"({name}): tunnel up")
        assert c.stop() == 0
    assert server.stop() == 0
    assert sorted(os.listdir(tmp_path)) == ["alice", "bob", "tokens"]


def test_a_line_for_a_token_that_exists(tmp_path):
    (tmp_path / "t").write_text("this one was made elsewhere\n")
    want = line_of("carol", "this one was made elsewhere", "tunnels=1")
    assert token("carol", "tunnels=1", "--token-file", tmp_path / "t") == \
        (want, "")
    assert token("--file", tmp_path / "f", "carol", "--token-file",
                 tmp_path / "t", "tunnels=1") == ("", "")
    assert (tmp_path / "f").read_text() == want


@pytest.mark.parametrize("args,says", [
    (["-alice"], "option -alice: unknown"),
    (["al:ice"], "token al:ice: a name has 1 to 64"),
    (["alice", "bob"], "token bob: a setting is allow=RULE"),
    (["alice", "streams=0"], "token streams=0: streams= and tunnels=: not"),
    (["alice", "deny=10.0.0.0/99"], "deny=10.0.0.0/99: the bits of a CIDR"),
    (["alice", "allow=a b"], "one setting is one word"),
    (["--file", "x"], "a line has a name: wsp token NAME"),
    (["alice", "--file"], "option --file: needs a value, FILE"),
    (["alice", "--file", "/nonexistent/x"], "--file: /nonexistent/x: No such"),
    (["alice", "--file", "/"], "--file: /: Is a directory"),
    (["alice", "--file", "/dev/null"], "--file: /dev/null: not a file"),
    (["alice", "--token-file", "/nonexistent"], "cannot read this file"),
])
def test_bad_input_says_what_and_where(args, says):
    out, err = token(*args, code=2)
    assert out == "" and says in err


def test_what_is_there_is_not_touched(tmp_path):
    file = tmp_path / "tokens"
    (tmp_path / "t").write_text("of which there is one already\n")
    for text, args, says in (
            (line_of("alice", "x"), ["alice"],
             ":1: this name has a token already"),
            ("# people\n" + line_of("a", "of which there is one already"),
             ["b", "--token-file", tmp_path / "t"],
             ":2: this token is there already"),
            ("# people\nhello\n", ["alice"], ":2: behind the name")):
        file.write_text(text)
        out, err = token("--file", file, *args, code=2)
        assert out == "" and f"{file}{says}" in err
        assert file.read_text() == text
        assert sorted(os.listdir(tmp_path)) == ["t", "tokens"]


def test_a_file_keeps_its_mode_and_links_stay(tmp_path):
    """Even one whose last line has no end."""
    file, link = tmp_path / "tokens", tmp_path / "link"
    file.write_text("# no end")
    os.chmod(file, 0o640)
    if os.geteuid() == 0:
        os.chown(file, 1, 2)
    link.symlink_to(file)
    out, _ = token("alice", "--file", link)
    assert file.read_text() == "# no end\n" + line_of("alice", out[:-1])
    assert link.is_symlink()
    st = file.stat()
    assert stat.S_IMODE(st.st_mode) == 0o640
    assert os.geteuid() or (st.st_uid, st.st_gid) == (1, 2)


def test_many_at_once_lose_no_line(tmp_path):
    file = tmp_path / "tokens"
    names = [f"n{i}" for i in range(24)]
    running = [subprocess.Popen([WSP, "token", name, "--file", file],
                                stdout=subprocess.PIPE, text=True)
               for name in names]
    lines = {line_of(name, p.communicate(timeout=60)[0][:-1])
             for name, p in zip(names, running)}
    assert all(p.returncode == 0 for p in running)
    assert set(file.read_text().splitlines(True)) == lines
    assert os.listdir(tmp_path) == ["tokens"]


def test_a_full_stdout_is_an_error():
    with open("/dev/full", "w") as full:
        r = subprocess.run([WSP, "token"], stdout=full, stderr=subprocess.PIPE)
    assert r.returncode == 1 and b"cannot write" in r.stderr


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_know_it(shell):
    out = run(WSP, "completion", shell).stdout.decode()
    assert "token" in out and "file" in out
    assert "usage: wsp token [NAME" in run(WSP, "help", "token").stdout.decode()
