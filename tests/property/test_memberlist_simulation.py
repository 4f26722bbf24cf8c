"""Gossip cluster in virtual time: convergence, detection times and false positives.

The asserted numbers are those of the literature, not of a run: SWIM (Das, Gupta, Motivala,
2002) section 5 expects the first detection of a failure after e/(e-1) protocol periods; memberlist
adds to the probe its suspicion time, at least ``suspicion_mult * max(1, log10 n)`` periods
(``suspicionTimeout`` in its util.go), at most ``suspicion_max_timeout_mult`` times that.

``METALLB_PY_SIMULATION=full`` runs the sizes and seeds needed to assess a change of the machine;
without it there are few of both.
"""

from __future__ import annotations

import os
import subprocess
import sys
from math import e
from pathlib import Path

import pytest
from support.gossip.members import name_of
from support.gossip.scenarios import (
    PLAIN,
    Departure,
    declared_down,
    detection,
    detections,
    joined,
    launched,
    mean,
    median,
    views_agree,
    with_all_addresses,
    wrongly_dead,
)
from support.gossip.simulation import Impairments, Network

from metallb_py.protocols.memberlist.settings import FAST, LAN, Settings
from metallb_py.protocols.memberlist.suspicion import min_suspicion_timeout

FULL = os.environ.get("METALLB_PY_SIMULATION") == "full"
SIZES = (5, 10, 50, 100, 200, 500) if FULL else (5, 30)
SEEDS = range(20) if FULL else range(3)
COUNT = 100 if FULL else 12
MINUTES = 30.0 if FULL else 2.0
ROOT = Path(__file__).parents[2]

SWIM_PERIODS = e / (e - 1)
"""SWIM, section 5: expected protocol periods until the first failed probe of a dead member."""


def expected(settings: Settings, size: int) -> float:
    """Return the expected time of the first detection: a failed probe, and the suspicion."""
    periods = SWIM_PERIODS + 1  # until a probe begins, and that probe
    return periods * settings.probe_interval + min_suspicion_timeout(settings, size)


@pytest.mark.parametrize("settings", [FAST, LAN, PLAIN], ids=["fast", "lan", "plain"])
@pytest.mark.parametrize("size", SIZES)
def test_views_converge_through_one_contact(size: int, settings: Settings) -> None:
    network = launched(size, seed=size, settings=settings)
    # Each broadcast is sent for about log n rounds (SWIM, section 4.1); joins take a round trip.
    network.run_until(lambda: views_agree(network), within=20 * settings.gossip_interval + 1.0)
    network.run(5.0)
    assert views_agree(network)
    assert not network.count()["MemberDown"]


@pytest.mark.parametrize("settings", [FAST, LAN, PLAIN], ids=["fast", "lan", "plain"])
@pytest.mark.parametrize("size", SIZES)
def test_detection_of_a_cut_link(size: int, settings: Settings) -> None:
    found = detections(size, settings, Departure.CUT, COUNT)
    assert min(d.first for d in found) >= min_suspicion_timeout(settings, size - size // 4)
    assert mean(d.first for d in found) <= expected(settings, size)
    assert median([d.last - d.first for d in found]) <= 3 * settings.gossip_interval


def test_detection_of_a_cut_link_in_a_cluster_of_three() -> None:
    found = detections(3, FAST, Departure.CUT, COUNT)
    assert median([d.last for d in found]) < 3.0


@pytest.mark.parametrize("size", SIZES)
def test_detection_of_a_crashed_process_on_a_living_host(size: int) -> None:
    found = detections(size, FAST, Departure.CRASH, COUNT)
    # The first ping is refused, and so are the pings that verify it: no suspicion.
    assert mean(d.first for d in found) <= SWIM_PERIODS * FAST.probe_interval
    assert max(d.last - d.first for d in found) <= 5 * FAST.gossip_interval


@pytest.mark.parametrize("size", SIZES)
def test_leave_is_detected_at_once(size: int) -> None:
    found = detections(size, FAST, Departure.LEAVE, COUNT)
    assert max(d.first for d in found) <= 0.01
    assert max(d.last for d in found) <= 10 * FAST.gossip_interval


@pytest.mark.parametrize("size", SIZES[:2] if FULL else (3, 5))
@pytest.mark.parametrize("loss", [0.0, 0.05, 0.10])
def test_no_false_positive_from_lost_packets(size: int, loss: float) -> None:
    for seed in SEEDS:
        network = joined(size, seed, FAST)
        network.impairments = Impairments(loss=loss)
        network.run(60 * MINUTES)
        assert not wrongly_dead(network)


@pytest.mark.parametrize("size", [3, 5])
def test_no_false_positive_at_thirty_percent_packet_loss(size: int) -> None:
    network = joined(size, size, FAST)
    network.impairments = Impairments(loss=0.3, reordered=0.05, duplicated=0.05)
    network.run(60 * MINUTES)
    assert not wrongly_dead(network)


@pytest.mark.parametrize("seconds", [3.0, 10.0, 60.0])
@pytest.mark.parametrize("size", [2, 5, 20])
def test_sides_of_a_partition_continue_alone_and_merge_again(size: int, seconds: float) -> None:
    network = with_all_addresses(joined(size, size, FAST))
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
    # Joins are retried after 2 s, then at growing intervals of up to 30 s.
    network.run_until(lambda: views_agree(network), within=2.0 if seconds < 10 else 31.0)
    network.reports.clear()
    network.run(60.0)
    assert views_agree(network)
    assert not declared_down(network)


def test_link_open_in_one_direction_only_causes_no_flapping() -> None:
    network = with_all_addresses(joined(5, 1, FAST))
    network.block("n1", "n2")
    network.run(60 * MINUTES)
    assert not declared_down(network)


@pytest.mark.parametrize("settings", [FAST, LAN], ids=["fast", "lan"])
@pytest.mark.parametrize("size", [2, 3, 10])
def test_no_false_positive_from_a_pause_shorter_than_the_suspicion(
    size: int, settings: Settings
) -> None:
    network = with_all_addresses(joined(size, size, settings))
    timeout = min_suspicion_timeout(settings, size)
    for number, part in enumerate([0.2, 0.5, 0.8, 1.0] * 3):
        name = name_of(number % size)
        network.pause(name)
        network.run(part * timeout)
        network.resume(name)
        network.run(timeout + 3.0)
        assert not declared_down(network)


def test_member_paused_longer_is_declared_dead_and_rejoins() -> None:
    network = with_all_addresses(joined(5, 1, FAST))
    network.run(1.0)
    network.pause("n1")
    network.run(5.0)
    assert declared_down(network) == {"n1"}
    network.resume("n1")
    network.run_until(lambda: views_agree(network), within=1.0)
    network.run(10.0)
    assert declared_down(network) == {"n1"}


@pytest.mark.parametrize("settings", [FAST, PLAIN], ids=["fast", "plain"])
@pytest.mark.parametrize(("pauses", "runs"), [(0.5, 0.05), (2.0, 0.1), (10.0, 0.05)])
def test_slow_member_causes_no_false_positive_of_a_healthy_one(
    pauses: float, runs: float, settings: Settings
) -> None:
    """The case of the Lifeguard paper (section III): a slow member suspects healthy ones."""
    network = with_all_addresses(joined(10, 1, settings))
    until = network.now + 60 * MINUTES
    while network.now < until:
        network.pause("n1")
        network.run(pauses * (0.5 + network.chance.random()))
        network.resume("n1")
        network.run(runs)
    network.run(60.0)
    assert declared_down(network) <= {"n1"}
    assert views_agree(network)
    assert network.process("n1").machine.health == 0


@pytest.mark.parametrize("loss", [0.0, 0.1])
@pytest.mark.parametrize("size", [4, 10])
def test_members_interoperate_with_members_in_memberlist_mode(size: int, loss: float) -> None:
    network = Network(size)
    for number in range(size):
        settings = FAST if number % 2 else PLAIN
        network.add(name_of(number), settings, plain=not settings.fast_detection)
    with_all_addresses(network)
    network.run_until(lambda: views_agree(network), within=5.0)
    network.impairments = Impairments(loss=loss)
    network.run(60 * MINUTES)
    assert not declared_down(network)
    network.impairments = Impairments()
    found = detection(network, "n1", Departure.CUT, within=30.0)
    assert found.first <= 2 * expected(FAST, size)


def test_idle_traffic_is_two_packets_per_probe_interval() -> None:
    network = with_all_addresses(joined(20, 1, FAST))
    before = sum(host.packets for host in network.hosts.values())
    network.run(60.0)
    sent = sum(host.packets for host in network.hosts.values()) - before
    # A ping per probe interval, and an ack to as many (SWIM: constant load per member).
    assert sent / 20 / 60.0 <= 2 / FAST.probe_interval * 1.05


def digest(seed: int) -> str:
    """Return the digest of a run with all kinds of events."""
    impairments = Impairments(loss=0.1, duplicated=0.1, reordered=0.2)
    network = launched(8, seed, FAST, impairments, trace=True)
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
