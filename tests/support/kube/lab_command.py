"""The ``metallb-py lab`` command, run as a user runs it, and a check of its leftovers."""

from __future__ import annotations

import ctypes
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from support.net.waiting import poll_until

ROOT = Path(__file__).parents[3]
NOBODY = 65534
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_CLONE_NEWNS = 0x20000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Proof:
    """A line of the table of proofs."""

    service: str
    address: str
    protocol: str
    held: bool
    text: str
    milliseconds: int


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "metallb_py.cli", "lab", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Return an environment with temporary files in this folder.

    The folder and its parents are made traversable for daemons that run as other users.
    """
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o711)
    return os.environ | {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def run_lab(
    *arguments: str, folder: Path, as_nobody: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the lab to its end; return its status and output."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=ROOT,
        env=environment(folder),
        preexec_fn=_become_nobody if as_nobody else None,
    )


def proofs(output: str) -> list[Proof]:
    """Parse the table in the command's output."""
    line = re.compile(
        r"^(\S+) +(\S+) +(\S+) .*? (ok|FAILED): (.*?) +(\d+)$",
        re.MULTILINE,
    )
    return [
        Proof(service, address, protocol, verdict == "ok", text, int(milliseconds))
        for service, address, protocol, verdict, text, milliseconds in line.findall(output)
    ]


@dataclass(frozen=True)
class KeptLab:
    """A running lab; calling it runs a ``lab`` command on it."""

    process: subprocess.Popen[bytes]
    folder: Path
    output: str

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(*arguments),
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            cwd=ROOT,
            env=environment(self.folder),
        )


@contextmanager
def kept_lab(folder: Path, *arguments: str) -> Iterator[KeptLab]:
    """Run ``lab --keep`` for the length of a block."""
    output = folder / "output"
    with output.open("w") as file:
        process = subprocess.Popen(
            command("--keep", *arguments),
            stdout=file,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            env=environment(folder),
        )
    try:
        poll_until(
            lambda: "kubeconfig" in output.read_text() or process.poll() is not None,
            what="the lab is up",
        )
        yield KeptLab(process, folder, output.read_text())
    finally:
        process.terminate()
        process.wait(60)


def leftovers(folder: Path) -> tuple[list[str], list[str]]:
    """Return the lab's folders in this folder, and the processes that name it."""
    folders = [path.name for path in folder.glob("metallb-py-lab-*")]
    return folders, [line for line in _command_lines() if str(folder) in line]


def _command_lines() -> Iterator[str]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            yield path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue  # the process ended meanwhile


def _become_nobody() -> None:
    """Change to the user nobody, which must be able to read this Python and this checkout.

    A folder above them that only root can read is replaced, in this process's mount namespace, by
    one that contains nothing else.
    """
    _check(_libc.unshare(_CLONE_NEWNS))
    _mount("none", "/", _MS_REC | _MS_PRIVATE)
    for needed in (sys.prefix, sys.base_prefix, str(ROOT)):
        closed = [p for p in Path(needed).parents if p.stat().st_mode & 0o005 != 0o005]
        if closed:
            _open_way(Path(needed), closed[-1])
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)


def _open_way(needed: Path, closed: Path) -> None:
    handle = os.open(needed, os.O_PATH)
    _mount("tmpfs", str(closed), 0, b"tmpfs")
    closed.chmod(0o755)
    needed.mkdir(parents=True)
    _mount(f"/proc/self/fd/{handle}", str(needed), _MS_BIND | _MS_REC)
    os.close(handle)


def _mount(source: str, target: str, flags: int, kind: bytes = b"none") -> None:
    _check(_libc.mount(source.encode(), target.encode(), kind, ctypes.c_ulong(flags), None))


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
