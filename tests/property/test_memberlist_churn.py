"""Random churn of a gossip cluster: once it is quiet, all living members have the same view."""

from __future__ import annotations

import os
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from support.gossip.members import alive, endpoint, machine, name_of, packed, sent
from support.gossip.scenarios import declared_down, views_agree
from support.gossip.simulation import Impairments, Network

from metallb_py.protocols.memberlist.codec.messages import Alive, Ping
from metallb_py.protocols.memberlist.members import LIMIT
from metallb_py.protocols.memberlist.settings import FAST

FULL = os.environ.get("METALLB_PY_SIMULATION") == "full"
QUIET = 95.0
"""Three times the longest interval between joins; also long enough to reap dead members."""
MOST = 8
PACKETS = 40
"""Maximum packets that a member of a small cluster sends in a second, for each host."""

seconds = st.sampled_from([0.0, 0.05, 0.3, 0.6, 1.6, 2.5, 6.0, 35.0])


class Churn(RuleBasedStateMachine):
    """Speakers on up to eight nodes, with crashes, pauses, partitions and packet loss."""

    @initialize(size=st.integers(3, MOST), seed=st.integers(0, 1000))
    def begin(self, size: int, seed: int) -> None:
        self.network = Network(seed)
        for number in range(size):
            self.network.add(name_of(number), FAST)
        self.update_pods()

    def update_pods(self) -> None:
        """Give every speaker the addresses of all pods."""
        network = self.network
        addresses = [host.endpoint.address for host in network.hosts.values() if host.process]
        for name in network.living:
            network.give(network.process(name), network.process(name).pods, addresses)

    def one_of(self, number: int, names: list[str]) -> str:
        return names[number % len(names)]

    @rule(long=seconds)
    def wait(self, long: float) -> None:
        self.network.run(long)

    @rule(number=st.integers(0, MOST))
    @precondition(lambda self: len(self.network.living) > 1)
    def crash(self, number: int) -> None:
        self.network.crash(self.one_of(number, self.network.living))

    @rule(number=st.integers(0, MOST), long=seconds)
    @precondition(lambda self: len(self.network.living) > 1)
    def leave(self, number: int, long: float) -> None:
        name = self.one_of(number, self.network.living)
        self.network.resume(name)
        self.network.process(name).leave()
        self.network.run(min(1.0, long))
        self.network.crash(name)

    @rule(number=st.integers(0, MOST))
    @precondition(lambda self: len(self.network.living) < len(self.network.hosts))
    def restart(self, number: int) -> None:
        self.network.run(1.0)  # its incarnation is the time in seconds
        stopped = [n for n, host in self.network.hosts.items() if host.process is None]
        self.network.start(self.one_of(number, stopped))
        self.update_pods()

    @rule()
    @precondition(lambda self: len(self.network.hosts) < MOST)
    def grow(self) -> None:
        self.network.add(name_of(len(self.network.hosts)), FAST)
        self.update_pods()

    @rule(number=st.integers(0, MOST))
    def pause(self, number: int) -> None:
        self.network.pause(self.one_of(number, self.network.living))

    @rule()
    def resume(self) -> None:
        for name in self.network.hosts:
            self.network.resume(name)

    @rule(side=st.sets(st.integers(0, MOST - 1), min_size=1, max_size=4))
    def split(self, side: set[int]) -> None:
        self.network.split([name_of(number) for number in sorted(side)])

    @rule(here=st.integers(0, MOST - 1), there=st.integers(0, MOST - 1))
    def block(self, here: int, there: int) -> None:
        self.network.block(name_of(here), name_of(there))

    @rule(number=st.integers(0, MOST - 1))
    def cut(self, number: int) -> None:
        self.network.cut(name_of(number))

    @rule()
    def heal(self) -> None:
        self.network.heal()

    @rule(loss=st.sampled_from([0.0, 0.1, 0.3]), reordered=st.sampled_from([0.0, 0.2]))
    def impairments(self, loss: float, reordered: float) -> None:
        self.network.impairments = Impairments(loss=loss, reordered=reordered, duplicated=reordered)

    @rule(number=st.integers(0, MOST), meta=st.binary(max_size=8))
    def update(self, number: int, meta: bytes) -> None:
        process = self.network.process(self.one_of(number, self.network.living))
        self.network.give(process, process.update, meta)

    @invariant()
    def packet_rate_is_bounded(self) -> None:
        for host in self.network.hosts.values():
            assert host.busiest <= PACKETS * len(self.network.hosts), host.name

    def teardown(self) -> None:
        network = self.network
        network.impairments = Impairments()
        network.heal()
        self.resume()
        network.run(QUIET)
        assert views_agree(network), {name: network.process(name).view for name in network.living}
        for name in network.living:
            machine = network.process(name).machine
            assert machine.health == 0
            for member in machine.members:
                if member.name in network.living:
                    truth = network.process(member.name).machine.me
                    assert (member.incarnation, member.meta) == (truth.incarnation, truth.meta)
        network.reports.clear()
        network.run(QUIET)
        assert not declared_down(network)


Churn.TestCase.settings = settings(
    max_examples=2000 if FULL else 30, stateful_step_count=30, deadline=None
)
TestChurn = Churn.TestCase


def test_forged_members_do_not_grow_table_or_traffic_without_bound() -> None:
    made = machine(3)
    rng = Random(1)
    now = 1.0
    for number in range(10, LIMIT + 2000):
        made.receive(packed(alive(number)), endpoint(1), now)
        now += 0.0005
    assert len(made.members) == LIMIT
    start, packets, pings = now, 0, 0
    while (now := made.next_deadline()) <= start + 10.0:
        effects = made.handle_timeout(now)
        packets += len(effects)
        pings += sum(isinstance(message, Ping) for message in sent(effects))
        if rng.random() < 0.1:
            made.receive(packed(Alive(99, "n1", endpoint(1))), endpoint(1), now)
    assert len(made.members) <= LIMIT
    assert packets / 10.0 <= 1000
    assert pings / 10.0 <= 200
