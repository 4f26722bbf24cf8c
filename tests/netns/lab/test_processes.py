"""Programs of the lab: started, watched, ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.net.waiting import TIMEOUT

from metallb_py.lab.processes import GRACE_SECONDS, LabError, Programs, pid_file, wait_until

pytestmark = pytest.mark.netns
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path) as running:
        yield running


def test_output_of_a_program_is_its_log(programs: Programs) -> None:
    program = programs.start("talker", "sh", "-c", "echo one; echo two >&2; echo three")
    program.process.wait(TIMEOUT)
    assert program.log.read_text() == "one\ntwo\nthree\n"
    assert program.tail(2) == "  talker| two\n  talker| three"


def test_restarted_program_appends_to_its_log(programs: Programs) -> None:
    for word in ("one", "two"):
        program = programs.start("talker", "echo", word)
        program.process.wait(TIMEOUT)
    assert program.log.read_text() == "one\ntwo\n"


def test_pid_file_has_the_process_id(programs: Programs, tmp_path: Path) -> None:
    program = programs.start("sleeper", "sleep", "60")
    assert pid_file(tmp_path, "sleeper").read_text() == str(program.process.pid)


def test_run_returns_the_output_or_raises_with_stderr(programs: Programs) -> None:
    assert programs.run("cat", data="hello") == "hello"
    with pytest.raises(LabError, match=r"sh -c .*: exit status 3: no luck$"):
        programs.run("sh", "-c", "echo no luck >&2; exit 3")


def test_unexpectedly_ended_excludes_ended_and_killed_programs(programs: Programs) -> None:
    failed = programs.start("failed", "false")
    killed = programs.start("killed", "sleep", "60")
    ended = programs.start("ended", "sleep", "60")
    programs.start("running", "sleep", "60")
    failed.process.wait(TIMEOUT)
    killed.kill()
    ended.end()
    assert programs.unexpectedly_ended() == [failed]


def test_program_that_ignores_sigterm_is_killed(programs: Programs) -> None:
    program = programs.start("stubborn", "sh", "-c", STUBBORN)
    wait_until("ready", TIMEOUT, lambda: "ready" in program.log.read_text(), program)
    before = time.monotonic()
    program.end()
    assert program.process.returncode == -9
    assert time.monotonic() - before >= GRACE_SECONDS


def test_all_programs_end_together(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        started = [programs.start(f"sleeper{n}", "sleep", "60") for n in range(3)]
    assert [program.process.returncode for program in started] == [-15, -15, -15]


def test_wait_until_ends_at_its_timeout_or_with_the_program(programs: Programs) -> None:
    with pytest.raises(LabError, match=r"^nothing: not within 0\.05 s$"):
        wait_until("nothing", 0.05, lambda: False)
    program = programs.start("short", "echo", "last words")
    with pytest.raises(LabError, match=r"^something: ended\n  short\| last words$"):
        wait_until("something", 60, lambda: False, program)
