"""Log lines as log collectors read them."""

from __future__ import annotations

import json
import os
import re

import pytest

from metallb_py.runtime.log import Level, Logger


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
def test_levels(level: Level, written: list[str]) -> None:
    lines: list[str] = []
    log = Logger(level, lines.append)
    log.debug("x")
    log.info("x")
    log.warn("x")
    log.error("x")
    assert [json.loads(line)["level"] for line in lines] == written


def test_a_computed_level() -> None:
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
def test_what_a_terminal_obeys_is_escaped(text: str) -> None:
    lines: list[str] = []
    Logger(Level.ALL, lines.append).bind(service=text).info(f"a {text} b", ips=[text])
    assert lines[0].isprintable()
    fields = json.loads(lines[0])
    assert (fields["service"], fields["msg"], fields["ips"]) == (text, f"a {text} b", [text])


def test_a_long_field_is_cut() -> None:
    lines: list[str] = []
    log = Logger(Level.ALL, lines.append)
    log.info("m" * 5000, error="e" * 100_000, ips=["i" * 5000] * 10, pools=["p"] * 1000)
    fields = json.loads(lines[0])
    assert fields["msg"] == "m" * 4096 + "... (904 more characters)"
    assert fields["error"] == "e" * 4096 + "... (95904 more characters)"
    assert fields["ips"] == ["i" * 4096 + "... (904 more characters)", "... (9 more)"]
    assert fields["pools"] == ["p"] * 256 + ["... (744 more)"]


def test_a_number_that_json_does_not_know_is_text() -> None:
    lines: list[str] = []
    Logger(Level.ALL, lines.append).info("x", seconds=float("inf"))
    assert json.loads(lines[0], parse_constant=pytest.fail)["seconds"] == "inf"


def test_lost_lines_are_told_of_once_there_is_room(monkeypatch: pytest.MonkeyPatch) -> None:
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with os.fdopen(writer, "w") as stream:
        monkeypatch.setattr("sys.stdout", stream)
        log = Logger()
        for number in range(1000):
            log.info("x" * 1000, number=number)
        os.read(reader, 1 << 20)
        log.info("after")
        after, told = map(json.loads, os.read(reader, 1 << 20).splitlines()[-2:])
    os.close(reader)
    assert after["msg"] == "after"
    assert 0 < told["lost"] < 1000
