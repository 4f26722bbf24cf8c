"""The folder of a lab, and access to one that is up: ``metallb-py lab exec`` and ``lab kill``.

A lab that is up is found by its folder, which is removed when the lab ends.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from metallb_py.lab.binaries import search_path
from metallb_py.lab.control_plane import kubeconfig_of
from metallb_py.lab.enter import command
from metallb_py.lab.isolate import IsolationError, join_process
from metallb_py.lab.processes import LabError, pid_file

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


PROCESS = "process"


@dataclass(frozen=True, slots=True)
class Kept:
    """A lab that is up: its folder, and the number of its first process on the host."""

    folder: Path
    process: int

    @classmethod
    def find(cls) -> Kept:
        """Find the lab; of several, the latest one. Raises LabError."""
        marks = list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{PROCESS}"))
        if not marks:
            raise LabError("no lab is up: start one with metallb-py lab --keep")
        mark = max(marks, key=lambda path: path.stat().st_mtime)
        return cls(mark.parent, int(mark.read_text()))

    def leave_mark(self) -> None:
        """Write the file by which ``find`` finds this lab."""
        (self.folder / PROCESS).write_text(str(self.process))

    def run(self, work: Callable[[], int]) -> int:
        """Run ``work`` in a process inside the lab; return its exit status. Raises LabError."""
        here = Path.cwd()
        try:
            join_process(self.process)
        except IsolationError as error:
            raise LabError(f"can't enter the lab: {error}") from error
        os.chdir(here)
        child = os.fork()  # only children are in the PID namespace that was joined
        if child == 0:
            os._exit(_run_to_end(work))
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def execute(args: argparse.Namespace) -> int:
    """Run a command on one of the lab's machines, with KUBECONFIG set."""
    kept = Kept.find()
    path = f"{Path(sys.executable).parent}{os.pathsep}{search_path()}"
    environment = os.environ | {"PATH": path, "KUBECONFIG": str(kubeconfig_of(kept.folder))}
    words = args.command[1:] if args.command[:1] == ["--"] else args.command
    line = command(args.on, *(words or ["sh"]))

    def work() -> int:
        os.execve(line[0], line, environment)

    return kept.run(work)


def kill(args: argparse.Namespace) -> int:
    """Send a signal to one of the lab's programs."""
    kept = Kept.find()
    file = pid_file(kept.folder, args.program)
    if not file.exists():
        names = ", ".join(sorted(path.stem for path in kept.folder.glob("*.pid")))
        raise LabError(f"{args.program}: no such program: want one of {names}")
    name = f"SIG{args.signal}"
    if name not in signal.Signals.__members__:
        raise LabError(f"{args.signal}: no such signal: want KILL, TERM, STOP, CONT or the like")

    def work() -> int:
        os.kill(int(file.read_text()), signal.Signals[name])
        return 0

    return kept.run(work)


def _run_to_end(work: Callable[[], int]) -> int:
    try:
        return work()
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
