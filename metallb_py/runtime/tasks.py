"""Life cycle of a daemon: named tasks, stop signals, and errors of the event loop and libraries.

Every task belongs to one TaskGroup and has a name. A task that fails ends the daemon: a restart is
visible, a daemon that runs without one of its tasks is not. Signals request an orderly stop.
"""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Awaitable, Callable, Coroutine, Mapping

from metallb_py.rate_limit import Rate, RateLimiter
from metallb_py.runtime.log import Level, LimitedLog, Logger

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)


def run_with_signals(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """Run a daemon to its end and return its exit status.

    ``main`` receives the event that a stop signal sets.
    """
    return asyncio.run(_with_signals(main))


def log_loop_errors(loop: asyncio.AbstractEventLoop, log: Logger) -> None:
    """Log the errors that asyncio reports for callbacks and transports, at a limited rate.

    Its own handler prints a traceback each time, as often as a peer can cause it.
    """
    limiter = RateLimiter(each=Rate(3, 1 / 60), total=Rate(30, 1 / 2))

    def handle(loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        message, error = str(context.get("message")), context.get("exception")
        admitted = limiter.admit((message, type(error)), loop.time())
        if admitted is not None:
            text = describe(error) if isinstance(error, BaseException) else ""
            log.error(message, op="eventLoop", error=text, suppressed=admitted.suppressed)

    loop.set_exception_handler(handle)


def log_library_warnings(log: Logger) -> None:
    """Log the warnings of libraries, at a limited rate, instead of any handler of ``logging``.

    Without a handler they are written to standard error, unlimited and not as JSON. A peer can
    cause them: asyncio warns of each write to a connection that was lost.
    """
    logging.basicConfig(handlers=[_Forward(log)], level=logging.WARNING, force=True)


class _Forward(logging.Handler):
    """Handler that passes the records of ``logging`` to our log."""

    def __init__(self, log: Logger) -> None:
        super().__init__()
        self._log = LimitedLog(log, each=Rate(3, 1 / 60), total=Rate(30, 1 / 2))

    def emit(self, record: logging.LogRecord) -> None:
        """Log a record in our format."""
        level = Level.ERROR if record.levelno >= logging.ERROR else Level.WARN
        error = record.exc_info[1] if record.exc_info else None
        self._log.of(record.name, record.msg).log(
            level,
            _text(record),
            op="library",
            logger=record.name,
            **({"error": describe(error)} if error else {}),
        )


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # the library's format and arguments do not match
        return str(record.msg)


async def run_until(stop: asyncio.Event, tasks: Mapping[str, Coroutine[None, None, None]]) -> None:
    """Run these tasks, by name, until ``stop`` is set; then cancel them and wait for their end.

    Raises an ExceptionGroup if one of them fails; the others are cancelled first.
    """
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(task, name=name) for name, task in tasks.items()]
        await stop.wait()
        for task in running:
            task.cancel()


def describe(error: BaseException) -> str:
    """Return the description of an error, on one line; of a group, that of its leaves in order."""
    if isinstance(error, BaseExceptionGroup):
        return "; ".join(describe(inner) for inner in error.exceptions)
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


async def _with_signals(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        return await main(stop)
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
