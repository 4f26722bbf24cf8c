from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from support.bgp_messages import messages

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bgp.codec.capabilities import GracefulRestart
from metallb_py.protocols.bgp.codec.codes import AddressFamily
from metallb_py.protocols.bgp.codec.messages import Refresh, RefreshKind
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.negotiation import Settings, Terms
from metallb_py.protocols.bgp.rib.adj_rib_out import RouteAttributes
from metallb_py.protocols.bgp.rib.next_hops import LocalAddresses
from metallb_py.protocols.bgp.rib.update_sender import GRACEFUL_SHUTDOWN, NOTHING, Flush, Outbound

LOCAL = IPv4Address("10.0.0.1")
A = IPv4Network("192.0.2.1/32")
V6 = IPv6Network("2001:db8::1/128")
B = IPv4Network("192.0.2.2/32")
END_V4 = bytes.fromhex("ff" * 16 + "00170200000000")
END_V6 = bytes.fromhex("ff" * 16 + "001d0200000006800f03000201")
END = Flush(END_V4 + END_V6, 2)
BOTH = frozenset(AddressFamily)
V4_ENDS, V6_ENDS = (Update(end_of_rib=family) for family in AddressFamily)


def terms(*, peer_asn: int = 64513, families: frozenset[AddressFamily] = BOTH) -> Terms:
    return Terms(64512, peer_asn, IPv4Address(9), 90, 30.0, True, families)


def connected(local: IPAddress = LOCAL, *, peer_asn: int = 64513) -> Outbound:
    outbound = Outbound(Settings(64512, 64513))
    outbound.open(terms(peer_asn=peer_asn), LocalAddresses(local))
    return outbound


def updates(flush: Flush | None) -> list[Update]:
    assert flush is not None
    sent = messages(flush.data)
    found = [message for message in sent if isinstance(message, Update)]
    assert len(found) == len(sent) == flush.count
    return found


def test_the_end_is_told_once_all_routes_are_known_and_were_sent() -> None:
    outbound = connected()
    outbound.change({A: RouteAttributes()})
    outbound.complete()

    (route, *ends) = updates(outbound.flush())
    assert route.reach[0].prefixes == (A,)
    assert ends == [V4_ENDS, V6_ENDS]
    assert outbound.flush() is None


def test_no_end_is_told_before_all_routes_are_known() -> None:
    outbound = connected()
    outbound.change({A: RouteAttributes()})
    assert len(updates(outbound.flush())) == 1
    assert not outbound.has_news

    outbound.complete()
    assert outbound.has_news
    assert outbound.flush() == END


def test_without_a_route_there_is_an_end_as_well() -> None:
    outbound = connected()
    outbound.complete()
    assert outbound.flush() == END


@pytest.mark.parametrize(
    ("family", "end"), [(AddressFamily.IPV4, END_V4), (AddressFamily.IPV6, END_V6)]
)
def test_each_agreed_family_has_its_end_if_we_can_carry_it_or_not(
    family: AddressFamily, end: bytes
) -> None:
    outbound = Outbound(Settings(64512, 64513))
    outbound.open(terms(families=frozenset({family})), LocalAddresses(LOCAL))
    outbound.complete()
    assert outbound.flush() == Flush(end, 1)


def test_every_session_has_its_end() -> None:
    outbound = connected()
    outbound.complete()
    outbound.flush()
    outbound.close()
    assert not outbound.has_news

    outbound.open(terms(), LocalAddresses(LOCAL))
    assert outbound.flush() == END


def test_thousands_of_routes_come_before_the_end() -> None:
    outbound = connected()
    outbound.change({IPv4Network((number, 32)): RouteAttributes() for number in range(5000)})
    outbound.complete()

    first, second = updates(outbound.flush()), updates(outbound.flush())
    assert not any(update.end_of_rib for update in first)
    assert second[-2:] == [V4_ENDS, V6_ENDS]
    assert sum(update.end_of_rib is not None for update in second) == 2


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


# What is sent again when the peer asks for it


def told(flush: Flush | None) -> list[str]:
    """The prefixes, brackets and ends in what is to be sent, in order."""
    assert flush is not None
    found: list[str] = []
    for message in messages(flush.data):
        match message:
            case Refresh(family, kind):
                found.append(f"{RefreshKind(kind).name} {AddressFamily(family).name}")
            case Update() as update if update.end_of_rib is not None:
                found.append(f"RIB {update.end_of_rib.name}")
            case Update() as update:
                found += (str(p) for reach in update.reach for p in reach.prefixes)
                found += (f"-{p}" for p in update.withdrawn)
    return found


def both_families(*, enhanced: bool, restarts: bool = False) -> Outbound:
    """An outbound with a route in each family, and nothing told yet."""
    outbound = Outbound(Settings(64512, 64513))
    agreed = replace(
        terms(), enhanced_refresh=enhanced, peer_restart=GracefulRestart(0) if restarts else None
    )
    outbound.open(agreed, LocalAddresses(LOCAL, ipv6=IPv6Address("fd00::1")))
    outbound.change({A: RouteAttributes(), V6: RouteAttributes()})
    return outbound


def test_a_family_is_sent_again_alone() -> None:
    outbound = both_families(enhanced=False)
    outbound.flush()

    outbound.resend(AddressFamily.IPV6)
    assert told(outbound.flush()) == [str(V6)]
    outbound.resend(AddressFamily.IPV4)
    assert told(outbound.flush()) == [str(A)]
    assert not outbound.has_news


def test_what_is_sent_again_is_bracketed_where_that_was_agreed() -> None:
    outbound = both_families(enhanced=True)
    outbound.complete()
    outbound.flush()

    outbound.resend(AddressFamily.IPV4)
    outbound.change({}, [V6])
    assert told(outbound.flush()) == ["BEGIN IPV4", str(A), f"-{V6}", "END IPV4"]
    assert not outbound.has_news

    outbound.resend(AddressFamily.IPV6)
    brackets = outbound.flush()
    assert told(brackets) == ["BEGIN IPV6", "END IPV6"]
    assert brackets is not None
    assert brackets.count == 0, "these are no UPDATEs"
    assert outbound.flush() is None


def test_the_bracket_closes_after_all_that_is_sent_again() -> None:
    outbound = both_families(enhanced=True)
    outbound.change({IPv4Network((number, 32)): RouteAttributes() for number in range(5000)})
    outbound.complete()
    while outbound.has_news:
        outbound.flush()

    outbound.resend(AddressFamily.IPV4)
    first, second = told(outbound.flush()), told(outbound.flush())
    assert first[0] == "BEGIN IPV4"
    assert second[-1] == "END IPV4"
    assert len(first) + len(second) == 5001 + 2


def test_a_refresh_waits_for_the_first_end_of_rib_where_restarts_are_graceful() -> None:
    outbound = both_families(enhanced=True, restarts=True)
    outbound.flush()
    outbound.resend(AddressFamily.IPV4)
    assert not outbound.has_news

    outbound.complete()
    assert told(outbound.flush()) == ["RIB IPV4", "RIB IPV6"]
    assert told(outbound.flush()) == ["BEGIN IPV4", str(A), "END IPV4"]


@pytest.mark.parametrize(("enhanced", "restarts"), [(True, False), (False, True)])
def test_otherwise_a_refresh_comes_at_once(enhanced: bool, restarts: bool) -> None:
    outbound = both_families(enhanced=enhanced, restarts=restarts)
    outbound.flush()
    outbound.resend(AddressFamily.IPV4)

    assert str(A) in told(outbound.flush())


def test_a_family_that_is_not_carried_is_not_sent_again() -> None:
    outbound = connected()
    outbound.resend(AddressFamily.IPV6)

    assert not outbound.has_news


def test_what_the_peer_asked_for_is_forgotten_with_the_session() -> None:
    outbound = both_families(enhanced=True)
    outbound.resend(AddressFamily.IPV4)
    outbound.close()
    outbound.complete()
    outbound.open(replace(terms(), enhanced_refresh=True), LocalAddresses(LOCAL))

    assert told(outbound.flush()) == [str(A), "RIB IPV4", "RIB IPV6"]
    assert not outbound.has_news


def test_both_families_have_next_hops_of_their_own() -> None:
    first, second = updates(both_families(enhanced=False).flush())

    assert first.reach[0].next_hop == LOCAL
    assert second.reach[0].next_hop == IPv6Address("fd00::1")
