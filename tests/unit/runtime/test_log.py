"""Log lines as log collectors read them."""

from __future__ import annotations

import json
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
