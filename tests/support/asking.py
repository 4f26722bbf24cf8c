"""A client that asks for an address by ARP at a steady pace, and knows what got no answer.

Run as a program in the client's network namespace: ``asking.py ADDRESS INTERVAL``. It asks until
its standard input ends, tells each change of who answers as it sees it, and in the end everything.
Each question is asked in the name of another address, so an answer tells which one it answers.
"""

from __future__ import annotations

import json
import select
import socket
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

ASKERS = [f"172.30.0.{n}" for n in range(60, 124)]
PATIENCE = 0.25


class Asker:
    """The client, as a test has it."""

    def __init__(self, line: list[str]) -> None:
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.mac = self._read()["mac"]
        """Who answered first."""

    def other_answers(self, seconds: float) -> float:
        """Wait until another than the first answers; return when, on the monotonic clock."""
        deadline = time.monotonic() + seconds
        while True:
            assert self._process.stdout is not None
            left = deadline - time.monotonic()
            ready = select.select([self._process.stdout], [], [], max(0.0, left))[0]
            assert ready, f"nobody else answered within {seconds} s"
            change = self._read()
            if change["mac"] != self.mac:
                return float(change["time"])

    def end(self) -> dict[str, Any]:
        """Return what was seen: ``asked``, ``unanswered`` (when), ``both`` (seconds), ``gap``."""
        said, _ = self._process.communicate(timeout=10)
        seen: dict[str, Any] = json.loads(said.splitlines()[-1])
        return seen

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        change: dict[str, Any] = json.loads(self._process.stdout.readline())
        return change


def command(address: str, interval: float) -> list[str]:
    """Return the command line that asks."""
    return [sys.executable, str(Path(__file__)), address, str(interval)]


def main() -> None:
    """Ask until told to end."""
    address, interval = sys.argv[1], float(sys.argv[2])
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    wire.bind(("eth0", 0x0806))
    mac = wire.getsockname()[4]
    head = b"\xff" * 6 + mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04\x00\x01" + mac
    tail = bytes(6) + socket.inet_aton(address)
    open_questions: dict[bytes, float] = {}
    answers: list[tuple[float, str]] = []
    lost: list[float] = []
    asked, latest, due = 0, "", time.monotonic()
    while True:
        wait = max(0.0, due - time.monotonic())
        ready = select.select([wire, sys.stdin], [], [], wait)[0]
        now = time.monotonic()
        if sys.stdin in ready:
            break
        if wire in ready:
            frame = wire.recv(2048)
            is_reply = frame[20:22] == b"\x00\x02" and frame[28:32] == tail[6:]
            if is_reply and frame[38:42] in open_questions:
                del open_questions[frame[38:42]]
                who = frame[22:28].hex(":")
                answers.append((now, who))
                if who != latest:
                    latest = who
                    print(json.dumps({"time": now, "mac": who}), flush=True)
        if now >= due:
            asker = socket.inet_aton(ASKERS[asked % len(ASKERS)])
            if asker in open_questions:
                lost.append(open_questions.pop(asker))
            wire.send(head + asker + tail)
            open_questions[asker] = now
            asked += 1
            due += interval
    lost += [then for then in open_questions.values() if now - then > PATIENCE]
    print(json.dumps({"asked": asked, "unanswered": sorted(lost), **_summary(answers)}))


def _summary(answers: list[tuple[float, str]]) -> dict[str, float]:
    """Return the longest time without an answer, and for how long two hosts answered."""
    times = [time for time, _ in answers]
    gap = max((b - a for a, b in pairwise(times)), default=0.0)
    spans = {
        who: (
            min(time for time, other in answers if other == who),
            max(time for time, other in answers if other == who),
        )
        for _, who in answers
    }
    first, *others = sorted(spans.values())
    both = max((min(first[1], last) - begin for begin, last in others), default=0.0)
    return {"gap": gap, "both": max(0.0, both)}


if __name__ == "__main__":
    main()
