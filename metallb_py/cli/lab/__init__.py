"""``metallb-py lab``: the whole system on one Linux machine, without a cluster."""

from __future__ import annotations

import argparse
import os
import sys

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
    parser.add_argument("--keep", action="store_true", help="leave it up, to play with")
    parser.add_argument(
        "--control-plane",
        choices=CHOICES["control-plane"],
        default="auto",
        help="kube-apiserver and etcd where they are found (real), or the embedded API server",
    )
    parser.add_argument(
        "--kubernetes-version", default="", help="which of the cached control planes; the newest"
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


def run(args: argparse.Namespace) -> int:
    """Run the lab; return 0 where every proof held."""
    # Only now: scapy and pyroute2 cost a second, and other subcommands need neither.
    from metallb_py.cli.lab.folder import lab_folder
    from metallb_py.cli.lab.isolate import IsolationError, run_isolated
    from metallb_py.cli.lab.lab import main

    args.real_root = os.geteuid() == 0
    try:
        with lab_folder() as folder:
            return run_isolated(lambda process: main(args, folder, process))
    except IsolationError as error:
        print(error, file=sys.stderr)
        return 1
