"""Programs of the lab: started, watched, ended."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.patience import PATIENCE

from metallb_py.lab.processes import GRACE_SECONDS, LabError, Programs, pid_file, wait_until

pytestmark = pytest.mark.netns
STUBBORN = "trap '' TERM; echo ready; while :; do sleep 1; done"


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    with Programs(tmp_path) as running:
        yield running


def test_what_a_program_prints_is_its_log(programs: Programs) -> None:
    program = programs.start("talker", "sh", "-c", "echo one; echo two >&2; echo three")
    program.process.wait(PATIENCE)
    assert program.log.read_text() == "one\ntwo\nthree\n"
    assert program.tail(2) == "  talker| two\n  talker| three"


def test_a_program_that_starts_again_goes_on_in_its_log(programs: Programs) -> None:
    for word in ("one", "two"):
        program = programs.start("talker", "echo", word)
        program.process.wait(PATIENCE)
    assert program.log.read_text() == "one\ntwo\n"


def test_its_number_can_be_looked_up(programs: Programs, tmp_path: Path) -> None:
    program = programs.start("sleeper", "sleep", "60")
    assert pid_file(tmp_path, "sleeper").read_text() == str(program.process.pid)


def test_run_returns_what_was_printed_or_says_what_went_wrong(programs: Programs) -> None:
    assert programs.run("cat", data="hello") == "hello"
    with pytest.raises(LabError, match=r"sh -c .*: exit status 3: no luck$"):
        programs.run("sh", "-c", "echo no luck >&2; exit 3")


def test_only_those_fell_that_nobody_ended(programs: Programs) -> None:
    fell = programs.start("fell", "false")
    killed = programs.start("killed", "sleep", "60")
    ended = programs.start("ended", "sleep", "60")
    programs.start("running", "sleep", "60")
    fell.process.wait(PATIENCE)
    killed.kill()
    ended.end()
    assert programs.fallen() == [fell]


def test_who_does_not_end_when_asked_is_killed(programs: Programs) -> None:
    program = programs.start("stubborn", "sh", "-c", STUBBORN)
    wait_until("ready", PATIENCE, lambda: "ready" in program.log.read_text(), program)
    before = time.monotonic()
    program.end()
    assert program.process.returncode == -9
    assert time.monotonic() - before >= GRACE_SECONDS


def test_all_end_together(tmp_path: Path) -> None:
    with Programs(tmp_path) as programs:
        started = [programs.start(f"sleeper{n}", "sleep", "60") for n in range(3)]
    assert [program.process.returncode for program in started] == [-15, -15, -15]


def test_waiting_ends_when_time_is_up_or_the_program_ended(programs: Programs) -> None:
    with pytest.raises(LabError, match=r"^nothing: not within 0\.05 s$"):
        wait_until("nothing", 0.05, lambda: False)
    program = programs.start("short", "echo", "last words")
    with pytest.raises(LabError, match=r"^something: ended\n  short\| last words$"):
        wait_until("something", 60, lambda: False, program)
