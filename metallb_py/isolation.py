"""Exception containment; apart, as the one place that catches any exception of an object's work.

Text written by tenants reaches the code that decides about a service. A fault in that code must
affect only that service's verdict. Uncaught, it would end the daemon, again after each restart,
for every other service as well. The work checks before it changes anything, so the daemon's state
is consistent after an exception.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")
MAX_QUOTED = 200
"""Characters of an exception's message that are kept."""


@dataclass(frozen=True, slots=True)
class InternalError:
    """A caught exception. ``detail`` contains its type, message and location."""

    detail: str


def contain(work: Callable[[], T]) -> T | InternalError:
    """Run the work for one object; return an InternalError if it raises any Exception."""
    try:
        return work()
    except Exception as error:  # of any type: see the module's docstring
        text = str(error)[:MAX_QUOTED]
        return InternalError(f"{type(error).__name__}: {text} ({_where(error.__traceback__)})")


def _where(trace: TracebackType | None) -> str:
    place = "unknown place"
    while trace is not None:
        place = f"{trace.tb_frame.f_globals.get('__name__')}, line {trace.tb_lineno}"
        trace = trace.tb_next
    return place
