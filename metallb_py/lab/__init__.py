"""Lab: the whole system on one Linux machine, without a cluster (``metallb-py lab``).

``run.main`` runs it. ``lab.Lab`` starts the parts: machines in network namespaces, a control plane,
the daemons, a router. ``proofs.prove`` proves from the outside that they work; ``keep`` and
``inside`` serve a lab that stays up. This module has the subcommand's parser alone, and imports the
rest only when the lab runs. The lab may import both daemons, and does I/O; no daemon imports it
(contracts in setup.cfg). It is also what the end-to-end tests run on.
"""

from __future__ import annotations

import argparse
import sys
from importlib import import_module

# Libraries of the extra "lab", beyond those that the daemons need.
LIBRARIES = ("scapy",)
CHOICES = {
    "control-plane": ("auto", "real", "embedded"),
    "router": ("auto", "frr", "bird", "builtin"),
    "proxy": ("auto", "kube-proxy", "nft", "relay"),
}


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand."""
    parser = subparsers.add_parser(
        "lab",
        help="run the whole system on this machine, without a cluster, and prove that it works",
        description="Run a controller and three speakers against an API server, a client, a "
        "router and two pods, all in network namespaces of their own, and prove that addresses "
        "are allocated, answered for and advertised. Nothing outside is touched.",
    )
    parser.add_argument("--keep", action="store_true", help="leave the lab up, for experiments")
    parser.add_argument(
        "--control-plane",
        choices=CHOICES["control-plane"],
        default="auto",
        help="kube-apiserver and etcd where they are found (real), or the embedded API server",
    )
    parser.add_argument(
        "--kubernetes-version", default="", help="version of a cached control plane; the newest"
    )
    parser.add_argument(
        "--router",
        choices=CHOICES["router"],
        default="auto",
        help="FRR or BIRD where they are installed, or the built-in route collector",
    )
    parser.add_argument(
        "--proxy",
        choices=CHOICES["proxy"],
        default="auto",
        help="kube-proxy where it is found, or nftables rules, or a TCP relay of the lab's own",
    )
    parser.add_argument(
        "--config", default="config/lab.yaml", help="ConfigMap and Services to apply"
    )
    parser.set_defaults(run=run)
    _add_actions(parser)


def _add_actions(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="on a lab that is up", metavar="ACTION")
    execute = actions.add_parser("exec", help="run a command in the lab, with KUBECONFIG set")
    execute.add_argument("--on", default="-", metavar="MACHINE", help="node1, client, router, ...")
    execute.add_argument("command", nargs=argparse.REMAINDER, help="the command")
    execute.set_defaults(run=run_inside, action="execute")
    kill = actions.add_parser("kill", help="kill one of the lab's programs, as a crash would")
    kill.add_argument("program", help="speaker-node1, controller, apiserver, ...")
    kill.add_argument("--signal", default="KILL", help="another signal: TERM, STOP, CONT")
    kill.set_defaults(run=run_inside, action="kill")


def run_inside(args: argparse.Namespace) -> int:
    """Run one of the actions on a lab that is up; return its exit status."""
    from metallb_py.lab import inside
    from metallb_py.lab.processes import LabError

    try:
        return inside.execute(args) if args.action == "execute" else inside.kill(args)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1


def run(args: argparse.Namespace) -> int:
    """Run the lab; return 0 where every proof held."""
    for library in LIBRARIES:
        try:
            import_module(library)
        except ModuleNotFoundError:
            print(f"the lab needs {library}: pip install 'metallb-py[lab]'", file=sys.stderr)
            return 1
    # Not at the top: scapy and pyroute2 cost a second, and other subcommands need neither.
    from metallb_py.lab.inside import lab_folder
    from metallb_py.lab.isolate import IsolationError, run_isolated
    from metallb_py.lab.run import main

    try:
        with lab_folder() as folder:
            return run_isolated(lambda process: main(args, folder, process))
    except IsolationError as error:
        print(error, file=sys.stderr)
        return 1
