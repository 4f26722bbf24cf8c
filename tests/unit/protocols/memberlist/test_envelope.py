"""What is wrapped around messages."""

from __future__ import annotations

import pytest

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec import encode
from metallb_py.protocols.memberlist.envelope import Drop, Envelope, EnvelopeError, Unpacked
from metallb_py.protocols.memberlist.messages import Ack, Ping, Suspect

MESSAGES = (Ping(1, "a"), Suspect(2, "b", "c"), Ack(3))
PARTS = [encode(message) for message in MESSAGES]


def drop(envelope: Envelope, datagram: bytes) -> Drop:
    """Return why a datagram is dropped."""
    with pytest.raises(EnvelopeError) as raised:
        envelope.unpack(datagram)
    return raised.value.reason


@pytest.mark.parametrize("checksum", [False, True])
def test_plain(checksum: bool) -> None:
    envelope = Envelope()
    one = envelope.pack(PARTS[:1], checksum)
    assert one.endswith(PARTS[0])
    assert len(one) == len(PARTS[0]) + 5 * checksum
    assert envelope.unpack(one) == Unpacked(MESSAGES[:1])
    assert envelope.unpack(envelope.pack(PARTS, checksum)) == Unpacked(MESSAGES)


def test_a_checksum_guards_the_rest() -> None:
    datagram = Envelope().pack(PARTS, checksum=True)
    assert drop(Envelope(), datagram[:-1]) is Drop.CHECKSUM
    assert drop(Envelope(), datagram[:4]) is Drop.MALFORMED


def test_parts_that_are_whole_are_used() -> None:
    datagram = Envelope().pack(PARTS)
    assert Envelope().unpack(datagram[:-1]) == Unpacked(MESSAGES[:2], flaws=1)
    assert Envelope().unpack(datagram[:10]) == Unpacked((), flaws=3)
    assert Envelope().unpack(datagram + b"x") == Unpacked(MESSAGES, flaws=1)
    assert drop(Envelope(), datagram[:7]) is Drop.MALFORMED


def test_a_bad_part_does_not_spoil_the_others() -> None:
    bad = [b"", b"\x02\xff", b"\x63", b"\x0d\x80", b"\xf4\x01x"]
    datagram = Envelope().pack([PARTS[0], *bad, PARTS[1]])
    assert Envelope().unpack(datagram) == Unpacked(MESSAGES[:2], flaws=len(bad))


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", Drop.MALFORMED),
        (b"\x00", Drop.MALFORMED),
        (b"\x07", Drop.MALFORMED),
        (b"\x07\x00", Drop.MALFORMED),
        (b"\x06\x80", Drop.UNKNOWN),
        (b"\x0d\x80", Drop.UNKNOWN),
        (b"\xff", Drop.UNKNOWN),
        (b"\x02" + bytes(5000), Drop.OVERSIZED),
    ],
)
def test_what_is_no_message_is_dropped(datagram: bytes, reason: Drop) -> None:
    assert drop(Envelope(), datagram) is reason


@pytest.mark.parametrize("parts", [[], [b"x"] * 256, [b"x" * 65536, b"x"]])
def test_what_a_compound_cannot_hold_is_a_fault_of_ours(parts: list[bytes]) -> None:
    with pytest.raises(LocalProtocolError):
        Envelope().pack(parts)
