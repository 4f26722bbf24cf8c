"""The gossip cluster on virtual time: convergence, detection, false alarms, against the sources.

The numbers that are asserted are those of the sources, not of a run: SWIM (Das, Gupta, Motivala,
2002) section 5 expects the first detection of a failure after e/(e-1) protocol periods; memberlist
adds to the probe its suspicion time, at least ``suspicion_mult * max(1, log10 n)`` periods
(``suspicionTimeout`` in its util.go), at most ``suspicion_max_timeout_mult`` times that.

``METALLB_PY_SIMULATION=full`` runs the sizes and the number of seeds that a change of the machine
is to be judged by; without it there are few of both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from math import e
from pathlib import Path

import pytest
from support.gossip_scenarios import (
    PLAIN,
    End,
    agree,
    detection,
    detections,
    given_up,
    introduced,
    joined,
    launched,
    mean,
    median,
    name_of,
    wrongly_dead,
)
from support.gossip_simulation import Network, Weather

from metallb_py.protocols.memberlist.settings import FAST, LAN, Settings
from metallb_py.protocols.memberlist.suspicion import least_time

FULL = os.environ.get("METALLB_PY_SIMULATION") == "full"
SIZES = (5, 10, 50, 100, 200, 500) if FULL else (5, 30)
SEEDS = range(20) if FULL else range(3)
COUNT = 100 if FULL else 12
MINUTES = 30.0 if FULL else 2.0
ROOT = Path(__file__).parents[2]

SWIM_PERIODS = e / (e - 1)
"""SWIM, section 5: the expected time until somebody's probe first fails, in protocol periods."""


def expected(settings: Settings, size: int) -> float:
    """Return when the first is expected to know: probed by somebody, in vain, and suspected."""
    periods = SWIM_PERIODS + 1  # until a probe begins; that probe
    return periods * settings.probe_interval + least_time(settings, size)


@pytest.mark.parametrize("settings", [FAST, LAN, PLAIN], ids=["fast", "lan", "plain"])
@pytest.mark.parametrize("size", SIZES)
def test_all_meet_through_one_of_them(size: int, settings: Settings) -> None:
    network = launched(size, seed=size, settings=settings)
    # Each rumour is told for about log n rounds (SWIM, section 4.1); joins take a round trip.
    network.run_until(lambda: agree(network), within=20 * settings.gossip_interval + 1.0)
    network.run(5.0)
    assert agree(network)
    assert not network.count()["MemberDown"]


@pytest.mark.parametrize("settings", [FAST, LAN, PLAIN], ids=["fast", "lan", "plain"])
@pytest.mark.parametrize("size", SIZES)
def test_a_link_that_is_cut(size: int, settings: Settings) -> None:
    found = detections(size, settings, End.CUT, COUNT)
    assert min(d.first for d in found) >= least_time(settings, size - size // 4)
    assert mean(d.first for d in found) <= expected(settings, size)
    assert median([d.last - d.first for d in found]) <= 3 * settings.gossip_interval


def test_a_link_that_is_cut_in_a_cluster_of_three() -> None:
    found = detections(3, FAST, End.CUT, COUNT)
    assert median([d.last for d in found]) < 3.0


@pytest.mark.parametrize("size", SIZES)
def test_a_process_that_crashes_on_a_living_host(size: int) -> None:
    found = detections(size, FAST, End.CRASH, COUNT)
    # The first ping is refused, and so is what verifies that: no suspicion.
    assert mean(d.first for d in found) <= SWIM_PERIODS * FAST.probe_interval
    assert max(d.last - d.first for d in found) <= 5 * FAST.gossip_interval


@pytest.mark.parametrize("size", SIZES)
def test_a_member_that_leaves(size: int) -> None:
    found = detections(size, FAST, End.LEAVE, COUNT)
    assert max(d.first for d in found) <= 0.01
    assert max(d.last for d in found) <= 10 * FAST.gossip_interval


@pytest.mark.parametrize("size", SIZES[:2] if FULL else (3, 5))
@pytest.mark.parametrize("loss", [0.0, 0.05, 0.10])
def test_nobody_is_given_up_for_lost_packets(size: int, loss: float) -> None:
    for seed in SEEDS:
        network = joined(size, seed, FAST)
        network.weather = Weather(loss=loss)
        network.run(60 * MINUTES)
        assert not wrongly_dead(network)


@pytest.mark.parametrize("size", [3, 5])
def test_nobody_is_given_up_where_three_of_ten_packets_are_lost(size: int) -> None:
    network = joined(size, size, FAST)
    network.weather = Weather(loss=0.3, late=0.05, doubled=0.05)
    network.run(60 * MINUTES)
    assert not wrongly_dead(network)


@pytest.mark.parametrize("seconds", [3.0, 10.0, 60.0])
@pytest.mark.parametrize("size", [2, 5, 20])
def test_sides_of_a_partition_go_on_alone_and_meet_again(size: int, seconds: float) -> None:
    network = introduced(joined(size, size, FAST))
    network.run(1.0)
    side = {name_of(number) for number in range(size // 2)}
    network.split(side)
    network.run(seconds)
    if seconds > 2 * expected(FAST, size):
        for name in network.living:
            assert network.process(name).view == (
                side if name in side else network.hosts.keys() - side
            )
    network.heal()
    # Joins are tried again after 2 s, then after ever longer times, up to 30 s.
    network.run_until(lambda: agree(network), within=2.0 if seconds < 10 else 31.0)
    network.told.clear()
    network.run(60.0)
    assert agree(network)
    assert not given_up(network)


def test_a_way_that_is_open_in_one_direction_only_makes_nobody_flap() -> None:
    network = introduced(joined(5, 1, FAST))
    network.block("n1", "n2")
    network.run(60 * MINUTES)
    assert not given_up(network)


@pytest.mark.parametrize("settings", [FAST, LAN], ids=["fast", "lan"])
@pytest.mark.parametrize("size", [2, 3, 10])
def test_nobody_is_given_up_for_a_pause_shorter_than_a_suspicion(
    size: int, settings: Settings
) -> None:
    network = introduced(joined(size, size, settings))
    least = least_time(settings, size)
    for number, part in enumerate([0.2, 0.5, 0.8, 1.0] * 3):
        name = name_of(number % size)
        network.pause(name)
        network.run(part * least)
        network.resume(name)
        network.run(least + 3.0)
        assert not given_up(network)


def test_who_pauses_longer_is_given_up_and_comes_back_and_gives_up_nobody() -> None:
    network = introduced(joined(5, 1, FAST))
    network.run(1.0)
    network.pause("n1")
    network.run(5.0)
    assert given_up(network) == {"n1"}
    network.resume("n1")
    network.run_until(lambda: agree(network), within=1.0)
    network.run(10.0)
    assert given_up(network) == {"n1"}


@pytest.mark.parametrize("settings", [FAST, PLAIN], ids=["fast", "plain"])
@pytest.mark.parametrize(("pauses", "runs"), [(0.5, 0.05), (2.0, 0.1), (10.0, 0.05)])
def test_one_that_is_slow_has_no_healthy_one_given_up(
    pauses: float, runs: float, settings: Settings
) -> None:
    """The case of the Lifeguard paper (section III): who is slow accuses those who are not."""
    network = introduced(joined(10, 1, settings))
    until = network.now + 60 * MINUTES
    while network.now < until:
        network.pause("n1")
        network.run(pauses * (0.5 + network.chance.random()))
        network.resume("n1")
        network.run(runs)
    network.run(60.0)
    assert given_up(network) <= {"n1"}
    assert agree(network)
    assert network.process("n1").machine.health == 0


@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize("size", [4, 10])
def test_ours_beside_members_that_do_as_memberlist_does(size: int, loss: float) -> None:
    network = Network(size)
    for number in range(size):
        settings = FAST if number % 2 else PLAIN
        network.add(name_of(number), settings, plain=not settings.eager)
    introduced(network)
    network.run_until(lambda: agree(network), within=5.0)
    network.weather = Weather(loss=loss)
    network.run(60 * MINUTES)
    assert not given_up(network)
    network.weather = Weather()
    found = detection(network, "n1", End.CUT, within=30.0)
    assert found.first <= 2 * expected(FAST, size)


def test_members_have_little_to_say_when_nothing_happens() -> None:
    network = introduced(joined(20, 1, FAST))
    before = sum(host.packets for host in network.hosts.values())
    network.run(60.0)
    sent = sum(host.packets for host in network.hosts.values()) - before
    # A ping each probe interval, and the answer to as many (SWIM: constant load per member).
    assert sent / 20 / 60.0 <= 2 / FAST.probe_interval * 1.05


def digest(seed: int) -> str:
    """Name a run with some of everything."""
    weather = Weather(loss=0.1, doubled=0.1, late=0.2)
    network = launched(8, seed, FAST, weather, trace=True)
    network.run(5.0)
    network.crash("n3")
    network.split(["n1", "n2"])
    network.run(10.0)
    network.heal()
    network.start("n3").pods([network.hosts["n0"].endpoint.address])
    network.pause("n5")
    network.run(3.0)
    network.resume("n5")
    network.run(10.0)
    return network.digest


def test_the_same_seed_gives_the_same_run() -> None:
    assert digest(1) == digest(1)
    assert digest(1) != digest(2)


def test_the_same_seed_gives_the_same_run_in_another_process() -> None:
    code = "from property.test_memberlist_simulation import digest; print(digest(1))"
    found = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": f"{ROOT / 'tests'}:{ROOT}"},
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert found == {digest(1)}
