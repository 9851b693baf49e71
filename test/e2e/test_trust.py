# SPDX-License-Identifier: MIT
"""Who trusts whom over TLS: pins, certificates of clients, versions, ALPN."""
import base64
import hashlib
import re
import socket
import ssl

import pytest

from harness import (WSP, Target, echo_handler, recv_exact, run,
                     socks_connect)

TLS13 = "TLS 1.3" not in run(WSP, "server", "--tls-min", "1.3", "--tls-cert",
                             "x").stderr.decode()


def openssl(*args, **kw):
    r = run("openssl", *args, **kw)
    assert r.returncode == 0, r.stderr
    return r.stdout


def spki_digest(cert):
    key = openssl("x509", "-in", cert, "-pubkey", "-noout")
    der = openssl("pkey", "-pubin", "-outform", "der", input=key)
    return hashlib.sha256(der).digest()


def pin_of(cert):
    return base64.b64encode(spki_digest(cert)).decode()


@pytest.fixture(scope="module")
def people(certs, tmp_path_factory):
    """Certificates of clients: signed by the CA, and by another one."""
    d = tmp_path_factory.mktemp("people")
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
           "-nodes")
    openssl("req", "-x509", *key, "-keyout", "other-ca.key", "-out",
            "other-ca.pem", "-days", "30", "-subj", "/CN=other CA", cwd=d)
    (d / "client.ext").write_text("extendedKeyUsage=clientAuth\n")
    (d / "server.ext").write_text("extendedKeyUsage=serverAuth\n")

    def sign(name, ca, ext):
        openssl("req", *key, "-keyout", f"{name}.key", "-out", "csr", "-subj",
                f"/CN={name}", cwd=d)
        openssl("x509", "-req", "-in", "csr", "-CA", f"{ca}.pem", "-CAkey",
                f"{ca}.key", "-CAcreateserial", "-out", f"{name}.pem",
                "-days", "20", "-extfile", f"{ext}.ext", cwd=d)
        return ("--tls-cert", str(d / f"{name}.pem"), "--tls-key",
                str(d / f"{name}.key"))

    return {"good": sign("good", certs["ca"][:-4], "client"),
            "other": sign("other", str(d / "other-ca"), "client"),
            "usage": sign("usage", certs["ca"][:-4], "server")}


def tls_server(start, certs, name="good", *args):
    cert, key = certs[name]
    return start("server", "--listen", "127.0.0.1:0", "--tls-cert", cert,
                 "--tls-key", key, *args).ready()


def client_of(start, server, *args, host="127.0.0.1", **kw):
    return start("client", "--socks", "0", "--server",
                 "wss://%s:%d/" % (host, server.addr("wss")[1]), *args, **kw)


def works(c):
    c.ready()
    with Target(echo_handler) as t:
        s = socks_connect(c.addr("socks"), t.addr)
        s.sendall(b"x" * 100000)
        assert recv_exact(s, 100000) == b"x" * 100000
        s.close()
    assert c.stop() == 0


@pytest.mark.parametrize("name", ["self", "expired", "name", "good"])
def test_a_pin_is_enough(start, certs, name):
    """No authority, no name, no dates: the key is the right one."""
    server = tls_server(start, certs, name)
    cert = certs[name][0]
    for pin in ("sha256:" + pin_of(cert), "sha256//" + pin_of(cert),
                "sha256:" + spki_digest(cert).hex()):
        works(client_of(start, server, "--tls-pin", pin))
    other = "sha256:" + base64.b64encode(bytes(32)).decode()
    works(client_of(start, server, "--tls-pin", other, "--tls-pin",
                    "sha256:" + pin_of(cert), host="localhost"))
    assert server.stop() == 0


@pytest.mark.parametrize("name", ["self", "good"])
def test_a_wrong_pin_says_the_right_one(start, certs, name):
    server = tls_server(start, certs, name)
    other = "sha256:" + base64.b64encode(bytes(32)).decode()
    c = client_of(start, server, "--tls-pin", other, "--tls-ca", certs["ca"])
    assert c.wait() == 5
    seen = re.search(r"sha256:\S{44}", c.log()).group()
    assert seen == "sha256:" + pin_of(certs[name][0])
    works(client_of(start, server, "--tls-pin", seen))
    assert server.stop() == 0


@pytest.mark.parametrize("key", [
    ("ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
    ("ec", "-pkeyopt", "ec_paramgen_curve:secp384r1"),
    ("rsa:2048",)])
def test_keys_of_servers(start, tmp_path, key):
    """Those that public authorities sign; the pin is that of openssl."""
    cert = str(tmp_path / "c.pem")
    openssl("req", "-x509", "-newkey", *key, "-nodes", "-keyout", "k.pem",
            "-out", "c.pem", "-days", "30", "-subj", "/CN=x", "-addext",
            "subjectAltName=DNS:localhost", cwd=tmp_path)
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert", cert,
                   "--tls-key", tmp_path / "k.pem").ready()
    works(client_of(start, server, "--tls-ca", cert, host="localhost"))
    works(client_of(start, server, "--tls-pin", "sha256:" + pin_of(cert)))
    assert server.stop() == 0


def test_curl_takes_the_same_pin(start, certs):
    server = tls_server(start, certs, "self")
    at = "https://127.0.0.1:%d/" % server.addr("wss")[1]
    good = "sha256//" + pin_of(certs["self"][0])
    assert run("curl", "-sk", "--pinnedpubkey", good, at).returncode == 0
    assert run("curl", "-sk", "--pinnedpubkey", "sha256//" + "A" * 43 + "=",
               at).returncode == 90
    assert server.stop() == 0


def test_a_pinned_client_resumes_its_session(start, certs):
    """The ticket is only as good as the key that was verified."""
    server = tls_server(start, certs, "self")
    c = client_of(start, server, "--tls-pin", "sha256:" + pin_of(
        certs["self"][0])).ready()
    port = server.addr("wss")[1]
    assert server.stop() == 0
    cert, key = certs["name"]
    evil = start("server", "--listen", f"127.0.0.1:{port}", "--tls-cert",
                 cert, "--tls-key", key).ready()
    c.wait_log("which is none of --tls-pin")
    assert c.stop() == 0 and evil.stop() == 0


def test_client_certificates(start, certs, people):
    server = tls_server(start, certs, "good", "--tls-client-ca", certs["ca"],
                        "--allow", "loopback")
    ca = ("--tls-ca", certs["ca"])
    works(client_of(start, server, *ca, *people["good"]))
    c = client_of(start, server, *ca)
    assert c.wait() == 6, c.log()
    assert "wants a certificate" in c.log() and "--tls-cert" in c.log()
    server.wait_log("the client has no certificate")
    for name in ("other", "usage"):
        c = client_of(start, server, *ca, *people[name])
        assert c.wait() == 6, c.log()
        assert "refuses our certificate" in c.log()
    at = "127.0.0.1:%d" % server.addr("wss")[1]
    for name, code in (("good", b"400"), ("other", b"000"), (None, b"000")):
        args = [a.replace("--tls-", "--") for a in people.get(name, ())]
        r = run("curl", "-s", "-o", "/dev/null", "-w", "%{http_code}",
                "--cacert", certs["ca"], *args, "https://" + at)
        assert r.stdout == code, (name, r)
    assert server.stop() == 0


def test_a_resumed_session_needs_a_certificate_too(start, certs, people,
                                                   tmp_path):
    server = tls_server(start, certs, "good", "--tls-client-ca", certs["ca"])
    at = "127.0.0.1:%d" % server.addr("wss")[1]
    file = str(tmp_path / "session")
    good = [a.replace("--tls-", "-") for a in people["good"]]
    run("openssl", "s_client", "-connect", at, "-tls1_2", "-sess_out", file,
        *good, input=b"")
    r = run("openssl", "s_client", "-connect", at, "-tls1_2", "-sess_in",
            file, input=b"")
    assert b"Reused, TLSv1.2" in r.stdout  # whoever has it had the key
    assert server.stop() == 0
    server = tls_server(start, certs, "good", "--tls-client-ca", certs["ca"])
    at = "127.0.0.1:%d" % server.addr("wss")[1]
    r = run("openssl", "s_client", "-connect", at, "-tls1_2", "-sess_in",
            file, input=b"")  # tickets of another server
    assert b"Reused" not in r.stdout and b"alert" in r.stderr
    assert server.stop() == 0


def test_a_client_ca_opens_the_door(start, certs):
    """It counts as a secret: bare --listen is all addresses then."""
    cert, key = certs["good"]
    s = start("server", "--listen", "0.0.0.0:0", "--tls-cert", cert,
              "--tls-key", key)
    assert s.wait() == 2 and "--tls-client-ca" in s.log()
    s = start("server", "--listen", "0.0.0.0:0", "--tls-cert", cert,
              "--tls-key", key, "--tls-client-ca", certs["ca"]).ready()
    assert "no --token" not in s.log()
    assert s.stop() == 0


def alpn(addr, *protocols):
    ctx = ssl.create_default_context()
    ctx.check_hostname = False
    ctx.verify_mode = ssl.CERT_NONE
    if protocols:
        ctx.set_alpn_protocols(protocols)
    with socket.create_connection(addr, 10) as s, ctx.wrap_socket(s) as t:
        return t.selected_alpn_protocol()


def test_alpn_of_the_server(start, certs):
    server = tls_server(start, certs)
    at = server.addr("wss")
    assert alpn(at) is None
    assert alpn(at, "http/1.1") == "http/1.1"
    assert alpn(at, "h2", "http/1.1") == "http/1.1"
    with pytest.raises(ssl.SSLError, match="(?i)no.application.protocol"):
        alpn(at, "h2")
    assert server.stop() == 0


class TlsTarget(Target):
    """A TLS server that says what was negotiated."""

    def __init__(self, certs, setup):
        self.ctx = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.ctx.load_cert_chain(*certs["good"])
        setup(self.ctx)
        self.got = []
        super().__init__(self.serve)

    def serve(self, s):
        with self.ctx.wrap_socket(s, server_side=True) as t:
            self.got.append((t.version(), t.selected_alpn_protocol()))
            t.recv(9999)
            t.sendall(b"HTTP/1.1 503 Later\r\n\r\n")


def test_alpn_of_the_client(start, certs):
    with TlsTarget(certs, lambda c: c.set_alpn_protocols(
            ["h2", "http/1.1"])) as t:
        c = start("client", "--socks", "0", "--tls-ca", certs["ca"],
                  "--server", "wss://localhost:%d" % t.addr[1], "--wait",
                  "0.5")
        assert c.wait() == 4
        assert t.got[0][1] == "http/1.1"


def versions(server):
    at = "127.0.0.1:%d" % server.addr("wss")[1]
    found = []
    for v in ("1_1", "1_2", "1_3"):
        r = run("openssl", "s_client", "-connect", at, f"-tls{v}", input=b"")
        if b"Cipher is (NONE)" not in r.stdout and r.returncode == 0:
            found.append(v)
    return found


def test_the_oldest_version(start, certs):
    cert, key = certs["good"]
    both = ("--tls-cert", cert, "--tls-key", key)
    if not TLS13:
        for mode in (("server", *both), ("client", "--socks", "0")):
            p = start(*mode, "--tls-min", "1.3")
            assert p.wait() == 2 and "no TLS 1.3" in p.log()
        server = tls_server(start, certs, "good", "--tls-min", "1.2")
        assert versions(server) == ["1_2"]
        assert server.stop() == 0
        return
    new = tls_server(start, certs, "good", "--tls-min", "1.3")
    assert versions(new) == ["1_3"]
    old = tls_server(start, certs, "good", "--tls-min", "1.2")
    assert versions(old) == ["1_2", "1_3"]
    works(client_of(start, new, "--tls-ca", certs["ca"]))
    works(client_of(start, old, "--tls-ca", certs["ca"], "--tls-min", "1.3"))

    def only_1_2(c):
        c.maximum_version = ssl.TLSVersion.TLSv1_2
    with TlsTarget(certs, only_1_2) as t:
        c = start("client", "--socks", "0", "--tls-ca", certs["ca"],
                  "--tls-min", "1.3", "--server",
                  "wss://localhost:%d" % t.addr[1])
        assert c.wait() == 7
        assert "no version of TLS in common" in c.log()
    assert new.stop() == 0 and old.stop() == 0


@pytest.mark.parametrize("args,text", [
    (("--tls-pin", "sha256:x"), "44 characters"),
    (("--tls-pin", "sha256:" + "0" * 64, "--server", "ws://h"), "no --server"),
    (("--tls-pin", "sha256:" + "0" * 64, "--server", "wss://h", "--insecure"),
     "--insecure"),
    (("--tls-cert", "x"), "both"),
    (("--tls-min", "1.1"), "1.2 or 1.3"),
])
def test_what_makes_no_sense(start, args, text):
    c = start("client", "--socks", "0", *args)
    assert c.wait() == 2 and text in c.log()


def test_client_ca_without_tls(start, certs):
    c = start("server", "--tls-client-ca", certs["ca"])
    assert c.wait() == 2 and "--tls-cert" in c.log()
