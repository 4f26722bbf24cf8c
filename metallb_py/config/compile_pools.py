"""Address pools and their BGP advertisements: from records to the model."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from metallb_py.addresses import IPNetwork, parse_cidr, parse_range
from metallb_py.config.communities import resolve_community
from metallb_py.config.configmap import Located, Record
from metallb_py.config.model import BgpAdvertisement, Community, Pool, Protocol
from metallb_py.config.problems import Findings

_LENGTHS = {
    4: ("aggregation-length", "IPv4", 32),
    6: ("aggregation-length-v6", "IPv6", 128),
}


@dataclass(frozen=True, slots=True)
class _Entry:
    """One item of ``addresses`` and what it stands for."""

    text: Located[str]
    cidrs: tuple[IPNetwork, ...]


class _Overlaps:
    """The address ranges that were seen, so that each new one is compared with two of them."""

    def __init__(self) -> None:
        self._seen: dict[int, list[tuple[int, int, IPNetwork, str]]] = {4: [], 6: []}

    def add(self, cidr: IPNetwork, pool: str) -> tuple[IPNetwork, str] | None:
        """Take in a range; return an earlier one that it overlaps with, and its pool."""
        first, last = int(cidr.network_address), int(cidr.broadcast_address)
        seen = self._seen[cidr.version]
        index = bisect_left(seen, (first,))
        for _, other_last, other, owner in seen[max(index - 1, 0) : index + 1]:
            if int(other.network_address) <= last and first <= other_last:
                return other, owner
        seen.insert(index, (first, last, cidr, pool))
        return None


def _read_addresses(text: str) -> tuple[IPNetwork, ...]:
    return parse_range(text) if "-" in text else (parse_cidr(text),)


def compile_pools(
    records: Iterable[Record], aliases: Mapping[str, Community], findings: Findings
) -> tuple[Pool, ...]:
    """Check the address pools; ``aliases`` name communities."""
    pools: list[Pool] = []
    names: set[str] = set()
    overlaps = _Overlaps()
    for number, record in enumerate(records, 1):
        compiler = _PoolCompiler(record, number, findings)
        pool = compiler.compile(aliases)
        if pool.name and pool.name in names:
            message = f'duplicate definition of pool "{pool.name}"'
            findings.add(record.line_of("name"), record.path, message)
        names.add(pool.name)
        compiler.check_overlaps(overlaps)
        pools.append(pool)
    return tuple(pools)


class _PoolCompiler:
    """Checks one pool, in MetalLB's order."""

    def __init__(self, record: Record, number: int, findings: Findings) -> None:
        self._record = record
        self._context = f"parsing address pool #{number}: "
        self._findings = findings
        self._name = record.string("name")
        self._entries: list[_Entry] = []

    def compile(self, aliases: Mapping[str, Community]) -> Pool:
        """Return the pool; it is worth something only where no problem was told."""
        record = self._record
        if not self._name and "name" not in record.failed:
            self._tell("name", "missing pool name")
        self._read_addresses()
        protocol = self._protocol()
        auto_assign = record.flag("auto-assign")
        return Pool(
            name=self._name,
            protocol=protocol or Protocol.BGP,
            cidrs=tuple(cidr for entry in self._entries for cidr in entry.cidrs),
            avoid_buggy_ips=record.flag("avoid-buggy-ips") or False,
            auto_assign=True if auto_assign is None else auto_assign,
            bgp_advertisements=self._advertisements(protocol, aliases),
        )

    def check_overlaps(self, overlaps: _Overlaps) -> None:
        """Compare the pool's addresses with each other and with earlier pools."""
        path = f"{self._record.path}.addresses"
        for entry in self._entries:
            found = ((cidr, overlaps.add(cidr, self._name)) for cidr in entry.cidrs)
            clashes = [(cidr, clash) for cidr, clash in found if clash is not None]
            for cidr, (other, owner) in clashes[:1]:  # an entry's other blocks say no more
                message = (
                    f'CIDR "{cidr}" in pool "{self._name}" overlaps with already defined CIDR '
                    f'"{other}" in pool "{owner}"'
                )
                self._findings.add(entry.text.line, path, message)

    def _read_addresses(self) -> None:
        record = self._record
        texts = record.string_lists.get("addresses", [])
        if not texts and "addresses" not in record.failed:
            self._tell("addresses", "pool has no prefixes defined: want at least one")
        for text in texts:
            try:
                cidrs = _read_addresses(text.value)
            except ValueError as error:
                self._tell_address(text, str(error))
            else:
                self._entries.append(_Entry(text, cidrs))

    def _tell_address(self, text: Located[str], error: str) -> None:
        cause = error
        if "-" not in text.value:
            cause = f'invalid CIDR "{text.value}": {error.partition(": ")[2]}'
        message = f'invalid CIDR "{text.value}" in pool "{self._name}": {cause}'
        self._findings.add(text.line, f"{self._record.path}.addresses", self._context + message)

    def _protocol(self) -> Protocol | None:
        record = self._record
        text = record.string("protocol")
        try:
            return Protocol(text)
        except ValueError:
            wanted = 'want "layer2" or "bgp"'
            if not text and "protocol" not in record.failed:
                self._tell("protocol", f"address pool is missing the protocol field: {wanted}")
            elif text:
                self._tell("protocol", f'unknown protocol "{text}": {wanted}')
            return None

    def _advertisements(
        self, protocol: Protocol | None, aliases: Mapping[str, Community]
    ) -> tuple[BgpAdvertisement, ...]:
        records = self._record.record_lists.get("bgp-advertisements", [])
        if protocol is Protocol.LAYER2:
            if records:
                self._tell(
                    "bgp-advertisements",
                    "cannot have bgp-advertisements configuration element in a layer2 address pool",
                )
            return ()
        if not records:
            return (BgpAdvertisement(),)
        written = [record.as_written() for record in records]
        for index, record in enumerate(records):
            if written[index] in written[:index]:
                earlier = written.index(written[index])
                self._tell_ad(
                    record,
                    "",
                    "duplicate definition of bgpadvertisements. "
                    f"advertisement {earlier + 1} and {index + 1} are equal",
                )
        return tuple(self._advertisement(record, aliases) for record in records)

    def _advertisement(self, record: Record, aliases: Mapping[str, Community]) -> BgpAdvertisement:
        return BgpAdvertisement(
            aggregation_length=self._aggregation_length(record, 4),
            aggregation_length_v6=self._aggregation_length(record, 6),
            local_pref=record.number("localpref") or 0,
            communities=self._communities(record, aliases),
        )

    def _aggregation_length(self, record: Record, version: int) -> int:
        key, family, longest = _LENGTHS[version]
        length = record.number(key)
        if length is None:
            return longest
        if not 0 <= length <= longest:
            message = f"invalid aggregation length {length} for {family}: want 0 to {longest}"
            self._tell_ad(record, key, message)
            return longest
        for entry in self._entries:
            blocks = [cidr for cidr in entry.cidrs if cidr.version == version]
            # The largest block of an entry decides, so a range may end in smaller ones.
            largest = min(blocks, key=lambda cidr: cidr.prefixlen, default=None)
            if largest is not None and length < largest.prefixlen:
                message = (
                    f"invalid aggregation length {length}: prefix {largest} in this pool is more "
                    f"specific than the aggregation length for addresses {entry.text.value}"
                )
                self._tell_ad(record, key, message)
        return length

    def _communities(
        self, record: Record, aliases: Mapping[str, Community]
    ) -> frozenset[Community]:
        found: dict[str, Community] = {}
        for text in record.string_lists.get("communities", []):
            if text.value in found:
                message = f'duplicate definition of community "{text.value}"'
                self._tell_ad(record, "communities", message, text.line)
                continue
            try:
                found[text.value] = resolve_community(text.value, aliases)
            except ValueError as error:
                self._tell_ad(record, "communities", str(error), text.line)
        return frozenset(found.values())

    def _tell(self, key: str, message: str) -> None:
        record = self._record
        self._findings.add(record.line_of(key), f"{record.path}.{key}", self._context + message)

    def _tell_ad(self, record: Record, key: str, message: str, line: int = 0) -> None:
        path = f"{record.path}.{key}" if key else record.path
        line = line or record.line_of(key)
        message = f"{self._context}parsing BGP communities: {message}"
        self._findings.add(line, path, message)
