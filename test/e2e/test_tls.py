# SPDX-License-Identifier: MIT
"""TLS and the token: what is verified, and the exit codes of what is not."""
import hashlib
import os
import socket
import ssl

import pytest

from harness import (FIN, Target, WSP, recv_all, run,
                     socks_connect)

TOKEN = "a token of enough bytes"


@pytest.fixture
def token_file(tmp_path):
    f = tmp_path / "token"
    f.write_text(TOKEN + "\n")
    return str(f)


def tls_server(start, certs, name="good", *args):
    cert, key = certs[name]
    return start("server", "--listen", "127.0.0.1:0", "--tls-cert", cert,
                 "--tls-key", key, *args).ready()


def client_code(start, server, *args, host="localhost", scheme="wss"):
    kind = "wss" if ["listening", "wss"] in [w[:2] for w in server.seen] else "ws"
    c = start("client", "--socks", "0", "--server",
              f"{scheme}://{host}:{server.addr(kind)[1]}/", *args)
    return c, c.wait()


def test_the_verbatim_commands_over_tls(start, certs, token_file):
    cert, key = certs["good"]
    server = start("server", "--listen", ":0", "--tls-cert", cert, "--tls-key",
                   key, "--token-file", token_file, "--allow",
                   "loopback").ready()
    client = start("client", "--server", "wss://localhost:%d/"
                   % server.addr("wss")[1], "--tls-ca", certs["ca"],
                   "--token-file", token_file, "--socks=0").ready()
    data = os.urandom(30 << 20)

    def handler(s):
        got, end = recv_all(s)
        s.sendall(hashlib.sha256(got).digest() + got)
        s.close()

    with Target(handler) as t:
        s = socks_connect(client.addr("socks"), t.addr)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        back, end = recv_all(s)
    assert end == FIN
    assert back == hashlib.sha256(data).digest() + data
    assert client.stop() == 0 and server.stop() == 0


@pytest.mark.parametrize("name,host,code,text", [
    ("good", "localhost", 0, ""),
    ("good", "127.0.0.1", 0, ""),
    ("name", "localhost", 5, "for another name"),
    ("name", "127.0.0.1", 5, "for another name"),
    ("expired", "localhost", 5, "expired"),
    ("self", "localhost", 5, "not signed by a trusted authority"),
])
def test_certificates_are_verified(start, certs, name, host, code, text):
    server = tls_server(start, certs, name)
    c = start("client", "--socks", "0", "--tls-ca", certs["ca"], "--server",
              f"wss://{host}:{server.addr('wss')[1]}/")
    if code == 0:
        c.ready()
        assert c.stop() == 0
    else:
        assert c.wait() == code
        assert text in c.log()


def test_insecure_connects_and_warns(start, certs):
    server = tls_server(start, certs, "self")
    c = start("client", "--socks", "0", "--insecure", "--server",
              f"wss://localhost:{server.addr('wss')[1]}/").ready()
    assert "--insecure" in c.log()
    assert c.stop() == 0


def test_retry_all_survives_a_bad_certificate(start, certs):
    server = tls_server(start, certs, "name")
    c = start("client", "--socks", "0", "--tls-ca", certs["ca"], "--retry-all",
              "--server", f"wss://localhost:{server.addr('wss')[1]}/")
    c.wait_log("for another name")
    assert c.process.poll() is None
    assert c.stop() == 0


def test_openssl_sees_only_good_suites(start, certs):
    server = tls_server(start, certs)
    at = "127.0.0.1:%d" % server.addr("wss")[1]

    def handshake(*args):
        r = run("openssl", "s_client", "-connect", at, *args, input=b"")
        return b"Cipher is (NONE)" not in r.stdout and r.returncode == 0

    assert handshake("-tls1_2")
    assert not handshake("-tls1_1", "-cipher", "ALL@SECLEVEL=0")
    assert not handshake("-tls1_2", "-cipher", "AES128-GCM-SHA256")
    assert not handshake("-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA")
    assert handshake("-tls1_2", "-cipher", "ECDHE-ECDSA-AES256-GCM-SHA384")
    assert not handshake("-tls1_2", "-curves", "P-521")


def test_tickets_resume_a_session(start, certs, tmp_path):
    server = tls_server(start, certs)
    at = "127.0.0.1:%d" % server.addr("wss")[1]
    file = str(tmp_path / "session")
    run("openssl", "s_client", "-connect", at, "-tls1_2", "-sess_out", file,
        input=b"")
    r = run("openssl", "s_client", "-connect", at, "-tls1_2", "-sess_in", file,
            input=b"")
    assert b"Reused, TLSv1.2" in r.stdout


@pytest.mark.parametrize("who", ["libipsec-mb", "libgcrypt", "mbedTLS"])
@pytest.mark.parametrize("suite", ["AES128-GCM-SHA256", "AES256-GCM-SHA384"])
def test_aes_gcm_by_each_library_is_what_openssl_has(start, certs, who, suite):
    """Bytes both ways, in records of each size; and it says who serves."""
    env = {"WSP_TEST_GCM": who}
    said = run(WSP, "version", env={**os.environ, **env}).stdout
    if f"AES-GCM by {who}" not in said.decode():
        pytest.skip(f"{who} does not serve here")
    cert, key = certs["good"]
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert", cert,
                   "--tls-key", key, "--log-level", "debug", env=env).ready()
    server.wait_log(f"AES-GCM: {who}")
    context = ssl.create_default_context(cafile=certs["ca"])
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.set_ciphers("ECDHE-ECDSA-" + suite)
    with socket.create_connection(server.addr("wss"), 20) as raw, \
            context.wrap_socket(raw, server_hostname="localhost") as s:
        assert s.cipher()[0] == "ECDHE-ECDSA-" + suite
        ask = b"GET / HTTP/1.1\r\nHost: x\r\n"
        s.sendall(ask)
        for n in (1, 17, 4000):
            s.sendall(b"X: " + b"x" * n + b"\r\n")
        s.sendall(b"\r\n")
        assert s.recv(99).startswith(b"HTTP/1.1 4")
    assert server.stop() == 0


def has_gcm_by(who):
    said = run(WSP, "version", env={**os.environ, "WSP_TEST_GCM": who})
    return f"AES-GCM by {who}" in said.stdout.decode()


@pytest.mark.parametrize("server_has,client_has", [
    ("libipsec-mb", "mbedTLS"), ("mbedTLS", "libipsec-mb"),
    ("libipsec-mb", "libipsec-mb"), ("libgcrypt", "libgcrypt"),
])
def test_each_library_carries_a_tunnel(start, certs, server_has, client_has):
    for who in server_has, client_has:
        if not has_gcm_by(who):
            pytest.skip(f"{who} is not here")
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert",
                   certs["good"][0], "--tls-key", certs["good"][1],
                   env={"WSP_TEST_GCM": server_has}).ready()
    client = start("client", "--socks", "0", "--tls-ca", certs["ca"],
                   "--server", "wss://localhost:%d" % server.addr("wss")[1],
                   env={"WSP_TEST_GCM": client_has}).ready()
    data = os.urandom(3 << 20)

    def handler(s):
        s.sendall(recv_all(s)[0])
        s.close()

    with Target(handler) as t:
        s = socks_connect(client.addr("socks"), t.addr)
        s.sendall(data)
        s.shutdown(socket.SHUT_WR)
        assert recv_all(s) == (data, FIN)
    assert client.stop() == 0 and server.stop() == 0


def test_the_order_of_suites_is_that_of_speed(start, certs):
    """The server chooses; OpenSSL offers AES-256 first."""
    for who, suite in (("libipsec-mb", b"AES128-GCM"),
                       ("mbedTLS", b"CHACHA20-POLY1305")):
        if not has_gcm_by(who):
            continue
        server = start("server", "--listen", "127.0.0.1:0", "--tls-cert",
                       certs["good"][0], "--tls-key", certs["good"][1],
                       env={"WSP_TEST_GCM": who}).ready()
        r = run("openssl", "s_client", "-connect",
                "127.0.0.1:%d" % server.addr("wss")[1], "-tls1_2", input=b"")
        assert b"Cipher is ECDHE-ECDSA-" + suite in r.stdout
        assert server.stop() == 0


def test_tokens_are_compared(start, token_file):
    server = start("server", "--listen", "127.0.0.1:0", "--token-file",
                   token_file).ready()
    for args in ((), ("--token", "wrong token, but long enough"),
                 ("--token", TOKEN + "x"), ("--token", TOKEN[:-1])):
        c, code = client_code(start, server, *args, scheme="ws",
                              host="127.0.0.1")
        assert code == 6, c.log()
    c = start("client", "--socks", "0", "--server", "ws://127.0.0.1:%d"
              % server.addr("ws")[1], env={"WSP_TOKEN": TOKEN}).ready()
    assert c.stop() == 0
    assert TOKEN not in server.log() + c.log()


def test_the_token_is_not_in_the_command_line(start):
    server = start("server", "--listen", "127.0.0.1:0", "--token",
                   TOKEN).ready()
    with open(f"/proc/{server.pid}/cmdline", "rb") as f:
        assert TOKEN.encode() not in f.read()


def test_servers_that_are_no_wsp(start):
    def answer(text):
        def handler(s):
            s.recv(9999)
            s.sendall(text)
            s.close()
        return handler

    ask = "are the path of the URL and the token right?"
    for text, code, said in (
            (b"HTTP/1.1 404 Not Found\r\n\r\n", 7, "404; " + ask),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 7, ask),
            (b"SSH-2.0-x\r\n", 7, "no HTTP answer"),
            (b"HTTP/1.1 401 No\r\n\r\n", 6, "is the token right?"),
            (b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
             b"Connection: Upgrade\r\nSec-WebSocket-Accept: wrong\r\n\r\n",
             7, "wrong Sec-WebSocket-Accept")):
        with Target(answer(text)) as t:
            c = start("client", "--socks", "0", "--server",
                      "ws://127.0.0.1:%d" % t.addr[1])
            assert c.wait() == code, (text, c.log())
            assert said in c.log()


def test_a_server_without_tls_is_not_wsp(start):
    """Nothing was verified: 7, and not 5."""
    server = start("server", "--listen", "127.0.0.1:0").ready()
    c = start("client", "--socks", "0", "--insecure", "--server",
              "wss://127.0.0.1:%d" % server.addr("ws")[1])
    assert c.wait() == 7
    assert "does not speak TLS" in c.log()
    assert server.stop() == 0


def raw_handshake(addr, *fields, path="/"):
    s = socket.create_connection(addr, 10)
    s.sendall("\r\n".join([
        f"GET {path} HTTP/1.1", "Host: x", "Upgrade: websocket",
        "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==", "Proto: 0.10",
        *fields, "", ""]).encode())
    return int(s.recv(9999).split()[1])


def test_the_server_checks_path_origin_token_version(start):
    plain = start("server", "--listen", "127.0.0.1:0", "--path", "p").ready()
    at = plain.addr("ws")
    assert raw_handshake(at, path="/p") == 101
    assert raw_handshake(at, path="/%70?query") == 101
    assert raw_handshake(at, path="/") == 404
    assert raw_handshake(at, path="/p/") == 404
    assert raw_handshake(at, "Origin: http://evil.example", path="/p") == 403
    assert raw_handshake(at, "Sec-WebSocket-Version: 8", path="/p") == 426
    open_ = start("server", "--listen", "127.0.0.1:0", "--allow-origin",
                  "--token", TOKEN).ready()
    at = open_.addr("ws")
    assert raw_handshake(at, "Origin: http://a", f"Auth: {TOKEN}") == 101
    assert raw_handshake(at, f"Auth: {TOKEN}x") == 401
    assert raw_handshake(at) == 401
