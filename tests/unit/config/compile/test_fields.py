"""Values of one record, and what is told of them."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from ipaddress import ip_address

import pytest

from metallb_py.config.compile.fields import Reading
from metallb_py.config.findings import Findings
from metallb_py.config.problems import ConfigError
from metallb_py.config.yaml.schema import Located, Record


class Fruit(StrEnum):
    APPLE = "apple"
    PEAR = "pear"


def reading(text: str) -> tuple[Reading, Findings]:
    """Return a reading of a record whose key ``k``, in line 7, has this text."""
    findings = Findings()
    record = Record(3, "x", strings={"k": Located(text, 7, "x.k")}, lines={"k": 7})
    return Reading(record, "of x: ", findings), findings


def told(findings: Findings) -> str:
    with pytest.raises(ConfigError) as error:
        findings.raise_if_any()
    (problem,) = error.value.problems
    return str(problem)


def test_what_is_not_set_is_none() -> None:
    nothing, findings = reading("")
    assert nothing.address("k", "IP") is None
    assert nothing.duration("k", "time") is None
    assert nothing.choice("k", Fruit, "fruit") is None
    assert nothing.selectors("k") == ()
    findings.raise_if_any()
    assert not nothing.failed


def test_values() -> None:
    assert reading("10.0.0.1")[0].address("k", "IP") == ip_address("10.0.0.1")
    assert reading("1m")[0].duration("k", "time") == Decimal(60)
    assert reading("pear")[0].choice("k", Fruit, "fruit") is Fruit.PEAR


def test_what_is_none_of_several_words() -> None:
    found, findings = reading("plum")
    assert found.choice("k", Fruit, "fruit") is None
    assert found.failed
    wanted = 'x.k, line 7: of x: invalid fruit "plum": want one of "apple", "pear"'
    assert told(findings) == wanted


def test_what_is_no_address() -> None:
    found, findings = reading("plum")
    assert found.address("k", "IP") is None
    assert told(findings) == 'x.k, line 7: of x: invalid IP "plum": want an IPv4 or IPv6 address'


def test_an_address_that_must_be() -> None:
    found, findings = reading("")
    found.address("other", "IP", required=True)
    assert told(findings).startswith('x.other, line 3: of x: invalid IP ""')


def test_what_is_no_duration() -> None:
    found, findings = reading("5")
    assert found.duration("k", "time") is None
    assert "missing unit" in told(findings)
