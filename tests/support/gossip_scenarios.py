"""What is done to a simulated gossip cluster, and what is measured of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from support.gossip_simulation import Network, Weather

from metallb_py.protocols.memberlist.events import MemberDown
from metallb_py.protocols.memberlist.settings import LAN, Settings

PLAIN: Final = replace(LAN, eager=False)
"""As near as the machine comes to memberlist itself, with the settings that MetalLB uses."""


class End(Enum):
    """How a member goes."""

    CRASH = "crash"
    CUT = "link cut"
    LEAVE = "leave"


@dataclass(frozen=True, slots=True)
class Detection:
    """How many seconds after a member's end the first and the last survivor knew of it."""

    first: float
    last: float


def name_of(number: int) -> str:
    """Return the name of a member."""
    return f"n{number}"


def launched(
    size: int,
    seed: int,
    settings: Settings,
    weather: Weather | None = None,
    *,
    trace: bool = False,
) -> Network:
    """Return so many members that begin at once, and know the address of the first alone."""
    network = Network(seed, weather, trace=trace)
    for number in range(size):
        network.add(name_of(number), settings, plain=not settings.eager)
    contact = network.hosts[name_of(0)].endpoint.address
    for number in range(1, size):
        network.process(name_of(number)).pods([contact])
    return network


def joined(
    size: int, seed: int, settings: Settings, weather: Weather | None = None, *, trace: bool = False
) -> Network:
    """Return so many members that know each other and have nothing more to tell."""
    network = launched(size, seed, settings, weather, trace=trace)
    network.run_until(lambda: agree(network), within=60.0, step=0.5)
    network.run(5.0 + network.chance.random())
    network.told.clear()
    return network


def introduced(network: Network) -> Network:
    """Have every process know all addresses, as a speaker knows those of the other pods."""
    addresses = [host.endpoint.address for host in network.hosts.values()]
    for name in network.living:
        network.process(name).pods(addresses)
    return network


def given_up(network: Network) -> set[str]:
    """Return who was told to be gone, rightly or not."""
    return {told.effect.member.name for told in network.told if isinstance(told.effect, MemberDown)}


def agree(network: Network) -> bool:
    """Whether each of the living knows the living, and nobody else."""
    living = network.living
    size = len(living)
    return all(network.process(name).machine.present == size for name in living) and all(
        network.process(name).view == set(living) for name in living
    )


def end(network: Network, name: str, how: End) -> None:
    """Have a member go."""
    match how:
        case End.CRASH:
            network.crash(name)
        case End.CUT:
            network.cut(name)
        case End.LEAVE:
            network.process(name).leave()


def detection(network: Network, name: str, how: End, within: float) -> Detection:
    """End a member, and see when the survivors know."""
    witnesses = [other for other in network.living if other != name]
    began = network.now
    network.run(network.chance.random())
    network.told.clear()
    began = network.now
    end(network, name, how)

    def knowing() -> dict[str, float]:
        return {
            told.who: told.at - began
            for told in reversed(network.told)
            if isinstance(told.effect, MemberDown) and told.effect.member.name == name
        }

    network.run_until(lambda: knowing().keys() >= set(witnesses), within, step=0.5)
    times = [when for who, when in knowing().items() if who != name]
    if how is not End.CRASH:
        network.crash(name)
    return Detection(min(times), max(times))


def detections(size: int, settings: Settings, how: End, count: int) -> list[Detection]:
    """Return so many, of which none takes more than a quarter of a cluster's members away."""
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
    """Return who lived and was given up by somebody, by name and incarnation."""
    return {
        (told.effect.member.name, told.effect.member.incarnation)
        for told in network.told
        if told.wrong and isinstance(told.effect, MemberDown)
    }


def median(values: Sequence[float]) -> float:
    """Return the middle value, the upper one of two."""
    return sorted(values)[len(values) // 2]
