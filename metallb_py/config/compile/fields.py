"""Typed access to the values of one record, with a report of each problem."""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from typing import TypeVar

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.config.compile.selectors import compile_selector
from metallb_py.config.durations import parse_duration
from metallb_py.config.findings import Findings
from metallb_py.config.yaml.schema import Record
from metallb_py.model.selectors import LabelSelector

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
