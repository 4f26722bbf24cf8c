"""Parts of a daemon that run while a test looks at them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def while_running(*parts: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run these for the length of a block, and cancel them. One that failed fails the block."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):  # to be cancelled is no failure
                raise result
