"""Both daemons, as processes, under hostile input on every channel over which they take any.

After each assault both run on, an honest service gets an address, and its address answers ARP.
``METALLB_PY_HOSTILE_ROUNDS=1000`` goes on for longer; ``METALLB_PY_HOSTILE_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.hostile_assault import ASSAULTS, assault
from support.isolated import isolated

pytestmark = pytest.mark.netns

ROUNDS = int(os.environ.get("METALLB_PY_HOSTILE_ROUNDS", "60"))
SEED = int(os.environ.get("METALLB_PY_HOSTILE_SEED", time.time_ns()))


@pytest.mark.parametrize("channel", list(ASSAULTS))
def test_no_input_ends_a_daemon(channel: str, tmp_path: Path) -> None:
    print(f"METALLB_PY_HOSTILE_SEED={SEED}")
    isolated(lambda: assault(tmp_path, SEED, ROUNDS, [channel]))
