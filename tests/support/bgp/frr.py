"""FRR's zebra, bgpd and bfdd in a namespace, queried with vtysh."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
import signal
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from support.net.requirements import require
from support.net.waiting import eventually, exists

_DAEMONS = Path("/usr/lib/frr")


class Frr:
    """An FRR instance. FRR's user owns its state directory, and must be able to reach it."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self._namespace = namespace
        self._directory = directory
        self._processes: dict[str, asyncio.subprocess.Process] = {}

    async def start(self, config: str, bfd: str | None = None) -> None:
        """Start zebra and bgpd, and bfdd if ``bfd`` is given; wait until all of them listen.

        ``config`` and ``bfd`` are the configurations of bgpd and bfdd.
        """
        self._write("zebra.conf", "")
        self._write("bgpd.conf", config)
        await self._spawn("zebra")
        if bfd is not None:
            self._write("bfdd.conf", bfd)
            await self._spawn("bfdd")
        await self._spawn("bgpd")

    async def stop(self) -> None:
        """Kill all running daemons."""
        for daemon in tuple(self._processes):
            await self.kill(daemon)

    async def restart_bgpd(self) -> None:
        """Kill bgpd (SIGKILL), and start it again."""
        await self.kill("bgpd")
        await self._spawn("bgpd")

    async def configure(self, *lines: str) -> None:
        """Change the running configuration."""
        commands = [word for line in ("configure terminal", *lines) for word in ("-c", line)]
        await _output("vtysh", "--vty_socket", str(self._directory), *commands)

    async def bfd_peer(self, address: str) -> dict[str, Any]:
        """Return the state of the BFD session with a peer; empty if there is none."""
        peers: list[dict[str, Any]] = json.loads(await self.command("show bfd peers json") or "[]")
        return next((peer for peer in peers if peer["peer"] == address), {})

    def freeze_bgpd(self) -> None:
        """Stop bgpd (SIGSTOP); its connections stay open."""
        self._processes["bgpd"].send_signal(signal.SIGSTOP)

    def thaw_bgpd(self) -> None:
        """Resume bgpd (SIGCONT)."""
        self._processes["bgpd"].send_signal(signal.SIGCONT)

    async def show(self, command: str) -> dict[str, Any]:
        """Return the JSON output of a ``show`` command."""
        text = await self.command(f"show {command} json")
        answer: dict[str, Any] = json.loads(text or "{}")
        return answer

    async def in_namespace(self, *command: str) -> str:
        """Run a command in the router's namespace; return its output."""
        return await _output("ip", "netns", "exec", self._namespace, *command)

    async def command(self, command: str) -> str:
        """Run one vtysh command; return its output."""
        return await _output("vtysh", "--vty_socket", str(self._directory), "-c", command)

    async def route(self, prefix: str, family: str = "ipv4") -> dict[str, Any]:
        """Return the best path in the BGP table for a prefix; empty if there is none."""
        answer = await self.show(f"bgp {family} unicast {prefix}")
        paths: list[dict[str, Any]] = answer.get("paths", [])
        return paths[0] if paths else {}

    async def prefixes(self, family: str = "ipv4") -> set[str]:
        """Return the prefixes in the BGP table."""
        return set((await self.show(f"bgp {family} unicast")).get("routes", {}))

    async def neighbor(self, address: str) -> dict[str, Any]:
        """Return the state of a BGP neighbor."""
        answer: dict[str, Any] = (await self.show(f"bgp neighbors {address}"))[address]
        return answer

    def log(self) -> str:
        """Return bgpd's log."""
        return Path(self._directory, "bgpd.log").read_text()

    async def _spawn(self, daemon: str) -> None:
        state = self._directory
        self._processes[daemon] = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self._namespace, str(_DAEMONS / daemon),
            "-f", str(state / f"{daemon}.conf"), "-i", str(state / f"{daemon}.pid"),
            "-z", str(state / "zserv.api"), "--vty_socket", str(state), "-P", "0",
            "--log", f"file:{state / daemon}.log",
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        await exists(self._socket(daemon))
        if daemon == "bgpd":  # it reads its configuration after the socket exists
            listening = ("ss", "-Hltn", "sport", "=", "179")
            await eventually(lambda: self.in_namespace(*listening), bool)

    async def kill(self, daemon: str) -> None:
        """Kill a daemon (SIGKILL)."""
        process = self._processes.pop(daemon)
        process.kill()
        await process.wait()
        self._socket(daemon).unlink(missing_ok=True)

    def _socket(self, daemon: str) -> Path:
        return self._directory / f"{daemon}.vty"

    def _write(self, name: str, text: str) -> None:
        path = self._directory / name
        path.write_text(text)
        shutil.chown(path, "frr")


async def _output(*command: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    output, _ = await process.communicate()
    return output.decode()


@contextlib.asynccontextmanager
async def frr(namespace: str) -> AsyncIterator[Frr]:
    """Provide a router that is not started yet; stop it at the end."""
    require((_DAEMONS / "bgpd").exists() and shutil.which("vtysh") is not None, "FRR")
    with tempfile.TemporaryDirectory(prefix="metallb-frr-") as name:
        shutil.chown(name, "frr", "frr")
        router = Frr(namespace, Path(name))
        try:
            yield router
        finally:
            await router.stop()
