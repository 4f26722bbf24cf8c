"""The interfaces that answer, each with a packet socket of its own."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from ipaddress import IPv4Address
from typing import Final

from metallb_py.protocols import ethernet
from metallb_py.protocols.arp import Operation, announcement
from metallb_py.protocols.ethernet import EtherType
from metallb_py.protocols.rtnetlink import IFF_LOWER_UP, Link
from speaker.drivers.packet_socket import FRAME_LIMIT, PacketSocket
from speaker.drivers.responder_messages import InterfaceState
from speaker.drivers.responder_tally import Tally
from speaker.layer2.answer import DropReason, answer
from speaker.layer2.gratuitous import EVERY_INTERFACE, Burst
from speaker.layer2.links import answers_arp
from speaker.layer2.packet_filter import arp_filter

# So many frames are read from one socket before the others have their turn.
FRAMES_PER_TURN: Final = 64
_ERROR: Final = "Error"


class Port:
    """One interface. ``link`` is replaced when its MAC address or its carrier changes."""

    __slots__ = ("link", "socket")

    def __init__(self, link: Link, program: bytes) -> None:
        self.link = link
        self.socket = PacketSocket(link.name, EtherType.ARP, program)


class Ports:
    """Opens and closes ports as interfaces come and go; answers and announces through them.

    ``watch`` is told of a new socket: its descriptor and what to call when it is readable;
    ``unwatch`` of one that is about to be closed.
    """

    def __init__(
        self,
        tally: Tally,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
    ) -> None:
        self._tally = tally
        self._watch = watch
        self._unwatch = unwatch
        self._owned: Collection[bytes] = frozenset()
        self._program = arp_filter(())
        self._ports: dict[int, Port] = {}
        self._errors: dict[int, InterfaceState] = {}
        self.states: tuple[InterfaceState, ...] = ()
        """Every interface that is to answer, and whether it does."""

    def own(self, addresses: frozenset[bytes]) -> None:
        """Answer for exactly these packed addresses."""
        self._owned = addresses
        self._program = arp_filter(addresses)
        for index, port in tuple(self._ports.items()):
            try:
                port.socket.attach(self._program)
            except OSError as error:
                self._close(index)
                self._fail(index, port.link.name, error)
        self._sum_up()

    def reconcile(self, links: Mapping[int, Link]) -> tuple[int, ...]:
        """Follow the interfaces. Returns the indexes of those whose neighbors must hear of us.

        These are the new ones, those whose carrier is back, and those with a new MAC address.
        """
        wanted = {index: link for index, link in links.items() if answers_arp(link)}
        for index in self._errors.keys() - wanted.keys():
            del self._errors[index]
        for index, port in tuple(self._ports.items()):
            if index not in wanted or wanted[index].name != port.link.name:
                self._close(index)
        news = tuple(index for index, link in wanted.items() if self._update(index, link))
        self._sum_up()
        return news

    def burst(self, burst: Burst) -> None:
        """Announce an address: a request and a reply on each interface, or on one of them."""
        if burst.interface == EVERY_INTERFACE:
            ports = tuple(self._ports.values())
        else:
            ports = tuple(p for i, p in self._ports.items() if i == burst.interface)
        for port in ports:
            for operation in Operation:
                self._announce(port, burst.address, operation)

    def _announce(self, port: Port, address: bytes, operation: Operation) -> None:
        frame = announcement(port.link.mac, IPv4Address(address), operation)
        try:
            port.socket.send(ethernet.encode(frame))
        except OSError as error:
            self._tally.not_announced(port.link.name, address, error)
        else:
            self._tally.announced(address)

    def _update(self, index: int, link: Link) -> bool:
        """Open or refresh a port. Returns whether its neighbors must hear of us."""
        port = self._ports.get(index)
        if port is None:
            return self._open(index, link) and bool(link.flags & IFF_LOWER_UP)
        before = port.link
        port.link = link
        returned = link.flags & ~before.flags & IFF_LOWER_UP
        moved = before.mac != link.mac
        return bool(returned or moved)

    def _open(self, index: int, link: Link) -> bool:
        try:
            port = Port(link, self._program)
        except OSError as error:
            self._fail(index, link.name, error)
            return False
        self._errors.pop(index, None)
        self._ports[index] = port
        self._watch(port.socket.fileno(), lambda: self._serve(port))
        return True

    def _close(self, index: int) -> None:
        port = self._ports.pop(index)
        self._unwatch(port.socket.fileno())
        port.socket.close()

    def _fail(self, index: int, name: str, error: OSError) -> None:
        self._errors[index] = InterfaceState(name, error.strerror or str(error))

    def _sum_up(self) -> None:
        working = (InterfaceState(port.link.name, "") for port in self._ports.values())
        self.states = (*working, *self._errors.values())

    def _serve(self, port: Port) -> None:
        """Answer what is waiting on a port. The hot path: each call in it costs a percent."""
        tally, owned, mac = self._tally, self._owned, port.link.mac
        receive, send = port.socket.recv, port.socket.send
        try:
            for _ in range(FRAMES_PER_TURN):
                reply = answer(receive(FRAME_LIMIT), mac, owned)
                if isinstance(reply, DropReason):
                    tally.drop(reply)
                    continue
                address = reply[28:32]  # sender IP: the address that was asked for
                try:
                    send(reply)
                except OSError as error:
                    tally.not_answered(port.link.name, address, error)
                else:
                    tally.answered(address)
        except BlockingIOError:
            pass
        except OSError:
            # The interface went down or away; netlink tells which, and when it is back.
            tally.drop(_ERROR)
