"""Cache of the objects that block a pending change; short: a leaf for both cores.

It saves a search for them at every event.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable


class Obstacles:
    """The objects that blocked one change at the last search.

    While at least one of them is unchanged since then, the change remains blocked and no search is
    needed.
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
        """Whether no object blocks the change any more.

        ``state`` returns, for an object's key, every part of its state that matters here.
        ``search`` returns the keys of all blocking objects; it is called only when every object of
        its previous result has changed, or when ``change`` is another object than before.
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
