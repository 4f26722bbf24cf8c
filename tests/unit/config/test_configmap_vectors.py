"""What Go's yaml.v2 makes of a thousand texts, ours makes of them, too."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from metallb_py.config.findings import Findings
from metallb_py.config.problems import ConfigError
from metallb_py.config.yaml.schema import Record, decode


class Case(TypedDict):
    """A text with what it decodes to, what does not fit the schema, or why it is no YAML."""

    yaml: str
    decoded: NotRequired[dict[str, object]]
    errors: NotRequired[list[str]]
    fault: NotRequired[str]


VECTORS = Path(__file__).parents[2] / "vectors" / "config-yaml-v2.json"
CASES: list[Case] = json.loads(VECTORS.read_text())["cases"]

# Where ours is meant to differ.
OTHERWISE = {
    r"(auto-assign|aggregation-length): (Null|NULL)\n": "every null is null",
    r"aggregation-length: -\.inf": "infinity is no number",
    r"\{name: b, <<: \*q\}": "a mapping's own keys win, wherever they stand (YAML's merge type)",
    r": -?([0-9_]*\.[0-9]*[1-9]|[0-9.]+e-[0-9]+)": "a fraction is no whole number (asdot)",
    r"null: 1:1": 'the keys null and "" are two',
    r"\[fd00::\]": "libyaml sees a stray colon",
    r"^\? \[a\]": "what is no key is no YAML to us",
    r"x/y: a b\n  x/y: \[": "a key that is repeated is told first",
    r"&a\n- \*a": "a value that contains itself is told first",
}
AGREED = [case for case in CASES if not any(re.search(p, case["yaml"]) for p in OTHERWISE)]


def values(record: Record) -> dict[str, object]:
    """Show a record as plain values, without what is at its zero value."""
    found: dict[str, object] = {}
    found |= {key: item.value for key, item in record.strings.items() if item.value}
    found |= {key: item.value for key, item in record.numbers.items()}
    found |= {key: item.value for key, item in record.flags.items()}
    found |= {k: [i.value for i in items] for k, items in record.string_lists.items() if items}
    found |= {
        key: {name: item.value for name, item in items.items()}
        for key, items in record.string_maps.items()
        if items
    }
    found |= {k: [values(item) for item in items] for k, items in record.record_lists.items()}
    for key in ("my-asn", "peer-asn", "peer-port", "ebgp-multihop", "avoid-buggy-ips"):
        if not found.get(key, True):
            del found[key]
    for key in ("echo-mode", "passive-mode"):
        if not found.get(key, True):
            del found[key]
    return {key: value for key, value in found.items() if value != []}


def bare(message: str) -> str:
    """Return what a message has in common: no values of lists of records, no advice.

    Nor what kind of scalar was found: Go calls a date so, and a long integer a float.
    """
    message = message.partition("unmarshal errors: ")[2] or message
    message = re.sub(r": want .*", "", message)
    message = re.sub(r"(?s) `.*`(?= into (\[\])?config)", "", message)
    message = re.sub(r"!!(str|int|float|timestamp) `", "`", message)
    return message.replace("\n", "\\n")


def read(text: str) -> tuple[Record | None, list[str]]:
    findings = Findings()
    try:
        record = decode(text, findings)
        findings.raise_if_any()
    except ConfigError as error:
        return None, [problem.message for problem in error.problems]
    return record, []


def test_there_are_cases_of_every_kind() -> None:
    assert len(AGREED) > 600
    assert all(any(kind in case for case in AGREED) for kind in ("decoded", "errors", "fault"))


@pytest.mark.parametrize("kind", ["decoded", "errors", "fault"])
def test_as_yaml_v2(kind: str) -> None:
    for case in AGREED:
        if kind not in case:
            continue
        record, messages = read(case["yaml"])
        if "decoded" in case:
            assert record is not None, (case, messages)
            assert values(record) == case["decoded"], case
        elif "errors" in case:
            secret = any("..." in message and "field" in message for message in messages)
            if not secret:
                assert {*map(bare, messages)} == {*map(bare, case["errors"])}, case
        assert (record is None) == (kind != "decoded"), case


@pytest.mark.parametrize("pattern", OTHERWISE)
def test_where_ours_differs_there_is_a_case_of_it(pattern: str) -> None:
    assert any(re.search(pattern, case["yaml"]) for case in CASES)
