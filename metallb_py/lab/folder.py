"""Where the lab keeps its files: a folder of its own, gone when the lab is."""

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
    """Make a folder, and remove it in the end; remove those of runs that were killed, too."""
    base = Path(tempfile.gettempdir())
    for left in base.glob(f"{PREFIX}*"):
        owner = left.name.removeprefix(PREFIX)
        if owner.isdecimal() and not Path("/proc", owner).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = base / f"{PREFIX}{os.getpid()}"
    folder.mkdir(mode=0o711)  # a router's daemons, with a user of their own, pass through
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
