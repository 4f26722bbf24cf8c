"""Label selectors of Kubernetes, as values; short: a leaf for nodes, namespaces and services."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class Operator(StrEnum):
    """Operator of a requirement (Kubernetes ``matchExpressions``)."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


@dataclass(frozen=True, slots=True)
class Requirement:
    """One term of a selector: a label key, an operator and, for In and NotIn, values."""

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether these labels meet the requirement. A missing label satisfies NotIn."""
        match self.operator:
            case Operator.IN:
                return labels.get(self.key) in self.values
            case Operator.NOT_IN:
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels
        assert_never(self.operator)


@dataclass(frozen=True, slots=True)
class LabelSelector:
    """Requirements that must all be met. The empty set selects everything."""

    requirements: frozenset[Requirement] = frozenset()

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Whether an object with these labels is selected."""
        return all(requirement.matches(labels) for requirement in self.requirements)


def selects(selectors: tuple[LabelSelector, ...], labels: Mapping[str, str]) -> bool:
    """Whether at least one of the selectors matches, or the list is empty."""
    return not selectors or any(selector.matches(labels) for selector in selectors)
