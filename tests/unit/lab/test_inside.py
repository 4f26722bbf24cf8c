"""Folder of a lab: created, removed, and those of killed runs removed with it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from metallb_py.lab.inside import PREFIX, lab_folder


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Place temporary files in a folder of the test's own."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_lab_folder_is_removed_at_the_end(base: Path) -> None:
    with lab_folder() as folder:
        (folder / "log").write_text("x")
        assert folder == base / f"{PREFIX}{os.getpid()}"
        assert folder.stat().st_mode & 0o777 == 0o711
    assert not list(base.iterdir())


def test_lab_folder_is_removed_after_an_exception(base: Path) -> None:
    with pytest.raises(ZeroDivisionError), lab_folder():
        raise ZeroDivisionError
    assert not list(base.iterdir())


def test_folders_of_killed_runs_are_removed_and_of_live_runs_kept(
    base: Path,
) -> None:
    dead = base / f"{PREFIX}4194305"  # above the highest possible process number
    alive = base / f"{PREFIX}{os.getppid()}"
    unrelated = base / f"{PREFIX}notes"
    for folder in (dead, alive, unrelated):
        folder.mkdir()
    with lab_folder():
        assert not dead.exists()
        assert alive.exists()
        assert unrelated.exists()
