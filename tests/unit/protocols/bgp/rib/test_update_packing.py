from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from metallb_py.errors import LocalProtocolError
from metallb_py.model.peers import Origin
from metallb_py.protocols.bgp.codec.attributes import PathAttributes
from metallb_py.protocols.bgp.codec.framing import MAX_EXTENDED_LENGTH, FrameReader
from metallb_py.protocols.bgp.codec.messages import decode
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.rib.path_attributes import NextHop
from metallb_py.protocols.bgp.rib.update_packing import pack_announcements, pack_withdrawals

ATTRIBUTES = PathAttributes(Origin.INCOMPLETE)
NEXT_HOP = NextHop(IPv4Address("10.0.0.1"))
NEXT_HOP_V6 = NextHop(IPv6Address("fd00::1"))
BOTH_V6 = NextHop(IPv6Address("fd00::1"), IPv6Address("fe80::1"))


def many_v4(count: int) -> tuple[IPv4Network, ...]:
    return tuple(IPv4Network(((10 << 24) + number, 32)) for number in range(count))


def many_v6(count: int) -> tuple[IPv6Network, ...]:
    return tuple(IPv6Network(((0xFD << 120) + number, 128)) for number in range(count))


def decoded(messages: Iterable[bytes]) -> list[Update]:
    reader = FrameReader(MAX_EXTENDED_LENGTH)
    updates = []
    for message in messages:
        reader.feed(message)
        cut = reader.next_frame()
        assert cut is not None
        update = decode(cut)
        assert isinstance(update, Update)
        updates.append(update)
    return updates


def test_equal_attributes_share_messages_up_to_the_limit() -> None:
    fits = (4096 - 19 - 4 - 14) // 5
    messages = list(pack_announcements(ATTRIBUTES, NEXT_HOP, many_v4(fits + 1), four_octet=True))

    counts = [len(update.reach[0].prefixes) for update in decoded(messages)]
    assert counts == [fits, 1]
    assert len(messages[0]) in range(4092, 4097)


@pytest.mark.parametrize("next_hop", [NEXT_HOP_V6, BOTH_V6])
@pytest.mark.parametrize("prefixes", [many_v6(1000), many_v4(3000)])
def test_mp_reach_nlri_announcements_fit_the_message_length(
    next_hop: NextHop, prefixes: tuple[IPv4Network | IPv6Network, ...]
) -> None:
    messages = list(pack_announcements(ATTRIBUTES, next_hop, prefixes, four_octet=True))
    updates = decoded(messages)

    assert tuple(p for update in updates for p in update.reach[0].prefixes) == prefixes
    assert {update.reach[0].next_hop for update in updates} == {next_hop.address}
    assert {update.reach[0].link_local for update in updates} == {next_hop.link_local}
    assert max(map(len, messages)) <= 4096
    assert len(messages[0]) > 4096 - 17


def test_withdrawals_are_split_at_the_message_length() -> None:
    messages = list(pack_withdrawals((*many_v4(1000), *many_v6(300))))
    updates = decoded(messages)

    assert tuple(p for update in updates for p in update.withdrawn) == (
        *many_v4(1000),
        *many_v6(300),
    )
    assert max(map(len, messages)) <= 4096
    assert [update.withdrawn[0].version for update in updates] == [4, 4, 6, 6]


def test_extended_messages_hold_more_prefixes() -> None:
    prefixes = many_v4(14000)
    announced = list(
        pack_announcements(ATTRIBUTES, NEXT_HOP, prefixes, four_octet=True, max_length=65535)
    )
    withdrawn = list(pack_withdrawals(many_v6(4000), max_length=65535))

    assert [len(messages) for messages in (announced, withdrawn)] == [2, 2]
    assert max(map(len, announced + withdrawn)) <= 65535
    assert tuple(p for u in decoded(announced) for p in u.reach[0].prefixes) == prefixes
    assert len([p for u in decoded(withdrawn) for p in u.withdrawn]) == 4000


def test_attributes_that_leave_no_room_are_a_local_error() -> None:
    attributes = PathAttributes(Origin.IGP, communities=tuple(range(1014)))

    with pytest.raises(LocalProtocolError, match="no room"):
        list(pack_announcements(attributes, NEXT_HOP, many_v4(1), four_octet=True))


def test_no_prefixes_need_no_message() -> None:
    assert list(pack_announcements(ATTRIBUTES, NEXT_HOP, (), four_octet=True)) == []
    assert list(pack_announcements(ATTRIBUTES, NEXT_HOP_V6, (), four_octet=True)) == []
    assert list(pack_withdrawals(())) == []
