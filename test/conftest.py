# SPDX-License-Identifier: MIT
"""Fixtures of the end-to-end and the interop tests."""
import os
import sys
import time

import pytest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, d) for d in ("lib", "e2e", "interop")]

import harness  # noqa: E402


def pytest_configure(config):
    config.addinivalue_line("markers", "long: only in make test-long")


def pytest_collection_modifyitems(items):
    skip = pytest.mark.skip(reason="only in make test-long")
    for item in items:
        if "long" in item.keywords and not harness.LONG:
            item.add_marker(skip)


@pytest.fixture
def pair():
    """make(server=..., client=..., env=...) -> a Pair, stopped at the end."""
    pairs = []

    def make(**kw):
        pairs.append(harness.Pair(**kw))
        return pairs[-1]

    yield make
    for p in pairs:
        p.stop()


@pytest.fixture
def start():
    """start(args...) -> a process, killed at the end if it still runs."""
    processes = []

    def make(*args, **kw):
        processes.append(harness.Wsp(*args, **kw))
        return processes[-1]

    yield make
    for p in processes:
        if p.process.poll() is None:
            p.kill()


@pytest.fixture(scope="session")
def certs(tmp_path_factory):
    """A CA and certificates that it has signed: name -> (cert, key)."""
    d = tmp_path_factory.mktemp("certs")

    def openssl(*args):
        r = harness.run("openssl", *args, cwd=d)
        assert r.returncode == 0, r.stderr

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
           "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem",
            "-days", "30", "-subj", "/CN=test CA", "-addext",
            "keyUsage=critical,keyCertSign,cRLSign")

    def sign(name, san, *extra):
        (d / "ext").write_text(f"subjectAltName={san}\n"
                               "subjectKeyIdentifier=hash\n"
                               "authorityKeyIdentifier=keyid\n")
        openssl("req", *key, "-keyout", f"{name}.key", "-out", "csr", "-subj",
                f"/CN={name}")
        openssl("x509", "-req", "-in", "csr", "-CA", "ca.pem", "-CAkey",
                "ca.key", "-CAcreateserial", "-out", f"{name}.pem",
                "-extfile", "ext", *(extra or ("-days", "20")))
        return str(d / f"{name}.pem"), str(d / f"{name}.key")

    openssl("req", "-x509", *key, "-keyout", "self.key", "-out", "self.pem",
            "-days", "30", "-subj", "/CN=localhost", "-addext",
            "subjectAltName=DNS:localhost")
    expired = sign("expired", "DNS:localhost", "-days", "0")
    time.sleep(1.5)
    return {
        "ca": str(d / "ca.pem"),
        "good": sign("good", "DNS:localhost,IP:127.0.0.1"),
        "name": sign("name", "DNS:other.example"),
        "expired": expired,
        "self": (str(d / "self.pem"), str(d / "self.key")),
    }
