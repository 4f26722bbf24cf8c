"""50 routers with 10,000 routes each: the memory and the processor time of one node.

Measured: 110 MiB, and 0.09 % of a core once all routes are sent; sending took 2.7 s of a core.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import time
from pathlib import Path

from support.bgp.route_senders import Receiver, our_process
from support.net.router_link import RouterLink, router_link
from support.net.waiting import eventually

SESSIONS = [(f"10.77.0.{100 + number}", f"10.77.0.{200 + number}") for number in range(50)]
ROUTES = 10_000
SECONDS = float(os.environ.get("METALLB_PY_BENCH_SECONDS", "40"))
TICKS = os.sysconf("SC_CLK_TCK")


def processor_time(process: int) -> float:
    """Return the processor time of a process so far, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def memory(process: int, kind: str) -> float:
    """Return the resident memory of a process, in MiB."""
    found = re.search(rf"{kind}:\s+(\d+)", Path(f"/proc/{process}/status").read_text())
    assert found is not None
    return int(found[1]) / 1024


def add_addresses(cable: RouterLink) -> None:
    """Give both ends an address for each session."""
    for namespace, addresses in zip(
        (cable.node, cable.router), zip(*SESSIONS, strict=True), strict=True
    ):
        lines = "".join(f"address add {address}/24 dev eth0\n" for address in addresses)
        command = ["ip", "-n", namespace, "-batch", "-"]
        subprocess.run(command, input=lines, text=True, check=True)


async def test_memory_and_processor_time_of_fifty_bgp_sessions(tmp_path: Path) -> None:
    with router_link() as cable:
        add_addresses(cable)
        receiver = Receiver(cable, tmp_path)
        await receiver.start(*SESSIONS)
        try:
            began = time.monotonic()
            async with our_process(cable, tmp_path, ROUTES, *SESSIONS) as node:
                total = len(SESSIONS) * ROUTES
                await eventually(
                    receiver.count, lambda text: f"{total} of {total}" in text, within=120
                )
                print(f"{len(SESSIONS)} routers have {ROUTES:,}: {time.monotonic() - began:.1f} s")
                process = node.pid
                before = processor_time(process)
                print(f"that took {before:.2f} s of a core, the start of the program included")
                await asyncio.sleep(SECONDS)
                steady = (processor_time(process) - before) / SECONDS
                resident, peak = memory(process, "VmRSS"), memory(process, "VmHWM")
                print(f"{resident:.0f} MiB resident ({peak:.0f} at most), {steady:.2%} of a core")
                assert resident < 200
                assert steady < 0.05
        finally:
            await receiver.stop()
