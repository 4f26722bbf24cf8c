"""Real MetalLB speakers beside ours: all elect the same owner for 200 addresses.

``METALLB_PY_METALLB_SPEAKER`` is the path of MetalLB 0.12's speaker program. Without it, this file
is not collected.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest
from support.kube.metallb_speakers import (
    ADDRESSES,
    ArpSurvey,
    Kind,
    Owners,
    Speakers,
    make_services,
)
from support.net.isolated import isolated
from support.net.requirements import METALLB_SPEAKER, require

from metallb_py.lab.binaries import find_kubernetes
from metallb_py.lab.lab import Lab, LabOptions
from metallb_py.lab.network import NODES, Node

pytestmark = pytest.mark.e2e
VERSION = "1.20"  # of Kubernetes: MetalLB 0.12 reads its EndpointSlices
# For every member that joins or leaves, MetalLB reconciles all services again: a burst of 100, then
# 10 a second. The rest of one event delays the next; the longest observed was 80 s.
PATIENCE_SECONDS = 180
STAYS_SECONDS = 3.0
MIXED = {
    "one-of-metallb": (Kind.METALLB, Kind.OURS, Kind.OURS),
    "two-of-metallb": (Kind.OURS, Kind.METALLB, Kind.METALLB),
}


class Trial:
    """Disruptions of the speakers; after each, all must elect the same owners again."""

    def __init__(self, speakers: Speakers, survey: ArpSurvey) -> None:
        self._speakers = speakers
        self._census = survey
        self.took: list[str] = []

    def start(self) -> None:
        """Start all speakers, one right after the other."""
        for node in NODES:
            self._speakers.start(node)
        self._wait_converged("start", lambda _: None)

    def step(self, what: str, act: Callable[[Node], None], node: Node) -> None:
        """Disrupt one speaker. No address moves to a node that the election does not choose."""
        before = self._speakers.owners()
        act(node)
        after = self._speakers.owners()
        kind = self._speakers.kinds[node.name]
        # A speaker that is alone elects itself for every address; MetalLB's is alone also at start.
        alone = act == self._speakers.mend or (act == self._speakers.start and kind is Kind.METALLB)
        self_elected = {node.name} if alone else set()

        def check(seen: Owners) -> None:
            misplaced = {
                address: set(names)
                for address, names in seen.items()
                if not names <= before[address] | after[address] | self_elected
            }
            assert not misplaced, what

        self._wait_converged(f"{node.name} ({kind}) {what}", check)

    def _wait_converged(self, what: str, check: Callable[[Owners], None]) -> None:
        """Wait until each address has the elected owner alone, and keeps it."""
        wanted, began = self._speakers.owners(), time.monotonic()
        while (seen := self._census.answers(ADDRESSES)) != wanted:
            check(seen)
            unexpectedly_ended = [
                program.name for program in self._speakers.lab.programs.unexpectedly_ended()
            ]
            assert not unexpectedly_ended, self._speakers.lab.logs()
            passed = time.monotonic() - began
            assert passed < PATIENCE_SECONDS, f"{what}: {_differences(seen, wanted)}"
        self.took.append(f"{what}: {time.monotonic() - began:.1f} s")
        until = time.monotonic() + STAYS_SECONDS
        while time.monotonic() < until:
            seen = self._census.answers(ADDRESSES)
            assert seen == wanted, f"{what}, later: {_differences(seen, wanted)}"
        for node in self._speakers.living(Kind.METALLB):
            share = {address for address, names in wanted.items() if node.name in names}
            assert self._speakers.announced(node) == share, f"{what}: as {node.name} sees it"


def _differences(seen: Owners, wanted: Owners) -> dict[str, tuple[set[str], set[str]]]:
    return {a: (set(seen[a]), set(wanted[a])) for a in wanted if seen[a] != wanted[a]}


@contextmanager
def mixed_lab(folder: Path, kinds: tuple[Kind, ...]) -> Iterator[Speakers]:
    """Provide a lab with all services and the pods of all speakers, but no speakers yet."""
    with Lab(folder, LabOptions("real", VERSION, "builtin")) as lab:
        for proxy in lab.proxies:  # each change makes them write the rules of all services anew
            proxy.end()
        lab.start_controller()
        make_services(lab)
        for node in NODES:
            lab.cluster.add_speaker_pod(node)
        names = [node.name for node in NODES]
        yield Speakers(lab, Path(os.environ[METALLB_SPEAKER]), dict(zip(names, kinds, strict=True)))


def agree(folder: Path, kinds: tuple[Kind, ...]) -> list[str]:
    """Fail and restore a speaker of each kind in every way; return the time of each step."""
    with mixed_lab(folder, kinds) as speakers:
        survey = ArpSurvey()
        trial = Trial(speakers, survey)
        trial.start()
        for kind in Kind:
            node = next(node for node in NODES if speakers.kinds[node.name] is kind)
            trial.step("was killed", speakers.kill, node)
            trial.step("returned", speakers.start, node)
            trial.step("ended", speakers.end, node)
            trial.step("returned again", speakers.start, node)
            trial.step("was cut off", speakers.cut, node)
            trial.step("can be reached again", speakers.mend, node)
        survey.close()
        return trial.took


@pytest.mark.parametrize("kinds", MIXED.values(), ids=MIXED)
def test_metallb_speakers_and_ours_elect_the_same_owner(
    kinds: tuple[Kind, ...], tmp_path: Path
) -> None:
    require(os.environ.get(METALLB_SPEAKER), f"{METALLB_SPEAKER}, a program's path")
    require(find_kubernetes(VERSION) is not None, f"kube-apiserver {VERSION}")
    print(*isolated(partial(agree, tmp_path, kinds)), sep="\n")
