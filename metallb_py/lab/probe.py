"""Probe of the lab's client: ARP, by scapy, and HTTP. One JSON line in, one out.

It runs on the client's machine as long as the lab does, because scapy takes a second to load.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from urllib.error import URLError
from urllib.request import urlopen

from metallb_py.addresses import parse_address
from metallb_py.lab.enter import command
from metallb_py.lab.processes import LabError

HTTP_SECONDS = 0.5


class Probe:
    """Handle on a probe that runs on one of the machines."""

    def __init__(self, machine: str) -> None:
        line = command(machine, sys.executable, "-m", "metallb_py.lab.probe")
        self._process = subprocess.Popen(
            line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )

    def answers(self, address: str, seconds: float) -> list[str]:
        """Broadcast an ARP request; return every MAC address that answers within ``seconds``."""
        return [str(mac) for mac in self._ask("arp", address, seconds)]

    def has_answer(self, address: str, seconds: float) -> bool:
        """Broadcast an ARP request likewise; return as soon as one host answers."""
        return bool(self._ask("first", address, seconds))

    def page(self, url: str) -> str:
        """Return a page; empty where there is none."""
        return "".join(map(str, self._ask("page", url)))

    def close(self) -> None:
        """End the probe."""
        self._process.kill()
        self._process.wait()

    def _ask(self, *request: str | float) -> list[object]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None:
            raise LabError("the probe has no pipes")
        try:
            stdin.write(json.dumps(request).encode() + b"\n")
            stdin.flush()
            answer: list[object] = json.loads(stdout.readline())
        except (OSError, ValueError) as error:
            raise LabError(f"the probe ended: {error}") from error
        return answer


def _arp(address: str, seconds: float, *, every: bool) -> tuple[str, ...]:
    from metallb_py.lab.resolve import resolve

    return resolve(parse_address(address), "eth0", requests=1, pause=seconds, first=not every)


def _page(url: str) -> list[str]:
    try:
        with urlopen(url, timeout=HTTP_SECONDS) as answer:
            return [answer.read().decode()]
    except (URLError, OSError):
        return []


def main() -> None:
    """Answer requests until the input ends."""
    answer: Sequence[str]
    for line in sys.stdin:
        match json.loads(line):
            case ["arp", str(address), float() | int() as seconds]:
                answer = _arp(address, seconds, every=True)
            case ["first", str(address), float() | int() as seconds]:
                answer = _arp(address, seconds, every=False)
            case ["page", str(url)]:
                answer = _page(url)
            case request:
                raise SystemExit(f"{request}: want arp, first or page")
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
