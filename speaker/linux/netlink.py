"""Follows one of the kernel's tables through a netlink socket.

/sys/class/net would be simpler, but shows the namespace that mounted it, which need not be ours.
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

# Larger than any part of a list (the kernel makes them up to 32 KiB).
_DATAGRAM_LIMIT = 1 << 16
# The kernel answers at once; after so many milliseconds we go on with what events and the next
# list tell.
_LIST_PATIENCE = 1000
_LIST_ATTEMPTS = 3


class Table(Protocol):
    """What a KernelTable is to the socket that feeds it."""

    listed: bool

    def list_requested(self) -> int: ...

    def receive(self, messages: Iterable[Message]) -> bool: ...


T = TypeVar("T", bound=Table)


class Netlink(Generic[T]):
    """A non-blocking netlink socket, and the table of what was heard on it.

    ``groups`` are told of changes; ``request`` makes the question for a complete list. Complete
    from the start: the constructor waits for the first list. Raises OSError where there is no
    netlink.
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
        """Return the descriptor to wait on; when it is readable, call ``receive``."""
        return self._socket.fileno()

    def resync(self) -> None:
        """Ask for the complete list, in case an event was lost. The answer comes as events do.

        While an earlier list is being read the kernel refuses a second one, which is then asked
        for again at the end of the first.
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
            self.resync()  # events came faster than we read, and some are lost
            return
        if not self.table.receive(decode(data)):
            self.resync()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _read_first_list(self) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        while not self.table.listed and poll.poll(_LIST_PATIENCE):
            self.receive()


def list_addresses() -> tuple[Address, ...]:
    """Return the addresses of all interfaces, as they are now. Raises OSError."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as sock:
        sock.settimeout(_LIST_PATIENCE / 1000)
        found, complete = _listed(sock, 1)
        for number in range(2, _LIST_ATTEMPTS + 1):
            if complete:
                break
            found, complete = _listed(sock, number)
    return tuple(found)


def _listed(sock: socket.socket, number: int) -> tuple[list[Address], bool]:
    """Return one list, and whether no change came in between."""
    found: list[Address] = []
    sock.send(request_addresses(number))
    while True:
        for message in decode(sock.recv(_DATAGRAM_LIMIT)):
            match message:
                case Address():
                    found.append(message)
                case DumpDone(_, complete):
                    return found, complete
