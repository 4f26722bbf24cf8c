"""Gossip cluster on virtual time: detection time, false positives, bandwidth.

The figures of the sources, printed beside ours:

- SWIM (Das, Gupta, Motivala: SWIM, DSN 2002), section 5: the first probe of a failed member by any
  other is expected to begin e/(e-1) = 1.58 protocol periods after the failure, for every size; the
  load of each member does not depend on the size, and updates reach all in O(log n) periods.
- memberlist, util.go ``suspicionTimeout``: a suspicion lasts at least
  ``SuspicionMult * max(1, log10 n) * ProbeInterval``, which is 4 s up to ten members with the LAN
  preset (config.go), and ``SuspicionMaxTimeoutMult`` (6) times that without
  confirmation by other members.
- Lifeguard (Dadgar, Phillips, Currey: Lifeguard, SWIM-ing with Situational Awareness, 2017): 50
  times fewer false positives than SWIM where members are slow, as its authors' summary has it
  (hashicorp.com/blog/making-gossip-more-robust-with-lifeguard).

``plain`` is the machine without its extensions of memberlist, with memberlist's LAN preset: the
expected figures of hashicorp/memberlist itself. METALLB_PY_SIMULATION=full takes more of each.
"""

from __future__ import annotations

import os
from math import e

import pytest
from support.gossip.scenarios import (
    PLAIN,
    Departure,
    detections,
    joined,
    median,
    with_all_addresses,
    wrongly_dead,
)
from support.gossip.simulation import Impairments

from metallb_py.protocols.memberlist.settings import FAST, LAN, Settings
from metallb_py.protocols.memberlist.suspicion import min_suspicion_timeout

MORE = 10 if os.environ.get("METALLB_PY_SIMULATION") == "full" else 1
SIZES = (3, 5, 50, 500)
KINDS = {"fast": FAST, "lan": LAN, "plain": PLAIN}
LOSSES = (0.0, 0.1, 0.3)
MEMBER_HOURS = 2.0 * MORE


def expected(settings: Settings, size: int) -> float:
    """Return the expected seconds until a first member detects a cut link, by the sources."""
    return (e / (e - 1) + 1) * settings.probe_interval + min_suspicion_timeout(settings, size)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_failure_detection_time(kind: str, size: int) -> None:
    settings = KINDS[kind]
    count = (4 if size == 500 else 20) * MORE
    for how in Departure:
        found = detections(size, settings, how, count)
        first, last = [d.first for d in found], [d.last for d in found]
        print(
            f"\n{size:4} {kind:6}{how.value:9} first: median {median(first):6.2f} s, worst"
            f" {max(first):6.2f} s; all: median {median(last):6.2f} s, worst {max(last):6.2f} s",
            end="",
        )
        if how is Departure.CUT:
            print(f"; expected by the sources {expected(settings, size):5.2f} s", end="")


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
def test_false_positives_and_bandwidth(kind: str, size: int) -> None:
    settings = KINDS[kind]
    network = with_all_addresses(joined(size, size, settings))
    hours = MEMBER_HOURS if size < 500 else MEMBER_HOURS * 2
    for loss in LOSSES:
        network.impairments = Impairments(loss=loss)
        network.run(20.0)
        network.reports.clear()
        for host in network.hosts.values():
            host.packets = host.bytes = host.stream_bytes = host.busiest = 0
        network.run(3600.0 * hours / size)
        hosts = network.hosts.values()
        seconds = 3600.0 * hours
        wrong, suspected = len(wrongly_dead(network)), network.count()["MemberSuspected"]
        print(
            f"\n{size:4} {kind:6}loss {loss:3.0%}: {wrong / hours:7.2f} false deaths and"
            f" {suspected / hours:8.1f} suspicions per member-hour;"
            f" per member and second {sum(h.packets for h in hosts) / seconds:5.1f} packets,"
            f" {sum(h.bytes for h in hosts) / seconds:6.0f} B by UDP,"
            f" {sum(h.stream_bytes for h in hosts) / seconds:6.0f} B by TCP;"
            f" busiest second {max(h.busiest for h in hosts)} packets",
            end="",
        )
