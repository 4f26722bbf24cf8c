"""BGP peers, their node selectors and BFD profiles: from records to the model."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.config.compile_selectors import compile_selector
from metallb_py.config.configmap import Record
from metallb_py.config.durations import parse_duration
from metallb_py.config.model import BfdProfile, Peer
from metallb_py.config.problems import Findings

DEFAULT_PORT = 179
DEFAULT_HOLD_TIME = 90
MIN_HOLD_TIME = 3
MAX_HOLD_TIME = 0xFFFF  # RFC 4271 section 4.2: two octets. MetalLB takes more, and so do we


_BFD_RANGES = {
    "detect-multiplier": ("detect multiplier", 2, 255),
    "receive-interval": ("receive interval", 10, 60000),
    "transmit-interval": ("transmit interval", 10, 60000),
    "minimum-ttl": ("minimum ttl", 1, 254),
    "echo-interval": ("echo interval", 10, 60000),
}


def compile_bfd_profiles(records: Iterable[Record], findings: Findings) -> tuple[BfdProfile, ...]:
    """Check the BFD profiles. A profile with a problem counts as known all the same."""
    profiles: dict[str, BfdProfile] = {}
    for number, record in enumerate(records, 1):
        context = f"parsing bfd profile #{number}: "
        name = record.string("name")
        if not name and "name" not in record.failed:
            findings.add(record.line, record.path, f"{context}missing bfd profile name")
        for key, (words, low, high) in _BFD_RANGES.items():
            value = record.number(key)
            if value is not None and not low <= value <= high:
                message = (
                    f"{context}invalid {words} value: invalid value {value}, "
                    f"must be in {low}-{high} range"
                )
                findings.add(record.line_of(key), record.path_of(key), message)
        if name and name in profiles:
            message = f"found duplicate bfd profile name {name}"
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


def compile_peers(
    records: Iterable[Record], profiles: set[str] | None, findings: Findings
) -> tuple[Peer, ...]:
    """Check the peers; ``profiles`` are the names of the BFD profiles, None if not known."""
    peers: dict[Peer, None] = {}
    for number, record in enumerate(records, 1):
        peer = _PeerCompiler(record, number, findings).compile()
        profile = record.string("bfd-profile")
        if profile and profiles is not None and profile not in profiles:
            findings.add(
                record.line_of("bfd-profile"),
                record.path_of("bfd-profile"),
                f"peer #{number} referencing non existing bfd profile {profile}",
            )
        if peer is None:
            continue
        if peer in peers:
            findings.add(record.line, record.path, f"peer #{number} already exists")
        peers[peer] = None
    return tuple(peers)


class _PeerCompiler:
    """Checks one peer, in MetalLB's order."""

    def __init__(self, record: Record, number: int, findings: Findings) -> None:
        self._record = record
        self._context = f"parsing peer #{number}: "
        self._findings = findings
        self._failed = bool(record.failed)

    def compile(self) -> Peer | None:
        """Return the peer, None where a problem was told."""
        record = self._record
        my_asn, peer_asn = self._asn("my-asn", "local"), self._asn("peer-asn", "peer")
        multihop = record.flag("ebgp-multihop") or False
        if multihop and my_asn == peer_asn != 0:
            self._tell(
                "ebgp-multihop", "invalid ebgp-multihop parameter set for an ibgp peer: want false"
            )
        address = self._address("peer-address", "peer IP", required=True)
        hold_time = self._hold_time()
        keepalive_time = self._keepalive_time(hold_time)
        router_id = self._address("router-id", "router ID")
        source = self._address("source-address", "source IP")
        selectors = tuple(
            compile_selector(item, self._context, self._findings)
            for item in record.record_lists.get("node-selectors", [])
        )
        if self._failed or address is None or hold_time is None or None in selectors:
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
            node_selectors=tuple(selector for selector in selectors if selector is not None),
            password=record.string("password"),
            bfd_profile=record.string("bfd-profile"),
        )

    def _asn(self, key: str, whose: str) -> int:
        number = self._record.number(key) or 0
        if not number and key not in self._record.failed:
            self._tell(key, f"missing {whose} ASN: want {key} from 1 to 4294967295")
        return number

    def _address(self, key: str, what: str, *, required: bool = False) -> IPAddress | None:
        text = self._record.string(key)
        if (not text and not required) or key in self._record.failed:
            return None
        try:
            return parse_address(text)
        except ValueError:
            self._tell(key, f'invalid {what} "{text}": want an IPv4 or IPv6 address')
            return None

    def _hold_time(self) -> int | None:
        """Return the hold time, None where it is none."""
        text = self._record.string("hold-time")
        if not text:
            return None if "hold-time" in self._record.failed else DEFAULT_HOLD_TIME
        seconds = self._duration("hold-time", text, "hold time")
        if seconds is None:
            return None
        whole = int(seconds)  # towards zero, as Go truncates
        if whole != 0 and whole < MIN_HOLD_TIME:
            self._tell("hold-time", f'invalid hold time "{text}": must be 0 or >=3s')
            return None
        return whole

    def _keepalive_time(self, hold_time: int | None) -> int | None:
        text = self._record.string("keepalive-time")
        if not text:
            return None
        seconds = self._duration("keepalive-time", text, "keepalive time")
        if seconds is None or hold_time is None:
            return None
        if not 0 <= seconds <= hold_time:
            self._tell(
                "keepalive-time",
                f'invalid keepaliveTime "{text}": want at most the hold time, {hold_time}s',
            )
        return min(int(seconds), MAX_HOLD_TIME)

    def _duration(self, key: str, text: str, what: str) -> Decimal | None:
        try:
            return parse_duration(text)
        except ValueError as error:
            self._tell(key, f'invalid {what} "{text}": {error}: want one as in "90s"')
            return None

    def _tell(self, key: str, message: str) -> None:
        self._failed = True
        record = self._record
        self._findings.add(record.line_of(key), record.path_of(key), self._context + message)
