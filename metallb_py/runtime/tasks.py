"""How a daemon lives and ends.

Every task belongs to one TaskGroup and has a name. A task that fails takes the daemon down with
it: a process that restarts is honest, one that limps is not. Signals ask for an orderly stop.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    """Run a daemon to its end. ``main`` gets the event that a stop signal sets."""
    asyncio.run(_with_signals(main))


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[None]]) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        await main(stop)
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)


async def cancel_all(tasks: list[asyncio.Task[None]]) -> None:
    """Cancel these tasks and wait until each has ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def describe(error: BaseException) -> str:
    """Say what went wrong, looking into groups: the leaves, in order, on one line."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(inner) for inner in error.exceptions)
    return str(error) or type(error).__name__
