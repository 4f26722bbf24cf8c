"""The time limit for what must happen in a test.

A wait that shows that something does not happen is short, and has its own limit at its place.
"""

from __future__ import annotations

from typing import Final

TIMEOUT: Final = 60.0
"""Seconds; enough for programs that get a fraction of a busy machine's CPU time."""
