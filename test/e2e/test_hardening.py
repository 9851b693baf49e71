# SPDX-License-Identifier: MIT
"""How the binary is built: what makes a hole in it harder to use."""
import shutil

import pytest

from harness import COUNTED, WSP, run


@pytest.fixture(scope="module")
def elf():
    """readelf(options...) -> text, of the build that is installed."""
    if not shutil.which("readelf"):
        pytest.skip("no readelf")

    def readelf(*options):
        r = run("readelf", "-W", *options, WSP)
        assert r.returncode == 0, r.stderr
        return r.stdout.decode()

    if any(name in readelf("-d", "--dyn-syms")
           for name in ("libasan", "libtsan", "__asan_init", "__tsan_init")) \
            or COUNTED:
        pytest.skip("a build that looks for faults")
    return readelf


def test_it_is_anywhere_in_memory(elf):
    assert "Type:                              DYN" in elf("-h")
    assert "PIE" in [w for line in elf("-d").splitlines()
                     if "FLAGS_1" in line for w in line.split()]


def test_nothing_is_writable_and_code(elf):
    segments = [line.split() for line in elf("-l").splitlines()
                if line.split()[:1] in (["LOAD"], ["GNU_STACK"])]
    assert segments
    for s in segments:
        flags = "".join(s[6:-1])
        assert not ("W" in flags and "E" in flags), s
        assert s[0] != "GNU_STACK" or "E" not in flags
    assert "TEXTREL" not in elf("-d")


def test_tables_of_functions_are_read_only(elf):
    """Full RELRO."""
    assert "GNU_RELRO" in elf("-l")
    assert "BIND_NOW" in elf("-d")


def test_libraries_come_from_the_system_only(elf):
    assert "RPATH" not in elf("-d") and "RUNPATH" not in elf("-d")


def test_the_compiler_checks(elf):
    """Canaries on the stack, and sizes where the compiler knows them."""
    symbols = elf("--dyn-syms")
    assert "__stack_chk_fail" in symbols
    assert "__memcpy_chk" in symbols and "__snprintf_chk" in symbols
