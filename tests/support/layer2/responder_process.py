"""A responder process without a speaker, controlled over its socket pair."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

from support.net.waiting import TIMEOUT

from speaker.linux.channel import PART_LIMIT, Assembly, split
from speaker.responder.io.messages import Disown, Own, decode_report, encode, encode_settings
from speaker.responder.report import BATCH, Report
from speaker.responder.settings import Settings

ROOT = Path(__file__).parents[3]


class Process:
    """The process, and the speaker's end of the socket pair."""

    def __init__(self, popen: subprocess.Popen[bytes], control: socket.socket) -> None:
        self.popen = popen
        self.control = control

    def send(self, command: Own | Disown) -> None:
        """Send a command."""
        for part in split(encode(command)):
            self.control.send(part)

    def own(self, addresses: Iterable[str]) -> None:
        """Add owned addresses without announcing them."""
        each = packed(*addresses)
        for start in range(0, len(each), BATCH):
            self.send(Own(each[start : start + BATCH], takeover=False))

    def busy(self) -> float:
        """Return its CPU time in seconds."""
        return busy_for(self.popen.pid)

    def report(self) -> Report:
        """Return its next report."""
        assembly = Assembly()
        while (message := assembly.add(self.control.recv(PART_LIMIT))) is None:
            pass
        return decode_report(message)


@contextlib.contextmanager
def running_process(settings: Settings | None = None) -> Iterator[Process]:
    """Run a responder process in this thread's network namespace for the length of a block."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        ours.settimeout(TIMEOUT)
        descriptor = theirs.fileno()
        command = [sys.executable, "-m", "speaker.responder.io.process", str(descriptor)]
        command += [encode_settings(settings or Settings())]
        popen = subprocess.Popen(command, cwd=ROOT, pass_fds=(descriptor,))
        theirs.close()
        try:
            yield Process(popen, ours)
        finally:
            ours.close()
            popen.wait(TIMEOUT)


def busy_for(process: int) -> float:
    """Return the CPU time of a process's main thread, in seconds."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


def packed(*texts: str) -> tuple[bytes, ...]:
    """Return addresses in network byte order, as in the messages."""
    return tuple(ip_address(text).packed for text in texts)
