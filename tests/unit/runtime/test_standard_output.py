"""Log lines written to a standard output that may not accept them."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from metallb_py.runtime.standard_output import LineWriter

ROOT = Path(__file__).parents[3]
# A daemon's log in a process of its own, so that a test can choose its standard output.
PROGRAM = textwrap.dedent("""
    import sys
    from metallb_py.runtime.log import Logger
    log = Logger()
    for number in range(3):
        log.info("surrogate \\ud800", number=number)
    sys.stderr.write("still there")
""")


def run(stdout: int) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM],
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
    )


def test_closed_pipe_does_not_end_the_process() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    done = run(writer)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "still there")


def test_full_disk_does_not_end_the_process() -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    done = run(full)
    os.close(full)
    assert (done.returncode, done.stderr) == (0, "still there")


def test_closed_standard_output_does_not_end_the_process() -> None:
    done = subprocess.run(
        ["sh", "-c", '"$0" -c "$1" >&-', sys.executable, PROGRAM],
        stderr=subprocess.PIPE,
        text=True,
        check=False,
        cwd=ROOT,
    )
    assert (done.returncode, done.stderr) == (0, "still there")


def test_lines_of_any_text_reach_a_reader_of_any_encoding(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONIOENCODING", "ascii")
    done = run(subprocess.PIPE)
    assert done.returncode == 0
    assert len(done.stdout.splitlines()) == 3


def test_a_full_pipe_loses_lines_and_counts_them() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    lines = LineWriter(writer)
    written = 0
    while lines.write("x" * 999):
        written += 1
    assert not lines.write("x" * 999)
    assert lines.lost == 2
    os.read(reader, 1 << 20)
    assert lines.write("after")
    os.close(writer)
    assert os.read(reader, 100).endswith(b"after\n")
    os.close(reader)
    assert written


def test_line_after_a_partial_line_begins_a_new_one() -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    lines = LineWriter(writer)
    assert not lines.write("x" * (1 << 20))
    begun = os.read(reader, 1 << 20)
    assert begun
    assert set(begun) == {ord("x")}
    assert lines.write("after")
    assert os.read(reader, 100) == b"\nafter\n"
    os.close(reader)
    os.close(writer)
