"""Work done in a process aside, so that it waits neither for the test nor for its event loop."""

from __future__ import annotations

import os
import pickle
import signal
import traceback
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Aside(Generic[T]):
    """A copy of this process that does one thing. Make it before there are threads."""

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
        """Wait for what the work returns. Raises EOFError where it failed."""
        with os.fdopen(self._receiving, "rb") as pipe:
            try:
                return pickle.load(pipe)
            finally:
                os.waitpid(self.process, 0)

    def end(self) -> None:
        """End it where it is, and forget its result."""
        os.kill(self.process, signal.SIGKILL)
        os.waitpid(self.process, 0)
        os.close(self._receiving)
