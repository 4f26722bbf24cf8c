"""Membership in IPv6 multicast groups on one interface (RFC 3493 section 5.2).

A solicitation goes to a group that is made from the address. The interface lets the group's
frames in, and switches that listen to MLD let them through, only for members.
"""

from __future__ import annotations

import socket
from pathlib import Path
from struct import Struct

_MEMBERSHIP = Struct("=16sI")  # struct ipv6_mreq: group, interface index
_SETTINGS = Path("/proc/sys/net/ipv6/conf")


def ipv6_enabled(interface: str) -> bool:
    """Whether the kernel speaks IPv6 on an interface of this process' network namespace."""
    try:
        return (_SETTINGS / interface / "disable_ipv6").read_text().strip() == "0"
    except OSError:
        return False  # no IPv6 in this kernel, or the interface is gone


class Groups:
    """The groups that one interface is a member of. To close it is to leave them all.

    Raises OSError where the kernel has no IPv6.
    """

    __slots__ = ("_index", "_joined", "_socket")

    def __init__(self, index: int) -> None:
        self._index = index
        self._joined: set[bytes] = set()
        self._socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)

    def follow(self, wanted: frozenset[bytes]) -> str:
        """Be a member of exactly these packed groups.

        Returns why some could not be joined, empty where all were; to call it again tries again.
        """
        for group in self._joined - wanted:
            self._set(socket.IPV6_LEAVE_GROUP, group)
        self._joined &= wanted
        error = ""
        for group in wanted - self._joined:
            failure = self._set(socket.IPV6_JOIN_GROUP, group)
            if not failure:
                self._joined.add(group)
            error = error or failure
        return error and f"failed to join a multicast group: {error}"

    def close(self) -> None:
        """Leave all groups."""
        self._socket.close()

    def _set(self, option: int, group: bytes) -> str:
        try:
            self._socket.setsockopt(
                socket.IPPROTO_IPV6, option, _MEMBERSHIP.pack(group, self._index)
            )
        except OSError as error:
            return error.strerror or str(error)
        return ""
