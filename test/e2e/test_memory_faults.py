# SPDX-License-Identifier: MIT
"""Each allocation of the program and its libraries fails, once: one stream or
one tunnel is lost and says so, and the next one works. See test/lib/fault.h.

make test: some of them, evenly spaced; make test-long: 2,000 (all but in the
arithmetic of a TLS handshake), or N."""
import pytest

from faults import Ended, Faults, Rig
from harness import COUNTED, SANITIZED, count, run

STEPS = Rig.STEPS[:-1]
SOME = 6 if SANITIZED else 12
TOKEN = "a token of enough bytes"
USER = ("somebody", "a password")
VARIANTS = [(who, scheme) for scheme in ("ws", "wss")
            for who in ("server", "client")]
# what else allocates: who, and more arguments of Rig
MORE = {
    "workers": ("server", {"server": ["--workers", "2"]}),
    "lanes": ("client", {"client": ["--workers", "2"], "size": 400000}),
    "pool": ("client", {"client": ["--connections", "4"]}),
    "site": ("server", {"server": ["--workers", "1", "--token", TOKEN,
                                   "--static", "SITE", "--allow", "loopback"],
                        "client": ["--token", TOKEN]}),
    "users": ("client", {"client": ["--workers", "1", "--proxy-users",
                                    "USERS"], "user": USER}),
    "log": ("server", {"server": ["--workers", "1", "--log-level", "trace",
                                  "--log-format", "json"]}),
}


def spaced(most, some=SOME):
    step = max(1, most // count(some, 2000))
    return range(1, most + 1, step)


def make(start, certs, scheme, faults, who, size=30000, **kw):
    """With one thread, so that the Nth allocation is the same each time."""
    return Rig(start, faults.env(), who, speed=10, size=size,
               certs=certs if scheme == "wss" else None,
               **{"server": ["--workers", "1"], "client": ["--workers", "1"],
                  **kw})


def torment(rig, faults, who, some=SOME):
    """A program that runs."""
    p = getattr(rig, who)
    for _ in range(3):
        faults.fail(0)
        assert rig.script(STEPS) == {}, rig.logs()
        cut = faults.allocs  # what follows is of a new tunnel
        assert rig.script(["again"]) == {}, rig.logs()
    struck = 0
    for n in spaced(faults.allocs, some):
        faults.fail(n)
        rig.script(STEPS if n <= cut else Rig.STEPS)
        struck += faults.failed
        faults.fail(0)
        assert p.process.poll() is None, f"{n}: {rig.logs()}"
        rig.recovers(STEPS)
        assert not rig.target.errors, (n, rig.target.errors)
    assert struck
    assert rig.stop() == {"client": 0, "server": 0}, rig.logs()


@pytest.mark.parametrize("who,scheme", VARIANTS)
def test_of_a_program_that_runs(start, certs, who, scheme):
    faults = Faults()
    torment(make(start, certs, scheme, faults, who), faults, who)


def from_the_start(start, certs, scheme, who, some=SOME, **kw):
    faults = Faults()
    faults.fail(0)
    rig = make(start, certs, scheme, faults, who, **kw)
    assert rig.script(STEPS) == {}
    most = faults.allocs
    assert rig.stop() == {"client": 0, "server": 0}
    for n in spaced(most, some):
        faults.fail(n)
        try:
            rig = make(start, certs, scheme, faults, who, **kw)
        except Ended as e:
            code, log = e.args
            assert code in (1, 2, 3, 4) and "memory" in log.lower(), \
                (n, code, log)
            continue
        rig.script(STEPS)
        faults.fail(0)
        rig.recovers(STEPS)
        assert rig.stop() == {"client": 0, "server": 0}, (n, rig.logs())


@pytest.fixture
def more(tmp_path):
    """The arguments of a variant, with its files."""
    site, users = tmp_path / "site", tmp_path / "users"
    site.mkdir()
    (site / "index.html").write_text("a page")
    hashed = run("openssl", "passwd", "-5", "-salt", "salt", USER[1])
    users.write_text(f"{USER[0]}:{hashed.stdout.decode()}")
    files = {"SITE": str(site), "USERS": str(users)}

    def get(name):
        who, args = MORE[name]
        return who, {k: [files.get(x, x) for x in v]
                     if k in ("server", "client") else v
                     for k, v in args.items()}

    return get


@pytest.mark.parametrize("name", MORE)
def test_of_more_that_runs(start, more, name):
    faults = Faults()
    who, args = more(name)
    torment(make(start, None, "ws", faults, who, **args), faults, who, 6)


# AddressSanitizer's own allocations for a thread must not fail
@pytest.mark.parametrize("name", [
    n for n in MORE if not (SANITIZED and n in ("workers", "lanes", "users"))])
def test_of_more_that_starts(start, more, name):
    who, args = more(name)
    from_the_start(start, None, "ws", who, 6, **args)


@pytest.mark.parametrize("who,scheme", VARIANTS)
def test_of_a_program_that_starts(start, certs, who, scheme):
    """Its first handshake is a full one."""
    from_the_start(start, certs, scheme, who)


@pytest.mark.parametrize("who", ["server", "client"])
def test_of_a_handshake_ends_it(start, certs, who):
    """mbedTLS may go on with what it has not computed: we do not."""
    faults = Faults()
    faults.fail(0)
    rig = make(start, certs, "wss", faults, who)
    assert rig.stop() == {"client": 0, "server": 0}
    most = faults.allocs  # the first third may be of the set-up
    times = count(SOME // 2, 2000)
    for i in range(times):
        faults.fail(most * (50 + 40 * i // times) // 100)
        rig = make(start, certs, "wss", faults, who)
        getattr(rig, who).wait_log("memory")
        assert faults.failed == 1
        assert rig.script(STEPS) == {}
        assert rig.stop() == {"client": 0, "server": 0}, rig.logs()


@pytest.mark.skipif(COUNTED, reason="gcov believes in malloc")
def test_of_the_servers_last_word_in_it(start, certs):
    """What was not computed is not sent: the client tries again."""
    faults = Faults()
    faults.fail(0)
    rig = make(start, certs, "wss", faults, "server")
    assert rig.stop() == {"client": 0, "server": 0}
    most = faults.allocs
    for n in range(most - 38, most - 16, 4 if SANITIZED else 1):
        faults.fail(n)
        rig = make(start, certs, "wss", faults, "server")
        assert rig.stop() == {"client": 0, "server": 0}, (n, rig.logs())


@pytest.mark.parametrize("scheme", ["ws", "wss"])
def test_of_both_at_random(start, certs, scheme):
    """Many a time, whatever they are for. A handshake takes 10,000."""
    for seed in range(count(1, 200)):
        faults = Faults()
        rig = Rig(start, faults.env(f"seed={seed}"), speed=10, size=400000,
                  certs=certs if scheme == "wss" else None)
        for _ in range(8):
            faults.fail_ppm = 100 if scheme == "wss" else 5000
            rig.script()
            faults.fail_ppm = 0
            for p in (rig.client, rig.server):
                assert p.process.poll() is None, (seed, rig.logs())
        rig.recovers(STEPS)
        assert rig.stop() == {"client": 0, "server": 0}, (seed, rig.logs())
