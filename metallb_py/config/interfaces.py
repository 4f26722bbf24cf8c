"""Patterns that name network interfaces. By themselves, for a small process needs no more."""

from __future__ import annotations

import re
from collections.abc import Iterable


def matches_interface(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns matches the whole name, or there are none."""
    wanted = tuple(patterns)
    return not wanted or any(re.fullmatch(pattern, name) for pattern in wanted)
