"""The annotation on the operator's ConfigMap that shows what became of its text.

It shares 256 KiB with the operator's own annotations, among them the copy that ``kubectl apply``
keeps; so it is short, and shorter still where those are large.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metallb_py.config.problems import one_line
from metallb_py.kube.configmap import DRAINING, LAST_GOOD, STATUS, Reading

LIMIT = 8 * 1024
TIGHT_LIMIT = 1024
"""In bytes, where the other annotations have less than ``ROOMY`` of the 256 KiB, and where more."""
ROOMY = 96 * 1024
_OURS = frozenset({STATUS, LAST_GOOD, DRAINING})


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """Which text is in force, which is the latest, and why the latest is not in force.

    ``latest`` is None where there is no ConfigMap. ``refusal`` are the reasons against a valid
    text; ``storing`` is why the state could not be stored.
    """

    in_force: Reading | None
    latest: Reading | None
    refusal: tuple[str, ...] = ()
    storing: str = ""

    def text(self, time: str, limit: int = LIMIT) -> str:
        """Return the status as JSON of at most ``limit`` bytes; ``time`` is when it was found.

        The first problems are in it, as many as there is room for, and the number of all.
        """
        problems = [*map(str, self.latest.problems if self.latest else ()), *self.refusal]
        status: dict[str, object] = {
            "state": self._state(bool(problems)),
            "inForce": self.in_force.version if self.in_force else None,
            "latest": self.latest.version if self.latest else None,
            "problems": [],
            "time": time,
        }
        if self.storing:
            status["stateNotStored"] = one_line(self.storing)[:300]
        if problems:
            status["problemsTotal"] = len(problems)
        room = limit - len(_encode(status))
        status["problems"] = _first(problems, room)
        return _encode(status).decode()

    def _state(self, has_problems: bool) -> str:
        if has_problems:
            return "refused"
        texts = [each.text if each else None for each in (self.in_force, self.latest)]
        return "applied" if self.in_force and texts[0] == texts[1] else "pending"


def limit_beside(annotations: Mapping[str, str]) -> int:
    """Return how long a status may be beside these annotations."""
    others = sum(
        len(name.encode()) + len(value.encode())
        for name, value in annotations.items()
        if name not in _OURS
    )
    return LIMIT if others < ROOMY else TIGHT_LIMIT


def in_brief(problems: Iterable[str]) -> str:
    """Return problems for a log line of bounded length: the first ones, and how many more."""
    every = list(problems)
    shown = _first(every, LIMIT)
    more = len(every) - len(shown)
    return "; ".join([*shown, f"and {more} more problems"] if more else shown)


def _first(problems: list[str], room: int) -> list[str]:
    found: list[str] = []
    for problem in problems:
        text = problem
        size = len(_encode(text)) + 2  # a comma and a space
        if size > room:
            if found or room < 64:
                break
            text = text.encode()[: room // 2 - 8].decode(errors="ignore") + " ..."
            size = room
        found.append(text)
        room -= size
    return found


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode(errors="backslashreplace")
