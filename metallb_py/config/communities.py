"""BGP communities as text: ``64512:1`` (RFC 1997)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from metallb_py.config.model import Community

_PART_LIMIT = 0xFFFF
_DIGITS = re.compile(r"[0-9]{1,5}", re.ASCII)


def parse_community(text: str) -> Community:
    """Read two decimal numbers of 16 bits. Raises ValueError in MetalLB's words."""
    parts = text.split(":")
    if len(parts) != 2:
        raise ValueError(f'invalid community string "{text}": want two numbers and ":" between')
    high = _part(text, "first", parts[0])
    return Community(high << 16 | _part(text, "second", parts[1]))


def resolve_community(text: str, aliases: Mapping[str, Community]) -> Community:
    """Look an alias up, else read a number. Raises ValueError in MetalLB's words."""
    if text in aliases:
        return aliases[text]
    try:
        return parse_community(text)
    except ValueError as error:
        raise ValueError(f'invalid community "{text}" in BGP advertisement: {error}') from error


def _part(text: str, which: str, part: str) -> int:
    digits = part.lstrip("0") or part[:1]
    if _DIGITS.fullmatch(digits) and int(digits) <= _PART_LIMIT:
        return int(digits)
    raise ValueError(
        f'invalid {which} section of community "{text}": "{part}": '
        f"want a number from 0 to {_PART_LIMIT}"
    )
