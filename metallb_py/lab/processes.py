"""Programs of the lab: each has a log of its own, and all are ended together."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from metallb_py.lab.binaries import search_path
from metallb_py.lab.enter import HERE, command

GRACE_SECONDS = 3.0


class LabError(Exception):
    """A part of the lab does not start, or a proof fails. The message names it and the reason."""


def pid_file(folder: Path, name: str) -> Path:
    """Return the path of the file with a program's process ID inside the lab."""
    return folder / f"{name}.pid"


class Program:
    """A running program."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self.name = name
        self.process = process
        self.log = log
        self._expected = False

    @property
    def ended_unexpectedly(self) -> bool:
        """Whether it ended unexpectedly: neither ``end`` nor ``kill`` was called."""
        return not self._expected and self.process.poll() is not None

    def tail(self, lines: int = 15) -> str:
        """Return the last lines of its log."""
        text = self.log.read_text(errors="replace").splitlines()
        return "\n".join(f"  {self.name}| {line}" for line in text[-lines:])

    def end(self) -> None:
        """Terminate it; kill it if it does not end within GRACE_SECONDS."""
        self._expected = True
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def kill(self) -> None:
        """Kill it, without an orderly shutdown."""
        self._expected = True
        self.process.kill()
        self.process.wait()


class Programs:
    """Starts programs on the lab's machines, and ends them in reverse order."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = os.environ | {"PATH": search_path()}
        self._running: list[Program] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for program in reversed(self._running):
            program.process.terminate()
        for program in reversed(self._running):
            program.end()

    def unexpectedly_ended(self) -> list[Program]:
        """Return the programs that ended unexpectedly."""
        return [program for program in self._running if program.ended_unexpectedly]

    def start(
        self,
        name: str,
        *arguments: str,
        machine: str = HERE,
    ) -> Program:
        """Start a program on one of the machines, by default the control plane's."""
        log = self.folder / f"{name}.log"
        line = command(machine, *arguments)
        with log.open("ab") as output:
            process = subprocess.Popen(
                line,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._environment,
            )
        pid_file(self.folder, name).write_text(str(process.pid))
        program = Program(name, process, log)
        self._running.append(program)
        return program

    def run(self, *arguments: str, machine: str = HERE, data: str = "") -> str:
        """Run a program to its end and return what it printed. Raises LabError if it fails."""
        line = command(machine, *arguments)
        done = subprocess.run(
            line, input=data, capture_output=True, text=True, check=False, env=self._environment
        )
        if done.returncode != 0:
            output = (done.stderr or done.stdout).strip()
            raise LabError(f"{' '.join(arguments)}: exit status {done.returncode}: {output}")
        return done.stdout


def wait_until(
    what: str, seconds: float, holds: Callable[[], bool], program: Program | None = None
) -> None:
    """Poll until ``holds`` returns true.

    Raises LabError after ``seconds``, or when the program that it depends on ended.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        ended = program is not None and program.process.poll() is not None
        if ended or time.monotonic() > deadline:
            fault = "ended" if ended else f"not within {seconds:g} s"
            tail = f"\n{program.tail()}" if program else ""
            raise LabError(f"{what}: {fault}{tail}")
        time.sleep(0.02)
