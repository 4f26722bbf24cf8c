"""100,000 routes to BIRD: time from Established to the last route in its table, by speaker.

Measured on two cores with little else running, medians of three rounds: ours 0.26 s, BIRD 3.08 s,
GoBGP 0.82 s, ExaBGP 0.43 s, so ours takes 0.61 times what the fastest of them does. At load 14 two
rounds gave 0.87, 3.27, 1.76 and 1.91 s. BIRD takes the same time at any load, so it waits more
than it works.
"""

from __future__ import annotations

import os
from pathlib import Path
from statistics import median

from support.bgp.route_senders import Receiver, Sender, bird, exabgp, gobgp, ours
from support.net.router_link import NODE, ROUTER, RouterLink, router_link

COUNT = 100_000
ROUNDS = int(os.environ.get("METALLB_PY_BENCH_ROUNDS", "5"))
SENDERS: dict[str, Sender] = {"ours": ours, "BIRD": bird, "GoBGP": gobgp, "ExaBGP": exabgp}


async def seconds(cable: RouterLink, sender: Sender, directory: Path) -> float:
    """Return the seconds that one sender takes."""
    receiver = Receiver(cable, directory)
    async with sender(cable, directory, COUNT):
        await receiver.start((NODE, ROUTER))
        try:
            return await receiver.seconds_to_receive(COUNT, within=120)
        finally:
            await receiver.stop()


async def test_time_to_send_a_hundred_thousand_routes(tmp_path: Path) -> None:
    taken: dict[str, list[float]] = {name: [] for name in SENDERS}
    with router_link() as cable:
        for number in range(ROUNDS):
            for name, sender in SENDERS.items():
                directory = tmp_path / f"{name}{number}"
                directory.mkdir()
                taken[name].append(await seconds(cable, sender, directory))
            print(", ".join(f"{name} {times[-1]:.2f} s" for name, times in taken.items()))
    medians = {name: median(times) for name, times in taken.items()}
    fastest = min((value, name) for name, value in medians.items() if name != "ours")
    print(
        f"{COUNT:,} routes, median: "
        + ", ".join(f"{name} {value:.2f} s" for name, value in medians.items())
        + f"; ours is {medians['ours'] / fastest[0]:.2f} times {fastest[1]}"
    )
