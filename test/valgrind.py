#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make valgrind: memcheck on every unit test and on the end-to-end tests that
do not measure time. No error, no leak, no descriptor left: nothing is
suppressed. Without valgrind it is skipped.

FILE...     these files of end-to-end tests instead
"""
import glob
import os
import re
import shutil
import stat
import subprocess
import sys

os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
LOGS = os.path.abspath("build/valgrind")
VALGRIND = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full",
            "--track-fds=yes", f"--log-file={LOGS}/%p.log"]
E2E = ["test/e2e/test_socks.py", "test/e2e/test_unix.py",
       "test/e2e/test_tls.py"]
# The first starts too much for its time limits; libraries of AES-GCM say
# another name of themselves without AVX-512; and /proc/PID/cmdline is
# valgrind's own.
NOT = "not verbatim and not each_library and not command_line"


def wrapper():
    path = os.path.join(LOGS, "wsp")
    with open(path, "w") as f:
        f.write("#!/bin/sh\nexec %s %s \"$@\"\n" % (
            " ".join(VALGRIND), os.path.abspath("build/wsp")))
    os.chmod(path, stat.S_IRWXU)
    return path


def findings():
    """What the logs say but for descriptors that were there before."""
    for path in glob.glob(f"{LOGS}/*.log"):
        with open(path, errors="replace") as f:
            text = re.sub(r"^==\d+== ?", "", f.read(), flags=re.M)
        text = re.sub(r"^FILE DESCRIPTORS: .*\n", "", text, flags=re.M)
        text = re.sub(r"^Open .*\n +<inherited from parent>\n", "", text,
                      flags=re.M)
        # what valgrind says of itself: calls that it does not know (Landlock)
        text = re.sub(r"^--\d+-- .*\n", "", text, flags=re.M)
        # valgrind's own log
        text = re.sub(rf"^Open file descriptor \d+: {LOGS}/.*\n", "", text,
                      flags=re.M)
        if text.strip():
            yield f"{path}:\n{text.strip()}"


def main():
    if not shutil.which("valgrind"):
        print("valgrind is not installed\n0 passed, 0 failed, 1 skipped")
        return
    shutil.rmtree(LOGS, ignore_errors=True)
    os.makedirs(LOGS)
    failed = passed = 0
    for p in sorted(glob.glob("build/unit/test_*")):
        if os.access(p, os.X_OK) and not p.endswith((".o", ".d")):
            good = not subprocess.run(
                VALGRIND + [p], stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL).returncode
            print(f"{'ok' if good else 'FAILED':7}{p}", flush=True)
            passed, failed = passed + good, failed + (not good)
    env = {**os.environ, "WSP_BIN": wrapper()}
    for path in sys.argv[1:] or E2E:
        good = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
             "--tb=short", "-k", NOT, path], env=env).returncode in (0, 5)
        passed, failed = passed + good, failed + (not good)
    found = list(findings())
    print(*found, sep="\n")
    print(f"{passed} passed, {failed + len(found)} failed")
    sys.exit(failed + len(found) > 0)


main()
