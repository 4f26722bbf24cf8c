"""Durations in the syntax of Go: ``90s``, ``1m30s``, ``1.5h``. Short: one syntax."""

from __future__ import annotations

import re
from decimal import Decimal

_TERM = re.compile(r"([0-9]*)(?:\.([0-9]*))?([^0-9.]*)", re.ASCII)
_SECONDS = {
    "ns": Decimal("1e-9"),
    "us": Decimal("1e-6"),
    "\u00b5s": Decimal("1e-6"),  # micro sign
    "\u03bcs": Decimal("1e-6"),  # Greek mu
    "ms": Decimal("1e-3"),
    "s": Decimal(1),
    "m": Decimal(60),
    "h": Decimal(3600),
}
# Go counts nanoseconds in 64 bits: about 292 years.
_LIMIT = Decimal(2**63) * _SECONDS["ns"]
_DIGITS = 18  # more digits of a fraction than Go's resolution; a longer number exceeds the limit


def parse_duration(text: str) -> Decimal:
    """Return a duration in seconds. Raises ValueError in the words of Go's ``time`` package."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return Decimal(0)
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = Decimal(0)
    position = 0
    while position < len(rest):
        match = _TERM.match(rest, position)
        if match is None or not (match[1] or match[2]):
            raise ValueError(f'time: invalid duration "{text}"')
        whole, fraction, unit = match[1].lstrip("0"), match[2] or "", match[3]
        if not unit:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if unit not in _SECONDS:
            raise ValueError(f'time: unknown unit "{unit}" in duration "{text}"')
        if len(whole) <= _DIGITS + 1:
            total += Decimal(f"{whole or 0}.{fraction[:_DIGITS] or 0}") * _SECONDS[unit]
        if len(whole) > _DIGITS + 1 or total >= _LIMIT:
            raise ValueError(f'time: invalid duration "{text}"')
        position = match.end()
    return sign * total
