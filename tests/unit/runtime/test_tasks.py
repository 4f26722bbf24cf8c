"""Start, failure and end of a daemon's tasks."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal

import pytest

from metallb_py.runtime.log import Level, Logger
from metallb_py.runtime.tasks import (
    describe,
    log_library_warnings,
    log_loop_errors,
    run_until,
    run_with_signals,
)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_signal_requests_an_orderly_stop(number: signal.Signals) -> None:
    async def main(stop: asyncio.Event) -> int:
        os.kill(os.getpid(), number)
        await stop.wait()
        return 7

    assert run_with_signals(main) == 7


async def test_tasks_are_cancelled_and_awaited_on_stop() -> None:
    ended: list[str] = []
    stop = asyncio.Event()

    async def work(name: str) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended.append(name)

    async def stopper() -> None:
        stop.set()

    await run_until(stop, {"a": work("a"), "b": work("b"), "stopper": stopper()})
    assert sorted(ended) == ["a", "b"]


async def test_failure_of_one_task_ends_all_and_is_described() -> None:
    async def broken() -> None:
        raise OSError("no such thing")

    async def patient() -> None:
        await asyncio.Event().wait()

    with pytest.raises(ExceptionGroup) as failure:
        await run_until(asyncio.Event(), {"broken": broken(), "patient": patient()})
    assert describe(failure.value) == "OSError: no such thing"


def test_error_without_text_is_described_by_its_class() -> None:
    assert describe(ValueError()) == "ValueError"


async def test_asyncio_errors_are_logged_at_a_limited_rate() -> None:
    lines: list[str] = []
    loop = asyncio.get_running_loop()
    log_loop_errors(loop, Logger(Level.INFO, lines.append))
    for _ in range(1000):
        loop.call_exception_handler({"message": "accept failed", "exception": OSError(24, "full")})
    loop.call_exception_handler({"message": "something else"})
    loop.set_exception_handler(None)
    assert 2 <= len(lines) <= 6
    assert '"error":"OSError: [Errno 24] full"' in lines[0]
    assert "something else" in lines[-1]
    assert not any("Traceback" in line for line in lines)


@pytest.fixture
def library_lines(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the lines that libraries' warnings are logged to."""
    root = logging.getLogger()
    monkeypatch.setattr(root, "level", root.level)
    monkeypatch.setattr(root, "handlers", [])
    lines: list[str] = []
    log_library_warnings(Logger(write=lines.append))
    return lines


def test_library_warnings_are_logged_at_a_limited_rate(
    library_lines: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    for _ in range(1000):
        logging.getLogger("asyncio").warning("socket.send() raised exception.")
    logging.getLogger("other").error("failed for %s", "\x1b[2J")
    logging.getLogger("other").info("not worth a line")
    *ours, other = map(json.loads, library_lines)
    assert 1 <= len(ours) <= 5
    assert ours[0]["msg"] == "socket.send() raised exception."
    assert (other["level"], other["logger"], other["msg"]) == (
        "error",
        "other",
        "failed for \x1b[2J",
    )
    assert capfd.readouterr().err == ""


def test_library_warning_with_wrong_arguments_is_logged_unformatted(
    library_lines: list[str],
) -> None:
    wrong = {"name": "other", "levelno": logging.WARNING, "msg": "%s %s", "args": ("one",)}
    logging.getLogger().handlers[0].handle(logging.makeLogRecord(wrong))
    error = ValueError("why")
    logging.getLogger("other").error("failed", exc_info=(ValueError, error, None))
    first, second = map(json.loads, library_lines)
    assert first["msg"] == "%s %s"
    assert second["error"] == "ValueError: why"
