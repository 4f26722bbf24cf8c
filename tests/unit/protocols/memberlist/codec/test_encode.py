"""Encoding of messages."""

from __future__ import annotations

import pytest
from support.gossip.messages import MESSAGES, V4

from metallb_py.errors import LocalProtocolError
from metallb_py.protocols.memberlist.codec.decode import decode
from metallb_py.protocols.memberlist.codec.encode import encode
from metallb_py.protocols.memberlist.codec.messages import (
    META_LIMIT,
    Ack,
    Alive,
    Message,
    NodeState,
    Ping,
    PushPull,
    State,
    Versions,
)


@pytest.mark.parametrize("message", MESSAGES, ids=lambda m: type(m).__name__)
def test_encoded_message_decodes_to_itself(message: Message) -> None:
    assert decode(encode(message)) == message


@pytest.mark.parametrize(
    "message",
    [
        Alive(1, "a", V4, b"m" * (META_LIMIT + 1)),
        PushPull((NodeState("a", V4, 1, State.DEAD, b"m" * (META_LIMIT + 1)),)),
        Ack(1 << 64),
        Alive(1, "a", V4, versions=Versions(256)),
        Ping(1, "\ud800"),
    ],
    ids=lambda m: type(m).__name__,
)
def test_message_that_cannot_be_encoded_is_a_local_error(message: Message) -> None:
    with pytest.raises(LocalProtocolError, match=type(message).__name__):
        encode(message)
