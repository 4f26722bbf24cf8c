"""Collections of objects to list and watch.

Short: a leaf, which ``listing``, ``reflector`` and the configuration's modules share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from metallb_py.kube.objects import (
    SERVICE_NAME_LABEL,
    Endpoints,
    EndpointSlice,
    KubeObject,
    Namespace,
    Node,
    Service,
)

T = TypeVar("T", bound=KubeObject)


@dataclass(frozen=True)
class Resource(Generic[T]):
    """A collection of objects: its path, the view to decode them to, and query selectors."""

    path: str
    view: type[T]
    selectors: Mapping[str, str] = field(default_factory=dict)


SERVICES = Resource("/api/v1/services", Service)
NAMESPACES = Resource("/api/v1/namespaces", Namespace)
NODES = Resource("/api/v1/nodes", Node)
SLICES_API = "/apis/discovery.k8s.io/v1"
SLICES = Resource(
    f"{SLICES_API}/endpointslices", EndpointSlice, {"labelSelector": SERVICE_NAME_LABEL}
)
# Used instead of slices on servers without them.
ENDPOINTS = Resource("/api/v1/endpoints", Endpoints)
