"""Liveness and readiness: named checks, and the text that the probes' endpoints answer.

The text has the form of Kubernetes' own ``/readyz?verbose``. A detail never holds what the
configuration or an object holds: the endpoints answer every caller.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One condition. ``detail`` says what is missing where it fails, in our own words."""

    name: str
    ok: bool
    detail: str = ""


def render(endpoint: str, checks: Sequence[Check]) -> str:
    """Return the checks, one a line, and what they come to."""
    lines = [
        f"[+]{check.name} ok" if check.ok else f"[-]{check.name} failed: {check.detail}"
        for check in checks
    ]
    passed = all(check.ok for check in checks)
    return "\n".join([*lines, f"{endpoint} check {'passed' if passed else 'failed'}"]) + "\n"
