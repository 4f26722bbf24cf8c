from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bgp.adj_rib_out import RouteAttributes
from metallb_py.protocols.bgp.codes import AddressFamily
from metallb_py.protocols.bgp.framing import FrameReader
from metallb_py.protocols.bgp.messages import decode
from metallb_py.protocols.bgp.negotiation import Settings, Terms
from metallb_py.protocols.bgp.next_hops import LocalAddresses
from metallb_py.protocols.bgp.outbound import GRACEFUL_SHUTDOWN, NOTHING, Flush, Outbound
from metallb_py.protocols.bgp.update import Update

LOCAL = IPv4Address("10.0.0.1")
A = IPv4Network("192.0.2.1/32")
B = IPv4Network("192.0.2.2/32")
END = bytes.fromhex("ff" * 16 + "00170200000000")
END_V6 = bytes.fromhex("ff" * 16 + "001d0200000006800f03000201")


def terms(*, peer_asn: int = 64513) -> Terms:
    return Terms(64512, peer_asn, IPv4Address(9), 90, 30.0, True, frozenset(AddressFamily))


def connected(local: IPAddress = LOCAL, *, peer_asn: int = 64513) -> Outbound:
    outbound = Outbound(Settings(64512, 64513))
    outbound.open(terms(peer_asn=peer_asn), LocalAddresses(local))
    return outbound


def updates(flush: Flush | None) -> list[Update]:
    assert flush is not None
    reader = FrameReader()
    reader.feed(flush.data)
    found = []
    while (cut := reader.next_frame()) is not None:
        message = decode(cut)
        assert isinstance(message, Update)
        found.append(message)
    assert len(found) == flush.count
    return found


def test_the_end_is_told_once_all_routes_are_known_and_were_sent() -> None:
    outbound = connected()
    outbound.change({A: RouteAttributes()})
    outbound.complete()

    (route, end) = updates(outbound.flush())
    assert route.reach[0].prefixes == (A,)
    assert end == Update(end_of_rib=AddressFamily.IPV4)
    assert outbound.flush() is None


def test_no_end_is_told_before_all_routes_are_known() -> None:
    outbound = connected()
    outbound.change({A: RouteAttributes()})
    assert len(updates(outbound.flush())) == 1
    assert not outbound.has_news

    outbound.complete()
    assert outbound.has_news
    assert outbound.flush() == Flush(END, 1)


def test_without_a_route_there_is_an_end_as_well() -> None:
    outbound = connected()
    outbound.complete()
    assert outbound.flush() == Flush(END, 1)


def test_ipv6_has_an_end_of_its_own() -> None:
    outbound = connected(IPv6Address("fd00::1"))
    outbound.complete()
    assert outbound.flush() == Flush(END_V6, 1)


def test_every_session_has_its_end() -> None:
    outbound = connected()
    outbound.complete()
    outbound.flush()
    outbound.close()
    assert not outbound.has_news

    outbound.open(terms(), LocalAddresses(LOCAL))
    assert outbound.flush() == Flush(END, 1)


def test_thousands_of_routes_come_before_the_end() -> None:
    outbound = connected()
    outbound.change({IPv4Network((number, 32)): RouteAttributes() for number in range(5000)})
    outbound.complete()

    first, second = updates(outbound.flush()), updates(outbound.flush())
    assert not any(update.end_of_rib for update in first)
    assert second[-1] == Update(end_of_rib=AddressFamily.IPV4)
    assert sum(update.end_of_rib is not None for update in second) == 1


@pytest.mark.parametrize(("peer_asn", "local_pref"), [(64513, None), (64512, 0)])
def test_draining_says_every_route_again_as_one_to_go(
    peer_asn: int, local_pref: int | None
) -> None:
    outbound = connected(peer_asn=peer_asn)
    outbound.change({A: RouteAttributes(300, (64512 << 16,)), B: RouteAttributes(300)})
    outbound.flush()
    outbound.drain()

    told = updates(outbound.flush())
    assert {u.reach[0].prefixes: u.attributes.communities for u in told if u.attributes} == {
        (A,): (64512 << 16, GRACEFUL_SHUTDOWN),
        (B,): (GRACEFUL_SHUTDOWN,),
    }
    assert {u.attributes.local_pref for u in told if u.attributes} == {local_pref}


def test_all_is_taken_back_at_once() -> None:
    outbound = connected()
    outbound.change({A: RouteAttributes(), B: RouteAttributes()})
    outbound.flush()
    outbound.change({}, [A])  # not told yet

    (withdrawal,) = updates(outbound.withdraw_all())
    assert set(withdrawal.withdrawn) == {A, B}
    assert not outbound.has_news


def test_what_nobody_was_told_is_not_taken_back() -> None:
    outbound = Outbound(Settings(64512, 64513))
    outbound.change({A: RouteAttributes()})
    assert outbound.withdraw_all() == NOTHING
    outbound.open(terms(), LocalAddresses(LOCAL))
    assert outbound.withdraw_all() == NOTHING


def test_an_ipv6_prefix_waits_for_a_session_that_carries_it() -> None:
    outbound = connected()
    outbound.change({IPv6Network("2001:db8::1/128"): RouteAttributes()})
    assert not outbound.has_news
    assert outbound.counts.not_carried == 1
