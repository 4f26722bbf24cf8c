"""Compilation of BGP peers, and of the BFD profiles that they refer to, to the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.config.compile.fields import FieldReader
from metallb_py.config.compile.limits import MAX_PASSWORD_BYTES
from metallb_py.config.compile.peer_options import (
    read_local_asn,
    read_name,
    read_password_secret,
    read_session_options,
)
from metallb_py.config.compile.usable import unusable_as_host
from metallb_py.config.problems import Findings
from metallb_py.config.yaml.schema import Record
from metallb_py.model.peers import BfdProfile, Peer, SessionParameters

DEFAULT_PORT = 179
DEFAULT_HOLD_TIME = 90
MIN_HOLD_TIME = 3
MAX_HOLD_TIME = 0xFFFF  # RFC 4271 section 4.2: two octets. A higher one is accepted, as in MetalLB


def compile_peers(
    records: Iterable[Record], profiles: set[str] | None, findings: Findings
) -> tuple[Peer, ...]:
    """Check the peers and return the valid ones.

    ``profiles`` are the names of the BFD profiles, None if some could not be read.
    """
    peers: dict[tuple[Peer, int | None, int], Peer] = {}
    names: dict[str, int] = {}
    for number, record in enumerate(records, 1):
        peer = _PeerCompiler(record, number, findings).compile()
        profile = record.string("bfd-profile")
        if profile and profiles is not None and profile not in profiles:
            findings.add(
                record.line_of("bfd-profile"),
                record.path_of("bfd-profile"),
                f"peer #{number} referencing non existing bfd profile {profile}: want the name of "
                "one in bfd-profiles",
            )
        name = record.string("name")
        if name and names.setdefault(name, number) != number:
            message = f'peer #{number}: name "{name}" is that of peer #{names[name]}: want another'
            findings.add(record.line_of("name"), record.path_of("name"), message)
        if peer is None:
            continue
        # Peers that differ in the name only are the same peer. In the model ``local-asn`` has
        # replaced ``my-asn``, so both are compared as written.
        asns = (record.number("my-asn"), record.number("local-asn") or 0)
        if peers.setdefault((replace(peer, name=""), *asns), peer) is not peer:
            findings.add(
                record.line, record.path, f"peer #{number} already exists: want each peer once"
            )
    return tuple(peers.values())


def peer_names(records: Sequence[Record]) -> frozenset[str]:
    """Return the names by which advertisements may refer to these peers, addresses included."""
    names = {record.string("name") for record in records}
    return frozenset(names | {canonical_form(r.string("peer-address")) for r in records}) - {""}


def canonical_form(text: str) -> str:
    """Return an address in its canonical form, and any other text unchanged."""
    try:
        return str(parse_address(text))
    except ValueError:
        return text


class _PeerCompiler:
    """Compiler of one peer: MetalLB's checks in their order, then the keys it does not have."""

    def __init__(self, record: Record, number: int, findings: Findings) -> None:
        self._record = record
        self._fields = FieldReader(record, f"parsing peer #{number}: ", findings)

    def compile(self) -> Peer | None:
        """Return the peer, or report its problems and return None."""
        record, fields = self._record, self._fields
        my_asn, peer_asn = self._asn("my-asn", "local"), self._peer_asn()
        multihop = record.flag("ebgp-multihop") or False
        if multihop and my_asn == peer_asn != 0:
            message = "invalid ebgp-multihop parameter set for an ibgp peer: want false"
            fields.report("ebgp-multihop", message)
        unnumbered = bool(record.string("interface"))
        address = self._host("peer-address", "peer IP", required=not unnumbered)
        hold_time = self._hold_time()
        keepalive_time = self._keepalive_time(hold_time)
        router_id = self._router_id()
        source = self._source(address)
        self._check_password()
        selectors = fields.selectors("node-selectors")
        name, secret = read_name(fields), read_password_secret(fields)
        local_asn = read_local_asn(fields) or my_asn
        options = read_session_options(fields)
        if fields.failed or hold_time is None:
            return None
        session = SessionParameters(
            local_asn=local_asn,
            peer_asn=peer_asn,
            address=address,
            port=record.number("peer-port") or DEFAULT_PORT,
            hold_time=min(hold_time, MAX_HOLD_TIME),
            keepalive_time=keepalive_time,
            router_id=router_id,
            source_address=source,
            password=record.string("password"),
            **options,
        )
        return Peer(
            session,
            name=name,
            node_selectors=selectors,
            ebgp_multihop=multihop,
            bfd_profile=record.string("bfd-profile"),
            password_secret=secret,
        )

    def _router_id(self) -> IPAddress | None:
        """Return the BGP identifier: four octets, not all zero (RFC 6286)."""
        router_id = self._fields.address("router-id", "router ID")
        if router_id is not None and (router_id.version == 6 or router_id.is_unspecified):
            message = f'invalid router ID "{router_id}": want an IPv4 address, and not 0.0.0.0'
            self._fields.report("router-id", message)
        return router_id

    def _source(self, peer: IPAddress | None) -> IPAddress | None:
        source = self._host("source-address", "source IP")
        if source is None:
            return None
        if peer is not None:
            family, wanted = peer.version, f'that of peer-address "{peer}"'
        else:
            family, wanted = 6, "the family of the link-local address at the interface's other end"
        if source.version != family:
            text = self._record.string("source-address")
            message = f'invalid source IP "{text}": want an IPv{family} address, {wanted}'
            self._fields.report("source-address", message)
        return source

    def _host(self, key: str, what: str, *, required: bool = False) -> IPAddress | None:
        address = self._fields.address(key, what, required=required)
        why = unusable_as_host(address) if address is not None else ""
        if why:
            text = self._record.string(key)
            self._fields.report(key, f'invalid {what} "{text}": {why}: want the address of a host')
        return address

    def _check_password(self) -> None:
        size = len(self._record.string("password").encode(errors="replace"))
        if size > MAX_PASSWORD_BYTES:
            message = (
                f"invalid password of {size} bytes: want at most {MAX_PASSWORD_BYTES} (TCP-MD5)"
            )
            self._fields.report("password", message)

    def _peer_asn(self) -> int:
        number = self._record.number("peer-asn") or 0
        if self._record.string("dynamic-asn") or "dynamic-asn" in self._record.failed:
            return number
        return self._asn("peer-asn", "peer")

    def _asn(self, key: str, side: str) -> int:
        number = self._record.number(key) or 0
        if not number and key not in self._record.failed:
            self._fields.report(key, f"missing {side} ASN: want {key} from 1 to 4294967295")
        return number

    def _hold_time(self) -> int | None:
        """Return the hold time in seconds, or report a problem and return None."""
        text = self._record.string("hold-time")
        if not text:
            return None if "hold-time" in self._record.failed else DEFAULT_HOLD_TIME
        seconds = self._fields.duration("hold-time", "hold time")
        if seconds is None:
            return None
        whole = int(seconds)  # truncated towards zero, as in Go
        if whole != 0 and whole < MIN_HOLD_TIME:
            self._fields.report("hold-time", f'invalid hold time "{text}": must be 0 or >=3s')
            return None
        return whole

    def _keepalive_time(self, hold_time: int | None) -> int | None:
        seconds = self._fields.duration("keepalive-time", "keepalive time")
        if seconds is None or hold_time is None:
            return None
        if not 0 <= seconds <= hold_time:
            text = self._record.string("keepalive-time")
            self._fields.report(
                "keepalive-time",
                f'invalid keepaliveTime "{text}": want at most the hold time, {hold_time}s',
            )
        elif 0 < seconds < 1:
            text = self._record.string("keepalive-time")
            message = f'invalid keepaliveTime "{text}": want 0, or from 1s'
            self._fields.report("keepalive-time", message)
        return min(int(seconds), MAX_HOLD_TIME)


# Key -> MetalLB's words in messages, lowest and highest value.
_BFD_RANGES = {
    "detect-multiplier": ("detect multiplier", 2, 255),
    "receive-interval": ("receive interval", 10, 60000),
    "transmit-interval": ("transmit interval", 10, 60000),
    "minimum-ttl": ("minimum ttl", 1, 254),
    "echo-interval": ("echo interval", 10, 60000),
}


def compile_bfd_profiles(records: Iterable[Record], findings: Findings) -> tuple[BfdProfile, ...]:
    """Check the BFD profiles and return them, including those with problems.

    A peer may refer to a profile with problems, without a further problem of its own.
    """
    profiles: dict[str, BfdProfile] = {}
    for number, record in enumerate(records, 1):
        context = f"parsing bfd profile #{number}: "
        name = record.string("name")
        if not name and "name" not in record.failed:
            findings.add(record.line, record.path, f"{context}missing bfd profile name: want name")
        for key, (words, low, high) in _BFD_RANGES.items():
            value = record.number(key)
            if value is not None and not low <= value <= high:
                message = (
                    f"{context}invalid {words} value: invalid value {value}, "
                    f"must be in {low}-{high} range"
                )
                findings.add(record.line_of(key), record.path_of(key), message)
        if name and name in profiles:
            message = f"found duplicate bfd profile name {name}: want another name"
            findings.add(record.line_of("name"), record.path, message)
        profiles[name] = BfdProfile(
            name=name,
            receive_interval=record.number("receive-interval"),
            transmit_interval=record.number("transmit-interval"),
            detect_multiplier=record.number("detect-multiplier"),
            echo_interval=record.number("echo-interval"),
            echo_mode=record.flag("echo-mode") or False,
            passive_mode=record.flag("passive-mode") or False,
            minimum_ttl=record.number("minimum-ttl"),
        )
    return tuple(profiles.values())
