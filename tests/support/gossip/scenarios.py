"""Scenarios for a simulated gossip cluster, and measurements of failure detection."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from support.gossip.members import name_of
from support.gossip.simulation import Impairments, Network

from metallb_py.protocols.memberlist.events import MemberDown
from metallb_py.protocols.memberlist.settings import LAN, Settings

PLAIN: Final = replace(LAN, fast_detection=False)
"""The closest approximation of hashicorp/memberlist, with the settings that MetalLB uses."""


class Departure(Enum):
    """The way in which a member ends."""

    CRASH = "crash"
    CUT = "link cut"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Detection:
    """Detection times of a member's end, in seconds from it."""

    first: float
    """Time until the first survivor detected it."""
    last: float
    """Time until the last survivor detected it."""


def launched(
    size: int,
    seed: int,
    settings: Settings,
    impairments: Impairments | None = None,
    *,
    trace: bool = False,
) -> Network:
    """Return ``size`` members that start at once; each has only the address of the first one."""
    network = Network(seed, impairments, trace=trace)
    for number in range(size):
        network.add(name_of(number), settings, plain=not settings.fast_detection)
    contact = network.hosts[name_of(0)].endpoint.address
    for number in range(1, size):
        network.process(name_of(number)).pods([contact])
    return network


def joined(
    size: int,
    seed: int,
    settings: Settings,
    impairments: Impairments | None = None,
    *,
    trace: bool = False,
) -> Network:
    """Return ``size`` members with complete views and no queued broadcasts."""
    network = launched(size, seed, settings, impairments, trace=trace)
    network.run_until(lambda: views_agree(network), within=60.0, step=0.5)
    network.run(5.0 + network.chance.random())
    network.reports.clear()
    return network


def with_all_addresses(network: Network) -> Network:
    """Give every process all addresses, as a speaker has those of the other pods."""
    addresses = [host.endpoint.address for host in network.hosts.values()]
    for name in network.living:
        network.process(name).pods(addresses)
    return network


def declared_down(network: Network) -> set[str]:
    """Return the names of the members that were reported down, rightly or not."""
    return {
        report.effect.member.name
        for report in network.reports
        if isinstance(report.effect, MemberDown)
    }


def views_agree(network: Network) -> bool:
    """Whether the view of each living member contains exactly the living members."""
    living = network.living
    size = len(living)
    return all(network.process(name).machine.present == size for name in living) and all(
        network.process(name).view == set(living) for name in living
    )


def end(network: Network, name: str, how: Departure) -> None:
    """End a member."""
    match how:
        case Departure.CRASH:
            network.crash(name)
        case Departure.CUT:
            network.cut(name)
        case Departure.LEAVE:
            network.process(name).leave()


def detection(network: Network, name: str, how: Departure, within: float) -> Detection:
    """End a member; return when the survivors detect it. Fails after ``within`` seconds."""
    survivors = [other for other in network.living if other != name]
    began = network.now
    network.run(network.chance.random())
    network.reports.clear()
    began = network.now
    end(network, name, how)

    def detection_times() -> dict[str, float]:
        return {
            report.observer: report.at - began
            for report in reversed(network.reports)
            if isinstance(report.effect, MemberDown) and report.effect.member.name == name
        }

    network.run_until(lambda: detection_times().keys() >= set(survivors), within, step=0.5)
    times = [when for observer, when in detection_times().items() if observer != name]
    if how is not Departure.CRASH:
        network.crash(name)
    return Detection(min(times), max(times))


def detections(size: int, settings: Settings, how: Departure, count: int) -> list[Detection]:
    """Return ``count`` detections; no cluster loses more than a quarter of its members."""
    found: list[Detection] = []
    while len(found) < count:
        network = joined(size, size + len(found), settings)
        victims = map(name_of, range(1, max(2, size // 4)))
        found += [detection(network, victim, how, within=120.0) for victim in victims]
        assert not wrongly_dead(network)
    return found[:count]


def mean(values: Iterable[float]) -> float:
    """Return the mean."""
    found = list(values)
    return sum(found) / len(found)


def wrongly_dead(network: Network) -> set[tuple[str, int]]:
    """Return name and incarnation of the living members that any member declared dead."""
    return {
        (report.effect.member.name, report.effect.member.incarnation)
        for report in network.reports
        if report.wrong and isinstance(report.effect, MemberDown)
    }


def median(values: Sequence[float]) -> float:
    """Return the middle value, the upper one of two."""
    return sorted(values)[len(values) // 2]
