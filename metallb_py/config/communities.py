"""BGP communities as text: ``64512:1`` (RFC 1997), ``large:64512:1:2`` (RFC 8092), and names."""

from __future__ import annotations

from collections.abc import Mapping

from metallb_py.model.route_attributes import Community, LargeCommunity

WELL_KNOWN = {
    "graceful-shutdown": Community(0xFFFF0000),  # RFC 8326
    "blackhole": Community(0xFFFF029A),  # RFC 7999
    "no-llgr": Community(0xFFFF0007),  # RFC 9494
    "no-export": Community(0xFFFFFF01),  # these three: RFC 1997
    "no-advertise": Community(0xFFFFFF02),
    "no-export-subconfed": Community(0xFFFFFF03),
    "no-peer": Community(0xFFFFFF04),  # RFC 3765
}

AnyCommunity = Community | LargeCommunity

_PART_LIMIT = 0xFFFF
_LARGE_PART_LIMIT = 0xFFFF_FFFF
_LARGE = "large:"  # as MetalLB writes it from 0.13.10 on
_ORDINALS = ("first", "second", "third")


def parse_community(text: str) -> AnyCommunity:
    """Parse two decimal numbers of 16 bits, a well-known name, or ``large:`` and three numbers.

    Raises ValueError in MetalLB's words.
    """
    if text in WELL_KNOWN:
        return WELL_KNOWN[text]
    if text.startswith(_LARGE):
        return parse_large(text)
    parts = text.split(":")
    if len(parts) != 2:
        names = ", ".join(WELL_KNOWN)
        raise ValueError(
            f'invalid community string "{text}": want two numbers and ":" between, "large:" and '
            f"three of them, or one of {names}"
        )
    high, low = _numbers(text, parts, _PART_LIMIT)
    return Community(high << 16 | low)


def parse_large(text: str) -> LargeCommunity:
    """Parse three decimal numbers of 32 bits, with or without ``large:``. Raises ValueError."""
    parts = text.removeprefix(_LARGE).split(":")
    if len(parts) != 3:
        raise ValueError(
            f'invalid large community string "{text}": want three numbers and ":" between'
        )
    first, second, third = _numbers(text, parts, _LARGE_PART_LIMIT)
    return first, second, third


def resolve_community(text: str, aliases: Mapping[str, AnyCommunity]) -> AnyCommunity:
    """Look up an alias, else parse a community. Raises ValueError in MetalLB's words."""
    if text in aliases:
        return aliases[text]
    try:
        return parse_community(text)
    except ValueError as error:
        raise ValueError(f'invalid community "{text}" in BGP advertisement: {error}') from error


def resolve_large(text: str, aliases: Mapping[str, AnyCommunity]) -> LargeCommunity:
    """Look up an alias, else parse a large community. Raises ValueError."""
    found = aliases.get(text)
    try:
        if found is None:
            return parse_large(text)
    except ValueError as error:
        raise ValueError(f'invalid community "{text}" in BGP advertisement: {error}') from error
    if isinstance(found, tuple):
        return found
    raise ValueError(
        f'invalid large community "{text}" in BGP advertisement: an alias of two numbers: want '
        "three"
    )


def _numbers(text: str, parts: list[str], limit: int) -> list[int]:
    named = zip(_ORDINALS, parts, strict=False)
    return [_part(text, which, part, limit) for which, part in named]


def _part(text: str, which: str, part: str, limit: int) -> int:
    digits = part.lstrip("0") or part[:1]
    if digits.isascii() and digits.isdecimal() and len(digits) <= len(str(limit)):
        number = int(digits)
        if number <= limit:
            return number
    raise ValueError(
        f'invalid {which} section of community "{text}": "{part}": want a number from 0 to {limit}'
    )
