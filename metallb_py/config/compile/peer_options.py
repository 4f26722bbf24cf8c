"""Compilation of a peer's keys that MetalLB 0.12 does not have, from a record to the model."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import TypedDict

from metallb_py.addresses import AddressFamily, IPAddress, parse_address
from metallb_py.config.compile.fields import FieldReader
from metallb_py.config.compile.usable import unusable_as_host
from metallb_py.config.yaml.schema import Located
from metallb_py.model.peers import BOTH_FAMILIES, DynamicAsn, Origin, SecretKey

MAX_HOPS = 254  # RFC 5082: packets are sent with a TTL of 255, and the last hop does not decrement
MAX_CONNECT_TIME = 0xFFFF
"""Seconds."""
USUAL_KEY = "password"
"""Default key in a Secret, as in Secrets of the type basic-auth."""

_INTERFACE = re.compile(r"(?!\.{1,2}$)[^\s/:%]{1,15}")  # valid names in Linux
_SECRET_NAME = re.compile(r"[a-z0-9](?:[-.a-z0-9]{0,251}[a-z0-9])?", re.ASCII)
_SECRET_KEY = re.compile(r"[-._a-zA-Z0-9]{1,253}", re.ASCII)


_FAMILIES = {family.label: family for family in AddressFamily}


class SessionOptions(TypedDict):
    """Fields of ``SessionParameters``, by name, where they are documented."""

    interface: str
    dynamic_asn: DynamicAsn | None
    origin: Origin
    passive: bool
    ttl_security: int | None
    connect_time: int | None
    graceful_restart: bool
    address_families: frozenset[AddressFamily]
    next_hops: tuple[IPAddress, ...]


def read_session_options(fields: FieldReader) -> SessionOptions:
    """Read the options of a peer's session; report invalid values and invalid combinations."""
    record = fields.record
    return SessionOptions(
        interface=_interface(fields),
        dynamic_asn=_dynamic_asn(fields),
        origin=fields.choice("origin", Origin, "origin") or Origin.INCOMPLETE,
        passive=record.flag("passive") or False,
        ttl_security=_ttl_security(fields),
        connect_time=_connect_time(fields),
        graceful_restart=record.flag("graceful-restart") or False,
        address_families=_address_families(fields),
        next_hops=_next_hops(fields),
    )


def read_name(fields: FieldReader) -> str:
    """Read the name of a peer; report one that is an address."""
    name = fields.record.string("name")
    if _address(name) is not None:
        message = f'invalid name "{name}": want one that is no address: advertisements may use both'
        fields.report("name", message)
    return name


def _interface(fields: FieldReader) -> str:
    name = fields.record.string("interface")
    if not name:
        return ""
    if not _INTERFACE.fullmatch(name):
        fields.report(
            "interface", f'invalid interface "{name}": want the name of one, as in "eth0"'
        )
    text = fields.record.string("peer-address")
    address = _address(text)
    if address is not None and not (isinstance(address, IPv6Address) and address.is_link_local):
        message = (
            f'invalid interface "{name}": peer-address "{text}" needs none: want a link-local '
            'address, as in "fe80::1", or no peer-address'
        )
        fields.report("interface", message)
    if fields.record.string("bfd-profile"):
        message = "contradicts interface: BFD requires a peer-address that is not link-local"
        fields.report("bfd-profile", message)
    return name


def _dynamic_asn(fields: FieldReader) -> DynamicAsn | None:
    found = fields.choice("dynamic-asn", DynamicAsn, "dynamic ASN")
    number = fields.record.number("peer-asn")
    if fields.record.string("dynamic-asn") and number:
        fields.report("dynamic-asn", f"contradicts peer-asn {number}: want one of them")
    if found is DynamicAsn.INTERNAL and fields.record.flag("ebgp-multihop"):
        message = "invalid ebgp-multihop parameter set for an ibgp peer: want false"
        fields.report("ebgp-multihop", message)
    return found


def read_local_asn(fields: FieldReader) -> int:
    """Read the AS number that replaces ``my-asn`` towards an external peer; 0 for none."""
    record = fields.record
    number = record.number("local-asn") or 0
    if not number:
        return 0
    peer_asn = record.number("peer-asn") or 0
    internal = record.string("dynamic-asn") == DynamicAsn.INTERNAL
    if internal or peer_asn in (number, record.number("my-asn")):
        message = f"invalid local-asn {number} set for an ibgp peer: want it for an ebgp peer alone"
        fields.report("local-asn", message)
    return number


def _ttl_security(fields: FieldReader) -> int | None:
    hops = fields.record.number("ttl-security")
    if hops is None:
        return None
    if not 1 <= hops <= MAX_HOPS:
        fields.report("ttl-security", f"invalid ttl-security {hops}: want 1 to {MAX_HOPS} hops")
    if fields.record.flag("ebgp-multihop"):
        message = "contradicts ebgp-multihop: want one of them: ttl-security limits the hops"
        fields.report("ttl-security", message)
    return hops


def _connect_time(fields: FieldReader) -> int | None:
    seconds = fields.duration("connect-time", "connect time")
    if seconds is None:
        return None
    if not 1 <= seconds <= MAX_CONNECT_TIME:
        text = fields.record.string("connect-time")
        message = f'invalid connect time "{text}": want 1s to {MAX_CONNECT_TIME}s'
        fields.report("connect-time", message)
    return int(seconds)


def read_password_secret(fields: FieldReader) -> SecretKey | None:
    """Read the reference to the Secret with a peer's password."""
    record = fields.record.records.get("password-secret")
    if record is None or record.failed:
        return None
    name, key = record.string("name"), record.string("key") or USUAL_KEY
    # The value is not shown: it may be the password itself, in the wrong place.
    if not _SECRET_NAME.fullmatch(name):
        message = "invalid name of a Secret in password-secret: want one of this namespace"
        fields.report_at(record.line_of("name"), record.path_of("name"), message)
    if not _SECRET_KEY.fullmatch(key):
        message = f'invalid key in password-secret: want one as in "{USUAL_KEY}"'
        fields.report_at(record.line_of("key"), record.path_of("key"), message)
    if fields.record.string("password"):
        fields.report("password-secret", "contradicts password: want one of them")
    return SecretKey(name, key)


def _address_families(fields: FieldReader) -> frozenset[AddressFamily]:
    key = "address-families"
    texts = fields.record.string_lists.get(key)
    if texts is None:
        return BOTH_FAMILIES
    wanted = " and ".join(f'"{label}"' for label in _FAMILIES)
    if not texts and key not in fields.record.failed:
        fields.report(key, f"no address family: want {wanted}, or one of them")
    found: set[AddressFamily] = set()
    for text in texts:
        family = _FAMILIES.get(text.value)
        if family is None:
            message = f'invalid address family "{text.value}": want {wanted}, or one of them'
            fields.report_at(text.line, text.path, message)
            continue
        if family in found:
            message = f'duplicate definition of address family "{family.label}"'
            fields.report_at(text.line, text.path, message)
        found.add(family)
    return frozenset(found)


def _next_hops(fields: FieldReader) -> tuple[IPAddress, ...]:
    found: dict[int, IPAddress] = {}
    for text in fields.record.string_lists.get("next-hop", []):
        address = _next_hop(fields, text)
        if address is not None and found.setdefault(address.version, address) is not address:
            message = (
                f'second next hop of IPv{address.version} "{text.value}": want one of each family '
                "at the most"
            )
            fields.report_at(text.line, text.path, message)
    return tuple(found.values())


def _next_hop(fields: FieldReader, text: Located[str]) -> IPAddress | None:
    address = _address(text.value)
    why = unusable_as_host(address) if address is not None else ""
    if address is None or why or address.is_loopback:
        found = why or ("loopback" if address else "")
        shown = f'"{text.value}": {found}' if found else f'"{text.value}"'
        message = f"invalid next hop {shown}: want the address of a router or a node"
        fields.report_at(text.line, text.path, message)
        return None
    if address.version == 6 and address.is_link_local:
        # RFC 2545 section 3: a global address; a link-local one may only accompany it.
        message = f'invalid next hop "{text.value}": link-local: want a global IPv6 address'
        fields.report_at(text.line, text.path, message)
        return None
    return address


def _address(text: str) -> IPAddress | None:
    try:
        return parse_address(text)
    except ValueError:
        return None
