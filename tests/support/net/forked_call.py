"""A function run in a forked process, independent of the test and of its event loop."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class ForkedCall(Generic[T]):
    """A fork of this process that runs one function. Create it before any thread is started."""

    def __init__(self, work: Callable[[], T]) -> None:
        self._receiving, sending = os.pipe()
        self.process = os.fork()
        if self.process == 0:
            status = 1
            try:
                with os.fdopen(sending, "wb") as pipe:
                    pickle.dump(work(), pipe)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(sending)

    def result(self) -> T:
        """Wait for the return value of the function. Raises EOFError if it failed."""
        with os.fdopen(self._receiving, "rb") as pipe:
            try:
                result: T = pickle.load(pipe)
                return result
            finally:
                os.waitpid(self.process, 0)

    def end(self) -> None:
        """Kill the process; its result is lost."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self._receiving)
