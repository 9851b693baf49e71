# SPDX-License-Identifier: MIT
"""Does the time of a comparison tell about a token (trust.md 3.2)?"""
import os
import re
import shutil

import pytest

from harness import WSP, run


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
@pytest.mark.skipif("ASAN_OPTIONS" in os.environ,
                    reason="a sanitizer does not run under valgrind")
def test_no_branch_depends_on_a_token():
    tool = os.path.join(os.path.dirname(WSP), "secret")
    r = run("valgrind", "-q", tool, timeout=120)
    if r.returncode == 77:
        pytest.skip("built without valgrind's headers")
    assert r.returncode == 0, r.stderr
    found = re.match(rb"compared (\d+), found (\d+), naive (\d+)", r.stdout)
    compared, roster, naive = map(int, found.groups())
    assert naive > 0 and compared == 0 and roster <= 3, r.stdout + r.stderr
