"""Which cluster the diagnostic commands ask, and how they ask it."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from metallb_py.addresses import IPAddress
from metallb_py.errors import ApiError
from metallb_py.kube.listing import list_objects, take_snapshot
from metallb_py.kube.objects import KubeObject
from metallb_py.kube.resource import NODES, Resource
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Config
from metallb_py.model.node_addresses import node_address_warnings

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient

R = TypeVar("R")
T = TypeVar("T", bound=KubeObject)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that name a cluster and what to look at in it; defaults are as with kubectl."""
    add_kubeconfig(parser)
    parser.add_argument(
        "--namespace", default="metallb-system", help="of the ConfigMap (%(default)s)"
    )
    parser.add_argument("--config", default="config", help="the ConfigMap's name (%(default)s)")
    parser.add_argument("--lb-class", default="", help="as the controller's flag of this name")
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    """Add the flag that names a cluster."""
    parser.add_argument("--kubeconfig", default="", help="credentials; $KUBECONFIG by default")


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A kind of objects that the operator's credentials do not allow to read."""

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} can't be read ({self.detail})"


def ask(args: argparse.Namespace, read: Callable[[KubeClient], Awaitable[R]]) -> R:
    """Return what is read from the cluster with the operator's credentials. Raises ApiError."""

    async def connected() -> R:
        client = await connect(args)
        try:
            return await read(client)
        finally:
            await client.close()

    return asyncio.run(connected())


def snapshot(args: argparse.Namespace) -> Snapshot:
    """Read the cluster. Raises ApiError."""
    return ask(args, lambda client: take_snapshot(client, args.namespace, args.config))


async def list_allowed(
    client: KubeClient, kind: str, resource: Resource[T]
) -> Mapping[str, T] | Forbidden:
    """Return the objects of a kind, where that is allowed. Raises ApiError for other refusals."""
    try:
        return (await list_objects(client, resource)).items
    except ApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return Forbidden(kind, str(error))


async def connect(args: argparse.Namespace) -> KubeClient:
    """Return a client with the operator's own credentials. Raises ApiError."""
    # Only now: it takes half a second, and other subcommands do without.
    from metallb_py.kube.client import KubeClient

    return await KubeClient.connect(_kubeconfig(args.kubeconfig))


async def node_addresses(
    client: KubeClient,
) -> Mapping[str, frozenset[IPAddress]] | Forbidden:
    """Return the addresses of each Node, where Nodes may be read. Raises ApiError."""
    nodes = await list_allowed(client, "Nodes", NODES)
    if isinstance(nodes, Forbidden):
        return nodes
    return {name: node.ip_addresses for name, node in nodes.items()}


def warn_of_nodes(
    config: Config, nodes: Mapping[str, frozenset[IPAddress]] | Forbidden
) -> tuple[str, ...]:
    """Return a warning for each address of a node in a pool, or that this can't be checked."""
    if isinstance(nodes, Forbidden):
        return (f"pools are not checked for addresses of nodes: {nodes}",)
    return node_address_warnings(config, nodes)


def _kubeconfig(named: str) -> str:
    """Return the file with the credentials; empty where a pod's own are to be used."""
    usual = Path.home() / ".kube" / "config"
    return named or os.environ.get("KUBECONFIG", "") or (str(usual) if usual.exists() else "")
