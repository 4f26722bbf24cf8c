"""The five BGP messages and their encoding (RFC 4271 section 4, RFC 2918, RFC 7313)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address
from typing import assert_never

from metallb_py.addresses import AddressFamily
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.codec.capabilities import (
    Capability,
    FourOctetAsn,
    decode_capabilities,
    encode_capabilities,
)
from metallb_py.protocols.bgp.codec.codes import (
    AS_TRANS,
    UNICAST,
    VERSION,
    BgpError,
    Cease,
    ErrorCode,
    MessageType,
    OpenError,
    describe,
)
from metallb_py.protocols.bgp.codec.framing import MAX_LENGTH, Frame, frame
from metallb_py.protocols.bgp.codec.update import Update, decode_update, encode_update
from metallb_py.protocols.byte_reader import Reader, TruncatedError

_CAPABILITIES = 2
"""The one optional parameter type in use (RFC 5492)."""

_MAX_CAPABILITIES = 252
"""Most bytes of capabilities in one parameter; our OPENs have far fewer."""

_EXTENDED_MARK = b"\xff"
"""Type of the first parameter that marks extended, 16-bit parameter lengths (RFC 9072)."""


@dataclass(frozen=True, slots=True)
class Open:
    """An OPEN message. ``hold_time`` is in seconds.

    ``my_as`` is the 16-bit field; ``asn`` is the AS number in effect.
    """

    my_as: int
    hold_time: int
    router_id: IPv4Address
    capabilities: tuple[Capability, ...] = ()

    @property
    def asn(self) -> int:
        """The sender's AS number: that of the 4-octet AS number capability, if it was sent."""
        wide = (c.asn for c in self.capabilities if isinstance(c, FourOctetAsn))
        return next(wide, self.my_as)


@dataclass(frozen=True, slots=True)
class Notification:
    """A NOTIFICATION message: the error for which the sender closes the connection."""

    code: int
    subcode: int
    data: bytes = b""

    def __str__(self) -> str:
        """Return MetalLB's wording of the numbers, their meaning, and any text in the message."""
        meaning = self._meaning()
        if (self.code, self.subcode) == (ErrorCode.CEASE, Cease.HARD_RESET) and len(self.data) > 1:
            inner = Notification(self.data[0], self.data[1], self.data[2:])  # RFC 8538 section 3
            meaning = f"{meaning}: {inner._meaning()}"
        return f"BGP notification code 0x{self.code:02x}{self.subcode:02x} ({meaning})"

    def _meaning(self) -> str:
        meaning, text = describe(self.code, self.subcode), self._shutdown_text()
        return f'{meaning}: "{text}"' if text else meaning

    def _shutdown_text(self) -> str:
        """Return the shutdown communication of a Cease (RFC 9003), "" if none.

        It is untrusted text, so characters that are not printable are replaced.
        """
        if self.code != ErrorCode.CEASE or self.subcode not in (2, 4) or not self.data:
            return ""
        text = self.data[1 : 1 + self.data[0]].decode("utf-8", "replace")
        return "".join(c if c.isprintable() else "?" for c in text)


@dataclass(frozen=True, slots=True)
class Keepalive:
    """A KEEPALIVE message."""


class RefreshKind(IntEnum):
    """Subtypes of a ROUTE-REFRESH message (RFC 2918, RFC 7313 section 3.2)."""

    REQUEST = 0
    """The sender requests all routes of a family."""
    BEGIN = 1
    """BoRR: the sender begins to send all its routes of a family."""
    END = 2
    """EoRR: the sender has sent all its routes of a family."""


@dataclass(frozen=True, slots=True)
class Refresh:
    """A ROUTE-REFRESH message: a request for all routes of a family, or a BoRR or EoRR marker.

    The fields are plain numbers, since unknown families and subtypes are no errors.
    """

    family: int
    kind: int = RefreshKind.REQUEST
    subsequent: int = UNICAST

    @property
    def requested(self) -> AddressFamily | None:
        """The requested family, None if it is not in use or this is no request."""
        if self.kind != RefreshKind.REQUEST or self.subsequent != UNICAST:
            return None
        return next((family for family in AddressFamily if family == self.family), None)


Message = Open | Update | Notification | Keepalive | Refresh


def two_octet(asn: int) -> int:
    """Return the AS number as a 16-bit field holds it: AS_TRANS where it does not fit."""
    return asn if asn <= 0xFFFF else AS_TRANS


def encode(message: Message, *, four_octet: bool = True) -> bytes:
    """Encode a message with its header. ``four_octet``: AS numbers in AS_PATH have 4 octets.

    Raises LocalProtocolError for a message that the format cannot express in 4096 bytes.
    """
    data = frame(*_encode(message, four_octet=four_octet))
    if len(data) > MAX_LENGTH:
        raise LocalProtocolError(f"message of {len(data)} bytes, want at most {MAX_LENGTH}")
    return data


def _encode(message: Message, *, four_octet: bool) -> tuple[MessageType, bytes]:
    match message:
        case Open():
            return MessageType.OPEN, _encode_open(message)
        case Update():
            return MessageType.UPDATE, encode_update(message, four_octet=four_octet)
        case Notification(code, subcode, data):
            return MessageType.NOTIFICATION, bytes((code, subcode)) + data
        case Keepalive():
            return MessageType.KEEPALIVE, b""
        case Refresh(family, kind, subsequent):
            return MessageType.ROUTE_REFRESH, family.to_bytes(2) + bytes((kind, subsequent))
    assert_never(message)


def decode(cut: Frame, *, four_octet: bool = True) -> Message:
    """Decode one framed message. Raises BgpError."""
    match cut.type:
        case MessageType.OPEN:
            return _decode_open(cut.body)
        case MessageType.UPDATE:
            return decode_update(cut.body, four_octet=four_octet)
        case MessageType.NOTIFICATION:
            return Notification(cut.body[0], cut.body[1], cut.body[2:])
        case MessageType.KEEPALIVE:
            return Keepalive()
        case MessageType.ROUTE_REFRESH:
            return _decode_route_refresh(cut.body)
    assert_never(cut.type)


def _encode_open(message: Open) -> bytes:
    parameters = b""
    if message.capabilities:
        value = encode_capabilities(message.capabilities)
        if len(value) > _MAX_CAPABILITIES:
            raise LocalProtocolError(
                f"capabilities: found {len(value)} bytes, want at most {_MAX_CAPABILITIES}"
            )
        parameters = bytes((_CAPABILITIES, len(value))) + value
    return (
        bytes((VERSION,))
        + message.my_as.to_bytes(2)
        + message.hold_time.to_bytes(2)
        + message.router_id.packed
        + bytes((len(parameters),))
        + parameters
    )


def _decode_open(body: bytes) -> Open:
    reader = Reader(body)
    try:
        version = reader.u8()
        if version != VERSION:
            raise BgpError(
                f"found BGP version {version}, want {VERSION}",
                ErrorCode.OPEN_MESSAGE,
                OpenError.UNSUPPORTED_VERSION,
                VERSION.to_bytes(2),
            )
        my_as, hold_time, router_id = reader.u16(), reader.u16(), IPv4Address(reader.u32())
        capabilities = tuple(_decode_parameters(reader))
    except TruncatedError as error:
        raise BgpError(f"OPEN: {error}", ErrorCode.OPEN_MESSAGE) from error
    return Open(my_as, hold_time, router_id, capabilities)


def _decode_parameters(reader: Reader) -> Iterator[Capability]:
    """Decode the optional parameters, which must extend to the end of the message."""
    total, field = reader.u8(), reader.rest()
    extended = total > 0 and field[:1] == _EXTENDED_MARK
    if extended:
        ahead = Reader(field[1:])
        total, field = ahead.u16(), ahead.rest()
    parameters = Reader(field)
    if parameters.remaining != total:
        raise BgpError(
            f"OPEN: found {parameters.remaining} bytes of parameters, want {total}",
            ErrorCode.OPEN_MESSAGE,
        )
    while parameters.remaining:
        kind = parameters.u8()
        value = parameters.take(parameters.u16() if extended else parameters.u8())
        if kind != _CAPABILITIES:
            raise BgpError(
                f"OPEN: unsupported optional parameter {kind}",
                ErrorCode.OPEN_MESSAGE,
                OpenError.UNSUPPORTED_PARAMETER,
            )
        yield from decode_capabilities(value)


def _decode_route_refresh(body: bytes) -> Refresh:
    if len(body) != 4:
        # Outbound route filters may follow (RFC 5291), but we never offer that capability.
        raise BgpError(
            f"ROUTE-REFRESH: found {len(body)} bytes, want 4",
            ErrorCode.ROUTE_REFRESH_MESSAGE,
            1,
            frame(MessageType.ROUTE_REFRESH, body),  # the complete message (RFC 7313 section 5)
        )
    return Refresh(int.from_bytes(body[:2]), body[2], body[3])
