"""Follows the addresses of the network interfaces through a netlink socket."""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Mapping

from metallb_py.protocols.rtnetlink import ADDRESS_GROUPS, decode, request_addresses
from speaker.layer2.subnets import Subnet, SubnetTable

_DATAGRAM_LIMIT = 1 << 16
# The kernel answers at once; after so many milliseconds we go on with what events and the next
# list tell.
_LIST_PATIENCE = 1000


class Subnets:
    """A non-blocking netlink socket, and the table of what was heard on it.

    Complete from the start: the constructor waits for the first list, so that nobody is told of a
    node without subnets. Raises OSError where there is no netlink.
    """

    def __init__(self) -> None:
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        self._socket.bind((0, ADDRESS_GROUPS))
        self._table = SubnetTable()
        self.resync()
        self._read_first_list()

    @property
    def subnets(self) -> Mapping[int, frozenset[Subnet]]:
        """The subnets of each interface, by index."""
        return self._table.subnets()

    def fileno(self) -> int:
        """Return the descriptor to wait on; when it is readable, call ``receive``."""
        return self._socket.fileno()

    def resync(self) -> None:
        """Ask for the complete list, in case an event was lost."""
        self._socket.send(request_addresses(self._table.list_requested()))

    def receive(self) -> None:
        """Read one datagram and bring the table up to date."""
        try:
            data = self._socket.recv(_DATAGRAM_LIMIT)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self.resync()  # events came faster than we read, and some are lost
            return
        if not self._table.receive(decode(data)):
            self.resync()

    def _read_first_list(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not self._table.listed and poll.poll(_LIST_PATIENCE):
            self.receive()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
