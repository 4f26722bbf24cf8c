"""Netlink socket that keeps a mirror of one of the kernel's tables up to date.

/sys/class/net would be simpler, but shows the network namespace in which it was mounted, which
need not be ours.
"""

from __future__ import annotations

import errno
import select
import socket
from collections.abc import Callable, Iterable
from typing import Generic, Protocol, TypeVar

from metallb_py.protocols.rtnetlink import (
    Address,
    DumpDone,
    Message,
    decode,
    request_addresses,
)

# Larger than any part of a dump (the kernel makes them up to 32 KiB).
_DATAGRAM_LIMIT = 1 << 16
# Milliseconds to wait for a list, which the kernel sends at once. After them the table is filled by
# events and the next list.
_LIST_TIMEOUT = 1000
_LIST_ATTEMPTS = 3


class Table(Protocol):
    """The part of a KernelTable that the socket uses."""

    listed: bool
    """Whether a complete list was read since the start."""

    def list_requested(self) -> int:
        """Begin a complete list; return the sequence number for the request."""

    def receive(self, messages: Iterable[Message]) -> bool:
        """Apply messages of the kernel. Return False if the list must be repeated."""


T = TypeVar("T", bound=Table)


class Netlink(Generic[T]):
    """A non-blocking netlink socket, and the table that its messages update.

    ``groups`` are the multicast groups for changes; ``request`` encodes the request for a complete
    list with a sequence number. The constructor waits for the first list, so that the table is
    complete from the start. Raises OSError if netlink is not available.
    """

    def __init__(self, table: T, groups: int, request: Callable[[int], bytes]) -> None:
        self.table = table
        self._request = request
        self._socket = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        try:
            self._socket.bind((0, groups))
            self.resync()
            self._read_first_list()
        except OSError:
            self._socket.close()
            raise

    def fileno(self) -> int:
        """Return the descriptor to wait on; when it is readable, ``receive`` is to be called."""
        return self._socket.fileno()

    def resync(self) -> None:
        """Request a complete list, in case an event was lost. The reply is read by ``receive``.

        While an earlier list is being sent, the kernel refuses a second one, which is then
        requested again at the end of the first.
        """
        self._socket.send(self._request(self.table.list_requested()))

    def receive(self) -> None:
        """Read one datagram and bring the table up to date."""
        try:
            data = self._socket.recv(_DATAGRAM_LIMIT)
        except BlockingIOError:
            return
        except OSError as error:
            if error.errno != errno.ENOBUFS:
                raise
            self.resync()  # the socket's buffer overflowed, and events are lost
            return
        if not self.table.receive(decode(data)):
            self.resync()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _read_first_list(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not self.table.listed and poll.poll(_LIST_TIMEOUT):
            self.receive()


def list_addresses() -> tuple[Address, ...]:
    """Return the current addresses of all interfaces. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_LIST_TIMEOUT / 1000)
        found, complete = _listed(sock, 1)
        for number in range(2, _LIST_ATTEMPTS + 1):
            if complete:
                break
            found, complete = _listed(sock, number)
    return tuple(found)


def _listed(sock: socket.socket, number: int) -> tuple[list[Address], bool]:
    """Return one list, and whether it is consistent: no change occurred while it was made."""
    found: list[Address] = []
    sock.send(request_addresses(number))
    while True:
        for message in decode(sock.recv(_DATAGRAM_LIMIT)):
            match message:
                case Address():
                    found.append(message)
                case DumpDone(_, complete):
                    return found, complete
