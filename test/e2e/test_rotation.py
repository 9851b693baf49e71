# SPDX-License-Identifier: MIT
"""TLS connections whose AES-GCM keys have been used much: what is new goes to
another one, what is old stays and ends byte by byte, and nothing is sealed
beyond the limit of RFC 8446 section 5.5, which is smaller here."""
import random
import threading
import time

import pytest
from harness import RST, Target, echo_handler, recv_all, run, socks_connect
import harness

RECORDS = 400
LIMIT = RECORDS + RECORDS * 53 // 128
RECORD = 16 * 1024
MIB = 1024 * 1024


@pytest.fixture
def make(pair, certs):
    """A pair over wss, if AES-GCM comes first on this machine."""
    if b"AES-GCM by mbedTLS" in run(harness.WSP, "version").stdout:
        pytest.skip("ChaCha20 comes first here")

    def start(*client):
        cert, key = certs["good"]
        return pair(server=("--allow", "loopback", "--tls-cert", cert,
                            "--tls-key", key, "--log-level", "debug"),
                    client=("--tls-ca", certs["ca"], "--log-level", "debug",
                            *client),
                    env={"WSP_TEST_RECORDS": str(RECORDS),
                         "WSP_TEST_SPEED": "10"})

    return start


def exchange(s, n, seed):
    """n bytes there and back, all of them as they were."""
    data = random.Random(seed).randbytes(n)
    sender = threading.Thread(target=s.sendall, args=(data,))
    sender.start()
    got = harness.recv_exact(s, n)
    sender.join()
    assert got == data


def tunnels(p, word):
    return p.client.log().count(word)


def wait_for(condition, seconds=30):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("connections", [1, "auto"])
def test_new_streams_go_elsewhere_and_old_ones_go_on(make, connections):
    p = make("--connections", connections, "--workers", "1")
    worn = "have been used much"
    with Target(echo_handler) as t:
        old = socks_connect(p.socks, t.addr)
        for i in range(RECORDS):  # a new stream makes it known
            exchange(old, 4 * RECORD, i)
            with socks_connect(p.socks, t.addr) as s:
                exchange(s, 100, i)
            if worn in p.client.log():
                break
        p.client.wait_log(worn)
        # until it is there, the worn one is better than none
        p.client.wait_log("one more connection: ")
        new = socks_connect(p.socks, t.addr)
        exchange(old, 4 * RECORD, 3)
        exchange(new, RECORDS * RECORD // 2, 4)
        exchange(old, 4 * RECORD, 5)
        assert "connection less" not in p.client.log() or connections != 1
        old.close()
        p.client.wait_log("one connection less", 30)
        exchange(new, MIB, 6)
        new.close()
        assert "used up" not in p.client.log() + p.server.log()


def test_nothing_is_sealed_beyond_the_limit(make):
    """Whoever is first notices; the stream is reset, the next one is not."""
    p = make("--connections", "1")

    def flood(s):
        while True:
            s.sendall(bytes(MIB))

    with Target(flood) as t, Target(echo_handler) as echo:
        data, end = recv_all(socks_connect(p.socks, t.addr))
        assert end == RST
        assert not data.strip(b"\0")
        assert len(data) <= LIMIT * RECORD  # the kernel may drop some of it
        assert "keys of this TLS connection are used up" in \
            p.client.log() + p.server.log()
        wait_for(lambda: tunnels(p, "tunnel up") == 2)
        with socks_connect(p.socks, echo.addr) as s:
            exchange(s, MIB, 7)
