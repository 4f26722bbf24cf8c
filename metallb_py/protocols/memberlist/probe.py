"""Finds out whether members are there: SWIM's probes (section 3), and what the kernel tells.

Theory of operation. A probe is a ping. Where no answer comes within ``probe_timeout``, some others
are asked to ping, and a ping goes over TCP. Whoever is heard of on any of these ways until the
probe's end is there; who is not, is not, as far as this member can tell.

One thing is surer than silence: a refusal. Where a host's kernel answers that nobody listens on a
port, the host is well and the process is gone. A packet filter can say the same, so a refused
probe does not wait for its timeout but asks the others and TCP at once; and only if TCP is refused
as well, and no other was answered either, the member is certainly gone.

A lost packet is no sign of anything. So the ping is repeated until the probe's end; and who answers
while it is suspected has its time anew, even if its contradiction is lost (suspicion.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf
from typing import Final

from metallb_py.protocols.memberlist.awareness import Health
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
from metallb_py.protocols.memberlist.members import Members
from metallb_py.protocols.memberlist.settings import Settings
from metallb_py.protocols.memberlist.transmit import Post

RELAYS: Final = 256
"""So many pings on others' behalf are under way at the most."""
TCP_PING_SINCE: Final = 3
NACK_SINCE: Final = 4
_WRAP: Final = 1 << 32


@dataclass(slots=True)
class _Probe:
    """One probe of one member. ``regular``: its turn had come."""

    member: Member
    sequence: int
    regular: bool
    sent: float
    ends: float
    next_step: float  # when others are asked, or where they were, when the ping is repeated
    asked_others: bool = False
    asked: int = 0  # those that tell also where they got no answer
    denials: int = 0
    silent: int = 0  # those that were asked, and tell only of answers
    refused: bool = False
    tcp_refused: bool = False
    certain_from: float = inf


@dataclass(slots=True)
class _Relay:
    """A ping on behalf of another."""

    asker: Endpoint
    sequence: int  # the asker's
    target: Endpoint
    ends: float
    nack: bool


@dataclass(frozen=True, slots=True)
class Outcome:
    """A probe has failed. ``certain``: the process is gone, whoever else may be asked."""

    member: Member
    certain: bool


class Prober:
    """The probes under way, those on others' behalf included."""

    def __init__(
        self,
        settings: Settings,
        members: Members,
        post: Post,
        ping_over_tcp: Callable[[Member, Ping, float], None],
        tell: Callable[[RoundTrip], None],
    ) -> None:
        self._settings = settings
        self._members = members
        self._post = post
        self._ping_over_tcp = ping_over_tcp
        self._tell = tell
        self._sequence = 0
        self._probes: dict[int, _Probe] = {}
        self._of: dict[str, int] = {}  # the probe of each member
        self._relays: dict[int, _Relay] = {}
        self.health = Health(settings.awareness_max_multiplier)

    def next_deadline(self) -> float | None:
        """Return when ``handle_timeout`` is due."""
        times = [relay.ends for relay in self._relays.values()]
        for probe in self._probes.values():
            times += [probe.ends, probe.certain_from, probe.next_step]
        return min(times, default=None)

    def busy_with(self, name: str) -> bool:
        """Whether a member is being probed."""
        return name in self._of

    def probe(self, member: Member, now: float, *, regular: bool) -> float:
        """Begin a probe, unless one is under way. Returns when it ends at the latest."""
        under_way = self._of.get(member.name)
        if under_way is not None:
            return self._probes[under_way].ends
        ends = now + self.health.scaled(self._settings.probe_interval)
        sequence = self._next_sequence()
        probe = _Probe(member, sequence, regular, now, ends, now + self._settings.probe_timeout)
        self._probes[sequence] = probe
        self._of[member.name] = sequence
        self._send_ping(probe)
        return ends

    def _send_ping(self, probe: _Probe) -> None:
        member = probe.member
        ping = self._ping(probe.sequence, member.name)
        if member.state is State.ALIVE:
            self._post.send(member.endpoint, ping, member=member)
        else:  # it is to hear of that first, so that it can contradict
            me = self._members.me.name
            accusation = Suspect(member.incarnation, member.name, me)
            self._post.send(member.endpoint, ping, accusation, member=member)

    def forget(self, name: str) -> None:
        """The outcome of a probe does not matter any more."""
        sequence = self._of.pop(name, None)
        if sequence is not None:
            del self._probes[sequence]

    def refused(self, member: Member, now: float) -> None:
        """The kernel of a member's host says that nobody listens there."""
        for relay in [r for r in self._relays.values() if r.target == member.endpoint]:
            relay.ends = now
        if member.state not in (State.ALIVE, State.SUSPECT):
            return
        if member.name not in self._of:
            self.probe(member, now, regular=False)
        probe = self._probes[self._of[member.name]]
        probe.refused = True
        if not probe.asked_others:
            self._ask_others(probe)

    def relay(self, wish: IndirectPing, asker: Endpoint, now: float) -> None:
        """Ping a member on behalf of another."""
        target = self._members.at(wish.target)
        if target is None or len(self._relays) >= RELAYS:
            # Nobody shall have us ping whom he likes.
            if wish.nack:
                self._post.send(asker, Nack(wish.sequence))
            return
        sequence = self._next_sequence()
        ends = now + self._settings.probe_timeout
        self._relays[sequence] = _Relay(asker, wish.sequence, wish.target, ends, wish.nack)
        self._post.send(wish.target, self._ping(sequence, wish.node), member=target.member)

    def acked(self, sequence: int, now: float) -> None:
        """An answer came, directly, by another's help, or over TCP."""
        relay = self._relays.pop(sequence, None)
        if relay is not None:
            self._post.send(relay.asker, Ack(relay.sequence))
            return
        probe = self._probes.get(sequence)
        if probe is None:
            return
        if not probe.asked_others:
            self._tell(RoundTrip(probe.member.name, now - probe.sent))
        if probe.regular:
            self.health.change(-1)
        if self._settings.eager:
            self._members.answered(probe.member, now)
        self.forget(probe.member.name)

    def denied(self, sequence: int, now: float) -> None:
        """One of those that were asked got no answer."""
        probe = self._probes.get(sequence)
        if probe is not None and probe.denials < probe.asked:
            probe.denials += 1
            self._weigh(probe, now)

    def tcp_failed(self, sequence: int, now: float, *, refused: bool) -> None:
        """The ping over TCP came to nothing."""
        probe = self._probes.get(sequence)
        if probe is not None:
            probe.tcp_refused = refused
            self._weigh(probe, now)

    def handle_timeout(self, now: float) -> list[Outcome]:
        """Go on with what is due. Returns the probes that have failed."""
        for sequence, relay in list(self._relays.items()):
            if relay.ends <= now:
                del self._relays[sequence]
                if relay.nack:
                    self._post.send(relay.asker, Nack(relay.sequence))
        failed = []
        for probe in list(self._probes.values()):
            if min(probe.ends, probe.certain_from) <= now:
                self.forget(probe.member.name)
                self._reflect(probe)
                failed.append(Outcome(probe.member, certain=probe.certain_from <= now))
            elif probe.next_step <= now:
                self._take_step(probe, now)
        return failed

    def _take_step(self, probe: _Probe, now: float) -> None:
        probe.next_step = now + self._settings.probe_timeout if self._settings.eager else inf
        if not probe.asked_others:
            self._ask_others(probe)
        if self._settings.eager:
            self._send_ping(probe)

    def _ask_others(self, probe: _Probe) -> None:
        probe.asked_others = True
        member, me = probe.member, self._members.me
        helpers = self._members.draw(
            self._settings.indirect_checks,
            lambda r: r.member.state is State.ALIVE and r.member.name != member.name,
        )
        for helper in helpers:
            nack = helper.member.versions.most >= NACK_SINCE
            probe.asked += nack
            probe.silent += not nack
            wish = IndirectPing(
                probe.sequence, member.endpoint, member.name, nack, me.endpoint, me.name
            )
            self._post.send(helper.member.endpoint, wish, member=helper.member)
        if self._settings.tcp_pings and member.versions.most >= TCP_PING_SINCE:
            self._ping_over_tcp(member, self._ping(probe.sequence, member.name), probe.ends)

    def _weigh(self, probe: _Probe, now: float) -> None:
        """Decide whether a member that refuses everything is certainly gone, and from when on."""
        if not (probe.refused and probe.tcp_refused):
            return
        all_said = probe.denials >= probe.asked and not probe.silent
        wait = 0.0 if all_said else self._settings.probe_timeout
        probe.certain_from = min(probe.certain_from, now + wait)

    def _reflect(self, probe: _Probe) -> None:
        """Take a failed probe as a sign of our own health.

        Unless others had no answer either; and where the host answers that the process is gone,
        there is no doubt of us.
        """
        if probe.regular and not probe.refused:
            self.health.change(probe.asked - probe.denials if probe.asked else 1)

    def _ping(self, sequence: int, name: str) -> Ping:
        me = self._members.me
        return Ping(sequence, name, me.endpoint, me.name)

    def _next_sequence(self) -> int:
        self._sequence = (self._sequence + 1) % _WRAP
        return self._sequence
