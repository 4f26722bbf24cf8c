from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from support.bgp.messages import messages

from metallb_py.addresses import AddressFamily, IPAddress
from metallb_py.model.peers import SessionParameters
from metallb_py.model.route_attributes import Community, RouteAttributes
from metallb_py.protocols.bgp.codec.capabilities import GracefulRestart
from metallb_py.protocols.bgp.codec.messages import Refresh, RefreshKind
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.negotiation import NegotiatedSession
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.rib.update_sender import (
    GRACEFUL_SHUTDOWN,
    NOTHING,
    Flush,
    UpdateSender,
)

LOCAL = IPv4Address("10.0.0.1")
A = IPv4Network("192.0.2.1/32")
V6 = IPv6Network("2001:db8::1/128")
B = IPv4Network("192.0.2.2/32")
END_V4 = bytes.fromhex("ff" * 16 + "00170200000000")
END_V6 = bytes.fromhex("ff" * 16 + "001d0200000006800f03000201")
END = Flush(END_V4 + END_V6, 2)
BOTH = frozenset(AddressFamily)
V4_ENDS, V6_ENDS = (Update(end_of_rib=family) for family in AddressFamily)


def terms(*, peer_asn: int = 64513, families: frozenset[AddressFamily] = BOTH) -> NegotiatedSession:
    return NegotiatedSession(64512, peer_asn, IPv4Address(9), 90, 30.0, True, families)


def connected(local: IPAddress = LOCAL, *, peer_asn: int = 64513) -> UpdateSender:
    sender = UpdateSender(SessionParameters(64512, 64513))
    sender.open(terms(peer_asn=peer_asn), LocalAddresses(local))
    return sender


def updates(flush: Flush | None) -> list[Update]:
    assert flush is not None
    sent = messages(flush.data)
    found = [message for message in sent if isinstance(message, Update)]
    assert len(found) == len(sent) == flush.count
    return found


def test_end_of_rib_follows_all_routes_after_the_initial_sync() -> None:
    sender = connected()
    sender.change({A: RouteAttributes()})
    sender.change({}, complete=True)

    (route, *ends) = updates(sender.flush())
    assert route.reach[0].prefixes == (A,)
    assert ends == [V4_ENDS, V6_ENDS]
    assert sender.flush() is None


def test_end_of_rib_is_not_sent_before_the_initial_sync_is_done() -> None:
    sender = connected()
    sender.change({A: RouteAttributes()})
    assert len(updates(sender.flush())) == 1
    assert not sender.has_pending

    sender.change({}, complete=True)
    assert sender.has_pending
    assert sender.flush() == END


def test_end_of_rib_is_sent_without_any_route() -> None:
    sender = connected()
    sender.change({}, complete=True)
    assert sender.flush() == END


@pytest.mark.parametrize(
    ("family", "end"), [(AddressFamily.IPV4, END_V4), (AddressFamily.IPV6, END_V6)]
)
def test_each_negotiated_family_gets_end_of_rib_even_if_not_carried(
    family: AddressFamily, end: bytes
) -> None:
    sender = UpdateSender(SessionParameters(64512, 64513))
    sender.open(terms(families=frozenset({family})), LocalAddresses(LOCAL))
    sender.change({}, complete=True)
    assert sender.flush() == Flush(end, 1)


def test_every_session_gets_end_of_rib() -> None:
    sender = connected()
    sender.change({}, complete=True)
    sender.flush()
    sender.close()
    assert not sender.has_pending

    sender.open(terms(), LocalAddresses(LOCAL))
    assert sender.flush() == END


def test_end_of_rib_follows_thousands_of_routes() -> None:
    sender = connected()
    sender.change({IPv4Network((number, 32)): RouteAttributes() for number in range(5000)})
    sender.change({}, complete=True)

    first, second = updates(sender.flush()), updates(sender.flush())
    assert not any(update.end_of_rib for update in first)
    assert second[-2:] == [V4_ENDS, V6_ENDS]
    assert sum(update.end_of_rib is not None for update in second) == 2


@pytest.mark.parametrize(("peer_asn", "local_pref"), [(64513, None), (64512, 0)])
def test_drain_readvertises_every_route_with_graceful_shutdown(
    peer_asn: int, local_pref: int | None
) -> None:
    sender = connected(peer_asn=peer_asn)
    sender.change(
        {A: RouteAttributes(300, frozenset({Community(64512 << 16)})), B: RouteAttributes(300)}
    )
    sender.flush()
    sender.drain()

    readvertised = updates(sender.flush())
    assert {
        u.reach[0].prefixes: u.attributes.communities for u in readvertised if u.attributes
    } == {
        (A,): (64512 << 16, GRACEFUL_SHUTDOWN),
        (B,): (GRACEFUL_SHUTDOWN,),
    }
    assert {u.attributes.local_pref for u in readvertised if u.attributes} == {local_pref}


def test_withdraw_all_withdraws_every_sent_route_at_once() -> None:
    sender = connected()
    sender.change({A: RouteAttributes(), B: RouteAttributes()})
    sender.flush()
    sender.change({}, [A])  # not sent yet

    (withdrawal,) = updates(sender.withdraw_all())
    assert set(withdrawal.withdrawn) == {A, B}
    assert not sender.has_pending


def test_withdraw_all_omits_routes_that_were_never_sent() -> None:
    sender = UpdateSender(SessionParameters(64512, 64513))
    sender.change({A: RouteAttributes()})
    assert sender.withdraw_all() == NOTHING
    sender.open(terms(), LocalAddresses(LOCAL))
    assert sender.withdraw_all() == NOTHING


def test_an_ipv6_prefix_waits_for_a_session_that_carries_it() -> None:
    sender = connected()
    sender.change({IPv6Network("2001:db8::1/128"): RouteAttributes()})
    assert not sender.has_pending
    assert sender.counts.not_carried == 1


# Route refresh (RFC 2918 and RFC 7313)


def summary(flush: Flush | None) -> list[str]:
    """Return the prefixes, refresh brackets and End-of-RIBs of a flush, in order."""
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


def both_families(*, enhanced: bool, restarts: bool = False) -> UpdateSender:
    """Return an open sender with a route in each family, nothing sent yet."""
    sender = UpdateSender(SessionParameters(64512, 64513))
    agreed = replace(
        terms(), enhanced_refresh=enhanced, peer_restart=GracefulRestart(0) if restarts else None
    )
    sender.open(agreed, LocalAddresses(LOCAL, ipv6=IPv6Address("fd00::1")))
    sender.change({A: RouteAttributes(), V6: RouteAttributes()})
    return sender


def test_route_refresh_resends_only_its_family() -> None:
    sender = both_families(enhanced=False)
    sender.flush()

    sender.resend(AddressFamily.IPV6)
    assert summary(sender.flush()) == [str(V6)]
    sender.resend(AddressFamily.IPV4)
    assert summary(sender.flush()) == [str(A)]
    assert not sender.has_pending


def test_enhanced_route_refresh_is_bracketed_by_borr_and_eorr() -> None:
    sender = both_families(enhanced=True)
    sender.change({}, complete=True)
    sender.flush()

    sender.resend(AddressFamily.IPV4)
    sender.change({}, [V6])
    assert summary(sender.flush()) == ["BEGIN IPV4", str(A), f"-{V6}", "END IPV4"]
    assert not sender.has_pending

    sender.resend(AddressFamily.IPV6)
    brackets = sender.flush()
    assert summary(brackets) == ["BEGIN IPV6", "END IPV6"]
    assert brackets is not None
    assert brackets.count == 0, "the brackets are no UPDATEs"
    assert sender.flush() is None


def test_eorr_follows_all_resent_routes() -> None:
    sender = both_families(enhanced=True)
    sender.change({IPv4Network((number, 32)): RouteAttributes() for number in range(5000)})
    sender.change({}, complete=True)
    while sender.has_pending:
        sender.flush()

    sender.resend(AddressFamily.IPV4)
    first, second = summary(sender.flush()), summary(sender.flush())
    assert first[0] == "BEGIN IPV4"
    assert second[-1] == "END IPV4"
    assert len(first) + len(second) == 5001 + 2


def test_route_refresh_waits_for_end_of_rib_with_graceful_restart() -> None:
    sender = both_families(enhanced=True, restarts=True)
    sender.flush()
    sender.resend(AddressFamily.IPV4)
    assert not sender.has_pending

    sender.change({}, complete=True)
    assert summary(sender.flush()) == ["RIB IPV4", "RIB IPV6"]
    assert summary(sender.flush()) == ["BEGIN IPV4", str(A), "END IPV4"]


@pytest.mark.parametrize(("enhanced", "restarts"), [(True, False), (False, True)])
def test_route_refresh_is_otherwise_sent_at_once(enhanced: bool, restarts: bool) -> None:
    sender = both_families(enhanced=enhanced, restarts=restarts)
    sender.flush()
    sender.resend(AddressFamily.IPV4)

    assert str(A) in summary(sender.flush())


def test_route_refresh_of_a_family_not_carried_sends_nothing() -> None:
    sender = connected()
    sender.resend(AddressFamily.IPV6)

    assert not sender.has_pending


def test_pending_route_refresh_is_dropped_with_its_session() -> None:
    sender = both_families(enhanced=True)
    sender.resend(AddressFamily.IPV4)
    sender.close()
    sender.change({}, complete=True)
    sender.open(replace(terms(), enhanced_refresh=True), LocalAddresses(LOCAL))

    assert summary(sender.flush()) == [str(A), "RIB IPV4", "RIB IPV6"]
    assert not sender.has_pending


def test_each_family_has_its_own_next_hop() -> None:
    first, second = updates(both_families(enhanced=False).flush())

    assert first.reach[0].next_hop == LOCAL
    assert second.reach[0].next_hop == IPv6Address("fd00::1")
