"""Envelopes: compound, checksum, compression, encryption and label, compared with memberlist."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from support.gossip.memberlist_vectors import Capture, captures

from metallb_py.protocols.memberlist.codec.compound import join
from metallb_py.protocols.memberlist.codec.encode import encode, encode_compressed
from metallb_py.protocols.memberlist.codec.envelope import (
    DATAGRAM_LIMIT,
    WORTH_COMPRESSING,
    Drop,
    Envelope,
    EnvelopeError,
    StreamReader,
    Unpacked,
)
from metallb_py.protocols.memberlist.codec.keyring import REMEMBERED, Keyring
from metallb_py.protocols.memberlist.codec.lzw import compress
from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Message,
    Ping,
    PushPull,
    Suspect,
    User,
)

CAPTURES = captures()
MESSAGES = (Ping(1, "a"), Suspect(2, "b", "c"), Ack(3))
PARTS = [encode(message) for message in MESSAGES]
KEYRING = Keyring((b"k" * 16,))
LIMIT = 100_000


def nonces(first: int = 0) -> Callable[[], bytes]:
    """Return a source of distinct nonces."""
    numbers = count(first)
    return lambda: next(numbers).to_bytes(12)


def sealing(keyring: Keyring = KEYRING, label: str = "") -> Envelope:
    return Envelope(label, keyring, nonce=nonces())


def drop(act: Callable[[], object]) -> Drop:
    """Return the reason for which input is dropped."""
    with pytest.raises(EnvelopeError) as raised:
        act()
    return raised.value.reason


def dropped(envelope: Envelope, datagram: bytes) -> Drop:
    return drop(lambda: envelope.unpack(datagram))


def packed(data: bytes) -> bytes:
    return encode_compressed(compress(data))


# Captures of memberlist


def envelope_of(capture: Capture) -> Envelope:
    """Return an envelope with the settings and the nonce of the capture."""
    keyring = Keyring((capture.key,)) if capture.key else None
    at = (2 + len(capture.label) if "label" in capture.layers else 0) + 1
    at += 5 if capture.way != "packet" else 0
    compression = "compressed" in capture.layers
    nonce = capture.data[at : at + 12]
    return Envelope(capture.label, keyring, compression, nonce=lambda: nonce)


@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.way == "packet"], ids=str)
def test_datagrams_of_memberlist_are_unpacked_and_packed_alike(capture: Capture) -> None:
    envelope = envelope_of(capture)
    assert envelope.unpack(capture.data) == Unpacked(capture.messages)
    parts = [encode(message) for message in capture.messages]
    made = envelope.pack(parts, "checksum" in capture.layers)
    # Not produced: version 0 encryption, and compression where it saves too little.
    short = "compressed" in capture.layers and sum(map(len, parts)) < WORTH_COMPRESSING
    if "sealed-0" not in capture.layers and not short:
        assert made == capture.data
    assert len(made) <= sum(map(len, parts)) + 2 * len(parts) + envelope.overhead


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.way != "packet"], ids=str)
def test_streams_of_memberlist_are_read(capture: Capture, step: int) -> None:
    reader = StreamReader(envelope_of(capture), LIMIT, reply=capture.way == "reply")
    pieces = [capture.data[at : at + step] for at in range(0, len(capture.data), step)]
    *before, message = [reader.feed(piece) for piece in pieces]
    assert set(before) <= {None}
    assert (message,) == capture.messages


@pytest.mark.parametrize(
    "capture",
    [c for c in CAPTURES if c.way != "packet" and not isinstance(c.messages[0], User)],
    ids=str,
)
def test_streams_are_packed_as_by_memberlist(capture: Capture) -> None:
    reply = capture.way == "reply"
    envelope = envelope_of(capture)
    made = envelope.pack_stream(encode(capture.messages[0]), reply=reply)
    if not {"compressed", "sealed-0"} & set(capture.layers):
        assert made == capture.data
    # memberlist compresses streams even where that makes them longer.
    assert len(made) <= len(capture.data)
    assert StreamReader(envelope, LIMIT, reply=reply).feed(made) == capture.messages[0]


# Datagrams


@pytest.mark.parametrize("checksum", [False, True])
def test_plain_datagram_with_and_without_checksum(checksum: bool) -> None:
    envelope = Envelope()
    one = envelope.pack(PARTS[:1], checksum)
    assert one.endswith(PARTS[0])
    assert len(one) == len(PARTS[0]) + 5 * checksum
    assert envelope.unpack(one) == Unpacked(MESSAGES[:1])
    assert envelope.unpack(envelope.pack(PARTS, checksum)) == Unpacked(MESSAGES)


def test_datagram_with_a_wrong_checksum_is_dropped() -> None:
    datagram = Envelope().pack(PARTS, checksum=True)
    assert dropped(Envelope(), datagram[:-1]) is Drop.CHECKSUM
    assert dropped(Envelope(), datagram[:4]) is Drop.MALFORMED


@pytest.mark.parametrize("label", ["", "blue"])
@pytest.mark.parametrize("keyring", [None, KEYRING], ids=["plain", "sealed"])
def test_overhead_is_the_most_that_an_envelope_adds(label: str, keyring: Keyring | None) -> None:
    envelope = Envelope(label, keyring, compression=False, nonce=nonces())
    bare = sum(map(len, PARTS)) + 2 * len(PARTS)
    assert len(envelope.pack(PARTS, checksum=True)) == bare + envelope.overhead


def test_compression_is_used_where_it_shortens() -> None:
    repeated = [encode(Suspect(n, f"node-{n}", "node-0")) for n in range(20)]
    plain = Envelope(compression=False).pack(repeated)
    assert len(Envelope().pack(repeated)) < 0.7 * len(plain)
    noise = encode(User(bytes(n * n & 255 for n in range(200))))
    assert Envelope().pack([noise]) == noise
    assert Envelope().pack_stream(noise) == noise


def test_complete_parts_of_a_truncated_compound_are_used() -> None:
    datagram = Envelope().pack(PARTS)
    assert Envelope().unpack(datagram[:-1]) == Unpacked(MESSAGES[:2], flaws=1)
    assert Envelope().unpack(datagram[:10]) == Unpacked((), flaws=3)
    assert Envelope().unpack(datagram + b"x") == Unpacked(MESSAGES, flaws=1)
    assert dropped(Envelope(), datagram[:7]) is Drop.MALFORMED


def test_malformed_part_does_not_affect_the_others() -> None:
    bad = [b"", b"\x02\xff", b"\x63", b"\x0d\x80", b"\xf4\x01x", b"\x09\x80", packed(b"")]
    datagram = Envelope().pack([PARTS[0], *bad, packed(PARTS[1])])
    assert Envelope().unpack(datagram) == Unpacked(MESSAGES[:2], flaws=len(bad))


def test_compound_and_compressed_messages_nest_to_a_limited_depth() -> None:
    two = Unpacked(MESSAGES[:2])
    inner = join([packed(PARTS[0]), PARTS[1]])
    assert Envelope().unpack(packed(inner)) == two
    assert Envelope().unpack(packed(PARTS[0])) == Unpacked(MESSAGES[:1])
    assert dropped(Envelope(), packed(packed(PARTS[0]))) is Drop.UNKNOWN
    assert Envelope().unpack(join([PARTS[0], packed(packed(PARTS[1]))])).flaws == 1
    assert Envelope().unpack(join([PARTS[0], inner])) == Unpacked(MESSAGES[:1], flaws=1)
    assert Envelope().unpack(join([PARTS[0], packed(inner)])).flaws == 1


def test_compressed_parts_of_a_datagram_share_one_limit() -> None:
    half = packed(encode(User(bytes(DATAGRAM_LIMIT // 2))))
    assert len(Envelope().unpack(join([half, packed(PARTS[0])])).messages) == 2
    assert Envelope().unpack(join([half, half, packed(PARTS[0]), PARTS[1]])).flaws == 2
    assert Envelope().unpack(packed(encode(User(bytes(DATAGRAM_LIMIT - 1))))).flaws == 0
    assert dropped(Envelope(), packed(encode(User(bytes(DATAGRAM_LIMIT))))) is Drop.OVERSIZED


@pytest.mark.parametrize(
    ("datagram", "reason"),
    [
        (b"", Drop.MALFORMED),
        (b"\x00", Drop.MALFORMED),
        (b"\x07", Drop.MALFORMED),
        (b"\x07\x00", Drop.MALFORMED),
        (b"\x09\x82\xa4Algo\x01\xa3Buf\xa0", Drop.MALFORMED),
        (b"\x09\x82\xa4Algo\x00\xa3Buf\xa0", Drop.MALFORMED),
        (b"\x06\x80", Drop.UNKNOWN),
        (b"\x0a\x80", Drop.UNKNOWN),
        (b"\x0d\x80", Drop.UNKNOWN),
        (b"\xff", Drop.UNKNOWN),
        (b"\x02" + bytes(5000), Drop.OVERSIZED),
        (b"\x08" + bytes(DATAGRAM_LIMIT), Drop.OVERSIZED),
    ],
    ids=lambda v: str(v)[:20],
)
def test_malformed_datagram_is_dropped_with_its_reason(datagram: bytes, reason: Drop) -> None:
    assert dropped(Envelope(), datagram) is reason


# Labels


def test_datagram_with_another_label_is_dropped() -> None:
    blue, red, none = Envelope("blue"), Envelope("red"), Envelope()
    datagram = blue.pack(PARTS)
    assert datagram.startswith(b"\xf4\x04blue")
    assert blue.unpack(datagram) == Unpacked(MESSAGES)
    assert dropped(red, datagram) is Drop.LABEL
    assert dropped(none, datagram) is Drop.LABEL
    assert dropped(blue, none.pack(PARTS)) is Drop.LABEL
    assert dropped(none, b"\xf4\x00" + PARTS[0]) is Drop.LABEL
    assert dropped(blue, datagram[:5]) is Drop.MALFORMED


def test_a_label_may_have_255_bytes() -> None:
    longest = Envelope("ä" * 127 + "x")
    assert longest.unpack(longest.pack(PARTS)) == Unpacked(MESSAGES)
    with pytest.raises(ValueError, match="256 bytes"):
        Envelope("ä" * 128)


# Encryption


def test_label_is_authenticated_by_the_encryption() -> None:
    blue, red = sealing(label="blue"), sealing(label="red")
    moved = b"\xf4\x03red" + blue.pack(PARTS)[6:]
    assert dropped(red, moved) is Drop.UNAUTHENTICATED


def test_unencrypted_datagram_is_dropped_as_unauthenticated() -> None:
    assert dropped(sealing(), Envelope().pack(PARTS)) is Drop.UNAUTHENTICATED
    assert dropped(sealing(), b"") is Drop.UNAUTHENTICATED
    assert dropped(sealing(Keyring((b"x" * 16,))), sealing().pack(PARTS)) is Drop.UNAUTHENTICATED
    assert dropped(Envelope(), sealing().pack(PARTS)) in (Drop.MALFORMED, Drop.UNKNOWN)


def test_encryption_can_be_rolled_out_step_by_step() -> None:
    plain = Envelope()
    ready = Envelope(keyring=KEYRING, verify_incoming=False, verify_outgoing=False)
    sending = Envelope(keyring=KEYRING, verify_incoming=False, nonce=nonces())
    for sender, receiver in ((plain, ready), (ready, plain), (sending, ready), (ready, sending)):
        assert receiver.unpack(sender.pack(PARTS)) == Unpacked(MESSAGES)
        stream = sender.pack_stream(PARTS[0])
        assert StreamReader(receiver, LIMIT).feed(stream) == MESSAGES[0]
    assert sealing().unpack(sending.pack(PARTS)) == Unpacked(MESSAGES)


def test_encryption_requires_a_source_of_nonces() -> None:
    with pytest.raises(ValueError, match="nonces"):
        Envelope(keyring=KEYRING)


def test_replayed_datagram_is_dropped() -> None:
    sender, receiver = sealing(), sealing()
    first = sender.pack(PARTS)
    for _ in range(REMEMBERED):
        datagram = sender.pack(PARTS)
        receiver.unpack(datagram)
        assert dropped(receiver, datagram) is Drop.REPLAYED
    assert receiver.unpack(first) == Unpacked(MESSAGES)
    assert dropped(receiver, first) is Drop.REPLAYED


def test_forged_datagram_does_not_consume_its_nonce() -> None:
    receiver, datagram = sealing(), sealing().pack(PARTS)
    assert dropped(receiver, datagram[:-1] + b"x") is Drop.UNAUTHENTICATED
    assert receiver.unpack(datagram) == Unpacked(MESSAGES)


# Streams


def feed(envelope: Envelope, data: bytes, limit: int = LIMIT, step: int = 1) -> Message | None:
    """Return the message of a stream that arrives in small pieces, or None."""
    reader = StreamReader(envelope, limit)
    for at in range(0, len(data), step):
        if (message := reader.feed(data[at : at + step])) is not None:
            return message
    return None


def test_stream_reply_has_no_label_prefix() -> None:
    blue = sealing(label="blue")
    reply = blue.pack_stream(PARTS[2], reply=True)
    assert reply[0] == 10
    assert StreamReader(blue, LIMIT, reply=True).feed(reply) == MESSAGES[2]
    assert drop(lambda: feed(blue, reply)) is Drop.LABEL
    request = blue.pack_stream(PARTS[0])
    assert request.startswith(b"\xf4\x04blue\x0a")
    assert feed(blue, request) == MESSAGES[0]


def test_bytes_after_the_message_of_a_stream_are_ignored() -> None:
    for envelope in (Envelope(), sealing()):
        data = envelope.pack_stream(PARTS[0])
        assert StreamReader(envelope, LIMIT).feed(data + b"more") == MESSAGES[0]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\xf4\x03red", Drop.LABEL),
        (b"\x04", Drop.UNKNOWN),
        (b"\x07", Drop.UNKNOWN),
        (b"\x0a", Drop.UNAUTHENTICATED),
        (b"\x00\xc1", Drop.MALFORMED),
        (b"\x06\x81\xa5Nodes\xce\xff\xff\xff\xff", Drop.OVERSIZED),
        (b"\x09\x81\xa3Buf\xc4\x02\x00\x03", Drop.MALFORMED),
        (packed(PARTS[0][:-1]), Drop.MALFORMED),
        (packed(packed(PARTS[0])), Drop.MALFORMED),
        (packed(b""), Drop.MALFORMED),
        (packed(bytes(LIMIT + 1)), Drop.OVERSIZED),
        (b"\x09\x81\xa3Buf\xc6\x00\x01\x86\xa0" + bytes(LIMIT), Drop.OVERSIZED),
    ],
    ids=lambda v: str(v)[:20],
)
def test_malformed_stream_is_dropped_with_its_reason(data: bytes, reason: Drop) -> None:
    def act() -> None:
        feed(Envelope(), data, step=50)

    assert drop(act) is reason


def test_unencrypted_or_tampered_stream_is_dropped_as_unauthenticated() -> None:
    assert drop(lambda: feed(sealing(), PARTS[0])) is Drop.UNAUTHENTICATED
    tampered = sealing().pack_stream(PARTS[0])[:-1] + b"x"
    assert drop(lambda: feed(sealing(), tampered)) is Drop.UNAUTHENTICATED
    assert drop(lambda: feed(sealing(), b"\x0a\x00\x00\x00\x00")) is Drop.UNAUTHENTICATED
    assert drop(lambda: feed(Envelope(), b"\x0a")) is Drop.UNAUTHENTICATED


def test_oversized_encrypted_stream_is_dropped_by_its_header() -> None:
    sender = Envelope(keyring=KEYRING, compression=False, nonce=nonces())
    data = sender.pack_stream(encode(PushPull((), user_state=bytes(1000))))
    length = len(data) - 5
    assert isinstance(feed(sealing(), data, length), PushPull)
    assert drop(lambda: feed(sealing(), data[:5], length - 1)) is Drop.OVERSIZED
