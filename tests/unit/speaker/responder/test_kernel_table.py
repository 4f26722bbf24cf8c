"""What is true of every table that follows one of the kernel's. LinkTable's tests tell the rest."""

from __future__ import annotations

from metallb_py.protocols.rtnetlink import SCOPE_LINK, Address, DumpDone
from speaker.responder.subnets import SubnetTable

A, B = (Address(1, bytes([192, 0, last, 1]), 24, 0) for last in (2, 3))
LINK_LOCAL = Address(1, bytes([169, 254, 0, 1]), 16, SCOPE_LINK)


def part(item: Address, number: int) -> Address:
    return Address(item.index, item.address, item.prefix_length, item.scope, sequence=number)


def test_a_part_that_is_left_out_begins_its_list_all_the_same() -> None:
    table = SubnetTable()
    number = table.list_requested()
    table.receive((A,))  # an event that waited; A is gone by the time of the list
    assert table.receive((part(LINK_LOCAL, number), DumpDone(number, complete=True)))
    assert table.entries == {}


def test_a_list_without_parts_leaves_only_what_came_since_it_was_asked_for() -> None:
    table = SubnetTable()
    table.receive((A,))
    number = table.list_requested()
    assert table.receive((B, DumpDone(number, complete=True)))
    assert [key[1] for key in table.entries] == [B.address]
