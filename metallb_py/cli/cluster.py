"""Which cluster the diagnostic commands ask, and how they ask it."""

from __future__ import annotations

import argparse
import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

from metallb_py.kube.listing import take_snapshot
from metallb_py.kube.snapshot import Snapshot

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name a cluster and what to look at in it; defaults are as with kubectl."""
    parser.add_argument("--kubeconfig", default="", help="credentials; $KUBECONFIG by default")
    parser.add_argument(
        "--namespace", default="metallb-system", help="of the ConfigMap (%(default)s)"
    )
    parser.add_argument("--config", default="config", help="the ConfigMap's name (%(default)s)")
    parser.add_argument("--lb-class", default="", help="as the controller's flag of this name")
    parser.add_argument("--json", action="store_true", help="print JSON")


def snapshot(args: argparse.Namespace) -> Snapshot:
    """Read the cluster. Raises ApiError."""

    async def read() -> Snapshot:
        client = await connect(args)
        try:
            return await take_snapshot(client, args.namespace, args.config)
        finally:
            await client.close()

    return asyncio.run(read())


async def connect(args: argparse.Namespace) -> KubeClient:
    """Return a client with the operator's own credentials. Raises ApiError."""
    # Only now: it takes half a second, and other subcommands do without.
    from metallb_py.kube.client import KubeClient

    return await KubeClient.connect(_kubeconfig(args.kubeconfig))


def _kubeconfig(named: str) -> str:
    """Return the file with the credentials; empty where a pod's own are to be used."""
    usual = Path.home() / ".kube" / "config"
    return named or os.environ.get("KUBECONFIG", "") or (str(usual) if usual.exists() else "")
