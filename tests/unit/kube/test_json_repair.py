"""Repair of JSON that the decoder rejects and other programs accept."""

from __future__ import annotations

import json
import time

import msgspec
import pytest

from metallb_py.kube.json_repair import DEPTH, prune, repair


def depth_of(value: object) -> int:
    depth = 0
    while isinstance(value, list | dict):
        depth += 1
        value = next(iter(value.values() if isinstance(value, dict) else value), None)
    return depth


def nested(depth: int, kind: str = "[") -> str:
    if kind == "[":
        return "[" * depth + "]" * depth
    return '{"[\\"]":' * depth + "1" + "}" * depth


@pytest.mark.parametrize("kind", "[{")
@pytest.mark.parametrize("depth", [DEPTH + 1, 980, 1000, 5000, 100_000])
def test_too_deep_nesting_is_pruned_and_its_neighbours_are_kept(depth: int, kind: str) -> None:
    text = (
        f'{{"before": "}}]\\\\", "deep": {nested(depth, kind)}, "after": ["[", {{}}, {{"a": 1}}]}}'
    )
    found = json.loads(prune(text.encode()))
    assert depth_of(found["deep"]) in (DEPTH - 1, DEPTH)
    assert found["before"] == "}]\\"
    assert found["after"] == ["[", {}, {"a": 1}]
    assert msgspec.json.decode(prune(text.encode()))["after"] == ["[", {}, {"a": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "{}",
        '"["',
        nested(DEPTH),
        nested(DEPTH, "{"),
        '{"a": ["]", "\\"[", {"b": "\\\\"}]}',
        "[" + ",".join([nested(DEPTH - 1)] * 5) + "]",
    ],
)
def test_nesting_within_the_limit_is_unchanged(text: str) -> None:
    assert prune(text.encode()) == text.encode()
    assert repair(text.encode()) == text.encode()


@pytest.mark.parametrize(
    "text", ["", "]", "]]]]", '"', '"\\', "[[[", "{]", '{"a', "\\", '[["]', "nonsense", "\x00["]
)
def test_repair_of_invalid_json_does_not_raise(text: str) -> None:
    repair(text.encode(), 1)


@pytest.mark.parametrize(
    ("found", "wanted"),
    [
        (rb'"\ud800"', "�"),
        (rb'"a\uDC00b"', "a�b"),
        (rb'"\ud83d\ude00"', "\U0001f600"),
        (rb'"\ud83d\ud83d\ude00"', "�\U0001f600"),
        (rb'"\\ud800"', r"\ud800"),
        (rb'"\\\ud800x"', "\\�x"),
        (b'"\xff\xfe"', "��"),
        (b'"\xed\xa0\x80"', "���"),
    ],
)
def test_lone_surrogates_and_invalid_utf8_are_replaced(found: bytes, wanted: str) -> None:
    assert msgspec.json.decode(repair(found)) == wanted


@pytest.mark.parametrize(
    "unit",
    [b"[", b"{", b"]", b'"', b'"\\"', b"\\", b"[]", b"[{", b'{"a":', b"[[],", b'"[', b"\\ud800"],
)
def test_repair_takes_linear_time(unit: bytes) -> None:
    def cost(size: int) -> float:
        data = b'{"a":' + unit * (size // len(unit))
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            repair(data)
            best = min(best, time.process_time() - started)
        return best

    assert cost(400_000) < 40 * (cost(40_000) + 0.002), (
        "ten times the size, far less than a hundred times the time"
    )
