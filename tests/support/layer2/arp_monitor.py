"""ARP monitor: a client that sends requests for an address at a fixed rate and matches replies.

Run as a program in the client's network namespace: ``arp_monitor.py ADDRESS INTERVAL``. It sends
requests until its standard input ends, prints each change of the replying host when it is seen, and
a summary at the end. Consecutive requests have different sender addresses, so that a reply can be
matched to its request.
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

SENDERS = [f"172.30.0.{n}" for n in range(60, 124)]
ANSWER_TIMEOUT = 0.25
"""Seconds after which a request that is open at the end counts as unanswered."""


class ArpMonitor:
    """The monitor process, as the test controls it."""

    def __init__(self, line: list[str]) -> None:
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.mac = self._read()["mac"]
        """The MAC address of the first reply."""

    def wait_other_answer(self, seconds: float) -> float:
        """Wait for a reply from another host than the first; return its monotonic time."""
        deadline = time.monotonic() + seconds
        while True:
            assert self._process.stdout is not None
            left = deadline - time.monotonic()
            ready = select.select([self._process.stdout], [], [], max(0.0, left))[0]
            assert ready, f"no other host answered within {seconds} s"
            change = self._read()
            if change["mac"] != self.mac:
                return float(change["time"])

    def end(self) -> dict[str, Any]:
        """Stop; return the summary.

        ``asked``: number of requests; ``unanswered``: times of the requests without a reply;
        ``both``: seconds for which two hosts replied; ``gap``: longest time without a reply.
        """
        output, _ = self._process.communicate(timeout=10)
        seen: dict[str, Any] = json.loads(output.splitlines()[-1])
        return seen

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        change: dict[str, Any] = json.loads(self._process.stdout.readline())
        return change


def command(address: str, interval: float) -> list[str]:
    """Return the command line of the monitor."""
    return [sys.executable, str(Path(__file__)), address, str(interval)]


def main() -> None:
    """Send requests until standard input ends, then print the summary."""
    address, interval = sys.argv[1], float(sys.argv[2])
    wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(0x0806))
    wire.bind(("eth0", 0x0806))
    mac = wire.getsockname()[4]
    head = b"\xff" * 6 + mac + b"\x08\x06" + b"\x00\x01\x08\x00\x06\x04\x00\x01" + mac
    tail = bytes(6) + socket.inet_aton(address)
    pending: dict[bytes, float] = {}
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
            if is_reply and frame[38:42] in pending:
                del pending[frame[38:42]]
                answerer = frame[22:28].hex(":")
                answers.append((now, answerer))
                if answerer != latest:
                    latest = answerer
                    print(json.dumps({"time": now, "mac": answerer}), flush=True)
        if now >= due:
            sender = socket.inet_aton(SENDERS[asked % len(SENDERS)])
            if sender in pending:
                lost.append(pending.pop(sender))
            wire.send(head + sender + tail)
            pending[sender] = now
            asked += 1
            due += interval
    lost += [then for then in pending.values() if now - then > ANSWER_TIMEOUT]
    print(json.dumps({"asked": asked, "unanswered": sorted(lost), **_summary(answers)}))


def _summary(answers: list[tuple[float, str]]) -> dict[str, float]:
    """Return the longest time without a reply, and for how long two hosts replied."""
    times = [time for time, _ in answers]
    gap = max((b - a for a, b in pairwise(times)), default=0.0)
    spans = {
        answerer: (
            min(time for time, other in answers if other == answerer),
            max(time for time, other in answers if other == answerer),
        )
        for _, answerer in answers
    }
    first, *others = sorted(spans.values())
    both = max((min(first[1], last) - begin for begin, last in others), default=0.0)
    return {"gap": gap, "both": max(0.0, both)}


if __name__ == "__main__":
    main()
