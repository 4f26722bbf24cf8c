"""Both daemons, as processes, under hostile input on every channel from which they read.

After each assault both still run, a valid service gets an address, and its address answers ARP.
``METALLB_PY_HOSTILE_ROUNDS=1000`` runs longer; ``METALLB_PY_HOSTILE_SEED`` repeats a run.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest
from support.kube.attacks import ATTACKS, run_attacks
from support.net.isolated import isolated

pytestmark = pytest.mark.netns

ROUNDS = int(os.environ.get("METALLB_PY_HOSTILE_ROUNDS", "60"))
SEED = int(os.environ.get("METALLB_PY_HOSTILE_SEED", time.time_ns()))


@pytest.mark.parametrize("channel", list(ATTACKS))
def test_hostile_input_ends_no_daemon(channel: str, tmp_path: Path) -> None:
    print(f"METALLB_PY_HOSTILE_SEED={SEED}")
    isolated(lambda: run_attacks(tmp_path, SEED, ROUNDS, [channel]))
