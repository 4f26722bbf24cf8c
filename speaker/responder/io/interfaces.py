"""The kernel's tables of interfaces and of the subnets they are on, followed by the responder.

Short: it names which tables of ``speaker.linux.netlink`` the responder follows, and in what form.
"""

from __future__ import annotations

from metallb_py.protocols.rtnetlink import (
    ADDRESS_GROUPS,
    LINK_GROUP,
    request_addresses,
    request_links,
)
from speaker.linux.netlink import Netlink
from speaker.responder.links import LinkTable
from speaker.responder.subnets import SubnetTable


def follow_links() -> Netlink[LinkTable]:
    """Follow the network interfaces. Raises OSError where there is no netlink."""
    return Netlink(LinkTable(), LINK_GROUP, request_links)


def follow_subnets() -> Netlink[SubnetTable]:
    """Follow the subnets that they are on. Raises OSError where there is no netlink."""
    return Netlink(SubnetTable(), ADDRESS_GROUPS, request_addresses)
