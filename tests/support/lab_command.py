"""The ``metallb-py lab`` command, run as a user runs it, and what it leaves behind."""

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

from support.cluster import eventually

ROOT = Path(__file__).parents[2]
NOBODY = 65534
_MS_BIND, _MS_REC, _MS_PRIVATE = 0x1000, 0x4000, 0x40000
_CLONE_NEWNS = 0x20000
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Proof:
    """A line of the table."""

    service: str
    address: str
    protocol: str
    held: bool
    text: str
    milliseconds: int


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "metallb_py.cli", "lab", *arguments]


def environment(folder: Path) -> dict[str, str]:
    """Have temporary files in this folder, which daemons with other users can pass through."""
    for parent in (folder, folder.parent, folder.parent.parent):
        parent.chmod(parent.stat().st_mode | 0o711)
    return os.environ | {"TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}


def run_lab(
    *arguments: str, folder: Path, as_nobody: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run the lab to its end."""
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
    """Read the table in the command's output."""
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
    """A lab that stays up, and the commands on it."""

    process: subprocess.Popen[str]
    folder: Path
    said: str

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
        eventually(
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
            continue  # it ended meanwhile


def _become_nobody() -> None:
    """Become nobody, who must be able to read this Python and this checkout.

    Where they are below a folder of root's alone, that is replaced, for this process, by one that
    holds nothing else.
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
