"""Announced services, by service key and by address."""

from __future__ import annotations

from ipaddress import IPv4Address

from hypothesis import given
from hypothesis import strategies as st
from support.kube.objects import pool

from metallb_py.addresses import IPAddress
from speaker.announced import Announced
from speaker.decision import Announcement

POOL = pool("l2", "192.0.2.0/24")
ADDRESSES = tuple(IPv4Address(f"192.0.2.{number}") for number in range(4))
KEYS = st.sampled_from([f"default/{name}" for name in "abcde"])


def announcement(*addresses: IPAddress) -> Announcement:
    return Announcement(addresses, POOL)


CHANGES = st.lists(
    st.tuples(KEYS, st.none() | st.sets(st.sampled_from(ADDRESSES)).map(lambda a: announcement(*a)))
)


@given(CHANGES)
def test_the_index_by_address_equals_a_full_search(
    changes: list[tuple[str, Announcement | None]],
) -> None:
    announced = Announced()
    plain: dict[str, Announcement] = {}
    for key, value in changes:
        if value is None:
            assert announced.pop(key, None) == plain.pop(key, None)
        else:
            announced[key] = plain[key] = value
        assert dict(announced) == plain
        for address in ADDRESSES:
            found = tuple(sorted(k for k, each in plain.items() if address in each.addresses))
            assert announced.at(address) == found


def test_withdrawn_addresses_are_removed_from_the_index() -> None:
    announced = Announced()
    announced["default/a"] = announcement(*ADDRESSES)
    announced["default/a"] = announcement(ADDRESSES[0])
    assert announced.at(ADDRESSES[1]) == ()
    announced.clear()
    assert not announced
    assert announced.at(ADDRESSES[0]) == ()
