"""State of the cluster's nodes, merged from Node objects, speaker pods and membership."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from metallb_py.errors import ApiError
from metallb_py.kube.annotations import AnnotationWriter
from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Node, Pod
from metallb_py.kube.reflector import Changed
from metallb_py.runtime.log import Logger
from metallb_py.runtime.object_reports import ObjectReporter
from metallb_py.runtime.pacer import Pacer
from speaker.layer2 import topology
from speaker.layer2.candidates import node_states, pod_of
from speaker.layer2.eligibility import NodeState
from speaker.layer2.topology import NodeInterface
from speaker.membership.gossip import GossipMembers
from speaker.membership.interface import Membership, Usable
from speaker.membership.lease import LeaseMembership
from speaker.membership.ready_pods import ReadyPods
from speaker.membership.settings import GossipSettings, Kind
from speaker.metrics import MemberMetrics, SpeakerMetrics
from speaker.options import Options


class Members:
    """Merges Nodes, speaker pods and membership into node states; publishes this node's interfaces.

    ``on_change`` is called with the nodes that have a usable speaker, and the state of every node.
    """

    def __init__(
        self,
        options: Options,
        client: KubeClient,
        log: Logger,
        metrics: SpeakerMetrics,
        on_change: Callable[[frozenset[str], Mapping[str, NodeState]], None],
    ) -> None:
        self._options = options
        self._log = log
        self._on_change = on_change
        self._pods: dict[str, Pod] = {}
        self._pods_known = False
        self._nodes: dict[str, Node] = {}
        self._usable = Usable()
        self._has_reported = False
        # The value of the annotation for other speakers; None before the first report.
        self._interfaces: str | None = None
        self._may_join = asyncio.Event()
        self._membership = self._choose(client, metrics)
        self._annotations = AnnotationWriter(client)
        self._pacer = Pacer(self._report_change)

    async def run(self) -> None:
        """Run the membership, once ``allow_join`` was called, until cancelled.

        Not earlier, since the other speakers hand addresses over to a new member at once.
        """
        await self._may_join.wait()
        await self._membership.run()

    async def follow(self) -> None:
        """Call ``on_change`` after changes, once for those that coincide, until cancelled."""
        await self._pacer.run()

    def flush(self) -> None:
        """Report a pending change now, because the next decisions depend on it."""
        self._pacer.flush()

    async def annotate(self) -> None:
        """Write this node's interfaces to its pod's annotation, until cancelled."""
        await self._annotations.run(self._on_annotation_error)

    def allow_join(self) -> None:
        """Let ``run`` join: this node has read everything that it needs to announce."""
        self._may_join.set()

    async def leave(self) -> None:
        """Leave the membership, within a second, so that other nodes take over."""
        await self._membership.leave()

    def node_changed(self, event: Changed[Node]) -> None:
        """Apply a changed Node."""
        before = self._state_of(event.key)
        if event.new is None:
            self._nodes.pop(event.key, None)
        else:
            self._nodes[event.key] = event.new
        # The kubelet's periodic updates of a healthy Node do not change the state.
        if self._state_of(event.key) != before:
            self._pacer.due()

    def pod_changed(self, event: Changed[Pod]) -> None:
        """Apply a changed pod of a speaker."""
        if event.new is None:
            self._pods.pop(event.key, None)
        else:
            self._pods[event.key] = event.new
        if self._pods_known:
            self._membership.pods_changed(self._pods.values())
        self._pacer.due()
        self._publish_interfaces()

    def pods_synced(self) -> None:
        """Record that the list of the speakers' pods is complete."""
        self._pods_known = True
        self._membership.pods_changed(self._pods.values())

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of all Nodes."""
        return tuple(self._nodes)

    @property
    def own_node(self) -> Node | None:
        """The Node object of this speaker; None if it does not exist or was not read yet."""
        return self._nodes.get(self._options.node_name)

    @property
    def is_running(self) -> bool:
        """Whether the membership reported usable speakers at least once; never reset."""
        return self._has_reported

    def interfaces_changed(self, found: tuple[NodeInterface, ...]) -> None:
        """Publish the interfaces of this node, by annotation and membership."""
        # A node without interfaces publishes nothing and counts as being on every subnet.
        self._interfaces = topology.encode(found) if found else ""
        self._membership.interfaces_changed(found)
        self._publish_interfaces()

    def _choose(self, client: KubeClient, metrics: SpeakerMetrics) -> Membership:
        options, node = self._options, self._options.node_name
        match options.membership, options.gossip:
            case Kind.MEMBERLIST, GossipSettings() as settings:
                own = MemberMetrics(metrics)
                return GossipMembers(node, settings, self._log, own, self._on_usable)
            case Kind.LEASE, _:
                namespace = options.lease_namespace
                objects = ObjectReporter(self._log, metrics, lambda _: None, ())
                return LeaseMembership(client, namespace, node, self._log, objects, self._on_usable)
            case _:
                self._log.info(
                    "not starting fast dead node detection (memberlist), need ml-bindaddr / "
                    "ml-labels config",
                    op="startup",
                )
                return ReadyPods(self._on_usable)

    def _on_usable(self, usable: Usable) -> None:
        self._has_reported = True
        before, self._usable = self._usable, usable
        if self._of_nodes(usable) != self._of_nodes(before):
            self._pacer.due()

    def _of_nodes(self, usable: Usable) -> Usable:
        """Return the part about nodes of this cluster; no decision depends on other members."""
        nodes = self._nodes.keys()
        gossiped = {name: found for name, found in usable.interfaces.items() if name in nodes}
        return Usable(usable.nodes & nodes, gossiped)

    def _state_of(self, name: str) -> NodeState | None:
        """Return the state of a node from its Node object alone; None without one."""
        node = self._nodes.get(name)
        return node_states({name: node}, (), self._options.rules)[name] if node else None

    def _report_change(self) -> None:
        pods, gossiped = self._pods.values(), self._usable.interfaces
        states = node_states(self._nodes, pods, self._options.rules, gossiped)
        # Members without a Node object are ignored.
        self._on_change(self._usable.nodes & states.keys(), states)

    def _publish_interfaces(self) -> None:
        pod = pod_of(self._options.node_name, self._pods.values())
        if self._interfaces is None or pod is None:
            return
        if pod.metadata.annotation(topology.ANNOTATION) != self._interfaces:
            # By the status subresource, which accepts annotations: permission to write whole pods
            # would allow replacing their images.
            meta = pod.metadata
            path = f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}/status"
            self._annotations.write(path, {topology.ANNOTATION: self._interfaces})

    def _on_annotation_error(self, error: ApiError) -> None:
        self._log.error("failed to annotate own pod", op="annotatePod", error=str(error))
