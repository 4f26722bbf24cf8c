"""The interfaces that answer, each with a packet socket for each protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from time import monotonic
from types import MappingProxyType
from typing import Final

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.ndp import solicited_group
from metallb_py.protocols.rtnetlink import IFF_LOWER_UP, Link
from speaker.responder.arp import DropReason
from speaker.responder.gratuitous import EVERY_INTERFACE, Burst
from speaker.responder.io.counters import Tally
from speaker.responder.io.messages import BATCH, InterfaceState, WireState
from speaker.responder.io.multicast import Groups, ipv6_enabled
from speaker.responder.io.packet_socket import FRAME_LIMIT, PacketSocket
from speaker.responder.links import answers_arp
from speaker.responder.placement import Placed, Placement
from speaker.responder.protocols import ARP, NDP, Resolution
from speaker.responder.requesters import Askers
from speaker.responder.subnets import Subnet

# So many frames are read from one socket before the others have their turn.
FRAMES_PER_TURN: Final = 64
# So many answers go out in a row, where so many questions wait: to wake who waits for them costs
# more than an answer, and then it costs that once.
ANSWERS_AT_ONCE: Final = 16
# After an answer the next request is often on its way already. To look a few times more costs a
# microsecond each; to fall asleep and be woken costs more.
LOOKS: Final = 10
# So many different frames are remembered with their replies, on each port.
REPLIES_LIMIT: Final = 4096
_PROTOCOLS: Final = (ARP, NDP)
_GROUP_BIT: Final = 1
_Key = tuple[int, Resolution]
_NO_ADDRESSES: Final[Mapping[int, frozenset[bytes]]] = MappingProxyType({})
News = Mapping[int, frozenset[bytes]]


class Port:
    """One protocol on one interface.

    ``link`` is replaced when its MAC address or its carrier changes. ``groups`` is None where the
    protocol asks by broadcast. ``error`` says what does not work, though the rest does.
    ``replies`` are those to frames that came lately, each with the address that it is about:
    neighbors ask in the same words again and again. ``owned`` is what is answered for here, and
    ``solicited`` are the groups that it is asked for in.
    """

    __slots__ = ("error", "groups", "link", "owned", "protocol", "replies", "socket", "solicited")

    def __init__(self, link: Link, protocol: Resolution, owned: frozenset[bytes]) -> None:
        self.link = link
        self.protocol = protocol
        self.owned = owned
        self.solicited = _groups(owned)
        self.error = ""
        self.replies: dict[bytes, tuple[bytes, bytes]] = {}
        self.groups: Groups | None = None
        self.socket = PacketSocket(link.name, protocol.ether_type, protocol.program(owned))
        if protocol is NDP:
            try:
                self.groups = Groups(link.index)
            except OSError:
                self.socket.close()
                raise

    def own(self, owned: frozenset[bytes]) -> None:
        """Answer for exactly these addresses. Raises OSError."""
        if owned is not self.owned:
            self.socket.attach(self.protocol.program(owned))
            self.owned = owned
            self.solicited = _groups(owned)

    def close(self) -> None:
        """Close everything."""
        self.socket.close()
        if self.groups is not None:
            self.groups.close()


class Ports:
    """Opens and closes ports as interfaces come and go; answers and announces through them.

    ``watch`` is told of a new socket: its descriptor and what to call when it is readable;
    ``unwatch`` of one that is about to be closed. Interfaces whose names are ``excluded`` get none.
    ``on_claim`` is told of each of our addresses that somebody else says is his. With
    ``any_interface`` the others answer for all addresses, be they on their subnet or not.
    """

    def __init__(
        self,
        tally: Tally,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        excluded: Callable[[str], bool],
        on_claim: Callable[[bytes], None],
        *,
        any_interface: bool = False,
    ) -> None:
        self._tally = tally
        self._watch = watch
        self._unwatch = unwatch
        self._excluded = excluded
        self._on_claim = on_claim
        self._placement = Placement(any_interface=any_interface)
        self._links: Mapping[int, Link] = {}
        self._subnets: Mapping[int, frozenset[Subnet]] = {}
        self._addresses: Mapping[int, frozenset[bytes]] = {}
        self._owned: Mapping[bytes, tuple[str, ...]] = {}
        self._known: Set[bytes] = frozenset()  # what was owned when the ports were looked at
        self._askers = Askers()
        self._macs: frozenset[bytes] = frozenset()  # of the interfaces that answer
        self._ports: dict[_Key, Port] = {}
        self._errors: dict[_Key, InterfaceState] = {}
        self.states: tuple[InterfaceState, ...] = ()
        """Every interface that is to answer, once for each protocol, and whether it does."""
        self.wires: tuple[WireState, ...] = ()
        """Every interface that is to answer, with its subnets and addresses; empty where they are
        too many.
        """

    @property
    def remembered(self) -> int:
        """The number of frames that are remembered with their replies."""
        return sum(len(port.replies) for port in self._ports.values())

    def own(self, owned: Mapping[bytes, tuple[str, ...]]) -> News:
        """Answer for exactly these packed addresses, each on the interfaces that these name.

        None means all. Returns what the neighbors must hear of, as ``reconcile`` does.
        """
        self._owned = owned
        return self.reconcile(self._links, self._subnets, self._addresses)

    def reconcile(
        self,
        links: Mapping[int, Link],
        subnets: Mapping[int, frozenset[Subnet]],
        addresses: Mapping[int, frozenset[bytes]] = _NO_ADDRESSES,
    ) -> News:
        """Follow the interfaces. Returns, by index, the addresses that neighbors must hear of.

        These are all of an interface that is new, whose carrier is back, or that has a new MAC
        address; and of others those that it answers for now, and others did before.
        """
        self._links, self._subnets, self._addresses = links, subnets, addresses
        answering = self._answering()
        wanted = _wanted(answering, self._placement.follow(self._owned, answering, subnets))
        for port in self._ports.values():
            port.replies.clear()  # made for what was owned, and for the MAC address of then
        for key in self._errors.keys() - wanted.keys():
            del self._errors[key]
        for key, port in tuple(self._ports.items()):
            if key not in wanted or wanted[key][0].name != port.link.name:
                self._close(key)
        news: dict[int, frozenset[bytes]] = {}
        for key, (link, owned) in wanted.items():
            news[key[0]] = news.get(key[0], frozenset()) | self._update(key, link, owned)
        for port in self._ports.values():
            if port.groups is not None:
                port.error = port.groups.follow(port.solicited)
        self._known = self._owned.keys()
        self._macs = frozenset(port.link.mac for port in self._ports.values())
        self._sum_up(answering.values())
        return {index: addresses for index, addresses in news.items() if addresses}

    def burst(self, burst: Burst) -> int:
        """Announce an address on each interface, or on one of them; return how many frames it took.

        Where it was taken over, those who asked for it before are told one by one.
        """
        address, taken = burst.address, burst.takeover
        asked = () if taken is None else self._askers.before(address, taken)
        count = 0
        for (index, protocol), port in self._ports.items():
            if address not in port.owned or burst.interface not in (index, EVERY_INTERFACE):
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
            if taken is not None:
                self._probe(port, address)
        return count

    def count_overruns(self) -> None:
        """Count what the kernel dropped because we were too slow."""
        for port in self._ports.values():
            if overruns := port.socket.overruns():
                self._tally.drop(DropReason.OVERRUN, overruns)

    def _answering(self) -> dict[int, Link]:
        return {
            index: link
            for index, link in self._links.items()
            if answers_arp(link) and not self._excluded(link.name)
        }

    def _announce(self, port: Port, address: bytes, frame: bytes) -> None:
        try:
            port.socket.send(frame)
        except OSError as error:
            self._tally.not_announced(port.link.name, address, error)
        else:
            self._tally.announced(address)

    def _probe(self, port: Port, address: bytes) -> None:
        """Ask whether somebody else has an address that was taken over (RFC 5227 section 2.1)."""
        try:
            port.socket.send(port.protocol.probe(port.link.mac, address))
        except OSError as error:
            self._tally.not_announced(port.link.name, address, error)

    def _update(self, key: _Key, link: Link, owned: frozenset[bytes]) -> frozenset[bytes]:
        """Open or refresh a port. Returns what its neighbors must hear of."""
        port = self._ports.get(key)
        if port is not None:
            before, had = port.link, port.owned
            if had - owned:
                self._serve(port)  # what came while they were ours is still to be answered
            try:
                port.own(owned)
            except OSError:
                self._close(key)  # and open it anew, which tells what is wrong
            else:
                port.link = link
                if _has_returned(before, link) or before.mac != link.mac:
                    return owned
                return (owned - had) & self._known
        opened = self._open(key, link, owned)
        return owned if opened and link.flags & IFF_LOWER_UP else frozenset()

    def _open(self, key: _Key, link: Link, owned: frozenset[bytes]) -> bool:
        protocol = key[1]
        try:
            port = Port(link, protocol, owned)
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

    def _sum_up(self, answering: Iterable[Link]) -> None:
        working = (
            InterfaceState(port.link.name, port.protocol.name, port.error)
            for port in self._ports.values()
        )
        self.states = (*working, *self._errors.values())
        wires = tuple(
            WireState(
                link.name,
                link.mac,
                tuple(
                    sorted((s.first, s.prefix_length) for s in self._subnets.get(link.index, ()))
                ),
                tuple(sorted(self._addresses.get(link.index, ()))),
            )
            for link in sorted(answering, key=lambda link: link.name)
        )
        crowded = sum(1 + len(wire.subnets) + len(wire.addresses) for wire in wires) > BATCH
        self.wires = () if crowded else wires

    def _serve(self, port: Port) -> None:
        """Answer what is waiting on a port. The hot path: each call in it costs a percent."""
        known, receive = port.replies.get, port.socket.recv
        due: list[tuple[bytes, bytes]] = []
        looks = 1
        for _ in range(FRAMES_PER_TURN):
            try:
                frame = receive(FRAME_LIMIT)
            except BlockingIOError:
                if due:
                    self._answer(port, due)
                looks -= 1
                if not looks:
                    break
            except OSError:
                # The interface went down or away; netlink tells which, and when it is back.
                self._tally.drop(DropReason.ERROR)
                break
            else:
                found = known(frame) or self._consider(port, frame)
                if found is not None:
                    looks = LOOKS
                    due.append(found)
                    if len(due) == ANSWERS_AT_ONCE:
                        self._answer(port, due)
        if due:
            self._answer(port, due)

    def _answer(self, port: Port, due: list[tuple[bytes, bytes]]) -> None:
        """Send the replies that are due, each with its address, until none is."""
        send = port.socket.send
        answered: list[bytes] = []
        for reply, address in due:
            try:
                send(reply)
            except OSError as error:
                self._tally.not_answered(port.link.name, address, error)
            else:
                answered.append(address)
        self._tally.answered(answered)
        due.clear()

    def _consider(self, port: Port, frame: bytes) -> tuple[bytes, bytes] | None:
        """Make the reply to a frame that did not come lately; remember it, or count why not."""
        protocol = port.protocol
        claim = protocol.claim(frame, port.owned)
        if claim is not None and claim.mac not in self._macs:
            self._tally.claimed(port.link.name, claim)
            self._on_claim(claim.address)
            return None
        reply = protocol.answer(frame, port.link.mac, port.owned, self._macs)
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


def _wanted(
    answering: Mapping[int, Link], placement: Placed
) -> dict[_Key, tuple[Link, frozenset[bytes]]]:
    """Return what is to be open, and what is to be answered for there.

    All IPv6 traffic of a node passes a neighbor discovery port's filter, so there are none where
    there is nothing to answer.
    """
    wanted: dict[_Key, tuple[Link, frozenset[bytes]]] = {}
    for index, link in answering.items():
        for protocol in _PROTOCOLS:
            mine = placement[index, protocol.address_length]
            if protocol is ARP or (mine and ipv6_enabled(link.name)):
                wanted[index, protocol] = (link, mine)
    return wanted


def _has_returned(before: Link, link: Link) -> bool:
    carriers = (bool(before.flags & IFF_LOWER_UP), before.carriers)
    return bool(link.flags & IFF_LOWER_UP) and carriers != (True, link.carriers)


def _groups(addresses: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(map(solicited_group, addresses))
