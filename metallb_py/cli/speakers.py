"""The inputs of the speakers' decisions, read for ``explain`` and ``who-has``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from metallb_py.cli.cluster import Forbidden, list_allowed
from metallb_py.errors import NotFoundError
from metallb_py.kube.endpoints import ServiceEndpoints, SliceIndex, from_endpoints
from metallb_py.kube.objects import (
    ENDPOINTS,
    NODES,
    SERVICE_NAME_LABEL,
    SLICES,
    SLICES_API,
    Pod,
    Resource,
)
from metallb_py.kube.snapshot import Snapshot
from metallb_py.model.config import Config
from speaker.diagnosis import View
from speaker.layer2.candidates import SPEAKER_LABELS, Rules, node_states
from speaker.layer2.eligibility import Cluster

if TYPE_CHECKING:
    from metallb_py.kube.client import KubeClient


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the flags that repeat those of the speakers."""
    parser.add_argument(
        "--ml-labels", default=SPEAKER_LABELS, help="labels of the speakers' pods (%(default)s)"
    )
    for flag in ("--l2-any-interface", "--ignore-exclude-lb", "--drain-on-cordon"):
        parser.add_argument(flag, action="store_true", help="same as the speakers' flag")


async def read_view(
    client: KubeClient, args: argparse.Namespace, snapshot: Snapshot, key: str = ""
) -> View | tuple[Forbidden, ...]:
    """Return the inputs of the speakers' decisions, or the kinds that may not be read.

    The memberlist is not available here: a speaker is usable if its pod is ready. With a service's
    ``key``, only the endpoints of that service are read. Raises ApiError.
    """
    speakers = {"labelSelector": args.ml_labels}
    path = f"/api/v1/namespaces/{args.namespace}/pods"
    pods = await list_allowed(client, "Pods of the speakers", Resource(path, Pod, speakers))
    nodes = await list_allowed(client, "Nodes", NODES)
    endpoints = await _endpoints(client, key)
    if (
        isinstance(pods, Forbidden)
        or isinstance(nodes, Forbidden)
        or isinstance(endpoints, Forbidden)
    ):
        return tuple(each for each in (pods, nodes, endpoints) if isinstance(each, Forbidden))
    rules = Rules(args.ignore_exclude_lb, args.drain_on_cordon)
    states = node_states(nodes, pods.values(), rules)
    usable = frozenset(pod.spec.node_name for pod in pods.values() if pod.ready)
    config = snapshot.inputs.read().in_force() or Config()
    context = Cluster(usable, states, args.l2_any_interface)
    return View(snapshot.services, endpoints, context, config)


async def _endpoints(client: KubeClient, key: str) -> Mapping[str, ServiceEndpoints] | Forbidden:
    namespace, _, name = key.partition("/")
    slices, whole = SLICES, ENDPOINTS
    if key:
        path = f"{SLICES_API}/namespaces/{namespace}/endpointslices"
        slices = replace(
            SLICES, path=path, selectors={"labelSelector": f"{SERVICE_NAME_LABEL}={name}"}
        )
        whole = replace(ENDPOINTS, path=f"/api/v1/namespaces/{namespace}/endpoints")
    try:
        listed = await list_allowed(client, "EndpointSlices", slices)
    except NotFoundError:
        items = await list_allowed(client, "Endpoints", whole)
        if isinstance(items, Forbidden):
            return items
        return {key: from_endpoints(item) for key, item in items.items()}
    if isinstance(listed, Forbidden):
        return listed
    index = SliceIndex()
    found: dict[str, ServiceEndpoints] = {}
    for slice_key, item in listed.items():
        changed = index.changed(slice_key, None, item)
        found.update({service: each for service, each in changed.items() if each is not None})
    return found
