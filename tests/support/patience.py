"""How long a test waits for what must happen.

A wait that proves that something does not happen is short, and says so where it stands.
"""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 60.0
"""Seconds: enough for programs that get a fraction of a busy machine's processor time."""
