"""The Adj-RIB-Out of one peer (RFC 4271 section 3.2): desired and advertised routes.

Only the prefixes that changed since the last message are processed, so the cost of a change does
not depend on the number of other routes.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from metallb_py.addresses import IPNetwork
from metallb_py.model.route_attributes import RouteAttributes


@dataclass(frozen=True, slots=True)
class Batch:
    """Prefixes to announce, grouped by attributes, and prefixes to withdraw."""

    announced: Mapping[RouteAttributes, tuple[IPNetwork, ...]]
    withdrawn: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class PrefixCounts:
    """Numbers of prefixes: advertised to the peer (``announced``), and to be advertised.

    ``not_carried`` of the desired ones are of a family that the session cannot carry.
    """

    announced: int
    desired: int
    not_carried: int


class AdjRibOut:
    """Difference between the desired routes and those advertised in the current session.

    A session carries the prefixes of some IP versions only.
    """

    __slots__ = (
        "_advertised",
        "_changed",
        "_desired",
        "_desired_by_version",
        "_is_open",
        "_versions",
    )

    def __init__(self) -> None:
        self._desired: dict[IPNetwork, RouteAttributes] = {}
        self._desired_by_version: Counter[int] = Counter()
        # None: the prefix was advertised, but has to be advertised again.
        self._advertised: dict[IPNetwork, RouteAttributes | None] = {}
        # Pending changes in the order to send them; None: a withdrawal. An OrderedDict, since
        # removing the first items of a plain dict gets ever slower, and hashing a prefix once more
        # is expensive here.
        self._changed: OrderedDict[IPNetwork, RouteAttributes | None] = OrderedDict()
        self._versions: frozenset[int] = frozenset()
        self._is_open = False

    @property
    def counts(self) -> PrefixCounts:
        """Current numbers of prefixes. Without a session, ``not_carried`` is 0: it is unknown."""
        not_carried = sum(
            count
            for version, count in self._desired_by_version.items()
            if version not in self._versions and self._is_open
        )
        return PrefixCounts(len(self._advertised), len(self._desired), not_carried)

    @property
    def in_sync(self) -> bool:
        """Whether no change is pending."""
        return not self._changed

    def open(self, versions: frozenset[int]) -> None:
        """Start a session that carries prefixes of these IP versions; nothing is advertised yet."""
        self.close()
        self._is_open = True
        self._versions = versions
        self._changed.update(self._wanted_in(versions))

    def close(self) -> None:
        """End the session; nothing is advertised any more."""
        self._is_open = False
        self._versions = frozenset()
        self._advertised.clear()
        self._changed.clear()

    def resend(self, version: int | None = None) -> None:
        """Schedule all routes, or all of one IP version, to be advertised again."""
        versions = self._versions if version is None else self._versions & {version}
        for prefix in self._advertised:
            if prefix.version in versions:
                self._advertised[prefix] = None
        self._changed.update(self._wanted_in(versions))

    def change(
        self, wanted: Mapping[IPNetwork, RouteAttributes], unwanted: Iterable[IPNetwork] = ()
    ) -> None:
        """Add or replace the ``wanted`` routes and remove the ``unwanted`` prefixes."""
        for prefix in unwanted:
            if self._desired.pop(prefix, None) is not None:
                self._desired_by_version[prefix.version] -= 1
                self._schedule(prefix, None)
        for prefix, attributes in wanted.items():
            if prefix not in self._desired:
                self._desired_by_version[prefix.version] += 1
            self._desired[prefix] = attributes
            self._schedule(prefix, attributes)

    def take(self, limit: int) -> Batch:
        """Remove and return up to ``limit`` pending changes; they count as advertised."""
        announced: list[tuple[IPNetwork, RouteAttributes]] = []
        withdrawn: list[IPNetwork] = []
        for _ in range(min(limit, len(self._changed))):
            prefix, attributes = self._changed.popitem(last=False)
            if attributes is None:
                del self._advertised[prefix]
                withdrawn.append(prefix)
            else:
                self._advertised[prefix] = attributes
                announced.append((prefix, attributes))
        return Batch(
            {attributes: tuple(group) for attributes, group in _grouped(announced).items()},
            tuple(withdrawn),
        )

    def withdraw_all(self) -> Batch:
        """Return withdrawals of all advertised prefixes; no route is desired any more."""
        self._changed.clear()
        withdrawn = tuple(self._advertised)
        self._advertised.clear()
        self._desired.clear()
        self._desired_by_version.clear()
        return Batch({}, withdrawn)

    def _schedule(self, prefix: IPNetwork, wanted: RouteAttributes | None) -> None:
        """Add a pending change, or remove it where the advertised state is the wanted one again."""
        if prefix.version not in self._versions:
            return
        if wanted is None:
            up_to_date = prefix not in self._advertised
        else:
            up_to_date = self._advertised.get(prefix) == wanted
        if up_to_date:
            self._changed.pop(prefix, None)
        else:
            self._changed[prefix] = wanted

    def _wanted_in(self, versions: frozenset[int]) -> Iterator[tuple[IPNetwork, RouteAttributes]]:
        """Yield the desired routes, those of equal attributes together, so they share messages."""
        wanted = (item for item in self._desired.items() if item[0].version in versions)
        for attributes, prefixes in _grouped(wanted).items():
            yield from ((prefix, attributes) for prefix in prefixes)


def _grouped(
    routes: Iterable[tuple[IPNetwork, RouteAttributes]],
) -> dict[RouteAttributes, list[IPNetwork]]:
    """Group the prefixes by attributes. Successive ones mostly share the same object."""
    groups: dict[RouteAttributes, list[IPNetwork]] = {}
    group: list[IPNetwork] = []
    last: RouteAttributes | None = None
    for prefix, attributes in routes:
        if attributes is not last:
            group, last = groups.setdefault(attributes, []), attributes
        group.append(prefix)
    return groups
