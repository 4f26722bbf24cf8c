from __future__ import annotations

from ipaddress import IPv4Address

from metallb_py.protocols.memberlist.strangers import (
    CONNECTIONS_OF_A_SOURCE,
    CONNECTIONS_OF_A_SPEAKER,
    WORK,
    WORK_OF_A_SOURCE,
    Strangers,
)

FIRST = IPv4Address("192.0.2.1")


def test_connections_are_limited_for_each_source() -> None:
    strangers = Strangers()
    assert sum(strangers.connects(FIRST, 0, known=False) for _ in range(999)) == (
        CONNECTIONS_OF_A_SOURCE.burst
    )
    assert strangers.connects(FIRST + 1, 0, known=False)
    assert sum(strangers.connects(FIRST, 0, known=True) for _ in range(999)) == (
        CONNECTIONS_OF_A_SPEAKER.burst
    )


def test_strangers_take_no_connections_from_speakers() -> None:
    strangers = Strangers()
    opened = sum(strangers.connects(FIRST + n, 0, known=False) for n in range(5000))
    assert opened < 5000
    assert strangers.connects(FIRST, 0, known=True)


def test_work_is_limited_for_each_source_and_in_total() -> None:
    strangers = Strangers()
    size = 1000
    count = sum(strangers.sends(FIRST, size, 0, known=False) for _ in range(100_000))
    assert count == -(-WORK_OF_A_SOURCE.burst // size)
    more = sum(strangers.sends(FIRST + n, size, 0, known=False) for n in range(100_000))
    assert (count + more) * size <= WORK.burst + size
    assert strangers.sends(FIRST, size, 0, known=True)


def test_what_cost_more_is_paid_before_the_next() -> None:
    strangers = Strangers()
    assert strangers.sends(FIRST, 100, 0, known=False)
    strangers.cost(FIRST, 2 * WORK_OF_A_SOURCE.burst, 0, known=False)
    assert not strangers.sends(FIRST, 100, 5, known=False)
    assert not strangers.connects(FIRST, 5, known=False)
    assert strangers.sends(FIRST, 100, 20, known=False)
    strangers.cost(FIRST, 1 << 40, 20, known=True)
    assert strangers.sends(FIRST, 100, 20, known=False)
