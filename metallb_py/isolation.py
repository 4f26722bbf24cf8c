"""The one place where any exception of the work for one object is caught.

What tenants write reaches the code that decides about a service. A fault in that code must end in
that service's verdict, not in the daemon's end, again after each restart, for every other service.
The work checks before it changes anything, so the daemon's state is sound afterwards.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
MAX_QUOTED = 200


@dataclass(frozen=True, slots=True)
class InternalError:
    """What was raised, and where."""

    detail: str


def contain(work: Callable[[], T]) -> T | InternalError:
    """Do the work for one object; return an InternalError if anything at all is raised."""
    try:
        return work()
    except Exception as error:  # any: see the module's docstring
        text = str(error)[:MAX_QUOTED]
        return InternalError(f"{type(error).__name__}: {text} ({_where(error.__traceback__)})")


def _where(trace: TracebackType | None) -> str:
    place = "unknown place"
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__')}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
