"""Agreement with Go's yaml.v2 on a thousand texts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NotRequired, TypedDict

import pytest

from metallb_py.config.problems import ConfigError, Findings
from metallb_py.config.yaml.schema import Record, decode


class Case(TypedDict):
    """A text with its decoded form, its schema errors, or its YAML fault."""

    yaml: str
    decoded: NotRequired[dict[str, object]]
    errors: NotRequired[list[str]]
    fault: NotRequired[str]


VECTORS = Path(__file__).parents[2] / "vectors" / "config-yaml-v2.json"
CASES: list[Case] = json.loads(VECTORS.read_text())["cases"]

# Intended differences: pattern of the text, and reason.
DIFFERENCES = {
    r"(auto-assign|aggregation-length): (Null|NULL)\n": "every null is null",
    r"aggregation-length: -\.inf": "infinity is not a number",
    r"\{name: b, <<: \*q\}": "a mapping's own keys win, wherever they stand (YAML's merge type)",
    r": -?([0-9_]*\.[0-9]*[1-9]|[0-9.]+e-[0-9]+)": "a fraction is not a whole number (asdot)",
    r"null: 1:1": 'the keys null and "" are distinct',
    r"\[fd00::\]": "libyaml finds a stray colon",
    r"^\? \[a\]": "a key that is not a scalar is not YAML here",
    r"x/y: a b\n  x/y: \[": "a repeated key is reported first",
    r"&a\n- \*a": "a value that contains itself is reported first",
}
AGREED = [case for case in CASES if not any(re.search(p, case["yaml"]) for p in DIFFERENCES)]


def values(record: Record) -> dict[str, object]:
    """Return a record as plain values, without fields at their zero value."""
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


def comparable(message: str) -> str:
    """Return the part of a message common to both: no values of lists of records, no advice.

    The kind of scalar found is removed too: Go reports a date as a timestamp, and a long integer
    as a float.
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


def test_vectors_contain_every_kind_of_case() -> None:
    assert len(AGREED) > 600
    assert all(any(kind in case for case in AGREED) for kind in ("decoded", "errors", "fault"))


@pytest.mark.parametrize("kind", ["decoded", "errors", "fault"])
def test_decoding_agrees_with_go_yaml_v2(kind: str) -> None:
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
                assert {*map(comparable, messages)} == {*map(comparable, case["errors"])}, case
        assert (record is None) == (kind != "decoded"), case


@pytest.mark.parametrize("pattern", DIFFERENCES)
def test_every_difference_from_yaml_v2_has_a_vector(pattern: str) -> None:
    assert any(re.search(pattern, case["yaml"]) for case in CASES)
