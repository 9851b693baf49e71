# SPDX-License-Identifier: MIT
"""Where the server dials: on the address that is dialled, however it was
written, and whatever the name server says the next time."""
import socket

import pytest

from harness import Target, recv_exact, socks_reply, socks_request
from names import A, Names

TOKEN = ("--token", "a token of enough bytes")


def code(proxy, host, port):
    """What the SOCKS proxy replies."""
    with socket.create_connection(proxy, 20) as s:
        s.sendall(b"\5\1\0" + socks_request((host, port)))
        recv_exact(s, 2)
        return socks_reply(s)[0]


class Counted(Target):
    """Somebody whom nobody may reach, or only who may: counts who does."""

    def __init__(self, host):
        self.came = 0
        super().__init__(self.count, host)

    def count(self, s):
        self.came += 1
        s.close()


@pytest.fixture
def named(pair):
    """A pair whose server asks a name server of ours, and that one."""
    def make(*rules):
        names = Names()
        p = pair(server=TOKEN + rules, client=TOKEN, env=names.env)
        return p.socks, names
    return make


def test_each_spelling_of_a_forbidden_address(pair):
    p = pair(server=TOKEN, client=TOKEN)
    with Counted("127.0.0.1") as t:
        port = t.addr[1]
        for host in ("127.0.0.1", "localhost", "::1", "::ffff:127.0.0.1",
                     "::127.0.0.1", "0.0.0.0", "::", "169.254.169.254",
                     "64:ff9b::7f00:1", "64:ff9b:1::7f00:1",
                     "2002:7f00:1::", "224.0.0.1", "fe80::1", "ff02::1"):
            assert code(p.socks, host, port) == 2, host
        assert "--allow loopback" in p.server.log()
        for host in ("0x7f000001", "2130706433", "0177.0.0.1", "127.1",
                     "127.1.", "a..b"):
            assert code(p.socks, host, port) == 8, host
        assert t.came == 0


def test_rules(pair):
    with Counted("127.0.0.1") as t:
        port = t.addr[1]
        wide = pair(server=(*TOKEN, "--allow", "loopback"), client=TOKEN)
        assert code(wide.socks, "127.0.0.1", port) == 0
        rules = pair(server=("--deny", "any", "--allow", f"127.0.0.1:{port}"))
        assert code(rules.socks, "127.0.0.1", port) == 0
        assert code(rules.socks, "127.0.0.1", port + 1) == 2


@pytest.mark.parametrize("v6, v4", [
    ([], ["127.0.0.1"]),
    ([], ["169.254.169.254"]),
    ([], ["0.0.0.0", "127.0.0.53"]),
    (["::1"], []),
    (["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"], []),
    (["fe80::1", "::"], ["127.0.0.1"]),
])
def test_a_name_of_a_forbidden_address(named, v6, v4):
    socks, names = named()
    names.say(v6, v4)
    with Counted("127.0.0.1") as t:
        assert code(socks, "innocent.example", t.addr[1]) == 2
        assert t.came == 0


def test_a_name_whose_address_changes(named):
    """DNS rebinding: good when it is checked, ours when it is dialled."""
    socks, names = named("--allow", "127.0.0.2")
    with Counted("127.0.0.1") as ours:
        port = ours.addr[1]
        with Target(lambda s: s.close(), "127.0.0.2", port=port):
            names.say([], ["127.0.0.2"])
            before = len(names.asked)
            assert code(socks, "rebind.example", port) == 0
            kinds = [q[-4:-2] for q in names.asked[before:]]
            assert kinds.count(A) == 1  # it is not asked again to dial
            names.say([], ["127.0.0.1"])
            assert code(socks, "rebind.example", port) == 2
            # of several addresses, those that may be dialled are
            names.say([], ["127.0.0.1", "127.0.0.2"])
            assert code(socks, "rebind.example", port) == 0
            assert ours.came == 0
