"""What is wrapped around messages, also as the real library does it."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count

import pytest
from support.memberlist_vectors import Capture, captures

from metallb_py.protocols.memberlist.codec.codec import encode, encode_compressed
from metallb_py.protocols.memberlist.codec.compound import join
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
    """Return a source of nonces, each another one."""
    numbers = count(first)
    return lambda: next(numbers).to_bytes(12)


def sealing(keyring: Keyring = KEYRING, label: str = "") -> Envelope:
    return Envelope(label, keyring, nonce=nonces())


def drop(act: Callable[[], object]) -> Drop:
    """Return why something is dropped."""
    with pytest.raises(EnvelopeError) as raised:
        act()
    return raised.value.reason


def dropped(envelope: Envelope, datagram: bytes) -> Drop:
    return drop(lambda: envelope.unpack(datagram))


def packed(data: bytes) -> bytes:
    return encode_compressed(compress(data))


# What memberlist sends


def envelope_of(capture: Capture) -> Envelope:
    """Return an envelope that has the settings, and the nonce, of the capture."""
    keyring = Keyring((capture.key,)) if capture.key else None
    at = (2 + len(capture.label) if "label" in capture.layers else 0) + 1
    at += 5 if capture.way != "packet" else 0
    compression = "compressed" in capture.layers
    nonce = capture.data[at : at + 12]
    return Envelope(capture.label, keyring, compression, nonce=lambda: nonce)


@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.way == "packet"], ids=str)
def test_datagrams_of_memberlist(capture: Capture) -> None:
    envelope = envelope_of(capture)
    assert envelope.unpack(capture.data) == Unpacked(capture.messages)
    parts = [encode(message) for message in capture.messages]
    made = envelope.pack(parts, "checksum" in capture.layers)
    # Not written: the old way of sealing, and compression where it is hardly worth its time.
    short = "compressed" in capture.layers and sum(map(len, parts)) < WORTH_COMPRESSING
    if "sealed-0" not in capture.layers and not short:
        assert made == capture.data
    assert len(made) <= sum(map(len, parts)) + 2 * len(parts) + envelope.overhead


@pytest.mark.parametrize("step", [1, 1000])
@pytest.mark.parametrize("capture", [c for c in CAPTURES if c.way != "packet"], ids=str)
def test_streams_of_memberlist(capture: Capture, step: int) -> None:
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
def test_streams_as_memberlist_makes_them(capture: Capture) -> None:
    reply = capture.way == "reply"
    envelope = envelope_of(capture)
    made = envelope.pack_stream(encode(capture.messages[0]), reply=reply)
    if not {"compressed", "sealed-0"} & set(capture.layers):
        assert made == capture.data
    # Memberlist compresses streams also where that makes them longer.
    assert len(made) <= len(capture.data)
    assert StreamReader(envelope, LIMIT, reply=reply).feed(made) == capture.messages[0]


# Datagrams


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
    assert dropped(Envelope(), datagram[:-1]) is Drop.CHECKSUM
    assert dropped(Envelope(), datagram[:4]) is Drop.MALFORMED


@pytest.mark.parametrize("label", ["", "blue"])
@pytest.mark.parametrize("keyring", [None, KEYRING], ids=["plain", "sealed"])
def test_overhead_is_what_is_added_at_most(label: str, keyring: Keyring | None) -> None:
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


def test_parts_that_are_whole_are_used() -> None:
    datagram = Envelope().pack(PARTS)
    assert Envelope().unpack(datagram[:-1]) == Unpacked(MESSAGES[:2], flaws=1)
    assert Envelope().unpack(datagram[:10]) == Unpacked((), flaws=3)
    assert Envelope().unpack(datagram + b"x") == Unpacked(MESSAGES, flaws=1)
    assert dropped(Envelope(), datagram[:7]) is Drop.MALFORMED


def test_a_bad_part_does_not_spoil_the_others() -> None:
    bad = [b"", b"\x02\xff", b"\x63", b"\x0d\x80", b"\xf4\x01x", b"\x09\x80", packed(b"")]
    datagram = Envelope().pack([PARTS[0], *bad, packed(PARTS[1])])
    assert Envelope().unpack(datagram) == Unpacked(MESSAGES[:2], flaws=len(bad))


def test_what_may_be_inside_what() -> None:
    two = Unpacked(MESSAGES[:2])
    inner = join([packed(PARTS[0]), PARTS[1]])
    assert Envelope().unpack(packed(inner)) == two
    assert Envelope().unpack(packed(PARTS[0])) == Unpacked(MESSAGES[:1])
    assert dropped(Envelope(), packed(packed(PARTS[0]))) is Drop.UNKNOWN
    assert Envelope().unpack(join([PARTS[0], packed(packed(PARTS[1]))])).flaws == 1
    assert Envelope().unpack(join([PARTS[0], inner])) == Unpacked(MESSAGES[:1], flaws=1)
    assert Envelope().unpack(join([PARTS[0], packed(inner)])).flaws == 1


def test_all_that_is_compressed_in_a_datagram_has_one_limit() -> None:
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
def test_what_is_no_message_is_dropped(datagram: bytes, reason: Drop) -> None:
    assert dropped(Envelope(), datagram) is reason


# Labels


def test_clusters_with_other_labels_are_strangers() -> None:
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


# Sealing


def test_a_label_is_sealed_along() -> None:
    blue, red = sealing(label="blue"), sealing(label="red")
    moved = b"\xf4\x03red" + blue.pack(PARTS)[6:]
    assert dropped(red, moved) is Drop.UNAUTHENTICATED


def test_what_is_not_sealed_is_refused() -> None:
    assert dropped(sealing(), Envelope().pack(PARTS)) is Drop.UNAUTHENTICATED
    assert dropped(sealing(), b"") is Drop.UNAUTHENTICATED
    assert dropped(sealing(Keyring((b"x" * 16,))), sealing().pack(PARTS)) is Drop.UNAUTHENTICATED
    assert dropped(Envelope(), sealing().pack(PARTS)) in (Drop.MALFORMED, Drop.UNKNOWN)


def test_a_cluster_gets_its_keys_step_by_step() -> None:
    plain = Envelope()
    ready = Envelope(keyring=KEYRING, verify_incoming=False, verify_outgoing=False)
    sending = Envelope(keyring=KEYRING, verify_incoming=False, nonce=nonces())
    for sender, receiver in ((plain, ready), (ready, plain), (sending, ready), (ready, sending)):
        assert receiver.unpack(sender.pack(PARTS)) == Unpacked(MESSAGES)
        stream = sender.pack_stream(PARTS[0])
        assert StreamReader(receiver, LIMIT).feed(stream) == MESSAGES[0]
    assert sealing().unpack(sending.pack(PARTS)) == Unpacked(MESSAGES)


def test_sealing_takes_nonces() -> None:
    with pytest.raises(ValueError, match="nonces"):
        Envelope(keyring=KEYRING)


def test_a_sealed_datagram_is_taken_once() -> None:
    sender, receiver = sealing(), sealing()
    first = sender.pack(PARTS)
    for _ in range(REMEMBERED):
        datagram = sender.pack(PARTS)
        receiver.unpack(datagram)
        assert dropped(receiver, datagram) is Drop.REPLAYED
    assert receiver.unpack(first) == Unpacked(MESSAGES)
    assert dropped(receiver, first) is Drop.REPLAYED


def test_a_forged_datagram_does_not_use_up_its_nonce() -> None:
    receiver, datagram = sealing(), sealing().pack(PARTS)
    assert dropped(receiver, datagram[:-1] + b"x") is Drop.UNAUTHENTICATED
    assert receiver.unpack(datagram) == Unpacked(MESSAGES)


# Streams


def feed(envelope: Envelope, data: bytes, limit: int = LIMIT, step: int = 1) -> Message | None:
    """Return what comes of a stream in small pieces."""
    reader = StreamReader(envelope, limit)
    for at in range(0, len(data), step):
        if (message := reader.feed(data[at : at + step])) is not None:
            return message
    return None


def test_an_answer_has_no_label_in_front() -> None:
    blue = sealing(label="blue")
    answer = blue.pack_stream(PARTS[2], reply=True)
    assert answer[0] == 10
    assert StreamReader(blue, LIMIT, reply=True).feed(answer) == MESSAGES[2]
    assert drop(lambda: feed(blue, answer)) is Drop.LABEL
    asked = blue.pack_stream(PARTS[0])
    assert asked.startswith(b"\xf4\x04blue\x0a")
    assert feed(blue, asked) == MESSAGES[0]


def test_what_follows_a_message_is_left_alone() -> None:
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
def test_what_is_no_stream_is_dropped(data: bytes, reason: Drop) -> None:
    def act() -> None:
        feed(Envelope(), data, step=50)

    assert drop(act) is reason


def test_a_stream_that_should_be_sealed_and_is_not() -> None:
    assert drop(lambda: feed(sealing(), PARTS[0])) is Drop.UNAUTHENTICATED
    spoilt = sealing().pack_stream(PARTS[0])[:-1] + b"x"
    assert drop(lambda: feed(sealing(), spoilt)) is Drop.UNAUTHENTICATED
    assert drop(lambda: feed(sealing(), b"\x0a\x00\x00\x00\x00")) is Drop.UNAUTHENTICATED
    assert drop(lambda: feed(Envelope(), b"\x0a")) is Drop.UNAUTHENTICATED


def test_a_long_sealed_stream_is_refused_by_its_head() -> None:
    sender = Envelope(keyring=KEYRING, compression=False, nonce=nonces())
    data = sender.pack_stream(encode(PushPull((), user_state=bytes(1000))))
    length = len(data) - 5
    assert isinstance(feed(sealing(), data, length), PushPull)
    assert drop(lambda: feed(sealing(), data[:5], length - 1)) is Drop.OVERSIZED
