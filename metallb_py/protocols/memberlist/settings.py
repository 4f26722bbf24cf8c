"""How eager a cluster's members are. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PORT: Final = 7946


@dataclass(frozen=True, slots=True)
class Settings:
    """The names are those of memberlist's ``Config``; the defaults are ours.

    They are about twice as quick as memberlist's LAN preset: see ``LAN``. What keeps them from
    false alarms is that who is suspected is told so directly, and pinged all the while.
    """

    probe_interval: float = 0.5
    probe_timeout: float = 0.2
    indirect_checks: int = 3
    suspicion_mult: int = 3
    suspicion_max_timeout_mult: int = 4
    retransmit_mult: int = 4
    gossip_interval: float = 0.1
    gossip_nodes: int = 3
    gossip_to_the_dead_time: float = 30.0
    eager: bool = True
    """Ours alone. Without, a member does no more than memberlist's: it asks once, and waits for its
    rounds."""
    push_pull_interval: float = 15.0
    awareness_max_multiplier: int = 8
    tcp_timeout: float = 3.0
    tcp_pings: bool = True
    compression: bool = True
    udp_buffer_size: int = 1400
    verify_incoming: bool = True
    verify_outgoing: bool = True


FAST: Final = Settings()
"""Ours."""

LAN: Final = Settings(
    probe_interval=1.0,
    probe_timeout=0.5,
    suspicion_mult=4,
    suspicion_max_timeout_mult=6,
    gossip_interval=0.2,
    push_pull_interval=30.0,
    tcp_timeout=10.0,
)
"""memberlist's preset for local networks, and so MetalLB's."""

WAN: Final = Settings(
    probe_interval=5.0,
    probe_timeout=3.0,
    suspicion_mult=6,
    suspicion_max_timeout_mult=6,
    gossip_interval=0.5,
    gossip_nodes=4,
    gossip_to_the_dead_time=60.0,
    push_pull_interval=60.0,
    tcp_timeout=30.0,
)
"""memberlist's preset for wide networks: MetalLB's ``--ml-wan-config``."""
