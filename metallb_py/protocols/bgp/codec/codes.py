"""Numbers of BGP (RFC 4271 and extensions), and the one error that the decoders raise."""

from __future__ import annotations

from enum import IntEnum

from metallb_py.errors import RemoteProtocolError

VERSION = 4
AS_TRANS = 23456
"""Placeholder in a 16-bit field for an AS number that does not fit (RFC 6793)."""
_MAX_DATA = 4096 - 21
"""Most bytes of data in a NOTIFICATION that every BGP speaker accepts (RFC 4271 section 4.1)."""


class MessageType(IntEnum):
    """Message types (RFC 4271 section 4.1, RFC 2918)."""

    OPEN = 1
    UPDATE = 2
    NOTIFICATION = 3
    KEEPALIVE = 4
    ROUTE_REFRESH = 5


UNICAST = 1
"""The one subsequent address family (SAFI) in use (RFC 4760)."""


class ErrorCode(IntEnum):
    """NOTIFICATION error codes (RFC 4271 section 4.5)."""

    MESSAGE_HEADER = 1
    OPEN_MESSAGE = 2
    UPDATE_MESSAGE = 3
    HOLD_TIMER_EXPIRED = 4
    FINITE_STATE_MACHINE = 5
    CEASE = 6
    ROUTE_REFRESH_MESSAGE = 7
    SEND_HOLD_TIMER_EXPIRED = 8


class HeaderError(IntEnum):
    """Subcodes of MESSAGE_HEADER (RFC 4271 section 6.1)."""

    NOT_SYNCHRONIZED = 1
    BAD_LENGTH = 2
    BAD_TYPE = 3


class OpenError(IntEnum):
    """Subcodes of OPEN_MESSAGE (RFC 4271 section 6.2, RFC 5492)."""

    UNSPECIFIC = 0
    UNSUPPORTED_VERSION = 1
    BAD_PEER_AS = 2
    BAD_IDENTIFIER = 3
    UNSUPPORTED_PARAMETER = 4
    UNACCEPTABLE_HOLD_TIME = 6
    UNSUPPORTED_CAPABILITY = 7


class UpdateError(IntEnum):
    """Subcodes of UPDATE_MESSAGE (RFC 4271 section 6.3)."""

    MALFORMED_ATTRIBUTE_LIST = 1
    UNRECOGNIZED_WELL_KNOWN = 2
    MISSING_WELL_KNOWN = 3
    ATTRIBUTE_FLAGS = 4
    ATTRIBUTE_LENGTH = 5
    INVALID_ORIGIN = 6
    INVALID_NEXT_HOP = 8
    OPTIONAL_ATTRIBUTE = 9
    INVALID_NETWORK = 10
    MALFORMED_AS_PATH = 11


class StateMachineError(IntEnum):
    """Subcodes of FINITE_STATE_MACHINE (RFC 6608): an unexpected message in a state."""

    IN_OPEN_SENT = 1
    IN_OPEN_CONFIRM = 2
    IN_ESTABLISHED = 3


class Cease(IntEnum):
    """Subcodes of CEASE (RFC 4486, RFC 8538, RFC 9384)."""

    ADMINISTRATIVE_SHUTDOWN = 2
    PEER_DECONFIGURED = 3
    ADMINISTRATIVE_RESET = 4
    CONNECTION_REJECTED = 5
    CONNECTION_COLLISION_RESOLUTION = 7
    HARD_RESET = 9
    BFD_DOWN = 10


_CODE_NAMES = {
    1: "message header error",
    2: "OPEN message error",
    3: "UPDATE message error",
    4: "hold timer expired",
    5: "finite state machine error",
    6: "cease",
    7: "ROUTE-REFRESH message error",
    8: "send hold timer expired",
}

_SUBCODE_NAMES = {
    (1, 1): "connection not synchronized",
    (1, 2): "bad message length",
    (1, 3): "bad message type",
    (2, 1): "unsupported version number",
    (2, 2): "bad peer AS",
    (2, 3): "bad BGP identifier",
    (2, 4): "unsupported optional parameter",
    (2, 5): "authentication failure",
    (2, 6): "unacceptable hold time",
    (2, 7): "unsupported capability",
    (2, 11): "role mismatch",
    (3, 1): "malformed attribute list",
    (3, 2): "unrecognized well-known attribute",
    (3, 3): "missing well-known attribute",
    (3, 4): "attribute flags error",
    (3, 5): "attribute length error",
    (3, 6): "invalid ORIGIN attribute",
    (3, 7): "AS routing loop",
    (3, 8): "invalid NEXT_HOP attribute",
    (3, 9): "optional attribute error",
    (3, 10): "invalid network field",
    (3, 11): "malformed AS_PATH",
    (5, 1): "unexpected message in OpenSent",
    (5, 2): "unexpected message in OpenConfirm",
    (5, 3): "unexpected message in Established",
    (6, 1): "maximum number of prefixes reached",
    (6, 2): "administrative shutdown",
    (6, 3): "peer de-configured",
    (6, 4): "administrative reset",
    (6, 5): "connection rejected",
    (6, 6): "other configuration change",
    (6, 7): "connection collision resolution",
    (6, 8): "out of resources",
    (6, 9): "hard reset",
    (6, 10): "BFD down",
    (7, 1): "invalid message length",
}


def describe(code: int, subcode: int) -> str:
    """Return the meaning of a NOTIFICATION's error code and subcode, also of unknown ones."""
    general = _CODE_NAMES.get(code, f"unknown error code {code}")
    special = _SUBCODE_NAMES.get((code, subcode))
    if special is not None:
        return f"{general}: {special}"
    return general if subcode == 0 else f"{general}: unknown subcode {subcode}"


class BgpError(RemoteProtocolError):
    """A protocol error of the peer, with the NOTIFICATION that RFC 4271 specifies for it.

    The one error that the decoders of this package raise. ``data`` is the NOTIFICATION's data,
    truncated so that every peer accepts the message.
    """

    def __init__(self, message: str, code: ErrorCode, subcode: int = 0, data: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.subcode = subcode
        self.data = data[:_MAX_DATA]
