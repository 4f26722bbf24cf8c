"""BGP peers and their node selectors: from records to the model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.config.compile.fields import Reading
from metallb_py.config.compile.limits import MAX_PASSWORD_BYTES
from metallb_py.config.compile.peer_options import read_options
from metallb_py.config.compile.usable import unusable_as_host
from metallb_py.config.findings import Findings
from metallb_py.config.yaml.schema import Record
from metallb_py.model.config import Peer

DEFAULT_PORT = 179
DEFAULT_HOLD_TIME = 90
MIN_HOLD_TIME = 3
MAX_HOLD_TIME = 0xFFFF  # RFC 4271 section 4.2: two octets. MetalLB takes more, and so do we


def compile_peers(
    records: Iterable[Record], profiles: set[str] | None, findings: Findings
) -> tuple[Peer, ...]:
    """Check the peers; ``profiles`` are the names of the BFD profiles, None if not known."""
    peers: dict[Peer, Peer] = {}
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
        # A name alone does not make another peer.
        if peers.setdefault(replace(peer, name=""), peer) is not peer:
            findings.add(
                record.line, record.path, f"peer #{number} already exists: want each peer once"
            )
    return tuple(peers.values())


def names_of(records: Sequence[Record]) -> frozenset[str]:
    """Return what advertisements may call these peers: names, and addresses in one form."""
    names = {record.string("name") for record in records}
    return frozenset(names | {one_form(r.string("peer-address")) for r in records}) - {""}


def one_form(text: str) -> str:
    """Return an address as it prints, and what is none as it is."""
    try:
        return str(parse_address(text))
    except ValueError:
        return text


class _PeerCompiler:
    """Checks one peer, in MetalLB's order, and then what MetalLB 0.12 does not have."""

    def __init__(self, record: Record, number: int, findings: Findings) -> None:
        self._record = record
        self._reading = Reading(record, f"parsing peer #{number}: ", findings)

    def compile(self) -> Peer | None:
        """Return the peer, None where a problem was told."""
        record, reading = self._record, self._reading
        my_asn, peer_asn = self._asn("my-asn", "local"), self._peer_asn()
        multihop = record.flag("ebgp-multihop") or False
        if multihop and my_asn == peer_asn != 0:
            message = "invalid ebgp-multihop parameter set for an ibgp peer: want false"
            reading.tell("ebgp-multihop", message)
        unnumbered = bool(record.string("interface"))
        address = self._host("peer-address", "peer IP", required=not unnumbered)
        hold_time = self._hold_time()
        keepalive_time = self._keepalive_time(hold_time)
        router_id = self._router_id()
        source = self._source(address)
        self._check_password()
        selectors = reading.selectors("node-selectors")
        options = read_options(reading)
        if reading.failed or hold_time is None:
            return None
        return Peer(
            my_asn=my_asn,
            peer_asn=peer_asn,
            address=address,
            port=record.number("peer-port") or DEFAULT_PORT,
            hold_time=min(hold_time, MAX_HOLD_TIME),
            keepalive_time=keepalive_time,
            ebgp_multihop=multihop,
            router_id=router_id,
            source_address=source,
            node_selectors=selectors,
            password=record.string("password"),
            bfd_profile=record.string("bfd-profile"),
            **options,
        )

    def _router_id(self) -> IPAddress | None:
        """Return the BGP identifier: four octets, not all zero (RFC 6286)."""
        router_id = self._reading.address("router-id", "router ID")
        if router_id is not None and (router_id.version == 6 or router_id.is_unspecified):
            message = f'invalid router ID "{router_id}": want an IPv4 address, and not 0.0.0.0'
            self._reading.tell("router-id", message)
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
            self._reading.tell("source-address", message)
        return source

    def _host(self, key: str, what: str, *, required: bool = False) -> IPAddress | None:
        address = self._reading.address(key, what, required=required)
        why = unusable_as_host(address) if address is not None else ""
        if why:
            text = self._record.string(key)
            self._reading.tell(key, f'invalid {what} "{text}": {why}: want the address of a host')
        return address

    def _check_password(self) -> None:
        size = len(self._record.string("password").encode(errors="replace"))
        if size > MAX_PASSWORD_BYTES:
            message = (
                f"invalid password of {size} bytes: want at most {MAX_PASSWORD_BYTES} (TCP-MD5)"
            )
            self._reading.tell("password", message)

    def _peer_asn(self) -> int:
        number = self._record.number("peer-asn") or 0
        if self._record.string("dynamic-asn") or "dynamic-asn" in self._record.failed:
            return number
        return self._asn("peer-asn", "peer")

    def _asn(self, key: str, whose: str) -> int:
        number = self._record.number(key) or 0
        if not number and key not in self._record.failed:
            self._reading.tell(key, f"missing {whose} ASN: want {key} from 1 to 4294967295")
        return number

    def _hold_time(self) -> int | None:
        """Return the hold time, None where it is none."""
        text = self._record.string("hold-time")
        if not text:
            return None if "hold-time" in self._record.failed else DEFAULT_HOLD_TIME
        seconds = self._reading.duration("hold-time", "hold time")
        if seconds is None:
            return None
        whole = int(seconds)  # towards zero, as Go truncates
        if whole != 0 and whole < MIN_HOLD_TIME:
            self._reading.tell("hold-time", f'invalid hold time "{text}": must be 0 or >=3s')
            return None
        return whole

    def _keepalive_time(self, hold_time: int | None) -> int | None:
        seconds = self._reading.duration("keepalive-time", "keepalive time")
        if seconds is None or hold_time is None:
            return None
        if not 0 <= seconds <= hold_time:
            text = self._record.string("keepalive-time")
            self._reading.tell(
                "keepalive-time",
                f'invalid keepaliveTime "{text}": want at most the hold time, {hold_time}s',
            )
        elif 0 < seconds < 1:
            text = self._record.string("keepalive-time")
            message = f'invalid keepaliveTime "{text}": want 0, or from 1s'
            self._reading.tell("keepalive-time", message)
        return min(int(seconds), MAX_HOLD_TIME)
