"""Access of the diagnostic commands to a cluster: flags, credentials and reads."""

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
from metallb_py.kube.objects import NODES, KubeObject, Resource
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Config
from metallb_py.model.node_addresses import node_address_warnings

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient

R = TypeVar("R")
T = TypeVar("T", bound=KubeObject)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags for the cluster and its configuration; credentials default as in kubectl."""
    add_kubeconfig(parser)
    parser.add_argument(
        "--namespace", default="metallb-system", help="the ConfigMap's namespace (%(default)s)"
    )
    parser.add_argument("--config", default="config", help="the ConfigMap's name (%(default)s)")
    parser.add_argument("--lb-class", default="", help="same as the controller's flag")
    parser.add_argument("--json", action="store_true", help="print JSON")


def add_kubeconfig(parser: argparse.ArgumentParser) -> None:
    """Add the flag for the cluster's credentials."""
    parser.add_argument("--kubeconfig", default="", help="credentials; $KUBECONFIG by default")


@dataclass(frozen=True, slots=True)
class Forbidden:
    """A kind of object that the operator's credentials do not permit to read."""

    kind: str
    detail: str

    def __str__(self) -> str:
        return f"{self.kind} can't be read ({self.detail})"


def query(args: argparse.Namespace, read: Callable[[KubeClient], Awaitable[R]]) -> R:
    """Connect with the operator's credentials and return the result of ``read``.

    Raises ApiError.
    """

    async def connected() -> R:
        client = await connect(args)
        try:
            return await read(client)
        finally:
            await client.close()

    return asyncio.run(connected())


def snapshot(args: argparse.Namespace) -> Snapshot:
    """Read the cluster. Raises ApiError."""
    return query(args, lambda client: take_snapshot(client, args.namespace, args.config))


async def list_allowed(
    client: KubeClient, kind: str, resource: Resource[T]
) -> Mapping[str, T] | Forbidden:
    """Return the objects of a kind, or Forbidden (HTTP 403). Raises ApiError for other errors."""
    try:
        return (await list_objects(client, resource)).items
    except ApiError as error:
        if error.status != HTTPStatus.FORBIDDEN:
            raise
        return Forbidden(kind, str(error))


async def connect(args: argparse.Namespace) -> KubeClient:
    """Return a client with the operator's own credentials. Raises ApiError."""
    # Imported here, because it takes half a second and not every subcommand needs it.
    from metallb_py.kube.client import KubeClient

    return await KubeClient.connect(_kubeconfig(args.kubeconfig))


async def node_addresses(
    client: KubeClient,
) -> Mapping[str, frozenset[IPAddress]] | Forbidden:
    """Return the addresses of each Node, or Forbidden. Raises ApiError."""
    nodes = await list_allowed(client, "Nodes", NODES)
    if isinstance(nodes, Forbidden):
        return nodes
    return {name: node.ip_addresses for name, node in nodes.items()}


def warn_of_nodes(
    config: Config, nodes: Mapping[str, frozenset[IPAddress]] | Forbidden
) -> tuple[str, ...]:
    """Return warnings for addresses of nodes in pools, or one that they can't be checked."""
    if isinstance(nodes, Forbidden):
        return (f"pools are not checked for addresses of nodes: {nodes}",)
    return node_address_warnings(config, nodes)


def _kubeconfig(named: str) -> str:
    """Return the kubeconfig file; empty to use the credentials of the own pod."""
    default = Path.home() / ".kube" / "config"
    return named or os.environ.get("KUBECONFIG", "") or (str(default) if default.exists() else "")
