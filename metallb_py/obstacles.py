"""What is in the way of a change that waits, so that not every event has to search for it."""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Obstacles:
    """The objects that were in the way of one change when they were searched for last.

    As long as one of them is as it was then, the change still waits, and no search is needed.
    """

    def __init__(self) -> None:
        self._change: object = None
        self._known: dict[str, object] = {}

    def are_gone(
        self,
        change: object,
        state: Callable[[str], object],
        search: Callable[[], Iterable[str]],
    ) -> bool:
        """Whether nothing is in the way of a change any more.

        ``state`` is all of an object that counts, by its key. ``search`` finds everything that is
        in the way; it is called once all that it found before has changed, and for another change.
        """
        if change is not self._change:
            self._change, self._known = change, {}
        while self._known:
            key, state_then = next(iter(self._known.items()))
            if state(key) == state_then:
                return False
            del self._known[key]
        self._known = {key: state(key) for key in search()}
        return not self._known
