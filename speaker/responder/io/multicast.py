"""Membership in IPv6 multicast groups on one interface (RFC 3493 section 5.2).

A neighbor solicitation is sent to the solicited-node group of the address. Only for members does
the interface accept the group's frames, and do switches with MLD snooping forward them.
"""

from __future__ import annotations

import contextlib
import errno
import socket
from pathlib import Path
from struct import Struct

_MEMBERSHIP = Struct("=16sI")  # struct ipv6_mreq: group, interface index
_FULL = (errno.ENOMEM, errno.ENOBUFS)
_SETTINGS = Path("/proc/sys/net/ipv6/conf")


def ipv6_enabled(interface: str) -> bool:
    """Whether IPv6 is enabled on an interface of this process' network namespace."""
    try:
        return (_SETTINGS / interface / "disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False  # no IPv6 in this kernel, or the interface is gone


class Groups:
    """The groups of which one interface is a member. ``close`` leaves all of them.

    The kernel limits the groups that one socket can join to some thousand (net.core.optmem_max),
    so there are as many sockets as needed. Raises OSError if the kernel has no IPv6.
    """

    __slots__ = ("_followed", "_index", "_joined", "_sockets")

    def __init__(self, index: int) -> None:
        self._index = index
        self._followed: frozenset[bytes] | None = None  # the last set that was joined completely
        self._joined: dict[bytes, socket.socket] = {}
        self._sockets = [_open()]

    def follow(self, wanted: frozenset[bytes]) -> str:
        """Join and leave groups so that the interface is a member of exactly these packed groups.

        Return the first error, as text; empty if all groups were joined. A further call retries.
        """
        if wanted is self._followed:
            return ""
        for group in self._joined.keys() - wanted:
            with contextlib.suppress(OSError):  # the membership ended with the interface
                self._set(self._joined.pop(group), socket.IPV6_LEAVE_GROUP, group)
        failure: OSError | None = None
        for group in wanted - self._joined.keys():
            try:
                self._join(group)
            except OSError as error:
                failure = failure or error
        self._followed = None if failure else wanted
        return f"failed to join a multicast group: {failure.strerror}" if failure else ""

    def close(self) -> None:
        """Leave all groups."""
        for each in self._sockets:
            each.close()

    def _join(self, group: bytes) -> None:
        try:
            self._set(self._sockets[-1], socket.IPV6_JOIN_GROUP, group)
        except OSError as error:
            if error.errno not in _FULL:
                raise
            fresh = _open()
            try:
                self._set(fresh, socket.IPV6_JOIN_GROUP, group)
            except OSError:
                fresh.close()
                raise
            self._sockets.append(fresh)
        self._joined[group] = self._sockets[-1]

    def _set(self, member: socket.socket, option: int, group: bytes) -> None:
        member.setsockopt(socket.IPPROTO_IPV6, option, _MEMBERSHIP.pack(group, self._index))


def _open() -> socket.socket:
    return socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
