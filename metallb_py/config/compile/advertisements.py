"""Compilation of a pool's BGP advertisements from records to the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

from metallb_py.addresses import IPNetwork
from metallb_py.config.communities import AnyCommunity, resolve_community, resolve_large
from metallb_py.config.compile.fields import FieldReader
from metallb_py.config.compile.limits import MAX_PREPEND
from metallb_py.config.compile.peers import canonical_form
from metallb_py.config.problems import Findings
from metallb_py.config.yaml.schema import Record
from metallb_py.model.config import BgpAdvertisement
from metallb_py.model.route_attributes import Community, LargeCommunity, RouteAttributes
from metallb_py.printable import listed

_NAMES_SHOWN = 20  # peers listed in a message

Found = TypeVar("Found")
Resolve = Callable[[str, Mapping[str, AnyCommunity]], Found]

_LENGTHS = {
    4: ("aggregation-length", "IPv4", 32),
    6: ("aggregation-length-v6", "IPv6", 128),
}


@dataclass(frozen=True, slots=True)
class Entry:
    """One item of ``addresses``, as written, and the largest of its blocks."""

    text: str
    largest: IPNetwork


@dataclass(frozen=True, slots=True)
class Defined:
    """The names that advertisements may refer to: aliases of communities, and peers.

    Either is None if some are missing because they could not be read; it is then not checked.
    """

    aliases: Mapping[str, AnyCommunity] | None
    peers: frozenset[str] | None


def compile_advertisements(
    records: Sequence[Record],
    finest: Mapping[int, Entry],
    defined: Defined,
    context: str,
    findings: Findings,
) -> tuple[BgpAdvertisement, ...]:
    """Check a pool's advertisements and return them.

    ``finest`` contains, for each IP version, the entry whose largest block is the smallest.
    """
    context += "parsing BGP communities: "  # MetalLB's prefix for every problem of advertisements
    _check_duplicates(records, context, findings)
    return tuple(
        _AdvertisementCompiler(FieldReader(record, context, findings), finest, defined).compile()
        for record in records
    )


def _check_duplicates(records: Iterable[Record], context: str, findings: Findings) -> None:
    earlier: dict[object, int] = {}
    for number, record in enumerate(records, 1):
        if record.failed:
            continue
        first = earlier.setdefault(record.as_written(), number)
        if first != number:
            message = (
                "duplicate definition of bgpadvertisements. "
                f"advertisement {first} and {number} are equal"
            )
            findings.add(record.line, record.path, context + message)


class _AdvertisementCompiler:
    """Compiler of one advertisement."""

    def __init__(self, fields: FieldReader, finest: Mapping[int, Entry], defined: Defined) -> None:
        self._fields = fields
        self._record = fields.record
        self._finest = finest
        self._defined = defined

    def compile(self) -> BgpAdvertisement:
        """Return the advertisement; report its problems."""
        record = self._record
        plain, large = self._communities()
        return BgpAdvertisement(
            aggregation_length=self._aggregation_length(4),
            aggregation_length_v6=self._aggregation_length(6),
            attributes=RouteAttributes(
                local_pref=record.number("localpref") or 0,
                communities=plain,
                large_communities=large,
                med=record.number("med"),
                as_path_prepend=self._prepend(),
            ),
            weight_by_endpoints=record.flag("weight-by-endpoints") or False,
            peers=self._peers(),
            node_selectors=self._fields.selectors("node-selectors"),
        )

    def _aggregation_length(self, version: int) -> int:
        key, family, longest = _LENGTHS[version]
        length = self._record.number(key)
        if length is None:
            return longest
        if not 0 <= length <= longest:
            message = f"invalid aggregation length {length} for {family}: want 0 to {longest}"
            self._fields.report(key, message)
            return longest
        # Only the largest block of an entry is compared, so a range may contain smaller ones.
        # MetalLB's converters to later releases compared every block, and rejected working pools.
        entry = self._finest.get(version)
        if entry is not None and length < entry.largest.prefixlen:
            message = (
                f"invalid aggregation length {length}: prefix {entry.largest} in this pool is more "
                f"specific than the aggregation length for addresses {entry.text}: "
                f"want {entry.largest.prefixlen} to {longest}"
            )
            self._fields.report(key, message)
        return length

    def _communities(self) -> tuple[frozenset[Community], frozenset[LargeCommunity]]:
        plain: set[Community] = set()
        large: set[LargeCommunity] = set()
        for found in self._named("communities", resolve_community):
            if isinstance(found, tuple):
                large.add(found)
            else:
                plain.add(found)
        large.update(self._named("large-communities", resolve_large))
        return frozenset(plain), frozenset(large)

    def _named(self, key: str, resolve: Resolve[Found]) -> list[Found]:
        """Resolve the items of a list of communities; report errors and duplicates."""
        aliases = self._defined.aliases
        found: dict[str, Found] = {}
        for text in self._record.string_lists.get(key, []) if aliases is not None else []:
            if text.value in found:
                message = f'duplicate definition of community "{text.value}"'
                self._fields.report_at(text.line, text.path, message)
                continue
            try:
                found[text.value] = resolve(text.value, aliases or {})
            except ValueError as error:
                self._fields.report_at(text.line, text.path, str(error))
        return list(found.values())

    def _prepend(self) -> int:
        count = self._record.number("as-path-prepend") or 0
        if count > MAX_PREPEND:
            message = f"invalid as-path-prepend {count}: want 0 to {MAX_PREPEND} times"
            self._fields.report("as-path-prepend", message)
        return count

    def _peers(self) -> frozenset[str]:
        known, key = self._defined.peers, "peers"
        texts = self._record.string_lists.get(key)
        if texts is not None and not texts and key not in self._record.failed:
            self._fields.report(
                key, "no peer is named: want at least one, or no such key for all peers"
            )
        found: set[str] = set()
        for text in texts or []:
            name = canonical_form(text.value)
            if name in found:
                message = f'duplicate definition of peer "{text.value}"'
                self._fields.report_at(text.line, text.path, message)
            if known is not None and name not in known:
                names = _listed(known)
                message = f'unknown peer "{text.value}": want the name or address of one: {names}'
                self._fields.report_at(text.line, text.path, message)
            found.add(name)
        return frozenset(found)


@lru_cache(4)
def _listed(names: frozenset[str]) -> str:
    """Return up to _NAMES_SHOWN names, sorted: a longer list is of no use and costs time."""
    if not names:
        return "there are no peers"
    return listed(sorted(names), _NAMES_SHOWN)
