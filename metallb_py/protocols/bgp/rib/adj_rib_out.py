"""What one peer should know of us and what it has been told: the Adj-RIB-Out.

Only the prefixes that changed since the last message are looked at, so a change costs the same
whatever else is advertised.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from metallb_py.addresses import IPNetwork


@dataclass(frozen=True, slots=True)
class RouteAttributes:
    """What the operator wants said of a prefix, to whatever peer.

    ``communities`` are 32-bit values, ``large_communities`` triples of them, in ascending order.
    ``as_path_prepend`` is how often the own AS number is repeated, up to 254 times. ``weight``
    becomes the link bandwidth (RFC 10005), in units of any size, the same on all nodes.
    """

    local_pref: int = 0
    communities: tuple[int, ...] = ()
    large_communities: tuple[tuple[int, int, int], ...] = ()
    med: int | None = None
    as_path_prepend: int = 0
    weight: int | None = None


@dataclass(frozen=True, slots=True)
class Batch:
    """Prefixes to announce, grouped by what is said of them, and prefixes to withdraw."""

    announced: Mapping[RouteAttributes, tuple[IPNetwork, ...]]
    withdrawn: tuple[IPNetwork, ...]


@dataclass(frozen=True, slots=True)
class PrefixCounts:
    """How many prefixes the peer knows, and how many it should.

    ``not_carried`` of the desired ones are of a family that the session cannot carry.
    """

    announced: int
    desired: int
    not_carried: int


class AdjRibOut:
    """Desired against advertised prefixes of one session, which carries some IP versions."""

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
        # None: the peer was told something that we cannot rely on any more.
        self._advertised: dict[IPNetwork, RouteAttributes | None] = {}
        # What to tell next, in order; None: to withdraw. Of this kind, since taking the first
        # ones from a plain dict takes longer and longer, and hashing a prefix is what costs here.
        self._changed: OrderedDict[IPNetwork, RouteAttributes | None] = OrderedDict()
        self._versions: frozenset[int] = frozenset()
        self._is_open = False

    @property
    def counts(self) -> PrefixCounts:
        """Where the peer stands. Without one, nobody knows yet what will not be carried."""
        not_carried = sum(
            count
            for version, count in self._desired_by_version.items()
            if version not in self._versions and self._is_open
        )
        return PrefixCounts(len(self._advertised), len(self._desired), not_carried)

    @property
    def settled(self) -> bool:
        """Whether there is nothing to tell the peer."""
        return not self._changed

    def open(self, versions: frozenset[int]) -> None:
        """A peer is there, knows nothing, and takes prefixes of these IP versions."""
        self.close()
        self._is_open = True
        self._versions = versions
        self._changed.update(self._wanted_in(versions))

    def close(self) -> None:
        """The peer is gone, and with it what it knew."""
        self._is_open = False
        self._versions = frozenset()
        self._advertised.clear()
        self._changed.clear()

    def resend(self, version: int | None = None) -> None:
        """The peer wants to be told everything again, or everything of one IP version."""
        versions = self._versions if version is None else self._versions & {version}
        for prefix in self._advertised:
            if prefix.version in versions:
                self._advertised[prefix] = None
        self._changed.update(self._wanted_in(versions))

    def change(
        self, wanted: Mapping[IPNetwork, RouteAttributes], unwanted: Iterable[IPNetwork] = ()
    ) -> None:
        """Want these prefixes from now on, as described, and those no longer."""
        for prefix in unwanted:
            if self._desired.pop(prefix, None) is not None:
                self._desired_by_version[prefix.version] -= 1
                self._note(prefix, None)
        for prefix, attributes in wanted.items():
            if prefix not in self._desired:
                self._desired_by_version[prefix.version] += 1
            self._desired[prefix] = attributes
            self._note(prefix, attributes)

    def take(self, limit: int) -> Batch:
        """Take up to this many changes, which from now on count as told."""
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
        groups = _grouped(announced)
        return Batch({said: tuple(group) for said, group in groups.items()}, tuple(withdrawn))

    def take_back(self) -> Batch:
        """Take the withdrawal of everything that was told; nothing is wanted any more."""
        self._changed.clear()
        told = tuple(self._advertised)
        self._advertised.clear()
        self._desired.clear()
        self._desired_by_version.clear()
        return Batch({}, told)

    def _note(self, prefix: IPNetwork, wanted: RouteAttributes | None) -> None:
        """Remember a difference; a change that returns to what the peer knows is none."""
        if prefix.version not in self._versions:
            return
        if wanted is None:
            known = prefix not in self._advertised
        else:
            known = self._advertised.get(prefix) == wanted
        if known:
            self._changed.pop(prefix, None)
        else:
            self._changed[prefix] = wanted

    def _wanted_in(self, versions: frozenset[int]) -> Iterator[tuple[IPNetwork, RouteAttributes]]:
        """Yield what is desired, with equal attributes together, so that they share messages."""
        wanted = (item for item in self._desired.items() if item[0].version in versions)
        for said, prefixes in _grouped(wanted).items():
            yield from ((prefix, said) for prefix in prefixes)


def _grouped(
    routes: Iterable[tuple[IPNetwork, RouteAttributes]],
) -> dict[RouteAttributes, list[IPNetwork]]:
    """Collect the prefixes of equal attributes. Neighbors mostly share theirs."""
    groups: dict[RouteAttributes, list[IPNetwork]] = {}
    group: list[IPNetwork] = []
    last: RouteAttributes | None = None
    for prefix, said in routes:
        if said is not last:
            group, last = groups.setdefault(said, []), said
        group.append(prefix)
    return groups
