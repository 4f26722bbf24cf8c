"""Compilation of address pools from records to the model."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterable, Sequence

from metallb_py.addresses import IPNetwork, parse_cidr, parse_range
from metallb_py.config.compile.advertisements import Defined, Entry, compile_advertisements
from metallb_py.config.compile.community_room import Spend, find_oversized
from metallb_py.config.compile.fields import compile_selector
from metallb_py.config.compile.limits import MAX_ADVERTISEMENTS, MAX_BLOCKS
from metallb_py.config.compile.usable import unusable_part
from metallb_py.config.draining import configured_name, pool_name
from metallb_py.config.problems import Findings
from metallb_py.config.yaml.schema import Located, Record
from metallb_py.model.config import BgpAdvertisement, Pool, Protocol
from metallb_py.model.patterns import WANTED, PatternError, compile_pattern
from metallb_py.model.pool_access import Tenancy
from metallb_py.model.route_attributes import MAX_COMMUNITY_BYTES
from metallb_py.model.selectors import LabelSelector

_ADS = "bgp-advertisements"

# Kubernetes requires RFC 1123 labels.
_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)


def compile_pools(
    records: Iterable[Record], defined: Defined, findings: Findings
) -> tuple[Pool, ...]:
    """Check the address pools and return them, including those with problems.

    ``defined`` contains the names that their advertisements may refer to.
    """
    pools: list[Pool] = []
    names: set[str] = set()
    advertisements = 0
    overlaps = _Overlaps(findings.spend)
    all_records = tuple(records)
    for number, record in enumerate(all_records, 1):
        pool = _PoolCompiler(record, number, findings, overlaps).compile(defined)
        if pool.name and pool.name in names:
            message = (
                f'duplicate definition of pool "{configured_name(pool.name)}": want another name'
            )
            findings.add(record.line_of("name"), record.path, message)
        names.add(pool.name)
        pools.append(pool)
        advertisements += len(pool.bgp_advertisements)
        if advertisements > MAX_ADVERTISEMENTS:
            message = f"more than {MAX_ADVERTISEMENTS} advertisements in all pools: want fewer"
            findings.add(record.line_of(_ADS), record.path_of(_ADS), message)
            break
    _check_communities(pools, all_records, findings)
    return tuple(pools)


def _check_communities(
    pools: Sequence[Pool], records: Sequence[Record], findings: Findings
) -> None:
    """Report pools with a merged route whose communities do not fit into one message."""
    for index, oversized in find_oversized(pools, findings.spend).items():
        message = (
            f"parsing address pool #{index + 1}: {oversized.size} bytes of communities for "
            f"{oversized.prefix}: want at most {MAX_COMMUNITY_BYTES}, or they would not fit one "
            "BGP message"
        )
        record = records[index]
        findings.add(record.line_of(_ADS), record.path_of(_ADS), message)


class _Overlaps:
    """The blocks so far, sorted, so that a new one is compared with its two neighbors only."""

    def __init__(self, spend: Spend) -> None:
        self._spend = spend
        self._seen: dict[int, list[tuple[int, int, IPNetwork, str]]] = {4: [], 6: []}
        self.blocks = 0

    def add(self, cidr: IPNetwork, pool: str) -> tuple[IPNetwork, str] | None:
        """Add a block; return an earlier one that it overlaps with and the name of its pool."""
        self.blocks += 1
        self._spend(1)
        first, last = int(cidr.network_address), int(cidr.broadcast_address)
        seen = self._seen[cidr.version]
        index = bisect_left(seen, (first,))
        for other_first, other_last, other, owner in seen[max(index - 1, 0) : index + 1]:
            if other_first <= last and first <= other_last:
                return other, owner
        seen.insert(index, (first, last, cidr, pool))
        return None


class _PoolCompiler:
    """Compiler of one pool, with MetalLB's checks in their order."""

    def __init__(
        self, record: Record, number: int, findings: Findings, overlaps: _Overlaps
    ) -> None:
        self._record = record
        self._name = record.string("name")
        self._context = f"parsing address pool #{number}: "
        self._findings = findings
        self._overlaps = overlaps
        # IP version -> the entry whose largest block is the smallest.
        self._finest: dict[int, Entry] = {}

    def compile(self, defined: Defined) -> Pool:
        """Return the pool; report its problems."""
        record = self._record
        if not self._name and "name" not in record.failed:
            self._report("name", "missing pool name: want name")
        cidrs = self._read_addresses()
        protocol = self._protocol()
        auto_assign = record.flag("auto-assign")
        for key in ("interfaces", "node-selectors"):
            if protocol is Protocol.BGP and key in record.lines:
                self._report(
                    key, f"cannot have {key} in a bgp address pool: want it in a layer2 pool"
                )
        return Pool(
            name=pool_name(self._name),
            protocol=protocol or Protocol.BGP,
            cidrs=cidrs,
            avoid_buggy_ips=record.flag("avoid-buggy-ips") or False,
            auto_assign=True if auto_assign is None else auto_assign,
            bgp_advertisements=self._advertisements(protocol, defined),
            tenancy=self._tenancy(),
            priority=record.number("priority"),
            interfaces=self._interfaces(),
            node_selectors=self._selectors("node-selectors", "node selector"),
        )

    def _tenancy(self) -> Tenancy:
        names = self._record.string_lists.get("namespaces", [])
        for name in names:
            if not _NAMESPACE.fullmatch(name.value):
                message = f'invalid namespace "{name.value}": want a name, as in "default"'
                self._findings.add(name.line, name.path, self._context + message)
        return Tenancy(
            frozenset(name.value for name in names),
            self._selectors("namespace-selectors", "namespace selector"),
            self._selectors("service-selectors", "service selector"),
        )

    def _interfaces(self) -> tuple[str, ...]:
        patterns = self._record.string_lists.get("interfaces", [])
        for pattern in patterns:
            try:
                compile_pattern(pattern.value)
            except PatternError as error:
                message = (
                    f'invalid interface "{pattern.value}": {error}: want a name, as in "eth0", or '
                    f'a pattern, as in "bond.*": {WANTED}'
                )
                self._findings.add(pattern.line, pattern.path, self._context + message)
        return tuple(pattern.value for pattern in patterns)

    def _selectors(self, key: str, what: str) -> tuple[LabelSelector, ...]:
        found = [
            compile_selector(item, self._context, self._findings, what)
            for item in self._record.record_lists.get(key, [])
        ]
        return tuple(selector for selector in found if selector is not None)

    def _read_addresses(self) -> tuple[IPNetwork, ...]:
        record = self._record
        texts = record.string_lists.get("addresses", [])
        if not texts and "addresses" not in record.failed:
            self._report("addresses", "pool has no prefixes defined: want at least one")
        cidrs: list[IPNetwork] = []
        for text in texts:
            if self._overlaps.blocks >= MAX_BLOCKS:
                self._report(
                    "addresses",
                    f"more than {MAX_BLOCKS} blocks in all pools: want fewer, or larger ones",
                )
                break
            cidrs += self._read_entry(text)
        return tuple(cidrs)

    def _read_entry(self, text: Located[str]) -> tuple[IPNetwork, ...]:
        try:
            is_range = "-" in text.value
            cidrs = parse_range(text.value) if is_range else (parse_cidr(text.value),)
        except ValueError as error:
            self._report_address(text, str(error))
            return ()
        entry = Entry(text.value, min(cidrs, key=lambda cidr: cidr.prefixlen))
        version = entry.largest.version
        finest = self._finest.setdefault(version, entry)
        if entry.largest.prefixlen > finest.largest.prefixlen:
            self._finest[version] = entry
        self._check_overlaps(text, cidrs)
        self._check_use(text, cidrs)
        return cidrs

    def _check_use(self, text: Located[str], cidrs: Iterable[IPNetwork]) -> None:
        """Report blocks with addresses that no Service can have.

        A block that contains usable addresses as well is accepted if addresses of the pool are
        assigned on request only (``auto-assign: false``).
        """
        routed = self._record.string("protocol") == Protocol.BGP
        on_request = self._record.flag("auto-assign") is False
        for cidr in cidrs:
            found = unusable_part(cidr, routed=routed)
            if found is None:
                continue
            block, why = found
            if cidr.prefixlen >= block.prefixlen:
                reason = f"{block} is {why}: want unicast addresses that a Service can have"
            elif on_request:
                continue
            else:
                reason = (
                    f"it contains {block}, which is {why}: want a block without that, or "
                    '"auto-assign: false"'
                )
            message = f'invalid CIDR "{text.value}" in pool "{self._name}": {reason}'
            self._findings.add(text.line, text.path, self._context + message)
            return

    def _check_overlaps(self, text: Located[str], cidrs: Iterable[IPNetwork]) -> None:
        found = [(cidr, self._overlaps.add(cidr, self._name)) for cidr in cidrs]
        clashes = [(cidr, clash) for cidr, clash in found if clash is not None]
        for cidr, (other, owner) in clashes[:1]:  # one problem for each entry is enough
            message = (
                f'CIDR "{cidr}" in pool "{self._name}" overlaps with already defined CIDR '
                f'"{other}" in pool "{owner}": want each address once'
            )
            self._findings.add(text.line, text.path, message)

    def _report_address(self, text: Located[str], error: str) -> None:
        cause = error
        if "-" not in text.value:
            cause = f'invalid CIDR "{text.value}": {error.rpartition(": ")[2]}'
        message = f'invalid CIDR "{text.value}" in pool "{self._name}": {cause}'
        self._findings.add(text.line, text.path, self._context + message)

    def _protocol(self) -> Protocol | None:
        record = self._record
        text = record.string("protocol")
        try:
            return Protocol(text)
        except ValueError:
            wanted = 'want "layer2" or "bgp"'
            if text:
                self._report("protocol", f'unknown protocol "{text}": {wanted}')
            elif "protocol" not in record.failed:
                self._report("protocol", f"address pool is missing the protocol field: {wanted}")
            return None

    def _advertisements(
        self, protocol: Protocol | None, defined: Defined
    ) -> tuple[BgpAdvertisement, ...]:
        records = self._record.record_lists.get(_ADS, [])
        if protocol is Protocol.LAYER2:
            if records:
                self._report(
                    _ADS,
                    "cannot have bgp-advertisements configuration element in a layer2 address pool"
                    ": want it in a bgp pool",
                )
            return ()
        if not records:
            return (BgpAdvertisement(),)
        return compile_advertisements(records, self._finest, defined, self._context, self._findings)

    def _report(self, key: str, message: str) -> None:
        record = self._record
        self._findings.add(record.line_of(key), record.path_of(key), self._context + message)
