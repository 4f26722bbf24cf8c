"""Codec for BFD control packets (RFC 5880 section 4.1)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from struct import Struct
from typing import Final

from metallb_py.errors import RemoteProtocolError

VERSION: Final = 1

_HEADER: Final = Struct("!BBBBIIIII")
_POLL: Final = 0x20
_FINAL: Final = 0x10
_CONTROL_PLANE_INDEPENDENT: Final = 0x08
_AUTHENTICATED: Final = 0x04
_DEMAND: Final = 0x02
_MULTIPOINT: Final = 0x01


class BfdError(RemoteProtocolError):
    """A packet that must be discarded (RFC 5880 section 6.8.6). The decoder's one error."""


class State(IntEnum):
    """States of a session, as encoded in the Sta field (RFC 5880 section 4.1)."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Diagnostic(IntEnum):
    """Reasons for the last transition of a session; packets may carry further numbers."""

    NONE = 0
    DETECTION_TIME_EXPIRED = 1
    ECHO_FAILED = 2
    NEIGHBOR_SIGNALED_DOWN = 3
    FORWARDING_PLANE_RESET = 4
    PATH_DOWN = 5
    CONCATENATED_PATH_DOWN = 6
    ADMINISTRATIVELY_DOWN = 7
    REVERSE_CONCATENATED_PATH_DOWN = 8


@dataclass(frozen=True, slots=True)
class ControlPacket:
    """A control packet without authentication (RFC 5880 section 4.1)."""

    state: State
    """Sta: the sender's state."""
    my_discriminator: int
    """The sender's number for the session, not 0."""
    your_discriminator: int
    """The receiver's number for the session, 0 if the sender has not received one."""
    detect_multiplier: int
    """The number of the sender's intervals without a packet after which the receiver goes Down."""
    desired_min_tx: int
    """Microseconds between the sender's control packets, at least."""
    required_min_rx: int
    """Microseconds between control packets that the sender can receive, at least.

    With 0 it asks for none."""
    required_min_echo_rx: int = 0
    """Microseconds between echo packets that the sender can return, at least; 0: none at all."""
    diagnostic: int = Diagnostic.NONE
    """A Diagnostic, or another number."""
    poll: bool = False
    """P: the receiver is to answer with Final."""
    final: bool = False
    """F: the packet answers one with Poll."""
    control_plane_independent: bool = False
    """C: the sender's BFD is independent of its control plane."""
    demand: bool = False
    """D: the sender asks the receiver to stop its periodic packets while both are Up."""


def encode(packet: ControlPacket) -> bytes:
    """Return the packet's 24 bytes."""
    flags = (
        packet.poll * _POLL
        | packet.final * _FINAL
        | packet.control_plane_independent * _CONTROL_PLANE_INDEPENDENT
        | packet.demand * _DEMAND
    )
    return _HEADER.pack(
        VERSION << 5 | packet.diagnostic,
        packet.state << 6 | flags,
        packet.detect_multiplier,
        _HEADER.size,
        packet.my_discriminator,
        packet.your_discriminator,
        packet.desired_min_tx,
        packet.required_min_rx,
        packet.required_min_echo_rx,
    )


def decode(data: bytes) -> ControlPacket:
    """Decode a packet. Raises BfdError, and nothing else, where it must be discarded.

    The checks are those of RFC 5880 section 6.8.6 that do not depend on the session. A packet with
    authentication is discarded here, too, since no session uses authentication.
    """
    if len(data) < _HEADER.size:
        raise BfdError(f"packet: found {len(data)} bytes, want {_HEADER.size} or more")
    first, second, multiplier, length, mine, yours, tx, rx, echo = _HEADER.unpack_from(data)
    if first >> 5 != VERSION:
        raise BfdError(f"version {first >> 5}: want {VERSION}")
    if not _HEADER.size <= length <= len(data):
        raise BfdError(f"length {length}: want {_HEADER.size} to {len(data)}")
    if second & _AUTHENTICATED:
        raise BfdError("the authentication bit is set, and no authentication is configured")
    if second & _MULTIPOINT:
        raise BfdError("the multipoint bit is set")
    state = State(second >> 6)
    _check_numbers(state, multiplier, mine, yours)
    return ControlPacket(
        state=state,
        my_discriminator=mine,
        your_discriminator=yours,
        detect_multiplier=multiplier,
        desired_min_tx=tx,
        required_min_rx=rx,
        required_min_echo_rx=echo,
        diagnostic=first & 0x1F,
        poll=bool(second & _POLL),
        final=bool(second & _FINAL),
        control_plane_independent=bool(second & _CONTROL_PLANE_INDEPENDENT),
        demand=bool(second & _DEMAND),
    )


def _check_numbers(state: State, multiplier: int, mine: int, yours: int) -> None:
    if multiplier == 0:
        raise BfdError("detect multiplier 0: want 1 or more")
    if mine == 0:
        raise BfdError("my discriminator is 0")
    if yours == 0 and state in (State.INIT, State.UP):
        raise BfdError(f"your discriminator is 0 in state {state.name}")
