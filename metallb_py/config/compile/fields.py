"""Typed access to the values of one record, label selectors among them; reports each problem."""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.config.durations import parse_duration
from metallb_py.config.problems import Findings
from metallb_py.config.yaml.schema import Record, is_secret
from metallb_py.model.selectors import LabelSelector, Operator, Requirement

Choice = TypeVar("Choice", bound=StrEnum)


class FieldReader:
    """Reader of a record's values, which reports the problems that it finds.

    ``context`` is the prefix of each message. ``failed`` is set once a problem was reported, by the
    reader or the decoder. An invalid value is reported and read as None.
    """

    def __init__(self, record: Record, context: str, findings: Findings) -> None:
        self.record = record
        self.failed = bool(record.failed)
        self._context = context
        self._findings = findings

    def report(self, key: str, message: str) -> None:
        """Report a problem with the value of a key, or with its absence."""
        self.report_at(self.record.line_of(key), self.record.path_of(key), message)

    def report_at(self, line: int, path: str, message: str) -> None:
        """Report a problem at another place."""
        self.failed = True
        self._findings.add(line, path, self._context + message)

    def address(self, key: str, what: str, *, required: bool = False) -> IPAddress | None:
        """Read an address; None if it is not set."""
        text = self.record.string(key)
        if (not text and not required) or key in self.record.failed:
            return None
        try:
            return parse_address(text)
        except ValueError:
            self.report(key, f'invalid {what} "{text}": want an IPv4 or IPv6 address')
            return None

    def duration(self, key: str, what: str) -> Decimal | None:
        """Read a duration in seconds; None if it is not set."""
        text = self.record.string(key)
        if not text:
            return None
        try:
            return parse_duration(text)
        except ValueError as error:
            self.report(key, f'invalid {what} "{text}": {error}: want one as in "90s"')
            return None

    def choice(self, key: str, choices: type[Choice], what: str) -> Choice | None:
        """Read a member of an enumeration; None if it is not set."""
        text = self.record.string(key)
        if not text:
            return None
        try:
            return choices(text)
        except ValueError:
            wanted = ", ".join(f'"{choice}"' for choice in choices)
            self.report(key, f'invalid {what} "{text}": want one of {wanted}')
            return None

    def selectors(self, key: str) -> tuple[LabelSelector, ...]:
        """Read node selectors, without the invalid ones, which are reported."""
        found = [
            compile_selector(item, self._context, self._findings)
            for item in self.record.record_lists.get(key, [])
        ]
        self.failed |= None in found
        return tuple(selector for selector in found if selector is not None)


_NAME = re.compile(r"[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?", re.ASCII)
_DOMAIN_LABEL = re.compile(r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?", re.ASCII)
_DOMAIN_LENGTH = 253
_MISPLACED = "password: found where labels belong: want it beside my-asn and peer-asn"


def compile_selector(
    record: Record, context: str, findings: Findings, what: str = "node selector"
) -> LabelSelector | None:
    """Check a label selector and return it, or report its problems and return None."""
    requirements: set[Requirement] = set()
    faults: list[tuple[int, str, str]] = []
    misplaced = False  # a password was found; the values after it may be parts of it
    for key, value in record.string_maps.get("match-labels", {}).items():
        misplaced = misplaced or is_secret(key)
        found = [_MISPLACED if misplaced else fault for fault in _label_faults(key, [value.value])]
        faults += [(value.line, value.path, fault) for fault in found]
        requirements.add(Requirement(key, Operator.IN, frozenset({value.value})))
    expressions = record.record_lists.get("match-expressions", [])
    for expression in expressions:
        requirement = _read_requirement(expression)
        if isinstance(requirement, Requirement):
            requirements.add(requirement)
        else:
            faults += [(expression.line, expression.path, fault) for fault in requirement]
    for line, path, fault in faults:
        findings.add(line, path, f"{context}parsing {what}: {fault}")
    if faults or record.failed or any(expression.failed for expression in expressions):
        return None
    return LabelSelector(frozenset(requirements))


def _read_requirement(record: Record) -> Requirement | list[str]:
    """Return a requirement, or its problems; wrong types were reported by the decoder."""
    if record.failed:
        return []
    key, text = record.string("key"), record.string("operator")
    values = [item.value for item in record.string_lists.get("values", [])]
    try:
        operator = Operator(text)
    except ValueError:
        return [f'"{text}" is not a valid pod selector operator: want one of {", ".join(Operator)}']
    faults = _label_faults(key, values)
    wants_values = operator in (Operator.IN, Operator.NOT_IN)
    if wants_values and not values:
        faults.append(
            f"for 'in', 'notin' operators, values set can't be empty: {operator} wants values"
        )
    elif values and not wants_values:
        faults.append(f"values set must be empty for exists and does not exist: got {values}")
    return faults or Requirement(key, operator, frozenset(values))


def _label_faults(key: str, values: Iterable[str]) -> list[str]:
    faults = []
    domain, slash, name = key.rpartition("/")
    if not _NAME.fullmatch(name) or (slash and not _is_domain(domain)):
        faults.append(f'key: "{key}": want a label key, as in kubernetes.io/hostname')
    faults += [
        f'values: "{value}": want a label value: up to 63 letters, digits, "-", "_", "."'
        for value in values
        if value and not _NAME.fullmatch(value)
    ]
    return faults


def _is_domain(text: str) -> bool:
    labels = text.split(".") if len(text) <= _DOMAIN_LENGTH else []
    return bool(labels) and all(map(_DOMAIN_LABEL.fullmatch, labels))
