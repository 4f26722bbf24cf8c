"""Resident memory of idle daemons."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from support.kube.rig import Rig

pytestmark = pytest.mark.e2e
MEGABYTE = 1024


def process_tree(process: int) -> list[int]:
    """Return a process and its descendants."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(pid for child in children for pid in process_tree(int(child)))]


def resident(process: int) -> int:
    """Return the resident memory of a process, in KiB."""
    found = re.search(
        r"^VmRSS:\s+(\d+) kB", Path(f"/proc/{process}/status").read_text(), re.MULTILINE
    )
    assert found
    return int(found[1])


@pytest.mark.idle
def test_each_process_of_a_speaker_stays_under_65_megabytes(rig: Rig) -> None:
    assert rig.lab.speakers
    for speaker in rig.lab.speakers.values():
        sizes = [resident(process) for process in process_tree(speaker.process.pid)]
        print(f"{speaker.name}: {[size // MEGABYTE for size in sizes]} MB")
        assert len(sizes) == 2, "the speaker and its responder"
        assert max(sizes) < 65 * MEGABYTE


@pytest.mark.idle
def test_the_controller_stays_under_65_megabytes(rig: Rig) -> None:
    assert resident(rig.lab.controller.process.pid) < 65 * MEGABYTE
