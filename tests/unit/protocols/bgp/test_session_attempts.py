from __future__ import annotations

import pytest

from metallb_py.protocols.bgp.codec.messages import Notification
from metallb_py.protocols.bgp.session import Attempts


def test_connect_retry_delays_grow_from_zero() -> None:
    attempts = Attempts(None)
    assert [attempts.failed("refused", lasted=False) for _ in range(4)] == [0, 1, 2, 4]
    assert attempts.failed("reset", lasted=True) == 0
    assert attempts.failed("reset", lasted=False) == 0


def test_jitter_shortens_a_delay_by_at_most_a_quarter() -> None:
    attempts = Attempts(None, lambda: 0.999)
    delays = [attempts.failed("reset", lasted=False) for _ in range(20)]

    assert delays[0] == 0, "the first attempt after a failure is made at once"
    assert delays[1:4] == pytest.approx([0.75, 1.5, 3], rel=0.01)
    assert delays[-1] == pytest.approx(90, rel=0.01)


def test_configured_connect_time_is_always_waited_for() -> None:
    attempts = Attempts(7)
    assert [attempts.failed("refused", lasted=lasted) for lasted in (False, False, True)] == [7] * 3


@pytest.mark.parametrize("subcode", [4, 7])
def test_refused_capabilities_are_omitted_from_the_next_open(subcode: int) -> None:
    attempts = Attempts(None)
    attempts.failed(Notification(2, subcode), lasted=False)
    assert attempts.omit_capabilities
    attempts.failed("connection reset", lasted=False)
    assert not attempts.omit_capabilities


def test_capabilities_alternate_while_every_open_is_refused() -> None:
    attempts = Attempts(None)
    for omitted in (True, False, True):
        attempts.failed(Notification(2, 7), lasted=False)
        assert attempts.omit_capabilities == omitted


@pytest.mark.parametrize("cause", [Notification(2, 2), Notification(6, 7), "reset", None])
def test_other_failures_keep_the_capabilities(cause: object) -> None:
    attempts = Attempts(None)
    attempts.failed(cause, lasted=False)
    assert not attempts.omit_capabilities
