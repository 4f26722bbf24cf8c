"""Log lines in the form that log collectors read."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from metallb_py.rate_limit import Admitted, Rate
from metallb_py.runtime.log import Level, LimitedLog, LineLimits, LineWriter, Logger


def test_a_line_is_one_json_object_with_keys_in_order() -> None:
    lines: list[str] = []
    log = Logger(Level.INFO, lines.append).bind(service="default/web")
    log.info("service has IP, announcing", event="serviceAnnounced", ips=["192.0.2.1"])
    (line,) = lines
    assert "\n" not in line
    fields = json.loads(line)
    assert list(fields) == sorted(fields)
    assert fields["level"] == "info"
    assert fields["service"] == "default/web"
    assert fields["ips"] == ["192.0.2.1"]
    assert re.fullmatch(r"test_log\.py:\d+", fields["caller"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{0,8}[1-9])?Z", fields["ts"])


@pytest.mark.parametrize(
    ("level", "written"),
    [
        (Level.ALL, ["debug", "info", "warn", "error"]),
        (Level.DEBUG, ["debug", "info", "warn", "error"]),
        (Level.INFO, ["info", "warn", "error"]),
        (Level.WARN, ["warn", "error"]),
        (Level.ERROR, ["error"]),
        (Level.NONE, []),
    ],
)
def test_lines_below_the_log_level_are_dropped(level: Level, written: list[str]) -> None:
    lines: list[str] = []
    log = Logger(level, lines.append)
    log.debug("x")
    log.info("x")
    log.warn("x")
    log.error("x")
    assert [json.loads(line)["level"] for line in lines] == written


def test_log_level_may_be_computed() -> None:
    lines: list[str] = []
    Logger(Level.ALL, lines.append).log(Level.WARN, "careful")
    assert json.loads(lines[0])["level"] == "warn"


def test_text_of_any_language_stays_readable() -> None:
    lines: list[str] = []
    Logger(Level.ALL, lines.append).info("größer\nals")
    assert "größer\\nals" in lines[0]


@pytest.mark.parametrize(
    "text", ["\x1b[2J", "\x9b2J", "\u202e", "\u2028", "\x7f", "\ufeff", "\ud800"]
)
def test_control_characters_in_log_lines_are_escaped(text: str) -> None:
    lines: list[str] = []
    Logger(Level.ALL, lines.append).bind(service=text).info(f"a {text} b", ips=[text])
    assert lines[0].isprintable()
    fields = json.loads(lines[0])
    assert (fields["service"], fields["msg"], fields["ips"]) == (text, f"a {text} b", [text])


def test_long_field_is_truncated() -> None:
    lines: list[str] = []
    log = Logger(Level.ALL, lines.append)
    log.info("m" * 5000, error="e" * 100_000, ips=["i" * 5000] * 10, pools=["p"] * 1000)
    fields = json.loads(lines[0])
    assert fields["msg"] == "m" * 4096 + "... (904 more characters)"
    assert fields["error"] == "e" * 4096 + "... (95904 more characters)"
    assert fields["ips"] == ["i" * 4096 + "... (904 more characters)", "... (9 more)"]
    assert fields["pools"] == ["p"] * 256 + ["... (744 more)"]


def test_number_without_a_json_form_is_text() -> None:
    lines: list[str] = []
    Logger(Level.ALL, lines.append).info("x", seconds=float("inf"))
    assert json.loads(lines[0], parse_constant=pytest.fail)["seconds"] == "inf"


def test_lost_lines_are_reported_as_soon_as_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        log = Logger(gate=lambda _, __: Admitted())
        for number in range(1000):
            log.info("x" * 1000, number=number)
        os.read(reader, 1 << 20)
        log.info("after")
        after, report = map(json.loads, os.read(reader, 1 << 20).splitlines()[-2:])
    os.close(reader)
    assert after["msg"] == "after"
    assert 0 < report["lost"] < 1000


class Log:
    """A log with the usual rate limits, and a clock that the test moves."""

    def __init__(self, level: Level = Level.INFO) -> None:
        self.now = 0.0
        self._lines: list[str] = []
        self.logger = Logger(level, self._lines.append, gate=LineLimits(lambda: self.now))

    def lines(self) -> list[dict[str, object]]:
        """Return the lines since the last call."""
        lines, self._lines[:] = list(map(json.loads, self._lines)), []
        return lines


def test_one_source_cannot_fill_the_log() -> None:
    log = Log()
    for number in range(13_000):
        log.now = number / 2000
        log.logger.bind(peer="10.0.0.1:179").warn("malformed UPDATE", error=str(number))
    assert 1 <= len(log.lines()) <= 30


def test_suppressed_lines_are_counted_in_the_next_line_of_the_source() -> None:
    log = Log()

    def write(peer: str) -> None:
        log.logger.bind(peer=peer).warn("malformed UPDATE")

    for _ in range(100):
        write("a")
    written = len(log.lines())
    log.now = 60.0
    write("b")
    write("a")
    other, again = log.lines()
    assert "suppressed" not in other
    assert again["suppressed"] == 100 - written


def test_one_source_does_not_suppress_another() -> None:
    log = Log()
    for _ in range(1000):
        log.logger.warn("BGP session down", peer="a")
        log.logger.warn("a second line of it", peer="a")
    log.lines()
    for peer in map(str, range(100)):
        log.logger.warn("BGP session down", peer=peer)
    assert len(log.lines()) == 100


def test_announcements_of_ten_thousand_services_are_all_logged() -> None:
    log = Log()
    for number in range(10_000):
        log.logger.info("announcing", event="serviceAnnounced", service=f"default/web{number}")
        log.logger.info("service deleted", service=f"default/old{number}")
    assert len(log.lines()) == 20_000


def test_lines_of_unbounded_sources_are_limited_in_total() -> None:
    log = Log()
    for number in range(50_000):
        log.now = number / 1000
        log.logger.info("announcing", service=f"default/web{number}")
    assert len(log.lines()) <= 40_000 + 50 * 50


def test_debug_level_is_not_rate_limited() -> None:
    log = Log(Level.DEBUG)
    for _ in range(1000):
        log.logger.debug("one step")
    assert len(log.lines()) == 1000


def test_dropped_lines_do_not_consume_the_rate_limit() -> None:
    log = Log(Level.WARN)
    for level in [Level.INFO] * 1000 + [Level.WARN]:
        log.logger.log(level, "x")
    assert len(log.lines()) == 1


def test_limited_log_has_tighter_rate_limits() -> None:
    lines: list[str] = []
    now = [0.0]
    log = Logger(write=lines.append).bind(op="listen")
    limited = LimitedLog(log, Rate(1, 1 / 600), Rate(3, 1), lambda: now[0])
    for address in "aabcde":
        limited.of(address).warn("not from a peer", address=address)
    assert [json.loads(line)["address"] for line in lines] == ["a", "b", "c"]
    now[0] = 600.0
    limited.of("a").bind(more=1).warn("not from a peer", address="a")
    last = json.loads(lines[-1])
    assert (last["op"], last["suppressed"], last["more"]) == ("listen", 1, 1)
    assert last["caller"].startswith("test_log.py:")


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
