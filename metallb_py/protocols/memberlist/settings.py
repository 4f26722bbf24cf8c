"""Settings of a member, under memberlist's names, and its presets. Times are in seconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

PORT: Final = 7946
"""memberlist's default port, UDP and TCP."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of one member. The names are memberlist's (``Config``); the defaults are ours.

    The defaults detect failures about twice as fast as memberlist's LAN preset (``LAN``). What
    prevents false positives is that a suspect receives the suspicion directly, and is pinged until
    it refutes.
    """

    probe_interval: float = 0.5
    """Seconds from one member's probe to the next, and duration of a probe; the local health score
    lengthens it. Must exceed ``probe_timeout``."""
    probe_timeout: float = 0.2
    """Seconds without an Ack until indirect pings are sent; must exceed the round-trip time."""
    indirect_checks: int = 3
    """Number of members that are asked for an indirect ping."""
    suspicion_mult: int = 3
    """Factor of the least suspicion timeout: times ``probe_interval``, times log10 of the number of
    members (1 at least). The timeout is at its least after ``suspicion_mult`` - 2 confirmations."""
    suspicion_max_timeout_mult: int = 4
    """The longest suspicion timeout, with a single reporter, in times of the least."""
    retransmit_mult: int = 4
    """Factor of the number of transmissions of a broadcast: times log10 of the number of members
    plus 1, rounded up."""
    gossip_interval: float = 0.1
    """Seconds between gossip rounds."""
    gossip_nodes: int = 3
    """Number of random members that receive the pending broadcasts in a round."""
    gossip_to_the_dead_time: float = 30.0
    """Seconds for which a dead member still receives gossip, so that it can refute. Then it, and
    one that left, is removed from the table."""
    fast_detection: bool = True
    """Whether to probe suspects on their own account, repeat pings, send refutations directly, and
    gossip before the interval ends. Not a setting of memberlist: without it, a member does no more
    than memberlist's, which pings once per probe and waits for its rounds."""
    push_pull_interval: float = 15.0
    """Seconds between push-pulls with a random member, in clusters of up to 32 members; larger
    ones do it less often."""
    awareness_max_multiplier: int = 8
    """Limit of the local health score, exclusive, and so the most that it multiplies a timeout
    by."""
    tcp_timeout: float = 3.0
    """Seconds for a push-pull: connect, send, and receive the answer."""
    tcp_pings: bool = True
    """Whether a probe without an Ack also pings over TCP (not ``DisableTcpPings``)."""
    compression: bool = True
    """Whether to compress what is sent. Compressed messages are always accepted."""
    udp_buffer_size: int = 1400
    """Bytes of a datagram up to which broadcasts are added."""
    verify_incoming: bool = True
    """With a key: whether to drop what is not encrypted (``GossipVerifyIncoming``)."""
    verify_outgoing: bool = True
    """With a key: whether to encrypt what is sent (``GossipVerifyOutgoing``)."""


FAST: Final = Settings()
"""Our defaults."""

LAN: Final = Settings(
    probe_interval=1.0,
    probe_timeout=0.5,
    suspicion_mult=4,
    suspicion_max_timeout_mult=6,
    gossip_interval=0.2,
    push_pull_interval=30.0,
    tcp_timeout=10.0,
)
"""memberlist's preset for local networks, MetalLB's default."""

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
"""memberlist's preset for wide area networks: MetalLB's ``--ml-wan-config``."""
