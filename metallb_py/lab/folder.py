"""Folder of the lab's files, which is removed when the lab ends."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = "metallb-py-lab-"


@contextmanager
def lab_folder() -> Iterator[Path]:
    """Create a folder, and remove it at the end; remove those of runs that were killed, too."""
    base = Path(tempfile.gettempdir())
    for leftover in base.glob(f"{PREFIX}*"):
        owner = leftover.name.removeprefix(PREFIX)
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(leftover, ignore_errors=True)
    folder = base / f"{PREFIX}{os.getpid()}"
    folder.mkdir(mode=0o711)  # a router's daemons, with a user of their own, pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
