from __future__ import annotations

from ipaddress import IPv4Address

from metallb_py.protocols.memberlist.source_limits import (
    CONNECTIONS_OF_A_SOURCE,
    CONNECTIONS_OF_A_SPEAKER,
    WORK,
    WORK_OF_A_SOURCE,
    SourceLimits,
)

FIRST = IPv4Address("192.0.2.1")


def test_connections_are_limited_for_each_source() -> None:
    source_limits = SourceLimits()
    assert sum(source_limits.admit_stream(FIRST, 0, known=False) for _ in range(999)) == (
        CONNECTIONS_OF_A_SOURCE.burst
    )
    assert source_limits.admit_stream(FIRST + 1, 0, known=False)
    assert sum(source_limits.admit_stream(FIRST, 0, known=True) for _ in range(999)) == (
        CONNECTIONS_OF_A_SPEAKER.burst
    )


def test_unknown_sources_take_no_connections_from_speakers() -> None:
    source_limits = SourceLimits()
    opened = sum(source_limits.admit_stream(FIRST + n, 0, known=False) for n in range(5000))
    assert opened < 5000
    assert source_limits.admit_stream(FIRST, 0, known=True)


def test_work_is_limited_for_each_source_and_in_total() -> None:
    source_limits = SourceLimits()
    size = 1000
    count = sum(source_limits.admit_bytes(FIRST, size, 0, known=False) for _ in range(20_000))
    assert count == -(-WORK_OF_A_SOURCE.burst // size)
    more = sum(source_limits.admit_bytes(FIRST + n, size, 0, known=False) for n in range(20_000))
    assert (count + more) * size <= WORK.burst + size
    assert source_limits.admit_bytes(FIRST, size, 0, known=True)


def test_charged_work_delays_further_admission() -> None:
    source_limits = SourceLimits()
    assert source_limits.admit_bytes(FIRST, 100, 0, known=False)
    source_limits.charge(FIRST, 2 * WORK_OF_A_SOURCE.burst, 0, known=False)
    assert not source_limits.admit_bytes(FIRST, 100, 5, known=False)
    assert not source_limits.admit_stream(FIRST, 5, known=False)
    assert source_limits.admit_bytes(FIRST, 100, 20, known=False)
    source_limits.charge(FIRST, 1 << 40, 20, known=True)
    assert source_limits.admit_bytes(FIRST, 100, 20, known=False)
