"""The responder process under fuzzed frames, over a real link.

``METALLB_PY_FUZZ_SECONDS=600`` runs for ten minutes; ``METALLB_PY_FUZZ_SEED`` repeats a run.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import time
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from random import Random

import pytest
from support.layer2.client_link import ETH_P_ALL, VIP, Client, client_link
from support.layer2.frame_fuzz import Fuzzer
from support.layer2.responder_process import Process, running_process
from support.net.waiting import TIMEOUT

pytestmark = pytest.mark.netns

SECONDS = float(os.environ.get("METALLB_PY_FUZZ_SECONDS", "3"))
SEED = int(os.environ.get("METALLB_PY_FUZZ_SEED", time.time_ns()))
VIP6 = "2001:db8::64"
HONEST = "192.0.2.99"
CHUNK = 200
# Memory in KiB for cached replies and recent requesters, whose numbers are bounded.
GROWTH = 6 * 1024


def resident(process: Process) -> int:
    """Return the resident memory, in KiB."""
    status = Path(f"/proc/{process.popen.pid}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB", status, re.MULTILINE)
    assert found is not None
    return int(found[1])


class Checker:
    """Receives every frame of the node, and asserts that it is permitted."""

    def __init__(self, mac: str) -> None:
        self._mac = bytes.fromhex(mac.replace(":", ""))
        self.answers = 0

    def check(self, frame: bytes) -> bool:
        """Check a frame; return whether it answers the honest request."""
        self._check(frame)
        return frame[12:14] == b"\x08\x06" and frame[38:42] == IPv4Address(HONEST).packed

    def _check(self, frame: bytes) -> None:
        if frame[6:12] != self._mac:
            return
        if frame[12:14] == b"\x08\x06":
            assert frame[20:22] == b"\0\2"
            assert (frame[22:28], frame[28:32]) == (self._mac, IPv4Address(VIP).packed)
            assert frame[:6] == frame[32:38]
            self.answers += 1
        elif frame[12:14] == b"\x86\xdd" and frame[20] == 58 and frame[54] == 136:
            target = IPv6Address(frame[62:78])
            if not target.is_link_local:  # those are the node's own, answered by its kernel
                assert target == IPv6Address(VIP6)
                assert frame[80:86] == self._mac
                self.answers += 1


async def flood(client: Client, checker: Checker, fuzzer: Fuzzer, seconds: float) -> int:
    """Send fuzzed frames for this number of seconds; return the number of frames sent.

    After each chunk an honest request is sent, and its answer awaited: no frame is lost then, so
    the number of answers does not depend on the machine.
    """
    sent = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for _ in range(CHUNK):
            with contextlib.suppress(OSError):  # too short to be a frame
                client.socket.send(fuzzer.frame())
                sent += 1
        client.ask(sender=HONEST)
        async with asyncio.timeout(TIMEOUT):
            while not checker.check(await client.received()):
                pass
    return sent


async def test_fuzzed_frames_cause_no_wrong_answer_and_no_memory_growth() -> None:
    print(f"METALLB_PY_FUZZ_SEED={SEED}")
    with (
        client_link(ipv6=True) as cables,
        Client(cables, protocol=ETH_P_ALL) as client,
        running_process() as process,
    ):
        process.own([VIP, VIP6])
        await client.answered()
        checker = Checker(cables.node_mac())
        fuzzer = Fuzzer(Random(SEED), cables.node_mac(), VIP, VIP6)
        await flood(client, checker, fuzzer, SECONDS / 10)
        before = resident(process)
        sent = await flood(client, checker, fuzzer, SECONDS)
        growth = resident(process) - before
        assert process.popen.poll() is None
    print(f"{sent:,} frames, {checker.answers:,} answers, {growth} KiB more")
    assert growth < GROWTH
    assert checker.answers > sent // 10
