"""Node addresses in pools, which no speaker announces; short: one check and its warnings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from metallb_py.addresses import IPAddress
from metallb_py.model.config import Config
from metallb_py.printable import and_more

MAX_WARNINGS = 10
"""Number of addresses that are listed; the others are counted."""


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """A node address that is in a pool."""

    pool: str
    address: IPAddress
    node: str

    def __str__(self) -> str:
        return (
            f'pool "{self.pool}" contains {self.address}, an address of node {self.node}:'
            " no speaker announces it"
        )


def node_addresses_in(
    config: Config, nodes: Mapping[str, Iterable[IPAddress]]
) -> Iterator[NodeAddress]:
    """Yield the node addresses that are in pools, ordered by the name of the node."""
    for node, addresses in sorted(nodes.items()):
        for address in sorted(addresses, key=lambda each: (each.version, int(each))):
            for pool in config.pools_of((address,)):
                yield NodeAddress(pool.name, address, node)


def node_address_warnings(
    config: Config, nodes: Mapping[str, Iterable[IPAddress]]
) -> tuple[str, ...]:
    """Return a warning for each of the first MAX_WARNINGS addresses, and the number of the rest."""
    found = node_addresses_in(config, nodes)
    shown = tuple(map(str, islice(found, MAX_WARNINGS)))
    return (*shown, *and_more(sum(1 for _ in found), "addresses of nodes in pools"))
