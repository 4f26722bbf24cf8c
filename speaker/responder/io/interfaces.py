"""Netlink subscriptions of the responder: the kernel's interfaces and their subnets.

Short: it binds ``speaker.linux.netlink`` to the responder's tables.
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
    """Follow the network interfaces. Raises OSError if netlink is not available."""
    return Netlink(LinkTable(), LINK_GROUP, request_links)


def follow_subnets() -> Netlink[SubnetTable]:
    """Follow the subnets of the interfaces. Raises OSError if netlink is not available."""
    return Netlink(SubnetTable(), ADDRESS_GROUPS, request_addresses)
