"""Label selectors."""

from __future__ import annotations

import pytest

from metallb_py.model.selectors import LabelSelector, Operator, Requirement

LABELS = {"rack": "1", "zone": "a"}


@pytest.mark.parametrize(
    ("requirement", "matches"),
    [
        (Requirement("rack", Operator.IN, frozenset({"1", "2"})), True),
        (Requirement("rack", Operator.IN, frozenset({"2"})), False),
        (Requirement("none", Operator.IN, frozenset({"1"})), False),
        (Requirement("rack", Operator.NOT_IN, frozenset({"2"})), True),
        (Requirement("rack", Operator.NOT_IN, frozenset({"1"})), False),
        (Requirement("none", Operator.NOT_IN, frozenset({"1"})), True),
        (Requirement("rack", Operator.EXISTS), True),
        (Requirement("none", Operator.EXISTS), False),
        (Requirement("rack", Operator.DOES_NOT_EXIST), False),
        (Requirement("none", Operator.DOES_NOT_EXIST), True),
    ],
)
def test_requirement_operators_match_labels(requirement: Requirement, matches: bool) -> None:
    assert requirement.matches(LABELS) is matches


def test_selector_matches_only_with_all_of_its_requirements() -> None:
    rack = Requirement("rack", Operator.IN, frozenset({"1"}))
    zone = Requirement("zone", Operator.IN, frozenset({"b"}))
    assert LabelSelector(frozenset({rack})).matches(LABELS)
    assert not LabelSelector(frozenset({rack, zone})).matches(LABELS)
    assert LabelSelector().matches({})
