"""FieldReader: typed values of one record, and the problems reported."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_address

import pytest
from support.kube.config_text import PEER, problems

from metallb_py.config.compile.fields import FieldReader
from metallb_py.config.problems import ConfigError, Findings
from metallb_py.config.yaml.schema import Located, Record


class Fruit(StrEnum):
    APPLE = "apple"
    PEAR = "pear"


def reader_of(text: str) -> tuple[FieldReader, Findings]:
    """Return a reader of a record whose key ``k``, in line 7, has this text."""
    findings = Findings()
    record = Record(3, "x", strings={"k": Located(text, 7, "x.k")}, lines={"k": 7})
    return FieldReader(record, "of x: ", findings), findings


def reported(findings: Findings) -> str:
    with pytest.raises(ConfigError) as error:
        findings.raise_if_any()
    (problem,) = error.value.problems
    return str(problem)


def test_absent_fields_are_none() -> None:
    nothing, findings = reader_of("")
    assert nothing.address("k", "IP") is None
    assert nothing.duration("k", "time") is None
    assert nothing.choice("k", Fruit, "fruit") is None
    assert nothing.selectors("k") == ()
    findings.raise_if_any()
    assert not nothing.failed


def test_valid_fields_are_converted() -> None:
    assert reader_of("10.0.0.1")[0].address("k", "IP") == ip_address("10.0.0.1")
    assert reader_of("1m")[0].duration("k", "time") == Decimal(60)
    assert reader_of("pear")[0].choice("k", Fruit, "fruit") is Fruit.PEAR


def test_unknown_choice_is_reported_with_the_choices() -> None:
    found, findings = reader_of("plum")
    assert found.choice("k", Fruit, "fruit") is None
    assert found.failed
    wanted = 'x.k, line 7: of x: invalid fruit "plum": want one of "apple", "pear"'
    assert reported(findings) == wanted


def test_invalid_address_is_reported() -> None:
    found, findings = reader_of("plum")
    assert found.address("k", "IP") is None
    assert (
        reported(findings) == 'x.k, line 7: of x: invalid IP "plum": want an IPv4 or IPv6 address'
    )


def test_missing_required_address_is_reported() -> None:
    found, findings = reader_of("")
    found.address("other", "IP", required=True)
    assert reported(findings).startswith('x.other, line 3: of x: invalid IP ""')


def test_invalid_duration_is_reported() -> None:
    found, findings = reader_of("5")
    assert found.duration("k", "time") is None
    assert "missing unit" in reported(findings)


BAD_SELECTORS = [
    (f"{PEER}, node-selectors: [match-labels: {{a..b/c: d}}]", 'key: "a..b/c"'),
    (f"{PEER}, node-selectors: [match-labels: {{/c: d}}]", 'key: "/c"'),
    (
        f"{PEER}, node-selectors: [{{match-expressions: [{{key: a, operator: in}}]}}]",
        'parsing node selector: "in" is not a valid pod selector operator',
    ),
    (
        f"{PEER}, node-selectors: [{{match-expressions: [{{key: a, operator: In}}]}}]",
        "for 'in', 'notin' operators, values set can't be empty",
    ),
    (
        f"{PEER}, node-selectors: [match-expressions: [{{key: a, operator: Exists, values: [b]}}]]",
        "values set must be empty for exists and does not exist",
    ),
    (f"{PEER}, node-selectors: [{{match-labels: {{'a b': c}}}}]", 'key: "a b"'),
    (f"{PEER}, node-selectors: [{{match-labels: {{a: b c}}}}]", 'values: "b c"'),
]


@pytest.mark.parametrize(("peer", "expected"), BAD_SELECTORS)
def test_invalid_node_selector_is_reported(peer: str, expected: str) -> None:
    (found,) = problems(f"peers:\n- {{{peer}}}\n")
    assert expected in found[2]
    assert found[0] == 2
    assert ".node-selectors[0]" in found[1]


def test_password_misplaced_among_the_labels_is_not_printed() -> None:
    selector = "{match-labels: {password: s3cret!}}"
    text = f"peers:\n- {{{PEER}, node-selectors: [{selector}]}}"
    ((_, path, message),) = problems(text)
    assert path.endswith(".node-selectors[0].match-labels.password")
    assert "password: found where labels belong" in message
