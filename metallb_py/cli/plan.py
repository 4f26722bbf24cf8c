"""``metallb-py plan FILE``: the effect of a configuration on the Services of a cluster."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from controller.orphaned_addresses import OrphanPolicy
from controller.plan import Plan, make_plan
from controller.plan_text import describe, describe_route
from metallb_py.addresses import IPAddress
from metallb_py.cli import cluster
from metallb_py.cli.cluster import Forbidden
from metallb_py.cli.terminal import print_error, show, show_json
from metallb_py.cli.validate import UnreadableError, find_configs, print_problems, read_file
from metallb_py.config.compile.read_config import read_config
from metallb_py.config.problems import ConfigError, Problem
from metallb_py.errors import ApiError
from metallb_py.kube.listing import take_snapshot
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Config

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient

DESCRIPTION = """\
Show the effect of a configuration on the Services of the running cluster, before it is applied:
which keep their addresses, which keep them from a draining pool, which lose them, and which pools
and routes appear or disappear. Warns of pools that contain addresses of Nodes. FILE is as for
"validate". Exit status: 0 no effect on existing Services, 3 some effect, 1 problems in the
configuration, 2 the file or the cluster can't be read.
"""
SOME_EFFECT = 3
"""Exit status."""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "plan", help="show the effect of a configuration", description=DESCRIPTION
    )
    parser.add_argument("file", help='a file, or "-" for standard input')
    parser.add_argument(
        "--orphaned-addresses",
        type=OrphanPolicy,
        choices=list(OrphanPolicy),
        default=OrphanPolicy.DRAIN,
        help="same as the controller's flag (%(default)s)",
    )
    cluster.add_arguments(parser)
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Plan and print; return the exit status."""
    try:
        text = read_file(args.file)
        config = _only_config(text)
        snapshot, nodes = cluster.query(args, lambda client: _read(client, args))
    except ConfigError as error:
        print_problems(args.file, error.problems)
        return 1
    except (UnreadableError, ApiError) as error:
        print_error(error)
        return 2
    plan = make_plan(snapshot, config, args.orphaned_addresses, args.lb_class)
    warnings = cluster.warn_of_nodes(config, nodes)
    if args.json:
        show_json({**as_json(plan), "warnings": warnings})
    else:
        show(f"warning: {warning}" for warning in warnings)
        show(describe(plan))
    return SOME_EFFECT if plan.affected or plan.refusal else 0


async def _read(
    client: KubeClient, args: argparse.Namespace
) -> tuple[Snapshot, Mapping[str, frozenset[IPAddress]] | Forbidden]:
    snapshot = await take_snapshot(client, args.namespace, args.config)
    return snapshot, await cluster.node_addresses(client)


def _only_config(text: str) -> Config:
    found = find_configs(text)
    if len(found) != 1:
        wanted = f"{len(found)} configurations found: want one"
        raise ConfigError((Problem(found[-1].line, "", wanted),))
    return read_config(found[0].text, found[0].line if found[0].exact else 1)


def as_json(plan: Plan) -> Mapping[str, object]:
    """Return the plan as it is printed with ``--json``."""
    return {
        "refusal": plan.refusal,
        "pools": plan.pools,
        "routesAppearing": [describe_route(*route) for route in plan.routes_advertised.items()],
        "routesGoing": [describe_route(*route) for route in plan.routes_withdrawn.items()],
        "services": [
            {
                "service": service.key,
                "fate": service.change,
                "before": [str(address) for address in service.before],
                "after": [str(address) for address in service.after],
                "poolBefore": service.pool_before,
                "poolAfter": service.pool_after,
                "detail": service.detail,
            }
            for service in plan.services
        ],
    }
