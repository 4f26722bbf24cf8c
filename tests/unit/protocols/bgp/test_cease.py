from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.cease import cease
from metallb_py.protocols.bgp.codec.codes import Cease
from metallb_py.protocols.bgp.codec.messages import Notification


def test_shutdown_communication_is_preceded_by_its_length() -> None:
    notification = cease(Cease.ADMINISTRATIVE_SHUTDOWN, "node is cordoned", hard=False)
    assert notification == Notification(6, 2, b"\x10node is cordoned")
    assert str(notification) == (
        'BGP notification code 0x0602 (cease: administrative shutdown: "node is cordoned")'
    )


def test_only_administrative_shutdown_and_reset_carry_text() -> None:
    assert cease(Cease.PEER_DECONFIGURED, "words", hard=False) == Notification(6, 3)


def test_hard_reset_encapsulates_the_cease_that_it_replaces() -> None:
    notification = cease(Cease.ADMINISTRATIVE_SHUTDOWN, "bye", hard=True)
    assert notification == Notification(6, 9, b"\x06\x02\x03bye")
    assert str(notification) == (
        'BGP notification code 0x0609 (cease: hard reset: cease: administrative shutdown: "bye")'
    )


@pytest.mark.parametrize("text", ["x" * 300, "ä" * 200])
def test_long_shutdown_communication_is_cut_between_characters(text: str) -> None:
    data = cease(Cease.ADMINISTRATIVE_SHUTDOWN, text, hard=False).data
    assert data[0] == len(data) - 1 <= 255
    assert text.startswith(data[1:].decode())
