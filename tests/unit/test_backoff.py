"""Delays between attempts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metallb_py.backoff import API_RETRY, BGP_CONNECT, Backoff


def test_bgp_connect_delays_are_metallbs() -> None:
    delays = [BGP_CONNECT.delay(failures) for failures in range(11)]
    assert delays == [0, 1, 2, 4, 8, 16, 32, 64, 120, 120, 120]


def test_jitter_shortens_the_delay_by_at_most_its_fraction() -> None:
    assert API_RETRY.delay(1, random_fraction=0.0) == API_RETRY.first
    assert API_RETRY.delay(1, random_fraction=1.0) == pytest.approx(API_RETRY.first / 2)


@given(st.integers(0, 10**6), st.floats(0, 1, exclude_max=True))
def test_delays_stay_between_zero_and_the_limit(failures: int, random_fraction: float) -> None:
    backoff = Backoff(first=0.1, limit=30.0, jitter=0.3)
    assert 0 <= backoff.delay(failures, random_fraction) <= 30.0
