"""Liveness and readiness: named checks, and the text that the probes' endpoints return.

The text has the form of Kubernetes' own ``/readyz?verbose``. A detail never contains data of the
configuration or of an object, as the endpoints answer every client.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Check:
    """One condition. ``detail`` names what is missing where it fails, and quotes no input."""

    name: str
    ok: bool
    detail: str = ""


def render(endpoint: str, checks: Sequence[Check]) -> str:
    """Return the checks, one per line, and the overall result."""
    lines = [
        f"[+]{check.name} ok" if check.ok else f"[-]{check.name} failed: {check.detail}"
        for check in checks
    ]
    passed = all(check.ok for check in checks)
    return "\n".join([*lines, f"{endpoint} check {'passed' if passed else 'failed'}"]) + "\n"
