from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from metallb_py.addresses import AddressFamily
from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.bgp.codec.capabilities import FourOctetAsn, Multiprotocol, OtherCapability
from metallb_py.protocols.bgp.codec.codes import BgpError, MessageType
from metallb_py.protocols.bgp.codec.framing import Frame
from metallb_py.protocols.bgp.codec.messages import (
    Keepalive,
    Message,
    Notification,
    Open,
    Refresh,
    decode,
    encode,
    two_octet,
)

MARKER = "ff" * 16
# OPEN of a MetalLB 0.12 speaker with AS 64512, hold time 90 s and router ID 10.0.0.1.
METALLB_OPEN = (
    MARKER + "0031 01 04 fc00 005a 0a000001 14"
    "02 12 01 04 0001 00 01 01 04 0002 00 01 41 04 0000fc00"
)


def test_open_message_of_metallb_in_bytes() -> None:
    message = Open(
        my_as=64512,
        hold_time=90,
        router_id=IPv4Address("10.0.0.1"),
        capabilities=(
            Multiprotocol(AddressFamily.IPV4),
            Multiprotocol(AddressFamily.IPV6),
            FourOctetAsn(64512),
        ),
    )

    assert encode(message).hex() == bytes.fromhex(METALLB_OPEN).hex()
    assert decode(Frame(MessageType.OPEN, bytes.fromhex(METALLB_OPEN)[19:])) == message


@pytest.mark.parametrize(
    ("message", "wire"),
    [
        (Keepalive(), "0013 04"),
        (Notification(6, 2), "0015 03 0602"),
        (Notification(2, 1, b"\0\4"), "0017 03 0201 0004"),
        (Refresh(2), "0017 05 0002 00 01"),
    ],
)
def test_keepalive_notification_and_route_refresh_in_bytes(message: Message, wire: str) -> None:
    data = bytes.fromhex(MARKER + wire)

    assert encode(message) == data
    assert decode(Frame(MessageType(data[18]), data[19:])) == message


OPEN_FIXED = "04 fc00 005a 0a000001"


def test_four_octet_asn_capability_overrides_my_as() -> None:
    wide = decode(
        Frame(MessageType.OPEN, bytes.fromhex("04 5ba0 005a 0a000001 08 0206 4104 00010000"))
    )
    narrow = decode(Frame(MessageType.OPEN, bytes.fromhex(OPEN_FIXED + "00")))

    assert isinstance(wide, Open)
    assert isinstance(narrow, Open)
    assert (wide.asn, narrow.asn) == (65536, 64512)
    assert (two_octet(65536), two_octet(65535)) == (23456, 65535)


def test_extended_optional_parameters_length_is_decoded() -> None:
    wire = OPEN_FIXED + "ff ff 0009" + "02 0006 4104 00010000"
    message = decode(Frame(MessageType.OPEN, bytes.fromhex(wire)))

    assert isinstance(message, Open)
    assert message.capabilities == (FourOctetAsn(65536),)


@pytest.mark.parametrize(
    ("wire", "subcode", "data"),
    [
        ("03 fc00 005a 0a000001 00", 1, "0004"),
        (OPEN_FIXED + "02 0100", 4, ""),  # the deprecated authentication parameter
        (OPEN_FIXED + "04 0203 4104", 0, ""),  # a capability that overruns its parameter
        (OPEN_FIXED + "08 0206 4104", 0, ""),  # a parameter that overruns the message
        (OPEN_FIXED + "00 02", 0, ""),  # bytes after the last parameter
        (OPEN_FIXED + "01 02", 0, ""),
        (OPEN_FIXED + "ff ff 00", 0, ""),
        ("04 fc00", 0, ""),
    ],
)
def test_malformed_open_raises_the_open_error_of_rfc_4271(
    wire: str, subcode: int, data: str
) -> None:
    with pytest.raises(BgpError) as caught:
        decode(Frame(MessageType.OPEN, bytes.fromhex(wire)))

    assert (caught.value.code, caught.value.subcode) == (2, subcode)
    assert caught.value.data.hex() == data


def test_route_refresh_of_wrong_length_is_an_error() -> None:
    with pytest.raises(BgpError) as caught:
        decode(Frame(MessageType.ROUTE_REFRESH, bytes(5)))

    assert (caught.value.code, caught.value.subcode) == (7, 1)


@pytest.mark.parametrize(
    ("notification", "text"),
    [
        (Notification(2, 2), "BGP notification code 0x0202 (OPEN message error: bad peer AS)"),
        (
            Notification(6, 2, b"\x09back at 9"),
            'BGP notification code 0x0602 (cease: administrative shutdown: "back at 9")',
        ),
        (
            Notification(6, 4, b"\x03\x1b[\xff"),
            'BGP notification code 0x0604 (cease: administrative reset: "?[\ufffd")',
        ),
        (Notification(6, 3, b"\x01x"), "BGP notification code 0x0603 (cease: peer de-configured)"),
    ],
)
def test_notification_text_has_code_and_shutdown_communication(
    notification: Notification, text: str
) -> None:
    assert str(notification) == text


def test_capabilities_beyond_one_parameter_are_a_local_error() -> None:
    too_many = (OtherCapability(200, bytes(200)),) * 2

    with pytest.raises(LocalProtocolError):
        encode(Open(1, 90, IPv4Address(1), too_many))
