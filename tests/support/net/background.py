"""Coroutines of a daemon that run during a block of a test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def while_running(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines during a block, then cancel them; raise the error of one that failed."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):  # cancellation is not a failure
                raise result
