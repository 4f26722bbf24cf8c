"""Routers of the lab: FRR, BIRD, or the route collector on this project's own BGP codec."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from metallb_py.lab.binaries import find
from metallb_py.lab.network import NODES, ROUTER
from metallb_py.lab.processes import LabError, Programs, wait_until

ASN = 64501
NODES_ASN = 64500
FRR_FOLDER = "/usr/lib/frr"
START_SECONDS = 60
MACHINE = "router"


class Router(Protocol):
    """A BGP router that every node peers with.

    ``forwards``: whether it forwards packets. ``show_command``: a shell command that shows its
    routes.
    """

    description: str
    forwards: bool
    show_command: str

    def start(self) -> None:
        """Start it and wait until it listens. Raises LabError."""

    def next_hops(self, prefix: str) -> set[str]:
        """Return the next hops of the router's route to a prefix."""


class Frr:
    """FRR: zebra and bgpd, started directly."""

    description = "FRR"
    forwards = True

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._folder = programs.folder / "frr"
        self.show_command = f"vtysh --vty_socket {self._folder} -c 'show bgp ipv4 unicast'"

    def start(self) -> None:
        """Start both daemons."""
        self._folder.mkdir()
        shutil.chown(self._folder, "frr", "frr")
        neighbors = [f" neighbor {n.address} remote-as {NODES_ASN}" for n in NODES]
        lines = [
            f"router bgp {ASN}",
            f" bgp router-id {ROUTER}",
            " no bgp ebgp-requires-policy",
            *neighbors,
            " address-family ipv4 unicast",
            "  maximum-paths 8",
        ]
        self._start_daemon("zebra", [])
        self._start_daemon("bgpd", lines)

    def next_hops(self, prefix: str) -> set[str]:
        """Query bgpd for the next hops of the multipath route."""
        text = self.vtysh(f"show bgp ipv4 unicast {prefix} json")
        paths = json.loads(text or "{}").get("paths", [])
        used = [p for p in paths if p.get("valid") and (p.get("multipath") or p.get("bestpath"))]
        return {path["nexthops"][0]["ip"] for path in used}

    def vtysh(self, command: str) -> str:
        """Run a command of FRR's shell; return an empty text where it can't be reached."""
        try:
            return self._programs.run("vtysh", "--vty_socket", str(self._folder), "-c", command)
        except LabError:
            return ""

    def _start_daemon(self, name: str, config: list[str]) -> None:
        file = self._folder / f"{name}.conf"
        file.write_text("\n".join(config) + "\n")
        shutil.chown(file, "frr", "frr")
        program = self._programs.start(
            name,
            f"{FRR_FOLDER}/{name}",
            "-f",
            str(file),
            "-i",
            str(self._folder / f"{name}.pid"),
            "-z",
            str(self._folder / "zserv.api"),
            "--vty_socket",
            str(self._folder),
            "-P",
            "0",
            "--log",
            "stdout",
            machine=MACHINE,
        )
        socket = self._folder / f"{name}.vty"
        wait_until(name, START_SECONDS, socket.exists, program)


class Bird:
    """BIRD 2, started directly."""

    description = "BIRD"
    forwards = True

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._socket = programs.folder / "bird.ctl"
        self.show_command = f"birdc -s {self._socket} show route"

    def start(self) -> None:
        """Start the daemon."""
        config = self._programs.folder / "bird.conf"
        config.write_text("\n".join(self._config()))
        program = self._programs.start(
            "bird",
            _need("bird"),
            "-f",
            "-c",
            str(config),
            "-s",
            str(self._socket),
            machine=MACHINE,
        )
        wait_until("bird", START_SECONDS, self._socket.exists, program)

    def next_hops(self, prefix: str) -> set[str]:
        """Query the next hops of all paths; BIRD merges them into one route in the kernel."""
        try:
            text = self._programs.run(
                _need("birdc"), "-s", str(self._socket), "show", "route", "for", prefix
            )
        except LabError:
            return set()
        return set(re.findall(r"via (\S+) on", text))

    def _config(self) -> Iterator[str]:
        yield f"router id {ROUTER};"
        yield "protocol device {}"
        yield "protocol kernel { merge paths on; ipv4 { export all; }; }"
        for node in NODES:
            yield f"protocol bgp {node.name} {{ local {ROUTER} as {ASN};"
            yield f"  neighbor {node.address} as {NODES_ASN};"
            yield "  ipv4 { import all; export none; }; }"


class BuiltIn:
    """The route collector on this project's own BGP codec. It forwards nothing."""

    description = "built-in route collector"
    forwards = False

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._state = programs.folder / "routes.json"
        self.show_command = f"cat {self._state}"

    def start(self) -> None:
        """Start the collector."""
        options = {
            "listen": ROUTER,
            "port": "179",
            "asn": str(ASN),
            "peer-asn": str(NODES_ASN),
            "router-id": ROUTER,
            "state": str(self._state),
        }
        arguments = [part for key, value in options.items() for part in (f"--{key}", value)]
        program = self._programs.start(
            "collector",
            sys.executable,
            "-m",
            "metallb_py.lab.collector",
            *arguments,
            machine=MACHINE,
        )
        wait_until("route collector", START_SECONDS, self._state.exists, program)

    def next_hops(self, prefix: str) -> set[str]:
        """Read the collector's file."""
        routes: dict[str, list[str]] = json.loads(self._state.read_text())
        return set(routes.get(prefix, ()))


def choose(choice: str, programs: Programs, *, other_users: bool) -> Router:
    """Return the chosen router; ``auto`` takes the first that is installed. Raises LabError.

    FRR and BIRD change to users of their own, which a user namespace does not have.
    """
    have = {
        "frr": other_users and Path(FRR_FOLDER, "bgpd").exists() and find("vtysh") is not None,
        "bird": other_users and find("bird") is not None,
        "builtin": True,
    }
    if choice == "auto":
        choice = next(name for name, usable in have.items() if usable)
    if not have[choice]:
        raise LabError(f"--router={choice}: not installed, or not root")
    routers: dict[str, type[Frr | Bird | BuiltIn]] = {
        "frr": Frr,
        "bird": Bird,
        "builtin": BuiltIn,
    }
    return routers[choice](programs)


def _need(name: str) -> str:
    found = find(name)
    if found is None:
        raise LabError(f"{name}: not found")
    return str(found)
