"""Local addresses of this host, read over netlink, for the next hops of BGP.

Short: two queries over ``list_addresses``.
"""

from __future__ import annotations

import socket
from ipaddress import IPv4Address, IPv6Address, ip_address

from metallb_py.addresses import IPAddress
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.rtnetlink import SCOPE_LINK, SCOPE_UNIVERSE, UNFIT_FLAGS, Address
from speaker.linux.netlink import list_addresses


def addresses_beside(own: IPAddress, interface: str | None = None) -> LocalAddresses:
    """Return the first other address in each family of the interface that holds ``own``.

    ``interface`` selects one where several have the same link-local address. If no interface holds
    ``own``, there are no other addresses. Raises OSError if netlink is not available.
    """
    addresses = list_addresses()
    holders = [each.index for each in addresses if each.local == own.packed]
    if interface is not None:
        holders = [index for index in holders if index == _index_of(interface)]
    held = [each for each in addresses if each.index in holders[:1]]
    if isinstance(own, IPv4Address):
        return LocalAddresses(own, ipv6=_first_ipv6(held, SCOPE_UNIVERSE))
    ipv6 = _first_ipv6(held, SCOPE_UNIVERSE) if own.is_link_local else None
    return LocalAddresses(own, _first_ipv4(held), ipv6)


def link_local_address(interface: str) -> IPv6Address | None:
    """Return an interface's link-local address; None while it has none that is usable.

    An address is unusable during duplicate address detection, for example. Raises OSError if there
    is no such interface.
    """
    index = socket.if_nametoindex(interface)
    return _first_ipv6([each for each in list_addresses() if each.index == index], SCOPE_LINK)


def _index_of(interface: str) -> int | None:
    try:
        return socket.if_nametoindex(interface)
    except OSError:  # it was removed
        return None


def _first_ipv4(held: list[Address]) -> IPv4Address | None:
    found = (ip_address(each.local) for each in held)
    return next((address for address in found if isinstance(address, IPv4Address)), None)


def _first_ipv6(held: list[Address], scope: int) -> IPv6Address | None:
    fit = (each for each in held if each.scope == scope and not each.flags & UNFIT_FLAGS)
    found = (ip_address(each.local) for each in fit)
    return next((address for address in found if isinstance(address, IPv6Address)), None)
