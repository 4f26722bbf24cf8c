"""Messages between the speaker and the responder process: decoded as encoded, within the limit."""

from __future__ import annotations

import msgspec
import pytest

from speaker.linux.channel import MESSAGE_LIMIT
from speaker.responder.io.messages import (
    Command,
    Disown,
    Own,
    decode_command,
    decode_report,
    decode_settings,
    encode,
    encode_settings,
)
from speaker.responder.report import (
    BATCH,
    MAX_CONFLICTS,
    AddressCounters,
    Conflict,
    InterfaceAddresses,
    InterfaceState,
    Report,
    SendFailure,
)
from speaker.responder.settings import Settings

A, B = b"\xc0\x00\x02\x01", bytes(16)


def test_settings_are_decoded_as_encoded() -> None:
    settings = Settings(excluded=("^veth", '"\\d+'))
    assert decode_settings(encode_settings(settings)) == settings


@pytest.mark.parametrize(
    "command", [Own((A, B), takeover=True), Own((), takeover=False), Disown((A,))]
)
def test_a_command_is_decoded_as_encoded(command: Command) -> None:
    assert decode_command(encode(command)) == command


@pytest.mark.parametrize(
    "report",
    [
        Report(),
        Report(interfaces=()),
        Report(
            (
                InterfaceState("eth0", "ARP", ""),
                InterfaceState("eth1", "NDP", "Operation not permitted"),
            ),
            (
                InterfaceAddresses("eth0", bytes(6), ((A, 24), (B, 64))),
                InterfaceAddresses("eth1", bytes(6), ()),
            ),
            {A: AddressCounters(1, 2, 3)},
            {"Malformed": 7},
            {Conflict("eth0", A, bytes(6)): 2},
            {SendFailure("eth0", B, True, "Network is down"): 9},
        ),
    ],
)
def test_a_report_is_decoded_as_encoded(report: Report) -> None:
    assert decode_report(encode(report)) == report


def test_the_largest_report_is_within_the_limit() -> None:
    number = 2**63
    report = Report(
        interfaces=tuple(InterfaceState(f"interface{i:06}", "ARP", "") for i in range(2000)),
        interface_addresses=tuple(
            InterfaceAddresses(f"interface{i:06}", bytes(6), ((bytes(16), 128),))
            for i in range(BATCH // 2)
        ),
        counts={
            address.to_bytes(16): AddressCounters(number, number, number)
            for address in range(BATCH)
        },
        conflicts={
            Conflict("interface000000", address.to_bytes(16), bytes(6)): number
            for address in range(MAX_CONFLICTS)
        },
        drops={f"reason{i}": number for i in range(10)},
        failures={
            SendFailure("interface000000", address.to_bytes(16), True, "e" * 50): number
            for address in range(BATCH)
        },
    )
    assert len(encode(report)) < MESSAGE_LIMIT


@pytest.mark.parametrize(
    "packet", [b"", b"\x00", encode(Report()), encode(Own((), takeover=True))[:-1]]
)
def test_any_other_message_is_a_decode_error(packet: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_command(packet)
