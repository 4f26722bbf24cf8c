"""Status annotation on the operator's ConfigMap: whether its text is in force, and why not.

It shares 256 KiB with the operator's own annotations, among them the copy that ``kubectl apply``
keeps. So it is short, and shorter still where those are large.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metallb_py.config.problems import one_line
from metallb_py.kube.configmap import DRAINING, LAST_GOOD, STATUS, ParsedConfig
from metallb_py.printable import and_more

LIMIT = 8 * 1024
"""Bytes of the status where the other annotations have less than ``ROOMY`` bytes."""
TIGHT_LIMIT = 1024
"""Bytes of the status where the other annotations have more."""
ROOMY = 96 * 1024
"""Bytes of the other annotations, of 256 KiB, at which ``TIGHT_LIMIT`` begins to apply."""
_OURS = frozenset({STATUS, LAST_GOOD, DRAINING})


@dataclass(frozen=True, slots=True)
class ConfigStatus:
    """The text in force, the latest text, and the reasons why the latest is not in force.

    ``latest`` is None where there is no ConfigMap. ``refusal`` has the reasons against a valid
    text. ``storage_error`` is the reason why the state could not be stored; empty if there is none.
    """

    in_force: ParsedConfig | None
    latest: ParsedConfig | None
    refusal: tuple[str, ...] = ()
    storage_error: str = ""

    def text(self, time: str, limit: int = LIMIT) -> str:
        """Return the status as JSON of at most ``limit`` bytes; ``time`` is that of the status.

        It contains the first problems, as many as fit, and the number of all problems.
        """
        problems = [*map(str, self.latest.problems if self.latest else ()), *self.refusal]
        status: dict[str, object] = {
            "state": self._state(bool(problems)),
            "inForce": self.in_force.version if self.in_force else None,
            "latest": self.latest.version if self.latest else None,
            "problems": [],
            "time": time,
        }
        if self.storage_error:
            status["stateNotStored"] = one_line(self.storage_error)[:300]
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
    """Return the limit of a status, in bytes, beside these annotations."""
    others = sum(
        len(name.encode()) + len(value.encode())
        for name, value in annotations.items()
        if name not in _OURS
    )
    return LIMIT if others < ROOMY else TIGHT_LIMIT


def in_brief(problems: Iterable[str]) -> str:
    """Return the first problems, for a log line of bounded length, and the number of the rest."""
    every = list(problems)
    shown = _first(every, LIMIT)
    return "; ".join([*shown, *and_more(len(every) - len(shown), "problems")])


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
