"""Requirements of tests on the machine: without them a test is skipped, or fails if strict."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

METALLB_SPEAKER = "METALLB_PY_METALLB_SPEAKER"  # the path of the program, in the environment


def require(there: object, what: str) -> None:
    """Skip the test if a requirement is missing; fail it if METALLB_PY_STRICT is 1."""
    if there:
        return
    if os.environ.get("METALLB_PY_STRICT") == "1":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def find_kubectl() -> str:
    """Return the path of the kubectl beside this Python, else that in PATH; empty if none."""
    beside = Path(sys.executable).parent / "kubectl"
    return str(beside) if beside.exists() else shutil.which("kubectl") or ""
