"""Rules for services that share one address (MetalLB's ``allow-shared-ip``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto

from controller.requests import SharingTerms
from metallb_py.addresses import IPAddress
from metallb_py.printable import and_more

MAX_NAMED = 5


class Clash(Enum):
    """Reason why two services can't share an address; the first in this order that applies."""

    NO_KEY = auto()
    OTHER_HAS_NO_KEY = auto()
    KEYS_DIFFER = auto()
    POLICIES_DIFFER = auto()
    SELECTORS_DIFFER = auto()
    PORT_IN_USE = auto()


# Keys are not quoted: anyone who reads one could use it to share the address.
_WORDS = {
    Clash.NO_KEY: "it has no sharing key",
    Clash.OTHER_HAS_NO_KEY: "{other} has no sharing key",
    Clash.KEYS_DIFFER: "its sharing key is not that of {other}",
    Clash.POLICIES_DIFFER: "its externalTrafficPolicy is not that of {other}",
    Clash.SELECTORS_DIFFER: "its selector is not that of {other} (externalTrafficPolicy: Local)",
}


@dataclass(frozen=True, slots=True)
class SharingConflict:
    """Reason why a service can't share an address with the services that hold it."""

    detail: str
    port_clash: bool
    """Whether two of them use the same port, which one address can't serve. Otherwise only keys,
    policies or selectors differ."""


def clash(ours: SharingTerms, theirs: SharingTerms) -> Clash | None:
    """Return why two services can't share an address; None if they can."""
    if not ours.key:
        return Clash.NO_KEY
    if not theirs.key:
        return Clash.OTHER_HAS_NO_KEY
    if ours.key != theirs.key:
        return Clash.KEYS_DIFFER
    if ours.backend_key != theirs.backend_key:
        both_local = ours.backend_key and theirs.backend_key
        return Clash.SELECTORS_DIFFER if both_local else Clash.POLICIES_DIFFER
    return None if ours.ports.isdisjoint(theirs.ports) else Clash.PORT_IN_USE


def describe_conflict(
    key: str, address: IPAddress, terms: SharingTerms, others: Mapping[str, SharingTerms]
) -> SharingConflict:
    """Describe in MetalLB's words, and then in ours, why a service can't share an address.

    ``others`` hold it; at least one of them conflicts.
    """
    found = {name: why for name in sorted(others) if (why := clash(terms, others[name]))}
    port_clash = any(not terms.ports.isdisjoint(other.ports) for other in others.values())
    first, why = next(iter(found.items()))
    if why is Clash.PORT_IN_USE:
        port = "/".join(map(str, min(terms.ports & others[first].ports)))
        detail = f'port {port} is already in use on "{address}" by {first}'
        return SharingConflict(detail, port_clash)
    users = ",".join([*list(found)[:MAX_NAMED], *and_more(len(found) - MAX_NAMED)])
    return SharingConflict(
        f'can\'t change sharing key for "{key}", address also in use by {users}: '
        f"{address}: {_WORDS[why].format(other=first)}",
        port_clash,
    )
