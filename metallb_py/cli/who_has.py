"""``metallb-py who-has ADDRESS``: check of the hosts that answer for an address on this link."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from metallb_py.addresses import IPAddress, parse_address
from metallb_py.cli import cluster, speakers
from metallb_py.cli.terminal import print_error, show_colored, show_json
from metallb_py.errors import ApiError, MetallbError
from metallb_py.kube.listing import take_snapshot
from metallb_py.printable import printable
from speaker.diagnosis import Answer, AnswererStatus, Finding, View, find

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient

DESCRIPTION = """\
Send ARP requests or neighbor solicitations for an address on a link of this machine, and compare
the MAC addresses that answer with the node that should answer by the present state of the cluster.
Run it on a host on the nodes' link that is not a node: a node does not answer its own requests.
Needs root, or the capability NET_RAW. Exit status: 0 exactly one MAC address answers, and it is
the elected node's; 1 no host answers, several do, or the wrong one; 2 no request can be sent, or
the cluster can't be read.
"""
RED, PLAIN = "\x1b[31m", "\x1b[0m"


class LinkError(MetallbError):
    """No request can be sent on the link."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "who-has", help="check which host answers for an address", description=DESCRIPTION
    )
    parser.add_argument("address", type=_address, help="an IPv4 or IPv6 address")
    parser.add_argument("-i", "--interface", default="", help="to send on (the route's)")
    speakers.add_arguments(parser)
    cluster.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Resolve the address and print the answers; return the exit status."""
    try:
        view = _view(args)
        macs = _resolve(args.address, args.interface)
    except (ApiError, LinkError) as error:
        print_error(error)
        return 2
    finding = find(args.address, macs, view)
    if args.json:
        show_json(as_json(finding))
    else:
        colored = sys.stdout.isatty() and "NO_COLOR" not in os.environ
        show_colored(as_text(finding, colored=colored))
    return 0 if finding.is_right else 1


def as_text(finding: Finding, *, colored: bool) -> Iterator[str]:
    """Yield the finding in printable lines; with ``colored``, the wrong answers are red."""
    several = len(finding.answers) > 1
    for answer in finding.answers:
        line = printable(f"{answer.mac}  {answer.node or 'unknown'}  {answer.status}")
        wrong = several or answer.status is not AnswererStatus.ELECTED
        yield f"{RED}{line}{PLAIN}" if colored and wrong else line
    if not finding.answers:
        yield f"no host answers for {finding.address}"
    expected = finding.expected
    services = f" (of {', '.join(expected.services)})" if expected.services else ""
    node = expected.node or "no node"
    yield printable(f"{node} should answer for {finding.address}{services}: {expected.why}")


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
    return {"mac": answer.mac, "node": answer.node, "standing": answer.status}


def _resolve(address: IPAddress, interface: str) -> tuple[str, ...]:
    """Return the MAC addresses that answer for an address on the link. Raises LinkError."""
    try:
        # Imported here, because scapy takes a second and no other subcommand needs it.
        from metallb_py.lab.resolve import resolve
    except ModuleNotFoundError as error:
        raise LinkError('who-has: want metallb-py\'s extra "lab" installed, for scapy') from error
    try:
        return resolve(address, interface)
    except OSError as error:
        where = f"interface {interface}" if interface else "the route's interface"
        raise LinkError(f"{address} on {where}: {error.strerror or error}") from error


def _view(args: argparse.Namespace) -> View:
    """Read the inputs of the speakers' decisions. Raises ApiError."""

    async def read(client: KubeClient) -> View:
        snapshot = await take_snapshot(client, args.namespace, args.config)
        view = await speakers.read_view(client, args, snapshot)
        if isinstance(view, tuple):
            raise ApiError("; ".join(map(str, view)), HTTPStatus.FORBIDDEN)
        return view

    return cluster.query(args, read)
