"""Route collector: the lab's router where neither FRR nor BIRD is installed.

It accepts BGP sessions, advertises nothing, forwards nothing, and writes a JSON file of the routes
that it received: each prefix with the next hops of all sessions that announce it.

    python -m metallb_py.lab.collector --listen 10.0.0.1 --asn 64513 --router-id 10.0.0.1 \\
        --peer-asn 64512 --state routes.json
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address
from pathlib import Path

from metallb_py.addresses import IPAddress, IPNetwork
from metallb_py.model.peers import SessionParameters
from metallb_py.protocols.bgp.codec.update import Update
from metallb_py.protocols.bgp.effects import (
    CloseTcp,
    Effect,
    Send,
    SessionDown,
    UpdateReceived,
)
from metallb_py.protocols.bgp.negotiation import Settings
from metallb_py.protocols.bgp.rib.path_attributes import LocalAddresses
from metallb_py.protocols.bgp.session import Session
from metallb_py.runtime.tasks import run_with_signals

Table = dict[str, list[str]]
"""Prefix to next hops, both sorted."""


class Collector:
    """All accepted sessions, and the routes that their peers announced."""

    def __init__(
        self,
        parameters: SessionParameters,
        router_id: IPv4Address,
        on_change: Callable[[Table], None],
    ) -> None:
        self._settings = Settings(replace(parameters, passive=True))
        self._router_id = router_id
        self._on_change = on_change
        self._connections: set[_Connection] = set()
        self._reporting = False

    @property
    def table(self) -> Table:
        """The routes of all sessions together."""
        hops: dict[IPNetwork, set[IPAddress]] = {}
        for connection in self._connections:
            for prefix, next_hop in connection.routes.items():
                hops.setdefault(prefix, set()).add(next_hop)
        ordered = sorted(hops, key=lambda p: (p.version, p.network_address.packed, p.prefixlen))
        return {str(prefix): _texts(hops[prefix]) for prefix in ordered}

    async def serve(self, host: str, port: int) -> asyncio.Server:
        """Listen. Raises OSError."""
        loop = asyncio.get_running_loop()
        server = await loop.create_server(self._accept, host, port)
        self.report()
        return server

    def close(self) -> None:
        """Close every session with a NOTIFICATION (Cease)."""
        for connection in tuple(self._connections):
            connection.close()

    def report(self) -> None:
        """Pass the table on, once for all changes of this turn of the loop."""
        if not self._reporting:
            self._reporting = True
            asyncio.get_running_loop().call_soon(self._report_now)

    def joined(self, connection: _Connection) -> None:
        """Add a connection."""
        self._connections.add(connection)

    def left(self, connection: _Connection) -> None:
        """Remove a connection, and its routes with it."""
        self._connections.discard(connection)
        self.report()

    def _report_now(self) -> None:
        self._reporting = False
        self._on_change(self.table)

    def _accept(self) -> _Connection:
        return _Connection(self, Session(self._settings), self._router_id)


class _Connection(asyncio.Protocol):
    """Driver of one passive session on one connection."""

    def __init__(self, collector: Collector, session: Session, router_id: IPv4Address) -> None:
        self.routes: dict[IPNetwork, IPAddress] = {}
        self._collector = collector
        self._session = session
        self._router_id = router_id
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """End the session with a Cease."""
        self._perform(self._session.stop(self._loop.time()))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the session."""
        if not isinstance(transport, asyncio.Transport):
            return
        self._transport = transport
        self._collector.joined(self)
        local = ip_address(transport.get_extra_info("sockname")[0].partition("%")[0])
        now = self._loop.time()
        self._perform(self._session.start(now))
        self._perform(self._session.connected(LocalAddresses(local), self._router_id, now))

    def data_received(self, data: bytes) -> None:
        """Pass the bytes to the session."""
        self._perform(self._session.receive(data, self._loop.time()))

    def connection_lost(self, exc: Exception | None) -> None:
        """Remove the connection with the routes that the peer announced."""
        reason = str(exc or "connection closed by peer")
        self._perform(self._session.connection_failed(reason, self._loop.time()))
        self._collector.left(self)

    def _on_deadline(self) -> None:
        self._perform(self._session.handle_timeout(self._loop.time()))

    def _perform(self, effects: Iterable[Effect]) -> None:
        for effect in effects:
            match effect:
                case Send(data) if self._transport is not None:
                    self._transport.write(data)
                case CloseTcp() if self._transport is not None:
                    self._transport.close()
                case UpdateReceived(update):
                    self._update_routes(update)
                case SessionDown():
                    self.routes.clear()
                    self._collector.report()
        self._schedule()

    def _update_routes(self, update: Update) -> None:
        for prefix in update.withdrawn:
            self.routes.pop(prefix, None)
        for reach in update.reach:
            self.routes |= dict.fromkeys(reach.prefixes, reach.next_hop)
        self._collector.report()

    def _schedule(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        deadline = self._session.next_deadline()
        self._timer = None if deadline is None else self._loop.call_at(deadline, self._on_deadline)


@dataclass(frozen=True, slots=True)
class StateFile:
    """The file that the table is written to. A reader finds a whole table, old or new."""

    path: Path

    def write(self, table: Table) -> None:
        """Replace the file."""
        draft = self.path.with_name(f".{self.path.name}.new")
        draft.write_text(json.dumps(table, indent=1) + "\n")
        draft.replace(self.path)


async def collect(arguments: argparse.Namespace, stop: asyncio.Event) -> int:
    """Run until a stop signal; return the exit status."""
    parameters = SessionParameters(
        arguments.asn, arguments.peer_asn or 0, hold_time=arguments.hold_time
    )
    collector = Collector(parameters, arguments.router_id, StateFile(arguments.state).write)
    server = await collector.serve(arguments.listen, arguments.port)
    await stop.wait()
    server.close()
    collector.close()
    with contextlib.suppress(TimeoutError):  # a peer that reads no Cease is not waited for
        async with asyncio.timeout(1.0):
            await server.wait_closed()
    return 0


def main() -> int:
    """Read the command line, run, and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m metallb_py.lab.collector")
    parser.add_argument("--listen", required=True, metavar="ADDRESS")
    parser.add_argument("--port", type=int, default=179)
    parser.add_argument("--asn", type=int, required=True, help="our AS number")
    parser.add_argument("--peer-asn", type=int, help="AS number of accepted peers; any by default")
    parser.add_argument("--router-id", type=IPv4Address, required=True)
    parser.add_argument("--hold-time", type=int, default=90, metavar="SECONDS")
    parser.add_argument("--state", type=Path, required=True, metavar="FILE")
    arguments = parser.parse_args()
    return run_with_signals(lambda stop: collect(arguments, stop))


def _texts(addresses: Iterable[IPAddress]) -> list[str]:
    return [str(a) for a in sorted(addresses, key=lambda a: (a.version, a.packed))]


if __name__ == "__main__":
    sys.exit(main())
