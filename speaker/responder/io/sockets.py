"""Sockets of the responder: one for each answering interface and protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Set
from time import monotonic
from types import MappingProxyType
from typing import Final

from metallb_py.protocols.ethernet import MacAddress
from metallb_py.protocols.ndp import solicited_group
from metallb_py.protocols.rtnetlink import Link
from speaker.responder.arp import DropReason
from speaker.responder.gratuitous import EVERY_INTERFACE, Burst
from speaker.responder.io.multicast import Groups, ipv6_enabled
from speaker.responder.io.packet_socket import FRAME_LIMIT, PacketSocket
from speaker.responder.links import answers_arp
from speaker.responder.placement import Placement
from speaker.responder.protocols import NDP, AddressResolutionProtocol
from speaker.responder.report import InterfaceAddresses, InterfaceState, Tally, reportable
from speaker.responder.requesters import RecentRequesters
from speaker.responder.socket_plan import SocketKey, SocketSpec, plan_sockets
from speaker.responder.subnets import Subnet

# Number of frames that are read from one socket before the other sockets are served.
FRAMES_PER_TURN: Final = 64
# Number of replies that are sent in a row, if as many requests are queued: waking the receiving
# process costs more than a reply, and in a row it costs that once.
ANSWERS_AT_ONCE: Final = 16
# Number of times that an empty socket is read after a reply: the next request often follows at
# once. A read costs a microsecond; sleeping and being woken costs more.
EMPTY_POLLS: Final = 10
# Number of distinct frames whose replies are cached, for each socket.
REPLIES_LIMIT: Final = 4096
_GROUP_BIT: Final = 1
_NO_ADDRESSES: Final[Mapping[int, frozenset[bytes]]] = MappingProxyType({})
PendingAnnouncements = Mapping[int, frozenset[bytes]]


class InterfaceSocket:
    """The socket of one protocol on one interface."""

    __slots__ = ("error", "groups", "link", "owned", "protocol", "replies", "socket", "solicited")

    def __init__(self, protocol: AddressResolutionProtocol, spec: SocketSpec) -> None:
        self.link = spec.link
        """The interface; replaced when its MAC address or its carrier changes."""
        self.protocol = protocol
        self.owned = spec.owned
        """The packed addresses that are answered for on this socket."""
        self.solicited = _groups(spec.owned)
        """The solicited-node groups of ``owned``."""
        self.error = ""
        """Error that affects some addresses alone, as when a group can't be joined; else empty."""
        self.replies: dict[bytes, tuple[bytes, bytes]] = {}
        """Cached replies by request frame, each with its address: neighbors repeat requests
        byte for byte."""
        self.groups: Groups | None = None
        """Multicast memberships; None for ARP, whose requests are broadcast."""
        program = protocol.program(spec.owned)
        self.socket = PacketSocket(spec.link.name, protocol.ether_type, program)
        if protocol is NDP:
            try:
                self.groups = Groups(spec.link.index)
            except OSError:
                self.socket.close()
                raise

    @property
    def spec(self) -> SocketSpec:
        """The interface and the addresses."""
        return SocketSpec(self.link, self.owned)

    def update(self, spec: SocketSpec) -> None:
        """Answer for exactly these addresses. Raises OSError; then the state is unchanged."""
        if spec.owned is not self.owned:
            self.socket.attach(self.protocol.program(spec.owned))
            self.owned = spec.owned
            self.solicited = _groups(spec.owned)
        self.link = spec.link

    def close(self) -> None:
        """Close the socket and leave its groups."""
        self.socket.close()
        if self.groups is not None:
            self.groups.close()


class ResponderSockets:
    """Opens and closes sockets as interfaces come and go; answers and announces through them.

    ``watch`` is called with the descriptor of a new socket and the handler to call when it is
    readable, ``unwatch`` with the descriptor of a socket that is about to be closed. Interfaces
    whose names are ``excluded`` get no socket. ``on_conflict`` is called with each owned address
    that another host announces. With ``any_interface`` every interface answers for every address,
    whatever its subnets.
    """

    def __init__(
        self,
        tally: Tally,
        watch: Callable[[int, Callable[[], None]], None],
        unwatch: Callable[[int], None],
        excluded: Callable[[str], bool],
        on_conflict: Callable[[bytes], None],
        *,
        any_interface: bool = False,
    ) -> None:
        self._tally = tally
        self._watch = watch
        self._unwatch = unwatch
        self._excluded = excluded
        self._on_conflict = on_conflict
        self._placement = Placement(any_interface=any_interface)
        self._links: Mapping[int, Link] = {}
        self._subnets: Mapping[int, frozenset[Subnet]] = {}
        self._addresses: Mapping[int, frozenset[bytes]] = {}
        self._owned: Mapping[bytes, tuple[str, ...]] = {}
        self._known: Set[bytes] = frozenset()  # the owned addresses at the last reconciliation
        self._requesters = RecentRequesters()
        self._macs: frozenset[bytes] = frozenset()  # of the interfaces that answer
        self._ports: dict[SocketKey, InterfaceSocket] = {}
        self._errors: dict[SocketKey, InterfaceState] = {}
        self.states: tuple[InterfaceState, ...] = ()
        """State of every interface that should answer, for each protocol."""
        self.interface_addresses: tuple[InterfaceAddresses, ...] = ()
        """Every interface that should answer, with its subnets and addresses; empty if they are
        more than a report can hold.
        """

    @property
    def remembered(self) -> int:
        """The number of cached replies."""
        return sum(len(port.replies) for port in self._ports.values())

    def own(self, owned: Mapping[bytes, tuple[str, ...]]) -> PendingAnnouncements:
        """Answer for exactly these packed addresses, each on interfaces that match its patterns.

        No patterns match every interface. Return the addresses to announce, as ``reconcile`` does.
        """
        self._owned = owned
        return self.reconcile(self._links, self._subnets, self._addresses)

    def reconcile(
        self,
        links: Mapping[int, Link],
        subnets: Mapping[int, frozenset[Subnet]],
        addresses: Mapping[int, frozenset[bytes]] = _NO_ADDRESSES,
    ) -> PendingAnnouncements:
        """Open, update and close sockets. Return, by interface index, the addresses to announce.

        These are all addresses of an interface that is new, whose carrier returned, or whose MAC
        address changed; of another interface, the addresses that it answers for now and other
        interfaces answered for before.
        """
        self._links, self._subnets, self._addresses = links, subnets, addresses
        answering = {
            index: link
            for index, link in links.items()
            if answers_arp(link) and not self._excluded(link.name)
        }
        plan = plan_sockets(
            answering,
            self._placement.follow(self._owned, answering, subnets),
            {key: port.spec for key, port in self._ports.items()},
            known=self._known,
            has_ipv6=ipv6_enabled,
        )
        for key in self._errors.keys() - plan.wanted.keys():
            del self._errors[key]
        for key in plan.closed:
            self._close(key)
        pending: dict[int, frozenset[bytes]] = {}
        for key, spec in plan.wanted.items():
            if key in self._ports and self._update(key, spec):
                fresh = plan.announced[key]
            else:
                fresh = spec.new if self._open(key, spec) else frozenset()
            pending[key[0]] = pending.get(key[0], frozenset()) | fresh
        for port in self._ports.values():
            # They depend on the owned addresses and the MAC address. Not earlier, since an update
            # may still answer for the addresses of before.
            port.replies.clear()
            if port.groups is not None:
                port.error = port.groups.follow(port.solicited)
        self._known = self._owned.keys()
        self._macs = frozenset(port.link.mac for port in self._ports.values())
        working = (
            InterfaceState(port.link.name, port.protocol.name, port.error)
            for port in self._ports.values()
        )
        self.states = (*working, *self._errors.values())
        self.interface_addresses = reportable(answering.values(), subnets, addresses)
        return {index: addresses for index, addresses in pending.items() if addresses}

    def burst(self, burst: Burst) -> int:
        """Announce an address on every interface or one; return the number of frames.

        After a takeover, hosts that requested the address before also get a unicast announcement.
        """
        address, taken = burst.address, burst.takeover
        asked = () if taken is None else self._requesters.last_seen_before(address, taken)
        count = 0
        for (index, protocol), port in self._ports.items():
            if address not in port.owned or burst.interface not in (index, EVERY_INTERFACE):
                continue
            mac = port.link.mac
            frames = protocol.announcements(mac, address)
            if taken is not None:
                frames += protocol.router_notifications(mac, address)
            frames += tuple(
                protocol.unicast_announcement(mac, address, requester)
                for requester in asked
                if requester.interface == index
            )
            for frame in frames:
                self._announce(port, address, frame)
            count += len(frames)
            if taken is not None:
                self._probe(port, address)
        return count

    def count_overruns(self) -> None:
        """Count the frames that the kernel dropped because a socket's queue was full."""
        for port in self._ports.values():
            if overruns := port.socket.overruns():
                self._tally.drop(DropReason.OVERRUN, overruns)

    def _announce(self, port: InterfaceSocket, address: bytes, frame: bytes) -> None:
        try:
            port.socket.send(frame)
        except OSError as error:
            self._tally.not_announced(port.link.name, address, error)
        else:
            self._tally.announced(address)

    def _probe(self, port: InterfaceSocket, address: bytes) -> None:
        """Probe for another host with an address that was taken over (RFC 5227 section 2.1)."""
        try:
            port.socket.send(port.protocol.probe(port.link.mac, address))
        except OSError as error:
            self._tally.not_announced(port.link.name, address, error)

    def _update(self, key: SocketKey, spec: SocketSpec) -> bool:
        """Update a socket. Return False if that failed, with the socket closed."""
        port = self._ports[key]
        if port.owned - spec.owned:
            self._serve(port)  # answers requests that were queued while they were owned
        try:
            port.update(spec)
        except OSError:
            self._close(key)  # opening it again reports the error
            return False
        return True

    def _open(self, key: SocketKey, spec: SocketSpec) -> bool:
        """Open a socket. Return whether that succeeded; else record the error."""
        protocol = key[1]
        try:
            port = InterfaceSocket(protocol, spec)
        except OSError as error:
            text = error.strerror or str(error)
            self._errors[key] = InterfaceState(spec.link.name, protocol.name, text)
            return False
        self._errors.pop(key, None)
        self._ports[key] = port
        self._watch(port.socket.fileno(), lambda: self._serve(port))
        return True

    def _close(self, key: SocketKey) -> None:
        port = self._ports.pop(key)
        self._unwatch(port.socket.fileno())
        port.close()

    def _serve(self, port: InterfaceSocket) -> None:
        """Answer the queued requests of a socket. The hot path: each call in it costs a percent."""
        cached, receive = port.replies.get, port.socket.recv
        due: list[tuple[bytes, bytes]] = []
        empty_polls = 1
        for _ in range(FRAMES_PER_TURN):
            try:
                frame = receive(FRAME_LIMIT)
            except BlockingIOError:
                if due:
                    self._answer(port, due)
                empty_polls -= 1
                if not empty_polls:
                    break
            except OSError:
                # The interface is down or removed; netlink reports which, and when it is back.
                self._tally.drop(DropReason.ERROR)
                break
            else:
                found = cached(frame) or self._consider(port, frame)
                if found is not None:
                    empty_polls = EMPTY_POLLS
                    due.append(found)
                    if len(due) == ANSWERS_AT_ONCE:
                        self._answer(port, due)
        if due:
            self._answer(port, due)

    def _answer(self, port: InterfaceSocket, due: list[tuple[bytes, bytes]]) -> None:
        """Send the replies, given with their addresses, count them, and clear the list."""
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

    def _consider(self, port: InterfaceSocket, frame: bytes) -> tuple[bytes, bytes] | None:
        """Compute and cache the reply to a frame; if there is none, count the reason."""
        protocol = port.protocol
        conflict = protocol.conflict_in(frame, port.owned)
        if conflict is not None and conflict.mac not in self._macs:
            self._tally.count_conflict(port.link.name, conflict)
            self._on_conflict(conflict.address)
            return None
        reply = protocol.answer(frame, port.link.mac, port.owned, self._macs)
        if isinstance(reply, DropReason):
            self._tally.drop(reply)
            return None
        if len(port.replies) >= REPLIES_LIMIT:
            port.replies.clear()
        address, requester = reply[protocol.address_in], reply[protocol.requester_in]
        # Neither an ARP probe nor duplicate address detection: those have no sender address.
        if any(requester) and not reply[0] & _GROUP_BIT:
            mac = MacAddress(reply[:6])
            self._requesters.record(address, port.link.index, mac, requester, monotonic())
        found = port.replies[frame] = (reply, address)
        return found


def _groups(addresses: Iterable[bytes]) -> frozenset[bytes]:
    return frozenset(map(solicited_group, addresses))
