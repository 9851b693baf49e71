# SPDX-License-Identifier: MIT
"""The network changes under the client. Client and server have a network
namespace each, with two links between them; skipped where none can be made."""
import ctypes
import struct
import time

import pytest

from harness import run
from network import FAR, Lab


@pytest.fixture
def lab():
    it = Lab()
    yield it
    it.close()


def seconds_until_connected(c):
    begin = time.monotonic()
    c.expect("connected")
    return time.monotonic() - begin


@pytest.mark.parametrize("how", ["address", "link"])
def test_a_tunnel_without_its_address_is_dialled_anew(lab, how):
    server, c = lab.server(), lab.client()
    c.expect("connected")
    assert lab.used() == {"10.99.0.2"}
    if how == "address":
        lab.away(0)
    else:
        lab.ip("link set near0 down")
    assert seconds_until_connected(c) < 2
    c.wait_log("tunnel down: ws://10.99.9.9:8010/: the network has changed")
    assert "10.99.1.2" in lab.used()
    assert c.stop() == 0


def test_all_connections_are_dialled_anew(lab):
    server, c = lab.server(), lab.client("--connections", "3")
    c.wait_log("one more connection: 3")
    lab.away(0)
    assert seconds_until_connected(c) < 2
    c.wait_log("tunnel down: ws://10.99.9.9:8010/: the network has changed")
    end = time.monotonic() + 10
    while c.log().count("one more connection: 3") < 2:
        assert time.monotonic() < end
        time.sleep(0.01)
    assert c.stop() == 0


def test_a_tunnel_without_a_route_is_dialled_anew(lab):
    """Not at once: a route that is exchanged for another one is no loss."""
    lab.away(1)
    server, c = lab.server(), lab.client()
    c.expect("connected")
    lab.ip(f"route del {FAR}")
    lab.ip(f"route add {FAR} via 10.99.0.1")
    time.sleep(2)
    assert "tunnel down" not in c.log()
    lab.ip(f"route del {FAR}")
    c.wait_log("the network has changed", 3)
    c.wait_log("network unreachable", 3)
    lab.ip(f"route add {FAR} via 10.99.0.1")
    assert seconds_until_connected(c) < 2
    assert c.stop() == 0 and server.stop() == 0


def test_other_changes_leave_the_tunnel_alone(lab):
    server, c = lab.server(), lab.client()
    c.expect("connected")
    lab.away(1)
    lab.up(1)
    lab.ip("link set near1 down")
    lab.ip("addr add 10.99.0.77/24 dev near0")
    lab.ip("addr del 10.99.0.77/24 dev near0")
    time.sleep(1.5)
    c.wait_log("the network has changed: ")
    assert "tunnel down" not in c.log()
    assert c.stop() == 0 and server.stop() == 0


def test_what_comes_ends_a_pause(lab):
    lab.away(0)
    lab.away(1)
    server, c = lab.server(), lab.client()
    time.sleep(6)  # pauses of up to 8 seconds by now
    lab.up(0)
    assert seconds_until_connected(c) < 2
    assert c.stop() == 0 and server.stop() == 0


def test_what_comes_ends_a_dial_that_hangs(lab):
    lab.away(1)
    lab.silence(0)
    server, c = lab.server(), lab.client()
    until = time.monotonic() + 9  # it is given up after 10 seconds
    while lab.used("syn-sent") != {"10.99.0.2"}:
        assert time.monotonic() < until, c.log()
    time.sleep(1.5)  # younger ones are left alone
    lab.up(1, metric=5)
    c.expect("connected")
    c.wait_log("tunnel not up: ws://10.99.9.9:8010/: the network has changed")
    assert lab.used() == {"10.99.1.2"}
    assert c.stop() == 0 and server.stop() == 0


def test_a_storm_of_changes_costs_little(lab):
    server, c = lab.server(), lab.client()
    c.expect("connected")
    before = c.cpu()
    batch = "".join(f"addr add 10.98.{i // 200}.{i % 200 + 1}/32 dev near1\n"
                    f"addr del 10.98.{i // 200}.{i % 200 + 1}/32 dev near1\n"
                    for i in range(10000))
    begin = time.monotonic()
    assert run(*lab.near, "ip", "-batch", "-",
               input=batch.encode()).returncode == 0
    took = time.monotonic() - begin
    time.sleep(0.5)
    assert c.cpu() - before < 0.2 + 0.1 * took
    assert "tunnel down" not in c.log()
    lab.away(0)
    assert seconds_until_connected(c) < 2


def no_netlink():
    """seccomp: socket(AF_NETLINK) is EAFNOSUPPORT, as in a sandbox."""
    import platform
    nr = {"x86_64": 41, "aarch64": 198}[platform.machine()]
    code = b"".join(struct.pack("HBBI", *i) for i in (
        (0x20, 0, 0, 0), (0x15, 0, 3, nr), (0x20, 0, 0, 16),
        (0x15, 0, 1, 16), (0x06, 0, 0, 0x50000 | 97),
        (0x06, 0, 0, 0x7FFF0000)))
    buf = ctypes.create_string_buffer(code)
    prog = ctypes.create_string_buffer(
        struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(buf)))
    libc = ctypes.CDLL(None)
    assert libc.prctl(38, 1, 0, 0, 0) == 0
    assert libc.prctl(22, 2, ctypes.byref(prog), 0, 0) == 0


def test_without_netlink_it_works_all_the_same(start):
    server = start("server", "--listen", "127.0.0.1:0").ready()
    c = start("client", "--socks", "0", "-v", "--server", "ws://127.0.0.1:%d"
              % server.addr("ws")[1], preexec_fn=no_netlink).ready()
    c.wait_log("changes of the network are not noticed: Address family not")
    assert c.stop() == 0 and server.stop() == 0
