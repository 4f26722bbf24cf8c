"""System calls that the filter denies and permits. Each case is a process of its own."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from struct import iter_unpack

import pytest

from speaker.linux.syscall_filter import TABLES, program

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[4]
TABLE = TABLES.get(os.uname().machine)
SCRIPT = """
import ctypes, os, sys, threading
from speaker.linux.capabilities import keep_only
from speaker.linux.syscall_filter import deny_system_calls
keep_only()
if not deny_system_calls():
    raise SystemExit(77)
libc = ctypes.CDLL(None, use_errno=True)
"""


def inside(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + code], check=False, cwd=ROOT, capture_output=True, text=True
    )
    if done.returncode == 77:
        pytest.skip("no seccomp here")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_denied_call_fails_with_eperm() -> None:
    assert TABLE is not None
    numbers = sorted({*TABLE.denied.values()})
    code = f"""
for number in {numbers}:
    ctypes.set_errno(0)
    print(libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno())
"""
    assert inside(code).splitlines() == [f"-1 {errno.EPERM}"] * len(numbers)


def test_no_program_and_no_process_is_started() -> None:
    code = """
for attempt in (lambda: os.execv("/bin/true", ["true"]), os.fork):
    try:
        attempt()
    except OSError as error:
        print(error.errno)
"""
    assert inside(code).splitlines() == [str(errno.EPERM)] * 2


def test_threads_sockets_and_files_are_permitted() -> None:
    code = """
import select, socket
results = []
thread = threading.Thread(target=results.append, args=("a thread",))
thread.start()
thread.join()
select.epoll().close()
socket.socket(socket.AF_INET, socket.SOCK_DGRAM).close()
print(*results, open("/proc/self/status").read().split("Seccomp:")[1].split()[0])
"""
    assert inside(code) == "a thread 2"


def test_calls_of_a_foreign_architecture_are_denied() -> None:
    for table in TABLES.values():
        instructions = list(iter_unpack("=HBBI", program(table)))
        assert instructions[0] == (0x20, 0, 0, 4)
        assert instructions[1] == (0x15, 1, 0, table.audit)
        assert instructions[2] == (0x06, 0, 0, 0x00050000 | errno.EPERM)
        assert len({*table.denied.values()}) == len(table.denied)
