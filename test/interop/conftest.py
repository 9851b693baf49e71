# SPDX-License-Identifier: MIT
import os
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [HERE, os.path.join(HERE, "..", "lib"),
                os.path.join(HERE, "..", "e2e")]

import pytest  # noqa: E402

import harness  # noqa: E402


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
