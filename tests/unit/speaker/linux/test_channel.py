"""Channel: messages of any size, whole and in order, in bounded memory."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from speaker.linux.channel import (
    MESSAGE_LIMIT,
    PART_LIMIT,
    Assembly,
    Channel,
    ChannelBrokenError,
    ChannelBusyError,
    MessageTooLongError,
    split,
)
from speaker.linux.worker_process import receive, send

SIZES = (0, 1, PART_LIMIT - 2, PART_LIMIT - 1, PART_LIMIT, 2 * (PART_LIMIT - 1), 1_000_003)


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setblocking(False)
    with ours, theirs:
        yield ours, theirs


def content(size: int) -> bytes:
    return (bytes(range(251)) * (size // 251 + 1))[:size]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_is_joined_from_its_parts(size: int) -> None:
    assembly = Assembly()
    parts = list(split(content(size)))

    assert all(len(part) <= PART_LIMIT for part in parts)
    assert [assembly.add(part) for part in parts] == [None] * (len(parts) - 1) + [content(size)]


def test_a_message_beyond_the_limit_is_refused_at_both_ends() -> None:
    with pytest.raises(MessageTooLongError, match=str(MESSAGE_LIMIT)):
        split(bytes(MESSAGE_LIMIT + 1))

    assembly = Assembly()
    for _ in range(MESSAGE_LIMIT // 1024):
        assert assembly.add(b"\x01" + bytes(1024)) is None
    with pytest.raises(ChannelBrokenError, match=str(MESSAGE_LIMIT)):
        assembly.add(b"\x01" + bytes(1))


@given(st.binary(max_size=8).filter(lambda part: part[:1] not in (b"\x00", b"\x01")))
def test_an_invalid_part_is_refused(part: bytes) -> None:
    with pytest.raises(ChannelBrokenError):
        Assembly().add(part)


async def test_large_messages_cross_in_both_directions(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    channel = Channel(theirs)
    messages = [content(size) for size in SIZES]

    async def send_all() -> None:
        for message in messages:
            await send(ours, message)

    sending = asyncio.create_task(send_all())
    arrived: list[bytes] = []
    while len(arrived) < len(messages):
        arrived += channel.receive()
        await asyncio.sleep(0)
    await sending
    assert arrived == messages

    assembly, returned = Assembly(), []
    for message in messages:
        channel.send(message)
        receiving = asyncio.create_task(receive(ours, assembly))
        while not receiving.done():
            channel.flush()
            await asyncio.sleep(0)
        assert not channel.is_busy
        returned.append(receiving.result())
    assert returned == messages


async def test_a_busy_reader_keeps_at_most_one_message_pending(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    channel = Channel(theirs)
    channel.send(content(1_000_003))
    assert channel.is_busy
    with pytest.raises(ChannelBusyError):
        channel.send(b"another")

    receiving = asyncio.create_task(receive(ours, Assembly()))
    while not receiving.done():
        channel.flush()
        await asyncio.sleep(0)
    assert receiving.result() == content(1_000_003)
    assert not channel.is_busy
    channel.send(b"another")
    assert await receive(ours, Assembly()) == b"another"


async def test_a_message_for_which_the_buffer_has_no_room_is_sent_later(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    channel = Channel(theirs)
    sent = 0
    while not channel.is_busy:
        channel.send(b"%d" % sent)
        sent += 1
    assembly = Assembly()
    assert [await receive(ours, assembly) for _ in range(sent - 1)] == [
        b"%d" % number for number in range(sent - 1)
    ]
    channel.flush()
    assert await receive(ours, assembly) == b"%d" % (sent - 1)


async def test_the_close_of_a_channel_is_detected_at_both_ends(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = ends
    channel = Channel(theirs)
    channel.send(b"the last one")
    ours.close()
    assert list(channel.receive()) == []
    assert channel.ended

    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        ours.setblocking(False)
        theirs.close()
        assert await receive(ours, Assembly()) is None
