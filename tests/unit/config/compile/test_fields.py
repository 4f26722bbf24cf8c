"""FieldReader: typed values of one record, and the problems reported."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_address

import pytest

from metallb_py.config.compile.fields import FieldReader
from metallb_py.config.findings import Findings
from metallb_py.config.problems import ConfigError
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
