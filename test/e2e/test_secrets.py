# SPDX-License-Identifier: MIT
"""Where a token or a password can be seen once wsp runs: nowhere, but for the
copies in memory that it goes on needing."""
import base64
import json
import os

import pytest

from harness import Target, run

TOKEN = "Tok3n-of-the-server-xyzzy"
PASSWORD = "Passw0rd-of-the-proxy-plugh"
FIELD = "Fi3ld-for-the-front-plover"
PAIR = "anna:" + PASSWORD
BASIC = base64.b64encode(PAIR.encode()).decode()
ALL = (TOKEN, PASSWORD, FIELD, BASIC)


def memory(pid):
    """All that can be read of it, a piece for each mapping; nothing if we are
    not root, or if sanitizers keep more than there is."""
    if os.geteuid() != 0:
        return
    with open(f"/proc/{pid}/maps") as f:
        maps = f.read()
    if "libasan" in maps or "libtsan" in maps:
        return
    with open(f"/proc/{pid}/mem", "rb", 0) as mem:
        for line in maps.splitlines():
            where, rights = line.split()[:2]
            if rights[0] != "r" or "[v" in line:
                continue
            begin, end = (int(x, 16) for x in where.split("-"))
            try:
                mem.seek(begin)
                yield mem.read(end - begin)
            except OSError:
                pass


def check_inside(p, *good):
    """Which secrets are in its memory, and how often: one of good."""
    found, looked = {}, False
    for piece in memory(p.pid):
        looked = True
        for secret in ALL:
            n = piece.count(secret.encode())
            if n:
                found[secret] = found.get(secret, 0) + n
    assert found in good or not looked


def check_outside(p):
    """Neither said, nor in what other processes can read."""
    seen = p.log() + " ".join(w for line in p.seen for w in line)
    for name in ("cmdline", "environ"):
        with open(f"/proc/{p.pid}/{name}", "rb") as f:
            seen += f.read().decode(errors="replace")
    for secret in ALL:
        assert secret not in seen


def use(client, target):
    """Requests through both proxies, with a password that is right and one
    that is wrong."""
    url = "http://%s:%d/" % target
    for kind in ("socks5h", "http"):
        at = "%s:%d" % client.addr("socks" if kind == "socks5h" else "http")
        for password in (PASSWORD, "wrong"):
            run("curl", "-s", "-m", "20", "-x",
                f"{kind}://anna:{password}@{at}", url)


def http_handler(s):
    s.recv(65536)
    s.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"
              b"Connection: close\r\n\r\nhi")
    s.close()


def server_args(tmp_path, how):
    token = tmp_path / "token"
    token.write_text(TOKEN + "\n")
    config = tmp_path / "server.json"
    config.write_text(json.dumps({"token": TOKEN}))
    return {"file": (("--token-file", token), {}),
            "variable": ((), {"WSP_TOKEN": TOKEN}),
            "line": (("--token", TOKEN), {}),
            "word": ((f"--token={TOKEN}",), {}),
            "config": (("--config", config), {})}[how]


def client_args(tmp_path, how):
    field = f"X-Front: {FIELD}"
    config = tmp_path / "client.json"
    config.write_text(json.dumps(
        {"token": TOKEN, "proxy-auth": PAIR, "header": field}))
    args, env = server_args(tmp_path, how)
    if how == "config":
        return ("--config", config), {}
    if how == "variable":
        return (), {**env, "WSP_PROXY_AUTH": PAIR, "WSP_HEADER": field}
    return (*args, "--proxy-auth", PAIR, "--header", field), env


@pytest.mark.parametrize("how", ["file", "variable", "line", "word", "config"])
def test_secrets_stay_where_they_are_needed(start, tmp_path, how):
    args, env = server_args(tmp_path, how)
    server = start("server", "--listen", "127.0.0.1:0", "--allow", "loopback",
                   "--log-level", "trace", *args, env=env).ready()
    args, env = client_args(tmp_path, how)
    client = start("client", "--socks", "0", "--http", "0", "--server",
                   "ws://127.0.0.1:%d/" % server.addr("ws")[1], "--log-level",
                   "trace", "--connections", "1", *args, env=env).ready()
    with Target(http_handler) as t:
        use(client, t.addr)
    for p in (server, client):
        check_outside(p)
    check_inside(server, {TOKEN: 1})
    # the option's, the one in force since HUP, and the connection's
    check_inside(client, {TOKEN: 3, FIELD: 1})
    assert [client.stop(), server.stop()] == [0, 0]
    for p in (server, client):
        assert not any(s in p.log() for s in ALL)


@pytest.mark.parametrize("kind", ["socks5", "http"])
@pytest.mark.parametrize("how", ["line", "variable"])
def test_a_proxy_with_a_password(start, pair, kind, how):
    """On the way to the server; the other client is that proxy."""
    way = pair(server=("--allow", "loopback"), client=("--proxy-auth", PAIR))
    at = way.socks if kind == "socks5" else way.http
    proxy = f"{kind}://{PAIR}@%s:%d" % at
    server = start("server", "--listen", "127.0.0.2:0", "--allow-anonymous",
                   "--allow", "loopback").ready()
    url = "ws://127.0.0.2:%d/" % server.addr("ws")[1]
    client = start("client", "--socks", "0", "--server", url, "--log-level",
                   "trace", *(("--proxy", proxy) if how == "line" else ()),
                   env={"WSP_PROXY": proxy} if how == "variable" else {})
    client.ready()
    check_outside(client)
    check_inside(client, {PASSWORD: 1}, {PASSWORD: 2})
    check_inside(way.client, {})
    assert [client.stop(), server.stop()] == [0, 0]


def test_tls(start, certs):
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert",
                   certs["good"][0], "--tls-key", certs["good"][1], "--token",
                   TOKEN).ready()
    client = start("client", "--socks", "0", "--server",
                   "wss://localhost:%d/" % server.addr("wss")[1], "--tls-ca",
                   certs["ca"], "--token", TOKEN, "--connections",
                   "1").ready()
    # the other one is mbedTLS's, until a longer record comes
    check_inside(server, {TOKEN: 1}, {TOKEN: 2})
    check_inside(client, {TOKEN: 3})
    with open(certs["good"][1]) as f:
        key = "".join(f.read().split("\n")[1:-2])
    for p in (server, client):
        check_outside(p)
        for piece in memory(p.pid):
            assert key[:40].encode() not in piece
    assert [client.stop(), server.stop()] == [0, 0]


def test_variables_of_other_programs(start):
    """As http_proxy is: the password goes, where there is one."""
    p = start("client", "--socks", "0", "--server", "ws://192.0.2.1:9/",
              env={"http_proxy": f"http://{PAIR}@127.0.0.1:9"})
    p.wait_log("tunnel not up")
    check_outside(p)
    assert p.stop() == 0
