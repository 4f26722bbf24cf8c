"""Delay of replies: among requests for other hosts, and after a link or the process returns.

Measured on two cores with other load: 20,000 foreign requests a second take 0.01 % of a core
in the process and 0.2 % to 2.4 % (median 0.9 %) in the filter, and change the median delay by a
factor of 0.86 to 1.22; a link that returns answers after 5 ms (at most 7 ms); a killed process with
1,000 addresses answers again after 114 ms (at most 144 ms).
"""

from __future__ import annotations

import asyncio
import os
import time
from statistics import median

from support.layer2.client_link import VIP, ClientLink, client_link, gone, running_node
from support.layer2.load import (
    Delay,
    Requester,
    arp_requester,
    arp_requests,
    for_seconds,
    percentile,
)
from support.layer2.responder_process import busy_for, running_process
from support.net.forked_call import ForkedCall

ROUNDS = int(os.environ.get("METALLB_PY_BENCH_ROUNDS", "5"))
SECONDS = 3.0
PAUSE = 0.001
FLOOD = 20_000
FOREIGN = [f"192.0.2.{last}" for last in range(1, 21)]


def flood(requester: Requester, seconds: float) -> float:
    """Request other hosts, 20 in each millisecond; return the processor time in seconds."""
    frames = arp_requests(requester.mac, FOREIGN)
    started, busy = time.monotonic(), time.process_time()
    for step in range(int(seconds * FLOOD / len(frames))):
        for frame in frames:
            requester.send(frame)
        ahead = started + (step + 1) * len(frames) / FLOOD - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
    return time.process_time() - busy


def test_delay_among_requests_for_other_hosts() -> None:
    """The filter runs in the sender's time here, so its cost is the increase of that time."""
    with (
        client_link() as cables,
        arp_requester(cables) as requester,
        arp_requester(cables) as other,
    ):
        (request,) = arp_requests(requester.mac, [VIP])
        for number in range(ROUNDS):
            alone = ForkedCall(lambda: flood(other, SECONDS)).result()
            with running_process() as process:
                process.own([VIP])
                requester.until_answered(request)
                started, busy = time.monotonic(), process.busy()
                filtered = ForkedCall(lambda: flood(other, SECONDS)).result()
                ours = (process.busy() - busy) / (time.monotonic() - started)
                quiet = requester.delays([request], for_seconds(SECONDS), PAUSE)
                flooding = ForkedCall(lambda: flood(other, SECONDS))
                loud = requester.delays([request], for_seconds(SECONDS), PAUSE)
                flooding.result()
            print(
                f"20,000 foreign requests/s, round {number}: the process took {ours:.3%} of a core,"
                f" the filter {(filtered - alone) / SECONDS:.2%}; median delay"
                f" {summary(quiet)} without, {summary(loud)} with,"
                f" ratio {percentile(loud, 50) / percentile(quiet, 50):.2f}"
            )


def summary(delays: list[Delay]) -> str:
    return f"{percentile(delays, 50):.3f} ms (99 %: {percentile(delays, 99):.3f} ms)"


async def test_delay_after_a_link_returns() -> None:
    with client_link() as cables, arp_requester(cables) as requester:
        (request,) = arp_requests(requester.mac, [VIP])
        async with running_node(VIP):
            await asyncio.to_thread(requester.until_answered, request)
            taken = [
                await asyncio.to_thread(after_link_returned, cables, requester, request)
                for _ in range(4 * ROUNDS)
            ]
    print(f"a link that returns answers after {median(taken):.1f} ms, at most {max(taken):.1f} ms")


def after_link_returned(cables: ClientLink, requester: Requester, request: bytes) -> float:
    cables.on_node("link", "set", "eth0", "down")
    time.sleep(0.2)  # really down: after a shorter time the sockets need not be opened again
    started = time.monotonic()
    cables.on_node("link", "set", "eth0", "up")
    return 1000 * (requester.first_answer(request) - started)


async def test_delay_after_the_process_was_killed() -> None:
    addresses = [f"10.1.{n >> 8}.{n & 255}" for n in range(1000)]
    with client_link() as cables, arp_requester(cables) as requester:
        (request,) = arp_requests(requester.mac, [addresses[-1]])
        measured = [await after_death(requester, request, addresses) for _ in range(2 * ROUNDS)]
    taken, busy = zip(*measured, strict=True)
    print(
        f"a killed process with 1,000 addresses answers again after {median(taken):.0f} ms,"
        f" at most {max(taken):.0f} ms; of these it is busy for {median(busy):.0f} ms"
    )


async def after_death(
    requester: Requester, request: bytes, addresses: list[str]
) -> tuple[float, float]:
    async with running_node(*addresses) as node:
        await asyncio.to_thread(requester.until_answered, request)
        first = node.process()
        started = time.monotonic()
        node.kill()
        await gone(first)
        answered = await asyncio.to_thread(requester.first_answer, request)
        return 1000 * (answered - started), 1000 * busy_for(node.process())
