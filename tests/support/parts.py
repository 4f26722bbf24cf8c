"""What a test needs of the machine: it is skipped without, or fails where all must be there."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

METALLB_SPEAKER = "METALLB_PY_METALLB_SPEAKER"  # the path of the program, in the environment


def require(there: object, what: str) -> None:
    """Skip the test where a part is missing; fail it where METALLB_PY_STRICT says all must be."""
    if there:
        return
    if os.environ.get("METALLB_PY_STRICT") == "1":
        pytest.fail(f"missing: {what}")
    pytest.skip(f"missing: {what}")


def find_kubectl() -> str:
    """Return the kubectl beside this Python, or another one; nothing where there is none."""
    beside = Path(sys.executable).parent / "kubectl"
    return str(beside) if beside.exists() else shutil.which("kubectl") or ""
