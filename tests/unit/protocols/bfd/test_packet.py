"""BFD control packets (RFC 5880 section 4.1), compared with scapy."""

from __future__ import annotations

from dataclasses import replace

import pytest
from scapy.contrib.bfd import BFD

from metallb_py.protocols.bfd.packet import (
    BfdError,
    ControlPacket,
    Diagnostic,
    State,
    decode,
    encode,
)

PACKET = ControlPacket(State.UP, 0x01020304, 0x05060708, 3, 50_000, 60_000, 70_000)


@pytest.mark.parametrize(
    ("packet", "flags"),
    [
        (PACKET, 0),
        (replace(PACKET, poll=True), 0x20),
        (replace(PACKET, final=True), 0x10),
        (replace(PACKET, control_plane_independent=True), 0x08),
        (replace(PACKET, demand=True), 0x02),
    ],
)
def test_control_packet_is_decoded_by_scapy(packet: ControlPacket, flags: int) -> None:
    read = BFD(encode(packet))

    assert (read.version, read.diag, read.sta, int(read.flags)) == (1, 0, 3, flags)
    assert (read.detect_mult, read.len) == (3, 24)
    assert (read.my_discriminator, read.your_discriminator) == (0x01020304, 0x05060708)
    assert (read.min_tx_interval, read.min_rx_interval) == (50_000, 60_000)
    assert read.echo_rx_interval == 70_000


def test_control_packet_of_scapy_is_decoded() -> None:
    data = bytes(
        BFD(
            sta=1,
            diag=3,
            flags="P",
            detect_mult=5,
            my_discriminator=9,
            your_discriminator=0,
            min_tx_interval=1_000_000,
            min_rx_interval=300_000,
            echo_rx_interval=50_000,
        )
    )
    diagnostic = Diagnostic.NEIGHBOR_SIGNALED_DOWN

    assert decode(data) == ControlPacket(
        State.DOWN, 9, 0, 5, 1_000_000, 300_000, 50_000, diagnostic, poll=True
    )


def changed(offset: int, value: int) -> bytes:
    data = bytearray(encode(PACKET))
    data[offset] = value
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"", "0 bytes"),
        (encode(PACKET)[:-1], "23 bytes"),
        (changed(0, 0x00), "version 0"),
        (changed(0, 0x40), "version 2"),
        (changed(3, 23), "length 23"),
        (changed(3, 25), "length 25"),
        (changed(1, 0xC4), "authentication"),
        (changed(1, 0xC1), "multipoint"),
        (changed(2, 0), "detect multiplier 0"),
        (encode(replace(PACKET, my_discriminator=0)), "my discriminator is 0"),
        (encode(replace(PACKET, your_discriminator=0)), "your discriminator is 0 in state UP"),
        (
            encode(replace(PACKET, your_discriminator=0, state=State.INIT)),
            "your discriminator is 0 in state INIT",
        ),
    ],
)
def test_packet_to_discard_by_rfc_5880_section_6_8_6_is_an_error(data: bytes, problem: str) -> None:
    with pytest.raises(BfdError, match=problem):
        decode(data)


@pytest.mark.parametrize("state", [State.DOWN, State.ADMIN_DOWN])
def test_your_discriminator_may_be_zero_in_down_and_admin_down(state: State) -> None:
    packet = replace(PACKET, state=state, your_discriminator=0)

    assert decode(encode(packet)) == packet


def test_bytes_after_the_control_packet_are_ignored() -> None:
    assert decode(encode(PACKET) + b"more") == PACKET


def test_unassigned_diagnostic_is_kept_as_a_number() -> None:
    assert decode(changed(0, 0x3F)).diagnostic == 31
