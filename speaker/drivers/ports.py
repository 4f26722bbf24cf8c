"""The interfaces that answer, each with a packet socket for each protocol."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from time import monotonic
from typing import Final

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.ndp import solicited_group
from metallb_py.protocols.rtnetlink import IFF_LOWER_UP, Link
from speaker.drivers.groups import Groups, ipv6_enabled
from speaker.drivers.packet_socket import FRAME_LIMIT, PacketSocket
from speaker.drivers.responder_messages import InterfaceState
from speaker.drivers.responder_tally import Tally
from speaker.layer2.answer import DropReason
from speaker.layer2.askers import Askers
from speaker.layer2.gratuitous import EVERY_INTERFACE, Burst
from speaker.layer2.links import answers_arp
from speaker.layer2.resolution import ARP, NDP, Resolution

# So many frames are read from one socket before the others have their turn.
FRAMES_PER_TURN: Final = 64
# After an answer the next request is often on its way already. To look a few times more, in a
# turn, costs a microsecond each; to fall asleep and be woken costs more.
LOOKS: Final = 10
# So many different frames are remembered with their replies, on each port.
REPLIES_LIMIT: Final = 4096
_PROTOCOLS: Final = (ARP, NDP)
_GROUP_BIT: Final = 1
_Key = tuple[int, Resolution]


class Port:
    """One protocol on one interface.

    ``link`` is replaced when its MAC address or its carrier changes. ``groups`` is None where the
    protocol asks by broadcast. ``error`` says what does not work, though the rest does.
    ``replies`` are those to frames that came lately, each with the address that it is about:
    neighbors ask in the same words again and again.
    """

    __slots__ = ("error", "groups", "link", "protocol", "replies", "socket")

    def __init__(self, link: Link, protocol: Resolution, program: bytes) -> None:
        self.link = link
        self.protocol = protocol
        self.error = ""
        self.replies: dict[bytes, tuple[bytes, bytes]] = {}
        self.groups: Groups | None = None
        self.socket = PacketSocket(link.name, protocol.ether_type, program)
        if protocol is NDP:
            try:
                self.groups = Groups(link.index)
            except OSError:
                self.socket.close()
                raise

    def close(self) -> None:
        """Close everything."""
        self.socket.close()
        if self.groups is not None:
            self.groups.close()


class Ports:
    """Opens and closes ports as interfaces come and go; answers and announces through them.

    ``watch`` is told of a new socket: its descriptor and what to call when it is readable;
    ``unwatch`` of one that is about to be closed. Interfaces whose names are ``excluded`` get none.
    """

    def __init__(
        self,
        tally: Tally,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        excluded: Callable[[str], bool],
    ) -> None:
        self._tally = tally
        self._watch = watch
        self._unwatch = unwatch
        self._excluded = excluded
        self._links: Mapping[int, Link] = {}
        self._owned = {protocol: frozenset[bytes]() for protocol in _PROTOCOLS}
        self._programs = {protocol: protocol.program(()) for protocol in _PROTOCOLS}
        self._groups: frozenset[bytes] = frozenset()
        self._askers = Askers()
        self._macs: frozenset[bytes] = frozenset()  # of the interfaces that answer
        self._ports: dict[_Key, Port] = {}
        self._errors: dict[_Key, InterfaceState] = {}
        self.states: tuple[InterfaceState, ...] = ()
        """Every interface that is to answer, once for each protocol, and whether it does."""

    @property
    def remembered(self) -> int:
        """The number of frames that are remembered with their replies."""
        return sum(len(port.replies) for port in self._ports.values())

    def own(self, addresses: frozenset[bytes]) -> None:
        """Answer for exactly these packed addresses."""
        for protocol in _PROTOCOLS:
            mine = frozenset(a for a in addresses if len(a) == protocol.address_length)
            if mine != self._owned[protocol]:
                self._owned[protocol] = mine
                self._programs[protocol] = protocol.program(mine)
                self._refilter(protocol)
        self._groups = frozenset(solicited_group(address) for address in self._owned[NDP])
        self.reconcile(self._links)

    def reconcile(self, links: Mapping[int, Link]) -> frozenset[int]:
        """Follow the interfaces. Returns the indexes of those whose neighbors must hear of us.

        These are the new ones, those whose carrier is back, and those with a new MAC address.
        """
        self._links = links
        wanted = self._wanted()
        for port in self._ports.values():
            port.replies.clear()  # made for what was owned, and for the MAC address of then
        for key in self._errors.keys() - wanted.keys():
            del self._errors[key]
        for key, port in tuple(self._ports.items()):
            if key not in wanted or wanted[key].name != port.link.name:
                self._close(key)
        news = frozenset(key[0] for key, link in wanted.items() if self._update(key, link))
        for port in self._ports.values():
            if port.groups is not None:
                port.error = port.groups.follow(self._groups)
        self._macs = frozenset(port.link.mac for port in self._ports.values())
        self._sum_up()
        return news

    def burst(self, burst: Burst) -> int:
        """Announce an address on each interface, or on one of them; return how many frames it took.

        Where it was taken over, those who asked for it before are told one by one.
        """
        address, taken = burst.address, burst.takeover
        asked = () if taken is None else self._askers.before(address, taken)
        count = 0
        for (index, protocol), port in self._ports.items():
            if len(address) != protocol.address_length:
                continue
            if burst.interface not in (index, EVERY_INTERFACE):
                continue
            mac = port.link.mac
            frames = protocol.announcements(mac, address)
            if taken is not None:
                frames += protocol.introductions(mac, address)
            frames += tuple(
                protocol.telling(mac, address, asker) for asker in asked if asker.interface == index
            )
            for frame in frames:
                self._announce(port, address, frame)
            count += len(frames)
        return count

    def count_overruns(self) -> None:
        """Count what the kernel dropped because we were too slow."""
        for port in self._ports.values():
            if overruns := port.socket.overruns():
                self._tally.drop(DropReason.OVERRUN, overruns)

    def _wanted(self) -> dict[_Key, Link]:
        """Return what is to be open.

        All IPv6 traffic of a node passes a neighbor discovery port's filter, so there are none
        while there is nothing to answer.
        """
        answering = {
            index: link
            for index, link in self._links.items()
            if answers_arp(link) and not self._excluded(link.name)
        }
        wanted: dict[_Key, Link] = {(index, ARP): link for index, link in answering.items()}
        if self._owned[NDP]:
            wanted |= {
                (index, NDP): link for index, link in answering.items() if ipv6_enabled(link.name)
            }
        return wanted

    def _announce(self, port: Port, address: bytes, frame: bytes) -> None:
        try:
            port.socket.send(frame)
        except OSError as error:
            self._tally.not_announced(port.link.name, address, error)
        else:
            self._tally.announced(address)

    def _refilter(self, protocol: Resolution) -> None:
        for key, port in tuple(self._ports.items()):
            if port.protocol is not protocol:
                continue
            try:
                port.socket.attach(self._programs[protocol])
            except OSError:
                self._close(key)  # and open it anew, which tells what is wrong

    def _update(self, key: _Key, link: Link) -> bool:
        """Open or refresh a port. Returns whether its neighbors must hear of us."""
        port = self._ports.get(key)
        if port is None:
            return self._open(key, link) and bool(link.flags & IFF_LOWER_UP)
        before = port.link
        port.link = link
        returned = link.flags & ~before.flags & IFF_LOWER_UP
        moved = before.mac != link.mac
        return bool(returned or moved)

    def _open(self, key: _Key, link: Link) -> bool:
        protocol = key[1]
        try:
            port = Port(link, protocol, self._programs[protocol])
        except OSError as error:
            text = error.strerror or str(error)
            self._errors[key] = InterfaceState(link.name, protocol.name, text)
            return False
        self._errors.pop(key, None)
        self._ports[key] = port
        self._watch(port.socket.fileno(), lambda: self._serve(port))
        return True

    def _close(self, key: _Key) -> None:
        port = self._ports.pop(key)
        self._unwatch(port.socket.fileno())
        port.close()

    def _sum_up(self) -> None:
        working = (
            InterfaceState(port.link.name, port.protocol.name, port.error)
            for port in self._ports.values()
        )
        self.states = (*working, *self._errors.values())

    def _serve(self, port: Port) -> None:
        """Answer what is waiting on a port. The hot path: each call in it costs a percent."""
        replies, receive, send = port.replies, port.socket.recv, port.socket.send
        answered: list[bytes] = []
        looks = LOOKS
        for _ in range(FRAMES_PER_TURN):
            try:
                frame = receive(FRAME_LIMIT)
            except BlockingIOError:
                looks -= 1
                if looks and answered:
                    continue
                break
            except OSError:
                # The interface went down or away; netlink tells which, and when it is back.
                self._tally.drop(DropReason.ERROR)
                break
            found = replies.get(frame) or self._consider(port, frame)
            if found is None:
                continue
            reply, address = found
            try:
                send(reply)
            except OSError as error:
                self._tally.not_answered(port.link.name, address, error)
            else:
                answered.append(address)
        self._tally.answered(answered)

    def _consider(self, port: Port, frame: bytes) -> tuple[bytes, bytes] | None:
        """Make the reply to a frame that did not come lately; remember it, or count why not."""
        protocol = port.protocol
        reply = protocol.answer(frame, port.link.mac, self._owned[protocol], self._macs)
        if isinstance(reply, DropReason):
            self._tally.drop(reply)
            return None
        if len(port.replies) >= REPLIES_LIMIT:
            port.replies.clear()
        address, asker = reply[protocol.address_in], reply[protocol.asker_in]
        if any(asker) and not reply[0] & _GROUP_BIT:  # no probe, no search for duplicates
            mac = MacAddress(reply[:6])
            self._askers.note(address, port.link.index, mac, asker, monotonic())
        found = port.replies[frame] = (reply, address)
        return found
