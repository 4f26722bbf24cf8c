"""``metallb-py who-has ADDRESS``: who answers for an address on this wire, and who should."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.cli import cluster, speakers
from metallb_py.cli.terminal import complain, show_colored, show_json
from metallb_py.errors import ApiError, MetallbError
from metallb_py.kube.listing import take_snapshot
from metallb_py.printable import printable
from speaker.diagnosis import Answer, Finding, Standing, find
from speaker.where import View

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient

DESCRIPTION = """\
Ask the wire that this machine is on who answers for an address, by ARP or neighbor discovery, and
the cluster who should. Run it on a host beside the nodes: a node does not answer its own questions.
Needs root, or the capability NET_RAW. Exit status: 0 exactly one MAC address answers, and it is the
elected node's; 1 nobody answers, several do, or the wrong one; 2 the wire or the cluster can't be
asked.
"""
RED, PLAIN = "\x1b[31m", "\x1b[0m"


class WireError(MetallbError):
    """The wire can't be asked."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "who-has", help="say who answers for an address, and who should", description=DESCRIPTION
    )
    parser.add_argument("address", type=_address, help="an IPv4 or IPv6 address")
    parser.add_argument("-i", "--interface", default="", help="to ask on; the route's by default")
    speakers.add_arguments(parser)
    cluster.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Ask, and print who answers; return the exit status."""
    try:
        view = _view(args)
        macs = _ask(args.address, args.interface)
    except (ApiError, WireError) as error:
        complain(error)
        return 2
    finding = find(args.address, macs, view)
    if args.json:
        show_json(as_json(finding))
    else:
        colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        show_colored(as_text(finding, colored=colored))
    return 0 if finding.is_right else 1


def as_text(finding: Finding, *, colored: bool) -> Iterator[str]:
    """Yield the finding in printable lines; what should not be is red where colors are wanted."""
    several = len(finding.answers) > 1
    for answer in finding.answers:
        line = printable(f"{answer.mac}  {answer.node or 'unknown'}  {answer.standing}")
        wrong = several or answer.standing is not Standing.ELECTED
        yield f"{RED}{line}{PLAIN}" if colored and wrong else line
    if not finding.answers:
        yield f"nobody answers for {finding.address}"
    due = finding.expected
    services = f" (of {', '.join(due.services)})" if due.services else ""
    who = f"{due.node} should answer" if due.node else "nobody should answer"
    yield printable(f"{who} for {finding.address}{services}: {due.why}")


def as_json(finding: Finding) -> Mapping[str, object]:
    """Return the finding as it is printed with ``--json``."""
    return {
        "address": str(finding.address),
        "right": finding.is_right,
        "elected": finding.expected.node,
        "services": finding.expected.services,
        "why": finding.expected.why,
        "answers": [_answer(answer) for answer in finding.answers],
    }


def _address(text: str) -> IPAddress:
    try:
        return parse_address(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'"{text}": want an IPv4 or IPv6 address') from None


def _answer(answer: Answer) -> Mapping[str, object]:
    return {"mac": answer.mac, "node": answer.node, "standing": answer.standing}


def _ask(address: IPAddress, interface: str) -> tuple[str, ...]:
    """Ask the wire. Raises WireError."""
    try:
        # Only now: scapy costs a second, and the other subcommands do without.
        from metallb_py.lab.resolve import resolve
    except ModuleNotFoundError as error:
        raise WireError('who-has: want metallb-py\'s extra "lab" installed, for scapy') from error
    try:
        return resolve(address, interface)
    except OSError as error:
        where = f"interface {interface}" if interface else "the route's interface"
        raise WireError(f"{address} on {where}: {error.strerror or error}") from error


def _view(args: argparse.Namespace) -> View:
    """Read what the speakers decide from. Raises ApiError."""

    async def read(client: KubeClient) -> View:
        snapshot = await take_snapshot(client, args.namespace, args.config)
        view = await speakers.read_view(client, args, snapshot)
        if isinstance(view, tuple):
            raise ApiError("; ".join(map(str, view)), HTTPStatus.FORBIDDEN)
        return view

    return cluster.ask(args, read)
