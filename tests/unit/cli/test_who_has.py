"""What is printed of who answers."""

from __future__ import annotations

from ipaddress import ip_address

from metallb_py.cli.who_has import as_json, as_text
from speaker.diagnosis import Answer, Expected, Finding, Standing

ADDRESS = ip_address("192.0.2.7")
DUE = Expected("node1", ("default/web",), "first of node1, node2")
FIRST = Answer("02:00:00:00:00:01", "node1", Standing.ELECTED)
SECOND = Answer("02:00:00:00:00:02", "node2", Standing.NOT_ELECTED)
STRANGER = Answer("06:00:00:00:00:01", "", Standing.STRANGER)
LAST = "node1 should answer for 192.0.2.7 (of default/web): first of node1, node2"


def lines(*answers: Answer, colored: bool = False) -> list[str]:
    return list(as_text(Finding(ADDRESS, DUE, answers), colored=colored))


def test_one_right_answer() -> None:
    assert lines(FIRST) == ["02:00:00:00:00:01  node1  elected", LAST]
    assert lines(FIRST, colored=True) == lines(FIRST)


def test_nobody() -> None:
    assert lines() == ["nobody answers for 192.0.2.7", LAST]


def test_several_and_strangers_are_red() -> None:
    plain = lines(FIRST, SECOND, STRANGER)
    assert plain[2] == "06:00:00:00:00:01  unknown  no node with a speaker"
    red = lines(FIRST, SECOND, STRANGER, colored=True)
    assert red[:3] == [f"\x1b[31m{line}\x1b[0m" for line in plain[:3]]
    assert red[3] == LAST


def test_json() -> None:
    said = as_json(Finding(ADDRESS, DUE, (SECOND,)))
    assert said["right"] is False
    assert said["elected"] == "node1"
    assert said["answers"] == [
        {"mac": "02:00:00:00:00:02", "node": "node2", "standing": "not elected"}
    ]
