"""Capabilities of a process after it dropped the others. Each case is a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from support.net.requirements import require

pytestmark = pytest.mark.netns

ROOT = Path(__file__).parents[4]
CAP_NET_ADMIN, CAP_NET_RAW = 12, 13
SCRIPT = """
import sys
from pathlib import Path
from speaker.linux.capabilities import keep_only
for capability in sys.argv[1:]:
    keep_only(int(capability))
print(Path("/proc/self/status").read_text())
"""


def status_after(*kept: int) -> dict[str, str]:
    """Keep these, one after the other; return the kernel's status of the process."""
    require(os.geteuid() == 0, "root, to have capabilities to drop")
    command = [sys.executable, "-c", SCRIPT, *map(str, kept)]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    fields = (line.partition(":") for line in output.splitlines())
    return {name: value.strip() for name, _, value in fields}


def test_one_capability_is_kept_and_no_other_can_be_regained() -> None:
    status = status_after(CAP_NET_RAW)
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        assert int(status[kind], 16) == 1 << CAP_NET_RAW
    assert int(status["CapInh"], 16) == int(status["CapAmb"], 16) == 0
    assert status["NoNewPrivs"] == "1"


def test_dropped_capability_can_not_be_kept() -> None:
    assert int(status_after(CAP_NET_ADMIN, CAP_NET_RAW)["CapEff"], 16) == 0
