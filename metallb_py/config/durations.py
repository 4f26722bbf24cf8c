"""Durations as Go writes them: ``90s``, ``1m30s``, ``1.5h``."""

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
# Go counts nanoseconds in 64 bits, which ends after some 292 years.
_LIMIT = Decimal(2**63) * _SECONDS["ns"]


def parse_duration(text: str) -> Decimal:
    """Return a duration in seconds. Raises ValueError in the words of Go's ``time`` package."""
    sign = -1 if text.startswith("-") else 1
    rest = text[1:] if text[:1] in ("-", "+") else text
    if rest == "0":
        return Decimal(0)
    if not rest:
        raise ValueError(f'time: invalid duration "{text}"')
    total = Decimal(0)
    while rest:
        match = _TERM.match(rest)
        if match is None or not (match[1] or match[2]):
            raise ValueError(f'time: invalid duration "{text}"')
        if not match[3]:
            raise ValueError(f'time: missing unit in duration "{text}"')
        if match[3] not in _SECONDS:
            raise ValueError(f'time: unknown unit "{match[3]}" in duration "{text}"')
        total += Decimal(f"{match[1] or 0}.{match[2] or 0}") * _SECONDS[match[3]]
        if total >= _LIMIT:
            raise ValueError(f'time: invalid duration "{text}"')
        rest = rest[match.end() :]
    return sign * total
