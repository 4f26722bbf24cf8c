from __future__ import annotations

import pytest

from metallb_py.errors import RemoteProtocolError
from metallb_py.protocols.bgp.codec.codes import BgpError, ErrorCode, OpenError, describe


@pytest.mark.parametrize(
    ("code", "subcode", "description"),
    [
        (2, 2, "OPEN message error: bad peer AS"),
        (6, 1, "cease: maximum number of prefixes reached"),
        (4, 0, "hold timer expired"),
        (6, 77, "cease: unknown subcode 77"),
        (99, 0, "unknown error code 99"),
        (99, 3, "unknown error code 99: unknown subcode 3"),
    ],
)
def test_notification_code_and_subcode_are_described(
    code: int, subcode: int, description: str
) -> None:
    assert describe(code, subcode) == description


def test_bgp_error_is_remote_and_carries_the_notification_fields() -> None:
    error = BgpError("x", ErrorCode.OPEN_MESSAGE, OpenError.UNSUPPORTED_VERSION, b"\0\4")

    assert isinstance(error, RemoteProtocolError)
    assert (error.code, error.subcode, error.data) == (2, 1, b"\0\4")
