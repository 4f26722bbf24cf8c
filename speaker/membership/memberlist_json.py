"""Reader of MetalLB 0.16's file with memberlist's settings: JSON, with memberlist's names."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from metallb_py.config.durations import parse_duration
from metallb_py.errors import StartupError
from metallb_py.protocols.memberlist.settings import Settings

PATH: Final = Path("/etc/metallb/memberlist/config.json")


class _File(msgspec.Struct, frozen=True, rename="pascal"):
    """The file's fields, with memberlist's names. All are required, as in MetalLB.

    Their meaning is documented at ``Settings``; times are Go durations. ``handoff_queue_depth`` and
    ``queue_check_interval`` concern only Go's queues, and are not used.
    """

    tcp_timeout: str = msgspec.field(name="TCPTimeout")
    indirect_checks: int
    retransmit_mult: int
    suspicion_mult: int
    suspicion_max_timeout_mult: int
    push_pull_interval: str
    probe_timeout: str
    probe_interval: str
    disable_tcp_pings: bool
    awareness_max_multiplier: int
    gossip_nodes: int
    gossip_interval: str
    gossip_to_the_dead_time: str
    gossip_verify_incoming: bool
    gossip_verify_outgoing: bool
    enable_compression: bool
    handoff_queue_depth: int
    udp_buffer_size: int = msgspec.field(name="UDPBufferSize")
    queue_check_interval: str


def read(path: Path) -> Settings | None:
    """Read a file of settings; None if it does not exist. Raises StartupError."""
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StartupError(f"failed to load memberlist config: {path}: {error.strerror}") from None
    try:
        return parse(text)
    except ValueError as error:
        raise StartupError(f"failed to load memberlist config: {path}: {error}") from None


def parse(text: bytes) -> Settings:
    """Read settings from JSON. Raises ValueError with what was found and what was wanted."""
    file = msgspec.json.decode(text, type=_File)
    return Settings(
        probe_interval=_seconds("ProbeInterval", file.probe_interval),
        probe_timeout=_seconds("ProbeTimeout", file.probe_timeout),
        indirect_checks=_count("IndirectChecks", file.indirect_checks),
        suspicion_mult=_count("SuspicionMult", file.suspicion_mult),
        suspicion_max_timeout_mult=_count(
            "SuspicionMaxTimeoutMult", file.suspicion_max_timeout_mult
        ),
        retransmit_mult=_count("RetransmitMult", file.retransmit_mult),
        gossip_interval=_seconds("GossipInterval", file.gossip_interval),
        gossip_nodes=_count("GossipNodes", file.gossip_nodes),
        gossip_to_the_dead_time=_seconds("GossipToTheDeadTime", file.gossip_to_the_dead_time),
        push_pull_interval=_seconds("PushPullInterval", file.push_pull_interval),
        awareness_max_multiplier=_count("AwarenessMaxMultiplier", file.awareness_max_multiplier),
        tcp_timeout=_seconds("TCPTimeout", file.tcp_timeout),
        tcp_pings=not file.disable_tcp_pings,
        compression=file.enable_compression,
        udp_buffer_size=_count("UDPBufferSize", file.udp_buffer_size, least=512),
        verify_incoming=file.gossip_verify_incoming,
        verify_outgoing=file.gossip_verify_outgoing,
    )


def _count(name: str, value: int, least: int = 1) -> int:
    if not least <= value <= 65_507:
        raise ValueError(f"{name}: {value}: want a number from {least} to 65507")
    return value


def _seconds(name: str, text: str) -> float:
    try:
        seconds = float(parse_duration(text))
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if seconds <= 0:
        raise ValueError(f'{name}: "{text}": want a time above 0, such as 200ms')
    return seconds
