"""Every error of RFC 4271 section 6, in bytes: received message and NOTIFICATION sent.

UPDATE errors are as revised by RFC 7606: most cost the routes they concern, not the session.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import IPv4Address, IPv4Network

import pytest

from metallb_py.addresses import AddressFamily
from metallb_py.model.peers import DynamicAsn, SessionParameters
from metallb_py.model.route_attributes import RouteAttributes
from metallb_py.protocols.bgp.codec.capabilities import ExtendedMessage, FourOctetAsn, Multiprotocol
from metallb_py.protocols.bgp.codec.messages import Keepalive, Open, encode
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.effects import CloseTcp, Effect, Send, UpdateReceived
from metallb_py.protocols.bgp.fsm import State
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.session import Session

LOCAL = IPv4Address("10.0.0.1")
MARKER = "ff" * 16
SETTINGS = Settings(SessionParameters(64512, 64513))
CAPABILITIES = (*map(Multiprotocol, AddressFamily), FourOctetAsn(64513))
PEER = Open(64513, 90, IPv4Address("10.0.0.2"), CAPABILITIES)
PREFIX = "20 c0000201"
COMMON = "40 01 01 00  40 02 06 02 01 0000fc01"
WHOLE = COMMON + "40 03 04 0a000002"
KEEPALIVE = encode(Keepalive())


def message(kind: int, body: str, length: int | None = None) -> bytes:
    data = bytes.fromhex(body)
    stated = 19 + len(data) if length is None else length
    return bytes.fromhex(MARKER) + stated.to_bytes(2) + bytes((kind,)) + data


def update(withdrawn: str = "", attributes: str = "", announced: str = "") -> bytes:
    fields = ""
    for field in (withdrawn, attributes):
        fields += len(bytes.fromhex(field)).to_bytes(2).hex() + field
    return message(2, fields + announced)


def opened(settings: Settings = SETTINGS) -> Session:
    """Return a session in OpenSent."""
    session = Session(settings)
    session.start(0.0)
    session.connected(LocalAddresses(LOCAL), LOCAL, 0.0)
    assert session.state is State.OPEN_SENT
    return session


def established(peer: Open = PEER) -> Session:
    session = opened()
    session.receive(encode(peer) + KEEPALIVE, 0.0)
    assert session.is_up
    return session


def answer(effects: Iterable[Effect]) -> str:
    """Return the body of the one NOTIFICATION sent before the connection was closed."""
    (sent, *_) = found = list(effects)
    assert CloseTcp() in found
    assert isinstance(sent, Send)
    assert sent.data[:16].hex() == MARKER
    assert int.from_bytes(sent.data[16:18]) == len(sent.data)
    assert sent.data[18] == 3
    return sent.data[19:].hex(" ")


def notification(code: int, subcode: int, data: str = "") -> str:
    return (bytes((code, subcode)) + bytes.fromhex(data)).hex(" ")


# 6.1 Message header error handling


HEADERS = [
    # "If the Marker field of the message header is not as expected"
    (bytes(16) + b"\0\x13\x04", 1, ""),
    # "if the Length field of the message header is less than 19 or greater than 4096"
    (message(4, "", 18), 2, "0012"),
    (message(4, "", 0), 2, "0000"),
    (message(2, "", 4097), 2, "1001"),
    (message(2, "", 65535), 2, "ffff"),
    (message(3, "", 4097), 2, "1001"),
    # "... of an OPEN message is less than the minimum length of the OPEN message"
    (message(1, "", 28), 2, "001c"),
    (message(1, "", 4097), 2, "1001"),
    # "... of an UPDATE message"
    (message(2, "", 22), 2, "0016"),
    # "if the Length field of a KEEPALIVE message is not equal to 19"
    (message(4, "", 20), 2, "0014"),
    # "... of a NOTIFICATION message"
    (message(3, "", 20), 2, "0014"),
    # "If the Type field of the message header is not recognized"
    (message(0, ""), 3, "00"),
    (message(6, ""), 3, "06"),
    (message(255, "", 4097), 3, "ff"),
]


@pytest.mark.parametrize(("data", "subcode", "error_data"), HEADERS)
@pytest.mark.parametrize("session", [opened, established])
def test_message_header_errors(
    session: Callable[[], Session], data: bytes, subcode: int, error_data: str
) -> None:
    assert answer(session().receive(data, 1.0)) == notification(1, subcode, error_data)


def test_extended_messages_need_negotiation() -> None:
    """RFC 8654: once negotiated, all messages but OPEN and KEEPALIVE may exceed 4096 bytes."""
    agreed = Open(64513, 90, PEER.router_id, (*CAPABILITIES, ExtendedMessage()))
    attributes = WHOLE + "f0 63 2000" + 8192 * "00"
    long = update(attributes=attributes, announced=PREFIX)
    assert len(long) > 8192

    session = established(agreed)
    (received,) = session.receive(long, 1.0)
    assert isinstance(received, UpdateReceived)
    assert received.update.reach[0].prefixes == (IPv4Network("192.0.2.1/32"),)
    assert answer(established().receive(long, 1.0)) == notification(1, 2, long[16:18].hex())
    assert answer(session.receive(message(1, "", 4097), 1.0)) == notification(1, 2, "1001")


# 6.2 OPEN message error handling

FIXED = "04 fc01 005a 0a000002"
FOUR_OCTET = "02 06 41 04 0000fc01"

OPENS = [
    # "If the version number in the Version field ... is not supported": data is the one that is
    (SETTINGS, "03 fc01 005a 0a000002 00", 1, "0004"),
    (SETTINGS, "05 fc01 005a 0a000002 00", 1, "0004"),
    # "If the Autonomous System field of the OPEN message is unacceptable"
    (SETTINGS, "04 fc02 005a 0a000002 00", 2, ""),
    (SETTINGS, "04 fc01 005a 0a000002 08 02 06 41 04 0000fc02", 2, ""),
    (Settings(SessionParameters(64512, 0)), "04 0000 005a 0a000002 00", 2, ""),  # RFC 7607
    (Settings(SessionParameters(64512, 0, dynamic_asn=DynamicAsn.INTERNAL)), FIXED + "00", 2, ""),
    (Settings(SessionParameters(64513, 0, dynamic_asn=DynamicAsn.EXTERNAL)), FIXED + "00", 2, ""),
    # "If the BGP Identifier field ... is syntactically incorrect" (RFC 6286: zero, or ours)
    (SETTINGS, "04 fc01 005a 00000000 00", 3, ""),
    (Settings(SessionParameters(64513, 64513)), "04 fc01 005a 0a000001 00", 3, ""),
    # "If one of the Optional Parameters in the OPEN message is not recognized"
    (SETTINGS, FIXED + "03 63 01 00", 4, ""),
    (SETTINGS, FIXED + "0a" + FOUR_OCTET + "63 00", 4, ""),
    # "If the Hold Time field of the OPEN message is unacceptable": one or two seconds
    (SETTINGS, "04 fc01 0001 0a000002 00", 6, ""),
    (SETTINGS, "04 fc01 0002 0a000002 00", 6, ""),
    # RFC 5492 section 5, RFC 6793: a capability that is required
    (Settings(SessionParameters(65536, 64513)), FIXED + "00", 7, "41 04 00010000"),
    # "... is recognized, but is malformed": Unspecific
    (SETTINGS, FIXED + "04 02 03 41 04", 0, ""),
    (SETTINGS, FIXED + "06 02 04 41 02 fc01", 0, ""),
    (SETTINGS, FIXED + "01 02", 0, ""),
    (SETTINGS, FIXED + "00 02", 0, ""),
]


@pytest.mark.parametrize(("settings", "body", "subcode", "error_data"), OPENS)
def test_open_message_errors(settings: Settings, body: str, subcode: int, error_data: str) -> None:
    effects = opened(settings).receive(message(1, body), 1.0)

    assert answer(effects) == notification(2, subcode, error_data)


# 6.3 UPDATE message error handling

SESSION_RESET = [
    # "if the Withdrawn Routes Length or Total Attribute Length is too large"
    (message(2, "0001 0000"), 1, ""),
    (message(2, "0000 0001"), 1, ""),
    # "If the NLRI field ... is checked for syntactic validity": prefix length, and truncation
    (update(announced="21 c000020100"), 10, ""),
    (update(announced="20 c00002"), 10, ""),
    (update(withdrawn="21 c000020100"), 10, ""),
    (update(withdrawn="20 c00002"), 10, ""),
    # RFC 7606 sections 3g, 5.3 and 7.11: the prefixes concerned cannot be determined
    (update(attributes="80 0e 00 80 0e 00"), 1, ""),
    (update(attributes="80 0f 00 80 0f 00"), 1, ""),
    (update(attributes=COMMON + "80 0e 02 0002"), 9, "80 0e 02 0002"),
    (
        update(attributes=COMMON + "80 0e 08 0002 01 03 000000 00"),
        9,
        "80 0e 08 0002 01 03 000000 00",
    ),
    (update(attributes="80 0f 02 0002"), 9, "80 0f 02 0002"),
    (update(attributes="80 0f 04 0002 01 81"), 10, ""),
    # RFC 7606 section 5.2: malformed attributes without NLRI
    (update(attributes="c0 01 01 00"), 4, "c0 01 01 00"),
    (update(attributes="50 63 0001 00"), 2, "50 63 0001 00"),
    (update(attributes="40 01 02 00"), 1, ""),
]


@pytest.mark.parametrize(("data", "subcode", "error_data"), SESSION_RESET)
def test_update_errors_that_reset_the_session(data: bytes, subcode: int, error_data: str) -> None:
    assert answer(established().receive(data, 1.0)) == notification(3, subcode, error_data)


TREATED_AS_WITHDRAW = [
    # "any recognized attribute has Attribute Flags that conflict" (7606 section 3c)
    "c0 01 01 00  40 02 00  40 03 04 0a000002",
    WHOLE + "00 04 04 00000000",
    WHOLE + "80 08 04 00000001",
    # "any recognized attribute has an Attribute Length that conflicts"
    "40 01 02 0000  40 02 00  40 03 04 0a000002",
    COMMON + "40 03 03 0a0000",
    WHOLE + "80 04 03 000000",
    WHOLE + "40 05 03 000000",
    # "any of the well-known mandatory attributes are not present" (section 3d)
    "40 02 00  40 03 04 0a000002",
    "40 01 01 00  40 03 04 0a000002",
    COMMON,
    # "any of the well-known mandatory attributes are not recognized"
    WHOLE + "40 63 00",
    # "the ORIGIN attribute has an undefined value"
    "40 01 01 03  40 02 00  40 03 04 0a000002",
    # "the AS_PATH attribute is syntactically incorrect"
    "40 01 01 00  40 02 06 05 01 0000fc01  40 03 04 0a000002",
    "40 01 01 00  40 02 05 02 01 0000fc  40 03 04 0a000002",
    "40 01 01 00  40 02 02 02 00  40 03 04 0a000002",
    # "an optional attribute is recognized ... an error is detected"
    WHOLE + "c0 08 03 000000",
    WHOLE + "c0 08 00",
    WHOLE + "c0 10 07 00000000000000",
    WHOLE + "c0 20 0b 0000000000000000000000",
    # section 4: the attributes do not fill their field
    WHOLE + "40",
    WHOLE + "c0 08 05 00000001",
]


@pytest.mark.parametrize("attributes", TREATED_AS_WITHDRAW)
def test_update_errors_that_are_treated_as_withdraw(attributes: str) -> None:
    session = established()
    (received,) = session.receive(update(attributes=attributes, announced=PREFIX), 1.0)

    assert isinstance(received, UpdateReceived)
    assert received.update.withdrawn == (IPv4Network("192.0.2.1/32"),)
    assert not received.update.reach
    assert received.update.malformed
    assert session.is_up


ACCEPTED = [
    # "If an attribute appears more than once, all but the first are discarded" (3g)
    WHOLE + "40 01 01 05",
    # 7606 sections 7.6 and 7.7: only discarded
    WHOLE + "40 06 01 00",
    WHOLE + "c0 07 03 000000",
    # unrecognized optional ones
    WHOLE + "80 63 00",
    WHOLE + "f0 63 0001 00",
    # "semantically incorrect" NEXT_HOPs do not matter: received routes are not used
    COMMON + "40 03 04 00000000",
]


@pytest.mark.parametrize("attributes", ACCEPTED)
def test_updates_that_are_accepted(attributes: str) -> None:
    (received,) = established().receive(update(attributes=attributes, announced=PREFIX), 1.0)

    assert isinstance(received, UpdateReceived)
    assert received.update.reach[0].prefixes == (IPv4Network("192.0.2.1/32"),)
    assert not received.update.malformed


# 6.4 NOTIFICATION, 6.5 hold timer, 6.6 finite state machine, 6.7 Cease, and RFC 7313 section 5


def test_notification_is_never_answered_with_a_notification() -> None:
    effects = established().receive(message(3, "63 63 ffff"), 1.0)

    assert CloseTcp() in effects
    assert not any(isinstance(effect, Send) for effect in effects)


def test_hold_timer_expiry_sends_notification_4() -> None:
    session = established()
    session.change_routes({IPv4Network("192.0.2.1/32"): RouteAttributes()})

    assert answer(session.handle_timeout(90.0)[1:]) == notification(4, 0)


@pytest.mark.parametrize(
    ("session", "data", "subcode"),
    [
        (opened, KEEPALIVE, 1),
        (opened, update(), 1),
        (opened, message(5, "0001 00 01"), 1),
        (established, encode(PEER), 3),
    ],
)
def test_unexpected_message_sends_fsm_error(
    session: Callable[[], Session], data: bytes, subcode: int
) -> None:
    """RFC 6608 subcodes 1 and 3."""
    assert answer(session().receive(data, 1.0)) == notification(5, subcode)


@pytest.mark.parametrize("data", [encode(PEER), update(), message(5, "0001 00 01")])
def test_unexpected_message_in_open_confirm_sends_fsm_error_2(data: bytes) -> None:
    session = opened()
    session.receive(encode(PEER), 0.0)

    assert answer(session.receive(data, 1.0)) == notification(5, 2)


def test_stop_sends_cease_administrative_shutdown() -> None:
    assert answer(established().stop(1.0)) == notification(6, 2)


@pytest.mark.parametrize("body", ["", "0001 01", "0001 01 01 00", "0001 02 01 00", "00010001" * 4])
def test_route_refresh_of_wrong_length_sends_notification_7(body: str) -> None:
    data = message(5, body)

    assert answer(established().receive(data, 1.0)) == notification(7, 1, data.hex())


@pytest.mark.parametrize(
    "body", ["0001 01 01", "0001 02 01", "0001 09 01", "0019 00 46", "0003 01 01"]
)
def test_route_refresh_of_another_family_or_subtype_is_ignored(body: str) -> None:
    session = established()

    assert session.receive(message(5, body), 1.0) == ()
    assert not session.has_pending


def test_end_of_rib_is_reported_as_an_update() -> None:
    (received,) = established().receive(update(), 1.0)

    assert received == UpdateReceived(Update(end_of_rib=AddressFamily.IPV4))
