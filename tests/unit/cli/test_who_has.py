"""Output of ``metallb-py who-has``."""

from __future__ import annotations

from ipaddress import ip_address

from metallb_py.cli.who_has import as_json, as_text
from speaker.diagnosis import Answer, AnswererStatus, Expected, Finding

ADDRESS = ip_address("192.0.2.7")
DUE = Expected("node1", ("default/web",), "first of node1, node2")
FIRST = Answer("02:00:00:00:00:01", "node1", AnswererStatus.ELECTED)
SECOND = Answer("02:00:00:00:00:02", "node2", AnswererStatus.NOT_ELECTED)
UNKNOWN_HOST = Answer("06:00:00:00:00:01", "", AnswererStatus.UNKNOWN_HOST)
LAST = "node1 should answer for 192.0.2.7 (of default/web): first of node1, node2"


def lines(*answers: Answer, colored: bool = False) -> list[str]:
    return list(as_text(Finding(ADDRESS, DUE, answers), colored=colored))


def test_answer_of_the_elected_node_alone_is_not_colored() -> None:
    assert lines(FIRST) == ["02:00:00:00:00:01  node1  elected", LAST]
    assert lines(FIRST, colored=True) == lines(FIRST)


def test_no_answer_is_reported() -> None:
    assert lines() == ["no host answers for 192.0.2.7", LAST]


def test_several_answers_and_unknown_hosts_are_red() -> None:
    plain = lines(FIRST, SECOND, UNKNOWN_HOST)
    assert plain[2] == "06:00:00:00:00:01  unknown  no node with a speaker"
    red = lines(FIRST, SECOND, UNKNOWN_HOST, colored=True)
    assert red[:3] == [f"\x1b[31m{line}\x1b[0m" for line in plain[:3]]
    assert red[3] == LAST


def test_json_has_the_elected_node_and_the_answers() -> None:
    found = as_json(Finding(ADDRESS, DUE, (SECOND,)))
    assert found["right"] is False
    assert found["elected"] == "node1"
    assert found["answers"] == [
        {"mac": "02:00:00:00:00:02", "node": "node2", "standing": "not elected"}
    ]
