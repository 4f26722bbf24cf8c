"""What a peer may have beyond MetalLB 0.12's keys: from a record to the model's fields."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import TypedDict

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.config.compile.fields import Reading
from metallb_py.config.compile.usable import unusable_as_host
from metallb_py.config.yaml.schema import Located
from metallb_py.model.config import (
    BOTH_FAMILIES,
    AddressFamily,
    DynamicAsn,
    Origin,
    SecretKey,
)

MAX_HOPS = 254  # RFC 5082: packets start with 255, and the last hop does not count one down
MAX_CONNECT_TIME = 0xFFFF
USUAL_KEY = "password"  # as in Secrets of the type basic-auth

_INTERFACE = re.compile(r"(?!\.{1,2}$)[^\s/:%]{1,15}")  # what Linux takes for a name
_SECRET_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)


class PeerOptions(TypedDict):
    """Fields of ``Peer`` by name."""

    name: str
    interface: str
    dynamic_asn: DynamicAsn | None
    local_asn: int
    origin: Origin
    passive: bool
    ttl_security: int | None
    connect_time: int | None
    graceful_restart: bool
    password_secret: SecretKey | None
    address_families: frozenset[AddressFamily]
    next_hops: tuple[IPAddress, ...]


def read_options(reading: Reading) -> PeerOptions:
    """Read a peer's options. What is wrong with them, also together, is told."""
    record = reading.record
    return PeerOptions(
        name=_name(reading),
        interface=_interface(reading),
        dynamic_asn=_dynamic_asn(reading),
        local_asn=_local_asn(reading),
        origin=reading.choice("origin", Origin, "origin") or Origin.INCOMPLETE,
        passive=record.flag("passive") or False,
        ttl_security=_ttl_security(reading),
        connect_time=_connect_time(reading),
        graceful_restart=record.flag("graceful-restart") or False,
        password_secret=_password_secret(reading),
        address_families=_address_families(reading),
        next_hops=_next_hops(reading),
    )


def _name(reading: Reading) -> str:
    name = reading.record.string("name")
    if _address(name) is not None:
        message = f'invalid name "{name}": want one that is no address: advertisements may use both'
        reading.tell("name", message)
    return name


def _interface(reading: Reading) -> str:
    name = reading.record.string("interface")
    if not name:
        return ""
    if not _INTERFACE.fullmatch(name):
        reading.tell("interface", f'invalid interface "{name}": want the name of one, as in "eth0"')
    text = reading.record.string("peer-address")
    address = _address(text)
    if address is not None and not (isinstance(address, IPv6Address) and address.is_link_local):
        message = (
            f'invalid interface "{name}": peer-address "{text}" is found without it: want a '
            'link-local one, as in "fe80::1", or none at all'
        )
        reading.tell("interface", message)
    if reading.record.string("bfd-profile"):
        message = "contradicts interface: BFD wants a peer-address that is not link-local"
        reading.tell("bfd-profile", message)
    return name


def _dynamic_asn(reading: Reading) -> DynamicAsn | None:
    found = reading.choice("dynamic-asn", DynamicAsn, "dynamic ASN")
    number = reading.record.number("peer-asn")
    if reading.record.string("dynamic-asn") and number:
        reading.tell("dynamic-asn", f"contradicts peer-asn {number}: want one of them")
    if found is DynamicAsn.INTERNAL and reading.record.flag("ebgp-multihop"):
        message = "invalid ebgp-multihop parameter set for an ibgp peer: want false"
        reading.tell("ebgp-multihop", message)
    return found


def _local_asn(reading: Reading) -> int:
    record = reading.record
    number = record.number("local-asn") or 0
    if not number:
        return 0
    peer_asn = record.number("peer-asn") or 0
    internal = record.string("dynamic-asn") == DynamicAsn.INTERNAL
    if internal or peer_asn in (number, record.number("my-asn")):
        message = f"invalid local-asn {number} set for an ibgp peer: want it for an ebgp peer alone"
        reading.tell("local-asn", message)
    return number


def _ttl_security(reading: Reading) -> int | None:
    hops = reading.record.number("ttl-security")
    if hops is None:
        return None
    if not 1 <= hops <= MAX_HOPS:
        reading.tell("ttl-security", f"invalid ttl-security {hops}: want 1 to {MAX_HOPS} hops")
    if reading.record.flag("ebgp-multihop"):
        message = "contradicts ebgp-multihop: want one of them: ttl-security says how many hops"
        reading.tell("ttl-security", message)
    return hops


def _connect_time(reading: Reading) -> int | None:
    seconds = reading.duration("connect-time", "connect time")
    if seconds is None:
        return None
    if not 1 <= seconds <= MAX_CONNECT_TIME:
        text = reading.record.string("connect-time")
        message = f'invalid connect time "{text}": want 1s to {MAX_CONNECT_TIME}s'
        reading.tell("connect-time", message)
    return int(seconds)


def _password_secret(reading: Reading) -> SecretKey | None:
    record = reading.record.records.get("password-secret")
    if record is None or record.failed:
        return None
    name, key = record.string("name"), record.string("key") or USUAL_KEY
    # What was found is not shown: it may be the password itself, in the wrong place.
    if not _SECRET_NAME.fullmatch(name):
        message = "invalid name of a Secret in password-secret: want one of this namespace"
        reading.tell_at(record.line_of("name"), record.path_of("name"), message)
    if not _SECRET_KEY.fullmatch(key):
        message = f'invalid key in password-secret: want one as in "{USUAL_KEY}"'
        reading.tell_at(record.line_of("key"), record.path_of("key"), message)
    if reading.record.string("password"):
        reading.tell("password-secret", "contradicts password: want one of them")
    return SecretKey(name, key)


def _address_families(reading: Reading) -> frozenset[AddressFamily]:
    key = "address-families"
    texts = reading.record.string_lists.get(key)
    if texts is None:
        return BOTH_FAMILIES
    wanted = " and ".join(f'"{family}"' for family in AddressFamily)
    if not texts and key not in reading.record.failed:
        reading.tell(key, f"no address family: want {wanted}, or one of them")
    found: set[AddressFamily] = set()
    for text in texts:
        try:
            family = AddressFamily(text.value)
        except ValueError:
            message = f'invalid address family "{text.value}": want {wanted}, or one of them'
            reading.tell_at(text.line, text.path, message)
            continue
        if family in found:
            message = f'duplicate definition of address family "{family}"'
            reading.tell_at(text.line, text.path, message)
        found.add(family)
    return frozenset(found)


def _next_hops(reading: Reading) -> tuple[IPAddress, ...]:
    found: dict[int, IPAddress] = {}
    for text in reading.record.string_lists.get("next-hop", []):
        address = _next_hop(reading, text)
        if address is not None and found.setdefault(address.version, address) is not address:
            message = (
                f'second next hop of IPv{address.version} "{text.value}": want one of each family '
                "at the most"
            )
            reading.tell_at(text.line, text.path, message)
    return tuple(found.values())


def _next_hop(reading: Reading, text: Located[str]) -> IPAddress | None:
    address = _address(text.value)
    why = unusable_as_host(address) if address is not None else ""
    if address is None or why or address.is_loopback:
        found = why or ("loopback" if address else "")
        shown = f'"{text.value}": {found}' if found else f'"{text.value}"'
        message = f"invalid next hop {shown}: want the address of a router or a node"
        reading.tell_at(text.line, text.path, message)
        return None
    if address.version == 6 and address.is_link_local:
        # RFC 2545 section 3: a global address, beside which a link-local one may be.
        message = f'invalid next hop "{text.value}": link-local: want a global IPv6 address'
        reading.tell_at(text.line, text.path, message)
        return None
    return address


def _address(text: str) -> IPAddress | None:
    try:
        return parse_address(text)
    except ValueError:
        return None
