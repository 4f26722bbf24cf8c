"""BIRD 2 in a namespace, queried with birdc."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

from support.bgp.router import provided
from support.net.requirements import require
from support.net.waiting import exists

_ATTRIBUTE = re.compile(r"^\s+(?:BGP\.)?(\w+): (.*)$")
_PREFIX = re.compile(r"^(\S+/\d+)\s")


class Bird:
    """A BIRD instance."""

    def __init__(self, namespace: str, directory: Path) -> None:
        self._namespace = namespace
        self._directory = directory
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, config: str) -> None:
        """Start with this configuration, and wait for the control socket."""
        (self._directory / "bird.conf").write_text(config)
        await self._spawn()

    async def restart(self) -> None:
        """Kill BIRD (SIGKILL), and start it again."""
        await self.stop()
        await self._spawn()

    async def stop(self) -> None:
        """Kill BIRD if it runs."""
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    async def birdc(self, command: str) -> str:
        """Run one birdc command; return its output."""
        process = await asyncio.create_subprocess_exec(
            "birdc", "-r", "-s", str(self._socket), command,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        output, _ = await process.communicate()
        return output.decode()

    async def route(self, prefix: str) -> dict[str, str]:
        """Return the attributes of the route to a prefix; empty if there is none."""
        found = map(_ATTRIBUTE.match, (await self.birdc(f"show route all {prefix}")).splitlines())
        return {match[1]: match[2].strip() for match in found if match}

    async def prefixes(self) -> set[str]:
        """Return the prefixes of both families in the table."""
        found = map(_PREFIX.match, (await self.birdc("show route")).splitlines())
        return {match[1] for match in found if match}

    async def protocol(self, name: str) -> str:
        """Return the full state of a protocol instance."""
        return await self.birdc(f"show protocols all {name}")

    @property
    def log_file(self) -> Path:
        """The path for the log, which the configuration has to name."""
        return self._directory / "bird.log"

    @property
    def _socket(self) -> Path:
        return self._directory / "bird.ctl"

    async def _spawn(self) -> None:
        self._socket.unlink(missing_ok=True)
        self._process = await asyncio.create_subprocess_exec(
            "ip", "netns", "exec", self._namespace, "bird", "-f",
            "-c", str(self._directory / "bird.conf"), "-s", str(self._socket),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        await exists(self._socket)


@contextlib.asynccontextmanager
async def bird(namespace: str) -> AsyncIterator[Bird]:
    """Provide a router that is not started yet; stop it at the end."""
    require(shutil.which("bird") is not None and shutil.which("birdc") is not None, "BIRD")
    async with provided(Bird, namespace) as router:
        yield router
