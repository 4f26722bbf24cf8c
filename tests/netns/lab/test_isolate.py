"""Namespaces for root and for other users, and their complete removal."""

from __future__ import annotations

import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from support.net.isolated import NOBODY, isolated
from support.net.requirements import require

from metallb_py.lab.isolate import IsolationError, has_other_users, run_isolated

pytestmark = pytest.mark.netns
WITHIN = 10.0


@pytest.mark.parametrize("user", [0, NOBODY])
def test_isolated_process_has_namespaces_of_its_own(user: int) -> None:
    def look() -> dict[str, object]:
        return {
            "pid": os.getpid(),
            "user": os.geteuid(),
            "links": [name for _, name in socket.if_nameindex()],
            "run": list(Path("/run").iterdir()),
            "processes": [path.name for path in Path("/proc").iterdir() if path.name.isdecimal()],
            "sys": [path.name for path in Path("/sys/class/net").iterdir()],
        }

    assert isolated(look, user=user) == {
        "pid": 1,
        "user": 0,
        "links": ["lo"],
        "run": [],
        "processes": ["1"],
        "sys": ["lo"],
    }


@pytest.mark.parametrize(("user", "others"), [(0, True), (NOBODY, False)])
def test_only_root_can_become_other_users(user: int, others: bool) -> None:
    assert isolated(has_other_users, user=user) is others


def test_mounts_stay_inside(tmp_path: Path) -> None:
    before = Path("/proc/self/mounts").read_text()
    isolated(lambda: None)
    assert Path("/proc/self/mounts").read_text() == before


def test_forbidden_namespaces_are_one_line_of_error() -> None:
    def forbid_and_try() -> str:
        Path("/proc/sys/user/max_net_namespaces").write_text("0")
        try:
            run_isolated(lambda _: 0)
        except IsolationError as error:
            return str(error)
        return "allowed"

    message = isolated(forbid_and_try, user=NOBODY)
    assert message.startswith("the lab needs namespaces: want root, or user namespaces (")
    assert "\n" not in message


def run_code(code: str, *arguments: object, **more: object) -> subprocess.Popen[bytes]:
    require(os.geteuid() == 0, "root, to make network namespaces")
    head = "import os, signal, subprocess, sys\nfrom metallb_py.lab.isolate import run_isolated\n"
    line = [sys.executable, "-c", head + code, *map(str, arguments)]
    return subprocess.Popen(line, **more)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("sys.exit(run_isolated(lambda _: 7))", 7),
        ("sys.exit(run_isolated(lambda _: sys.exit(3)))", 3),
        ("sys.exit(run_isolated(lambda _: sys.exit('words')))", 1),
        ("def stop(_): raise KeyboardInterrupt\nsys.exit(run_isolated(stop))", 130),
    ],
)
def test_the_exit_status_is_passed_on(code: str, status: int) -> None:
    assert run_code(code).wait(WITHIN) == status


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_inside_end_with_the_outer_process(number: int) -> None:
    """A process inside holds a pipe open: the pipe is closed when that process ends."""
    receiving, sending = os.pipe()
    code = (
        "def main(_):\n"
        "    fd = int(sys.argv[1])\n"
        "    subprocess.Popen(['sleep', '600'], pass_fds=[fd], start_new_session=True)\n"
        "    os.write(fd, b'x')\n"
        "    signal.pause()\n"
        "run_isolated(main)"
    )
    outer = run_code(code, sending, pass_fds=[sending])
    os.close(sending)
    with os.fdopen(receiving, "rb", buffering=0) as pipe:
        assert pipe.read(1) == b"x"
        outer.send_signal(number)
        readable, _, _ = select.select([pipe], [], [], WITHIN)
        assert readable, "a process is still alive"
        assert pipe.read(1) == b""
    outer.wait(WITHIN)
