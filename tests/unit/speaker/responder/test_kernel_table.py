"""Behaviour of every table that follows one of the kernel's. The rest is tested with LinkTable."""

from __future__ import annotations

from metallb_py.protocols.rtnetlink import SCOPE_LINK, Address, DumpDone
from speaker.responder.subnets import SubnetTable

A, B = (Address(1, bytes([192, 0, last, 1]), 24, 0) for last in (2, 3))
LINK_LOCAL = Address(1, bytes([169, 254, 0, 1]), 16, SCOPE_LINK)


def part(item: Address, number: int) -> Address:
    return Address(item.index, item.address, item.prefix_length, item.scope, sequence=number)


def test_a_part_that_is_left_out_begins_its_dump_nevertheless() -> None:
    table = SubnetTable()
    number = table.list_requested()
    table.receive((A,))  # a queued event; A is gone at the time of the dump
    assert table.receive((part(LINK_LOCAL, number), DumpDone(number, complete=True)))
    assert table.entries == {}


def test_a_dump_without_parts_keeps_only_events_since_its_request() -> None:
    table = SubnetTable()
    table.receive((A,))
    number = table.list_requested()
    assert table.receive((B, DumpDone(number, complete=True)))
    assert [key[1] for key in table.entries] == [B.address]
