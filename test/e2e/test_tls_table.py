# SPDX-License-Identifier: MIT
"""Which certificates, versions, suites and groups are good: a table for each
side, against openssl and raw bytes."""
import os
import socket
import ssl
import struct
import subprocess

import pytest

from harness import recv_exact, run

SUITES = {
    "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305"}
NUMBERS = {0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8}
NUMBERS_1_3 = {0x1301, 0x1302, 0x1303}
SCSV = 0x00ff  # no renegotiation but a secure one (RFC 5746): there is none
GROUPS = {0x001d, 0x0017, 0x0018}  # X25519, P-256, P-384
P256 = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1")


def openssl(d, *args):
    r = run("openssl", *args, cwd=d)
    assert r.returncode == 0, r.stderr.decode()


@pytest.fixture(scope="module")
def ca(tmp_path_factory):
    """A CA that signs anything, once for each name: (cert, key)."""
    d = tmp_path_factory.mktemp("ca")
    (d / "new").mkdir()
    (d / "index").write_text("")
    (d / "conf").write_text(
        "[ca]\ndefault_ca=x\n[x]\ndatabase=index\nnew_certs_dir=new\n"
        "rand_serial=yes\npolicy=p\nunique_subject=no\n"
        "[p]\ncommonName=supplied\n")
    openssl(d, "req", "-x509", *P256, "-nodes", "-keyout", "ca.key", "-out",
            "ca.pem", "-days", "3650", "-subj", "/CN=CA", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign")

    def sign(name, fields="", key=P256, begin="20250101000000Z",
             end="20991231000000Z", digest="sha256", by="ca", chain=()):
        made = str(d / f"{name}.all.pem"), str(d / f"{name}.key")
        if os.path.exists(made[0]):
            return made
        (d / "ext").write_text(fields or "subjectAltName=DNS:localhost\n")
        openssl(d, "req", *key, "-nodes", "-keyout", f"{name}.key", "-out",
                "csr", "-subj", f"/CN={name}")
        openssl(d, "ca", "-batch", "-notext", "-config", "conf", "-md", digest,
                "-cert", f"{by}.pem", "-keyfile", f"{by}.key", "-in", "csr",
                "-startdate", begin, "-enddate", end, "-extfile", "ext",
                "-out", f"{name}.pem")
        all_ = "".join((d / f"{c}.pem").read_text() for c in (name, *chain))
        (d / f"{name}.all.pem").write_text(all_)
        return made

    sign.file = str(d / "ca.pem")
    sign.folder = d
    return sign


@pytest.fixture
def s_server(ca):
    """s_server(cert, key, options...) -> its port, when it listens."""
    running = []

    def make(cert, key, *options):
        p = subprocess.Popen(
            ["openssl", "s_server", "-accept", "127.0.0.1:0", "-cert",
             cert, "-cert_chain", cert, "-key", key, *options],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT)
        running.append(p)
        while (line := p.stdout.readline()) and not line.startswith(b"ACCEPT"):
            pass
        assert line, "openssl s_server has ended"
        return int(line.rsplit(b":", 1)[1])

    yield make
    for p in running:
        p.kill()
        p.wait()
        p.stdout.close()
        p.stdin.close()


def refused(start, ca, port, code):
    """The client's words about why it does not go on."""
    c = start("client", "--socks", "0", "--tls-ca", ca.file, "--server",
              f"wss://localhost:{port}/", "--wait", "20")
    assert c.wait(40) == code, c.log()
    return c.log()


SAN = "subjectAltName=DNS:localhost\n"
NO_CA = SAN + "basicConstraints=CA:false\n"
RSA = ("-newkey", "rsa:2048")
BAD = {
    "name": ({"fields": "subjectAltName=DNS:other.example\n"},
             "for another name"),
    "child": ({"fields": "subjectAltName=DNS:*.localhost\n"},
              "for another name"),
    "expired": ({"begin": "20200101000000Z", "end": "20210101000000Z"},
                "has expired"),
    "future": ({"begin": "20980101000000Z"}, "not yet valid"),
    "client": ({"fields": SAN + "extendedKeyUsage=clientAuth\n"},
               "not for this use (extKeyUsage)"),
    "sealing": ({"fields": SAN + "keyUsage=critical,keyEncipherment\n",
                 "key": RSA}, "not for this use (keyUsage)"),
    "sha1": ({"digest": "sha1"}, "signed with a weak hash"),
    "short": ({"key": ("-newkey", "rsa:1024")}, "key is weak"),
    "grandchild": ({"by": "parent"}, "not signed by a trusted authority"),
}
WEAK = ("-cipher", "ALL:@SECLEVEL=0")


@pytest.mark.parametrize("which", BAD)
def test_certificates_that_a_client_refuses(start, ca, s_server, which):
    how, text = BAD[which]
    if how.get("by"):  # somebody whom the CA has not made one
        ca("parent", NO_CA)
        how = {**how, "chain": ("parent",)}
    cert, key = ca(which, **how)
    log = refused(start, ca, s_server(cert, key, *WEAK), 5)
    assert text in log


@pytest.mark.parametrize("options", [
    ("-tls1", "-cipher", "ALL:@SECLEVEL=0"),
    ("-tls1_1", "-cipher", "ALL:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "ECDHE-RSA-AES128-SHA:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "ECDHE-RSA-AES256-SHA384:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "AES128-GCM-SHA256:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "DHE-RSA-AES128-GCM-SHA256:@SECLEVEL=0"),
    ("-tls1_2", "-cipher", "aNULL:@SECLEVEL=0"),
    ("-tls1_2", "-curves", "P-521"),
], ids=" ".join)
def test_servers_that_a_client_refuses(start, ca, s_server, options):
    log = refused(start, ca, s_server(*ca("rsa", key=RSA), *options), 7)
    assert "in common" in log or "no version" in log or "handshake" in log


def words(data, n=2):
    return [int.from_bytes(data[i:i + n], "big")
            for i in range(0, len(data), n)]


def test_what_a_client_offers(start, ca):
    """Its first record, by RFC 5246 section 7.4.1.2."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        start("client", "--socks", "0", "--tls-ca", ca.file, "--server",
              "wss://localhost:%d/" % listener.getsockname()[1])
        s, _ = listener.accept()
        s.settimeout(20)
        head = recv_exact(s, 5)
        hello = recv_exact(s, struct.unpack(">H", head[3:])[0])
        s.close()
    assert head[0] == 22 and hello[0] == 1
    at = 4 + 2 + 32
    at += 1 + hello[at]
    n = struct.unpack(">H", hello[at:at + 2])[0]
    suites = set(words(hello[at + 2:at + 2 + n]))
    at += 2 + n
    assert NUMBERS <= suites <= NUMBERS | NUMBERS_1_3 | {SCSV}
    assert hello[at:at + 2] == b"\1\0"  # no compression
    at += 4
    fields = {}
    while at < len(hello):
        kind, n = struct.unpack(">HH", hello[at:at + 4])
        fields[kind] = hello[at + 4:at + 4 + n]
        at += 4 + n
    assert fields[0].endswith(b"localhost")
    assert set(words(fields[10][2:])) == GROUPS
    assert b"http/1.1" in fields[16]
    versions = set(words(fields[43][1:])) if 43 in fields else \
        {struct.unpack(">H", hello[4:6])[0]}
    assert versions <= {0x0303, 0x0304}


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_suites_that_a_server_takes(start, ca, kind):
    """Each that openssl knows, alone."""
    cert, key = ca(kind, key=RSA if kind == "rsa" else P256)
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert", cert,
                   "--tls-key", key).ready()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    r = run("openssl", "ciphers", "-s", "-tls1_2",
            "ALL:COMPLEMENTOFALL:@SECLEVEL=0")
    names = r.stdout.decode().strip().split(":")
    assert len(names) > 50 and SUITES <= set(names)
    taken = set()
    for name in names:
        context.set_ciphers(name + ":@SECLEVEL=0")
        try:
            with socket.create_connection(server.addr("wss"), 20) as raw, \
                    context.wrap_socket(raw) as s:
                taken.add(s.cipher()[0])
        except ssl.SSLError:
            pass
    assert taken == {n for n in SUITES if kind.upper() in n}
    assert server.stop() == 0


@pytest.mark.parametrize("options,good", [
    (("-tls1",), False), (("-tls1_1",), False), (("-tls1_2",), True),
    (("-tls1_2", "-curves", "X25519"), True),
    (("-tls1_2", "-curves", "P-256"), True),
    (("-tls1_2", "-curves", "P-384"), True),
    (("-tls1_2", "-curves", "P-521"), False),
    (("-tls1_2", "-curves", "X448"), False),
])
def test_versions_and_groups_that_a_server_takes(start, ca, options, good):
    cert, key = ca("rsa", key=RSA)
    server = start("server", "--listen", "127.0.0.1:0", "--tls-cert", cert,
                   "--tls-key", key).ready()
    r = run("openssl", "s_client", "-connect", "127.0.0.1:%d"
            % server.addr("wss")[1], "-cipher", "ALL:@SECLEVEL=0", *options,
            input=b"")
    assert (b"Cipher is (NONE)" not in r.stdout) == good, r.stdout
    assert server.stop() == 0
