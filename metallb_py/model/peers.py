"""BGP peers and BFD profiles: the parameters of their sessions, and the nodes that hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from metallb_py.addresses import AddressFamily, IPAddress, join_host_port
from metallb_py.model.selectors import LabelSelector, selects


class Origin(StrEnum):
    """The ORIGIN attribute of advertised routes (RFC 4271 section 5.1.1)."""

    IGP = "igp"
    EGP = "egp"
    INCOMPLETE = "incomplete"


class DynamicAsn(StrEnum):
    """The accepted AS numbers of a peer without a configured one: the own AS, or any other."""

    INTERNAL = "internal"
    EXTERNAL = "external"


BOTH_FAMILIES = frozenset(AddressFamily)


@dataclass(frozen=True, slots=True)
class SessionParameters:
    """Our side of a session with a peer. A session runs on while its parameters are equal.

    ``str`` of it is MetalLB's ``peer`` label.
    """

    local_asn: int
    """AS number of our side, 1 to 4294967295."""
    peer_asn: int
    """AS number of the peer; 0 accepts those that ``dynamic_asn`` allows."""
    address: IPAddress | None = None
    """Address of the peer; None only for an unnumbered one, at the other end of ``interface``."""
    port: int = 179
    """TCP port to connect to; 179 is BGP's (RFC 4271)."""
    hold_time: int = 90
    """Proposed hold time in seconds: 0 (no keepalives) or at least 3 (RFC 4271 section 4.2)."""
    keepalive_time: int | None = None
    """Seconds between KEEPALIVEs, limited to a third of the hold time; None or 0: that limit."""
    router_id: IPAddress | None = None
    """BGP Identifier, a nonzero IPv4 address (RFC 6286); None derives one from the node."""
    source_address: IPAddress | None = None
    """Local address of the session, of the peer's family; None leaves the choice to the kernel."""
    password: str = field(default="", repr=False)
    """Key of the TCP MD5 signature option (RFC 2385), up to 80 bytes; never printed."""
    interface: str = ""
    """Interface of the link to an unnumbered or link-local peer."""
    dynamic_asn: DynamicAsn | None = None
    """AS numbers that are accepted where ``peer_asn`` is 0; None accepts any."""
    origin: Origin = Origin.INCOMPLETE
    """ORIGIN of the routes sent to the peer."""
    passive: bool = False
    """Whether to wait for the peer's connection and never open one."""
    ttl_security: int | None = None
    """Greatest number of hops to the peer (GTSM, RFC 5082), 1 to 254; None disables the check."""
    connect_time: int | None = None
    """Seconds between attempts to connect, 1 to 65535; None means exponential backoff."""
    graceful_restart: bool = False
    """Whether the peer is asked to retain routes while the speaker restarts (RFC 4724)."""
    address_families: frozenset[AddressFamily] = BOTH_FAMILIES
    """Address families to offer in the OPEN message, unicast only."""
    next_hops: tuple[IPAddress, ...] = ()
    """Next hops in place of the session's own addresses, at most one of each family."""

    def __str__(self) -> str:
        """``10.0.0.1:179``, ``[fd00::1]:179``, ``[fe80::1%eth0]:179``, ``eth0:179``."""
        if self.address is None:
            return f"{self.interface}:{self.port}"
        zone = f"%{self.interface}" if self.interface and self.address.version == 6 else ""
        return join_host_port(f"{self.address}{zone}", self.port)


@dataclass(frozen=True, slots=True)
class SecretKey:
    """Reference to a value in a Secret of the daemons' own namespace."""

    name: str
    key: str


@dataclass(frozen=True, slots=True)
class Peer:
    """A configured BGP peer."""

    session: SessionParameters
    """Parameters of the session with it."""
    name: str = ""
    """Name by which advertisements refer to the peer; unique if set."""
    node_selectors: tuple[LabelSelector, ...] = ()
    """Selectors of the nodes that hold a session with the peer; empty means all."""
    ebgp_multihop: bool = False
    """Whether the peer is more than one hop away. Not for an internal peer."""
    bfd_profile: str = ""
    """Name of the BFD profile that monitors the peer; empty for none."""
    password_secret: SecretKey | None = None
    """Secret that contains the password, in place of the session's ``password``."""

    def selects(self, node_labels: Mapping[str, str]) -> bool:
        """Whether a node with these labels holds a session with this peer."""
        return selects(self.node_selectors, node_labels)


@dataclass(frozen=True, slots=True)
class BfdProfile:
    """Parameters of Bidirectional Forwarding Detection (RFC 5880). Intervals are in milliseconds.

    None means "not set": the default of the BFD implementation.
    """

    name: str
    receive_interval: int | None = None
    """Shortest interval between received packets that this side supports, 10 to 60000 ms."""
    transmit_interval: int | None = None
    """Interval at which this side sends, 10 to 60000 ms."""
    detect_multiplier: int | None = None
    """Number of missing packets after which the session is down, 2 to 255."""
    echo_interval: int | None = None
    """Shortest interval between received echo packets, 10 to 60000 ms."""
    echo_mode: bool = False
    """Whether the echo function is offered to the peer."""
    passive_mode: bool = False
    """Whether this side waits for the peer's first packet (RFC 5880 section 6.1)."""
    minimum_ttl: int | None = None
    """Lowest TTL that a multihop session accepts, 1 to 254."""
