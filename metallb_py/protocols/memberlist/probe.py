"""Failure detection by probes (SWIM, section 3), and by ICMP errors.

Theory of operation. A probe is a ping. If no Ack arrives within ``probe_timeout``, a few other
members receive an indirect ping, and a ping is sent over TCP. If an Ack arrives by any of these
ways before the probe ends, the member is alive; if not, the probe has failed.

A refusal is stronger evidence than a timeout. If a host's kernel reports that no socket listens on
the port, the host is healthy and the process is gone. A packet filter can send the same error, so
a refused probe skips its timeout and tries the other members and TCP at once; only if TCP is
refused too, and no other member got an Ack, the process is certainly gone.

A single lost packet is no evidence. So the ping is repeated until the probe ends; and a suspect
that answers gets its time to refute again, even if its refutation is lost (suspicion.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Final

from metallb_py.protocols.memberlist.codec.messages import (
    Ack,
    Endpoint,
    IndirectPing,
    Nack,
    Ping,
    State,
    Suspect,
)
from metallb_py.protocols.memberlist.events import Member, RoundTrip
from metallb_py.protocols.memberlist.members import PRESENT, Members
from metallb_py.protocols.memberlist.settings import Settings
from metallb_py.protocols.memberlist.transmit import SendMessages


class Awareness:
    """A score from 0 (healthy) to ``limit`` - 1. The higher it is, the longer timeouts become."""

    __slots__ = ("_limit", "score")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.score = 0

    def change(self, by: int) -> None:
        """Add a sign of poor health (``by`` above 0) or of good health (below 0)."""
        self.score = min(max(0, self.score + by), max(0, self._limit - 1))

    def scaled(self, seconds: float) -> float:
        """Return a timeout, multiplied by the score plus one."""
        return seconds * (self.score + 1)


MAX_RELAYS: Final = 256
"""Most indirect pings that are relayed at once."""
TCP_PING_SINCE: Final = 3
"""First version of the protocol with pings over TCP."""
NACK_SINCE: Final = 4
"""First version of the protocol with nacks."""
_WRAP: Final = 1 << 32


@dataclass(slots=True)
class _Probe:
    """One probe of one member. Times are monotonic seconds."""

    member: Member
    """The member, as it was when the probe began: a failure concerns this incarnation."""
    sequence: int
    """Sequence number of its pings, direct, indirect and over TCP."""
    regular: bool
    """Whether it is the member's turn in the round. Others do not affect the health score."""
    sent: float
    """Time of the first ping."""
    ends: float
    """Time at which the probe fails without an Ack."""
    next_step: float
    """Time of the indirect pings; once they are sent, of the next repetition of the ping."""
    indirect_sent: bool = False
    """Whether the indirect pings were sent."""
    nacks_expected: int = 0
    """Number of relaying members that send a Nack if they get no Ack."""
    nacks: int = 0
    """Number of Nacks received, up to ``nacks_expected``. Each shows that its sender got no Ack."""
    relays_without_nack: int = 0
    """Number of relaying members of older versions, which send no Nack."""
    refused: bool = False
    """Whether the member's host reported by ICMP that no socket listens on its UDP port."""
    tcp_refused: bool = False
    """Whether the member's host refused the TCP connection."""
    certain_from: float = inf
    """Time from which the process counts as gone, both ways having been refused."""


@dataclass(slots=True)
class _Relay:
    """A ping on behalf of another member (indirect ping)."""

    requester: Endpoint
    """Where the Ack or Nack is sent."""
    sequence: int
    """The requester's sequence number, for that Ack or Nack."""
    target: Endpoint
    """The endpoint that is pinged."""
    ends: float
    """Time at which the relay ends without an Ack."""
    nack: bool
    """Whether the requester wants a Nack then."""


@dataclass(frozen=True, slots=True)
class TcpPing:
    """Send a ping over TCP; its answer arrives as ``acked`` or ``tcp_failed``."""

    to: Endpoint
    ping: Ping
    deadline: float


@dataclass(frozen=True, slots=True)
class Answered:
    """A member answered a probe, so it gets its time to refute again if it is suspect."""

    member: Member


@dataclass(frozen=True, slots=True)
class ProbeFailed:
    """A probe failed. ``certain``: the process is gone, so the member needs no suspicion."""

    member: Member
    certain: bool


ProbeEffect = SendMessages | TcpPing | RoundTrip | Answered | ProbeFailed


class Prober:
    """The pending probes, and the pings relayed for other members. It only reads ``members``."""

    def __init__(self, settings: Settings, members: Members) -> None:
        self._settings = settings
        self._members = members
        self._sequence = 0
        self._probes: dict[int, _Probe] = {}
        self._sequence_of: dict[str, int] = {}  # of each member's probe
        self._relays: dict[int, _Relay] = {}
        self.health = Awareness(settings.awareness_max_multiplier)

    def next_deadline(self) -> float | None:
        """Return the time at which ``handle_timeout`` is due; None without a probe or relay."""
        times = [relay.ends for relay in self._relays.values()]
        for probe in self._probes.values():
            times += [probe.ends, probe.certain_from, probe.next_step]
        return min(times, default=None)

    def is_probing(self, name: str) -> bool:
        """Whether a probe of a member is pending."""
        return name in self._sequence_of

    def end_of_probe(self, name: str) -> float:
        """Return the time at which the pending probe of a member ends at the latest."""
        return self._probes[self._sequence_of[name]].ends

    def probe(self, member: Member, now: float, *, regular: bool) -> tuple[ProbeEffect, ...]:
        """Begin a probe, unless one is pending."""
        if member.name in self._sequence_of:
            return ()
        ends = now + self.health.scaled(self._settings.probe_interval)
        sequence = self._next_sequence()
        probe = _Probe(member, sequence, regular, now, ends, now + self._settings.probe_timeout)
        self._probes[sequence] = probe
        self._sequence_of[member.name] = sequence
        return (self._direct_ping(probe),)

    def refused(self, member: Member, now: float) -> tuple[ProbeEffect, ...]:
        """Handle an ICMP port unreachable from a member's host."""
        for relay in [r for r in self._relays.values() if r.target == member.endpoint]:
            relay.ends = now
        if member.state not in PRESENT:
            return ()
        effects = self.probe(member, now, regular=False)
        probe = self._probes[self._sequence_of[member.name]]
        if probe.member.endpoint != member.endpoint:  # the member has moved since
            return ()
        probe.refused = True
        if not probe.indirect_sent:
            return (*effects, *self._indirect_pings(probe))
        self._check_refused(probe, now)
        return effects

    def relay(
        self, request: IndirectPing, requester: Endpoint, target: Member | None, now: float
    ) -> tuple[ProbeEffect, ...]:
        """Ping a member on behalf of another. ``target``: the known member at that endpoint."""
        if target is None or len(self._relays) >= MAX_RELAYS:
            # Relay only to known members, so that no host can use this one as a reflector.
            return (SendMessages(requester, (Nack(request.sequence),)),) if request.nack else ()
        sequence = self._next_sequence()
        ends = now + self._settings.probe_timeout
        self._relays[sequence] = _Relay(
            requester, request.sequence, request.target, ends, request.nack
        )
        return (SendMessages(request.target, (self._ping(sequence, request.node),), target),)

    def acked(self, sequence: int, now: float) -> tuple[ProbeEffect, ...]:
        """Handle an Ack: direct, relayed by another member, or over TCP."""
        relay = self._relays.pop(sequence, None)
        if relay is not None:
            return (SendMessages(relay.requester, (Ack(relay.sequence),)),)
        probe = self._probes.get(sequence)
        if probe is None:
            return ()
        self._forget(probe)
        if probe.regular:
            self.health.change(-1)
        if probe.indirect_sent:  # it is unknown which ping was answered
            return (Answered(probe.member),)
        return RoundTrip(probe.member.name, now - probe.sent), Answered(probe.member)

    def nacked(self, sequence: int, now: float) -> None:
        """Handle a Nack: a relaying member got no Ack."""
        probe = self._probes.get(sequence)
        if probe is not None and probe.nacks < probe.nacks_expected:
            probe.nacks += 1
            self._check_refused(probe, now)

    def tcp_failed(self, sequence: int, now: float, *, refused: bool) -> None:
        """Handle a failed ping over TCP. ``refused``: the connection was refused."""
        probe = self._probes.get(sequence)
        if probe is not None:
            probe.tcp_refused = refused
            self._check_refused(probe, now)

    def handle_timeout(self, now: float) -> tuple[ProbeEffect, ...]:
        """Perform what is due. Probes that failed come last."""
        effects: list[ProbeEffect] = []
        for sequence, relay in list(self._relays.items()):
            if relay.ends <= now:
                del self._relays[sequence]
                if relay.nack:
                    effects.append(SendMessages(relay.requester, (Nack(relay.sequence),)))
        failed = []
        for probe in list(self._probes.values()):
            if min(probe.ends, probe.certain_from) <= now:
                self._forget(probe)
                self._update_awareness(probe)
                failed.append(ProbeFailed(probe.member, certain=probe.certain_from <= now))
            elif probe.next_step <= now:
                effects += self._take_step(probe, now)
        return (*effects, *failed)

    def _take_step(self, probe: _Probe, now: float) -> list[ProbeEffect]:
        repeats = self._settings.fast_detection
        probe.next_step = now + self._settings.probe_timeout if repeats else inf
        effects = [] if probe.indirect_sent else self._indirect_pings(probe)
        if repeats:
            effects.append(self._direct_ping(probe))
        return effects

    def _direct_ping(self, probe: _Probe) -> SendMessages:
        member = probe.member
        ping = self._ping(probe.sequence, member.name)
        if member.state is State.ALIVE:
            return SendMessages(member.endpoint, (ping,), member)
        suspect = Suspect(member.incarnation, member.name, self._members.me.name)
        return SendMessages(member.endpoint, (ping, suspect), member)  # so that it can refute

    def _indirect_pings(self, probe: _Probe) -> list[ProbeEffect]:
        """Return the indirect pings, and the ping over TCP."""
        probe.indirect_sent = True
        member, me = probe.member, self._members.me
        relays = self._members.sample(
            self._settings.indirect_checks,
            lambda r: r.member.state is State.ALIVE and r.member.name != member.name,
        )
        effects: list[ProbeEffect] = []
        for relay in relays:
            nack = relay.member.versions.most >= NACK_SINCE
            probe.nacks_expected += nack
            probe.relays_without_nack += not nack
            request = IndirectPing(
                probe.sequence, member.endpoint, member.name, nack, me.endpoint, me.name
            )
            effects.append(SendMessages(relay.member.endpoint, (request,), relay.member))
        if self._settings.tcp_pings and member.versions.most >= TCP_PING_SINCE:
            ping = self._ping(probe.sequence, member.name)
            effects.append(TcpPing(member.endpoint, ping, probe.ends))
        return effects

    def _check_refused(self, probe: _Probe, now: float) -> None:
        """Set the time from which a member that refused both ways is certainly gone."""
        if not (probe.refused and probe.tcp_refused):
            return
        all_nacked = probe.nacks >= probe.nacks_expected and not probe.relays_without_nack
        wait = 0.0 if all_nacked else self._settings.probe_timeout
        probe.certain_from = min(probe.certain_from, now + wait)

    def _update_awareness(self, probe: _Probe) -> None:
        """Count a failed probe against the local health, by the number of missing Nacks.

        A Nack shows that a relaying member got no Ack either, and a refusal that the process is
        gone: neither is a fault of this member.
        """
        if probe.regular and not probe.refused:
            self.health.change(probe.nacks_expected - probe.nacks if probe.nacks_expected else 1)

    def _forget(self, probe: _Probe) -> None:
        del self._probes[probe.sequence]
        del self._sequence_of[probe.member.name]

    def _ping(self, sequence: int, name: str) -> Ping:
        me = self._members.me
        return Ping(sequence, name, me.endpoint, me.name)

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) % _WRAP
        return self._sequence
