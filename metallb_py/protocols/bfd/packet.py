"""BFD control packets: bytes to values and back (RFC 5880 section 4.1)."""

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
    """A packet that RFC 5880 section 6.8.6 wants discarded. The decoder's one error."""


class State(IntEnum):
    """Where a session stands, as its packets tell it."""

    ADMIN_DOWN = 0
    DOWN = 1
    INIT = 2
    UP = 3


class Diagnostic(IntEnum):
    """Why a session last left Up. Numbers that this list does not know are kept as numbers."""

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
    """One control packet without authentication. Intervals are in microseconds."""

    state: State
    my_discriminator: int
    your_discriminator: int
    detect_multiplier: int
    desired_min_tx: int
    required_min_rx: int
    required_min_echo_rx: int = 0
    diagnostic: int = Diagnostic.NONE
    poll: bool = False
    final: bool = False
    control_plane_independent: bool = False
    demand: bool = False


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
    """Read a packet, and discard what RFC 5880 section 6.8.6 lets nobody use.

    Raises BfdError, and only that. What depends on a session's state is the session's to check;
    but a packet with authentication is refused here, for no session of ours has any.
    """
    if len(data) < _HEADER.size:
        raise BfdError(f"a packet of {len(data)} bytes: want {_HEADER.size} at least")
    first, second, multiplier, length, mine, yours, tx, rx, echo = _HEADER.unpack_from(data)
    if first >> 5 != VERSION:
        raise BfdError(f"version {first >> 5}: want {VERSION}")
    if not _HEADER.size <= length <= len(data):
        raise BfdError(f"length {length} in {len(data)} bytes: want {_HEADER.size} to as many")
    if second & _AUTHENTICATED:
        raise BfdError("authentication, and none is configured")
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
        raise BfdError("detect multiplier 0: want 1 at least")
    if mine == 0:
        raise BfdError("my discriminator is 0")
    if yours == 0 and state in (State.INIT, State.UP):
        raise BfdError(f"your discriminator is 0 in state {state.name}")
