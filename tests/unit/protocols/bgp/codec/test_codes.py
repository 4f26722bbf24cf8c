from __future__ import annotations

import pytest

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode, OpenError, describe


@pytest.mark.parametrize(
    ("code", "subcode", "words"),
    [
        (2, 2, "OPEN message error: bad peer AS"),
        (6, 1, "cease: maximum number of prefixes reached"),
        (4, 0, "hold timer expired"),
        (6, 77, "cease: unknown subcode 77"),
        (99, 0, "unknown error code 99"),
        (99, 3, "unknown error code 99: unknown subcode 3"),
    ],
)
def test_a_notification_in_words(code: int, subcode: int, words: str) -> None:
    assert describe(code, subcode) == words


def test_the_error_is_the_peers_fault_and_carries_its_answer() -> None:
    error = BgpError("x", ErrorCode.OPEN_MESSAGE, OpenError.UNSUPPORTED_VERSION, b"\0\4")

    assert isinstance(error, RemoteProtocolError)
    assert (error.code, error.subcode, error.data) == (2, 1, b"\0\4")
