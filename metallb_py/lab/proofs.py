"""Proofs that the lab works, from the client's and the router's side, never the daemons'."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from metallb_py.lab.cluster import Object
from metallb_py.lab.lab import Lab
from metallb_py.lab.network import NODES, mac_of
from metallb_py.lab.probe import Probe
from metallb_py.lab.processes import LabError, Program, wait_until

# Generous: on a machine that does other work, three speakers start slowly.
SECONDS = 60.0
ARP_ROUND = 0.25
ARP_LAST_ROUND = 1.0
COLUMNS = ("service", "address", "protocol", "announced by", "proof", "ms")


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one proof."""

    service: str
    """Name of the Service."""
    address: str
    """Its allocated address; ``-`` where there is none."""
    protocol: str
    """``layer2`` or ``bgp``; ``-`` where there is no address."""
    announced_by: str
    """The nodes that announce the address; empty where that is not part of the proof."""
    proof: str
    """What was to be proved."""
    held: bool
    """Whether it was."""
    milliseconds: int
    """Time since the creation of the Service."""
    seen: str = ""
    """What was found instead, for a proof that failed."""


@dataclass(frozen=True, slots=True)
class _Clock:
    started: float

    def milliseconds(self) -> int:
        return round((time.monotonic() - self.started) * 1000)

    def out_of_time(self) -> bool:
        return time.monotonic() - self.started > SECONDS


def prove(lab: Lab, objects: list[Object]) -> list[Result]:
    """Apply the configuration, then each service; prove that each is reachable."""
    services = [item for item in objects if item["kind"] == "Service"]
    lab.cluster.apply(item for item in objects if item["kind"] != "Service")
    probe = Probe("client")
    try:
        probe.answers("172.30.0.254", ARP_ROUND)  # scapy is loaded when this returns
        _wait_for_daemons(lab)
        return [result for item in services for result in _prove_service(lab, probe, item)]
    finally:
        probe.close()


def _wait_for_daemons(lab: Lab) -> None:
    """Wait until every speaker has a configuration and all other members.

    So the time is that of one service alone, and no speaker elects itself as the only candidate.
    """
    others = len(lab.speakers) - 1
    for speaker in lab.speakers.values():

        def is_ready(program: Program = speaker) -> bool:
            log = program.log.read_text()
            return "configLoaded" in log and log.count('"NodeJoin"') >= others

        wait_until(f"{speaker.name}: configuration and members", SECONDS, is_ready, speaker)


def _prove_service(lab: Lab, probe: Probe, item: Object) -> Iterator[Result]:
    meta = item["metadata"]
    if not isinstance(meta, dict):
        raise LabError("a Service without metadata")
    namespace, name = str(meta["namespace"]), str(meta["name"])
    clock = _Clock(time.monotonic())
    lab.cluster.apply([item])
    address = _address_of(lab, namespace, name, clock)
    if not address:
        proof, elapsed = "address in status", clock.milliseconds()
        yield Result(name, "-", "-", "", proof, False, elapsed, "none")
        return
    allocated = clock.milliseconds()
    if address.startswith("172.30.0."):
        yield Result(name, address, "layer2", "", "address in status", True, allocated)
        answered = _wait_for_answer(probe, address, clock)
        page = _prove_page(probe, name, address, "layer2", clock)
        # Last, because the time that it takes must not count for the page.
        yield _prove_one_answer(probe, name, address, answered)
        yield page
    else:
        yield Result(name, address, "bgp", "", "address in status", True, allocated)
        yield _prove_route(lab, name, address, clock)
        if lab.router.forwards:
            yield _prove_page(probe, name, address, "bgp", clock)


def _address_of(lab: Lab, namespace: str, name: str, clock: _Clock) -> str:
    while not clock.out_of_time():
        service = lab.cluster.get_service(namespace, name)
        if service.ingress:
            return service.ingress[0].ip
        time.sleep(0.01)
    return ""


def _wait_for_answer(probe: Probe, address: str, clock: _Clock) -> int:
    """Wait until a host answers ARP; return the elapsed milliseconds."""
    while not probe.has_answer(address, ARP_ROUND) and not clock.out_of_time():
        pass
    return clock.milliseconds()


def _prove_one_answer(probe: Probe, name: str, address: str, answered: int) -> Result:
    """Prove that exactly one node answers a broadcast ARP request."""
    answers = probe.answers(address, ARP_LAST_ROUND)  # long enough for a second one to show
    nodes = {mac_of(node.name): node.name for node in NODES}
    found = ", ".join(nodes.get(mac, mac) for mac in answers)
    held = len(answers) == 1 and answers[0] in nodes
    proof = "one node answers ARP"
    return Result(name, address, "layer2", found, proof, held, answered, f"answers: {found}")


def _prove_page(probe: Probe, name: str, address: str, protocol: str, clock: _Clock) -> Result:
    """Prove that the client gets a pod's page."""
    while not (page := probe.page(f"http://{address}/")) and not clock.out_of_time():
        pass
    pods = {node.pod.name for node in NODES if node.pod}
    held = page.strip() in pods
    proof = f"HTTP: {page.strip() or 'no page'}"
    elapsed = clock.milliseconds()
    wanted = f"want a page of {' or '.join(sorted(pods))}"
    return Result(name, address, protocol, "", proof, held, elapsed, wanted)


def _prove_route(lab: Lab, name: str, address: str, clock: _Clock) -> Result:
    """Prove that the router has the /32, with a next hop for each node."""
    wanted = {node.address for node in NODES}
    while (hops := lab.router.next_hops(f"{address}/32")) != wanted and not clock.out_of_time():
        time.sleep(0.02)
    nodes = {node.address: node.name for node in NODES}
    found = ", ".join(sorted(nodes.get(hop, hop) for hop in hops))
    proof = f"{lab.router.description} has the /32 with {len(hops)} next hops"
    held = hops == wanted
    elapsed = clock.milliseconds()
    return Result(name, address, "bgp", found, proof, held, elapsed, f"next hops: {found}")


def table(results: list[Result]) -> str:
    """Return the results as a table, one a line."""
    rows = [COLUMNS]
    for r in results:
        proof = f"{'ok' if r.held else 'FAILED'}: {r.proof}"
        rows.append((r.service, r.address, r.protocol, r.announced_by, proof, str(r.milliseconds)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(COLUMNS))]
    lines = ("  ".join(text.ljust(w) for text, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)
