"""Who else takes part, and what is known of each node: Nodes, pods and the speakers tell it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from metallb_py.errors import ApiError
from metallb_py.kube.annotations import AnnotationWriter
from metallb_py.kube.client import KubeClient
from metallb_py.kube.objects import Node, Pod
from metallb_py.kube.reflector import Changed
from metallb_py.runtime.log import Logger
from metallb_py.runtime.metrics import MemberMetrics, SpeakerMetrics
from metallb_py.runtime.object_reports import ObjectReporter
from metallb_py.runtime.pacer import Pacer
from speaker.layer2 import topology
from speaker.layer2.candidates import node_states, pod_of
from speaker.layer2.eligibility import NodeState
from speaker.layer2.topology import Wire
from speaker.membership.gossip import GossipMembers
from speaker.membership.interface import Membership, Usable
from speaker.membership.lease import LeaseMembership
from speaker.membership.ready_pods import ReadyPods
from speaker.membership.settings import GossipSettings, Kind
from speaker.options import Options


class Members:
    """Puts together what is known, and tells of this node what others are to know.

    ``on_change`` is told of the nodes with a usable speaker, and what is known of all nodes.
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
        self._knows_members = False
        self._wires: str | None = None  # as the other speakers are to read it, once known
        self._could_announce = asyncio.Event()
        self._membership = self._choose(client, metrics)
        self._annotations = AnnotationWriter(client)
        self._pacer = Pacer(self._tell)

    async def run(self) -> None:
        """Take part from when this node could announce: the others hand over to it at once."""
        await self._could_announce.wait()
        await self._membership.run()

    async def follow(self) -> None:
        """Keep ``on_change`` told: once for all that changed at the same time."""
        await self._pacer.run()

    def flush(self) -> None:
        """Tell now what changed: what comes next is to be decided by it."""
        self._pacer.flush()

    async def annotate(self) -> None:
        """Keep this node's wires in its pod's annotation."""
        await self._annotations.run(self._on_annotation_error)

    def could_announce(self) -> None:
        """All that this node has to know is known."""
        self._could_announce.set()

    async def leave(self) -> None:
        """Have the other nodes take over; within a second."""
        await self._membership.leave()

    def node_changed(self, event: Changed[Node]) -> None:
        """A Node changed."""
        before = self._state_of(event.key)
        if event.new is None:
            self._nodes.pop(event.key, None)
        else:
            self._nodes[event.key] = event.new
        if (
            self._state_of(event.key) != before
        ):  # not so with the kubelets' reports that all is well
            self._pacer.due()

    def pod_changed(self, event: Changed[Pod]) -> None:
        """A speaker's pod changed."""
        if event.new is None:
            self._pods.pop(event.key, None)
        else:
            self._pods[event.key] = event.new
        if self._pods_known:
            self._membership.pods_changed(self._pods.values())
        self._pacer.due()
        self._publish_wires()

    def pods_synced(self) -> None:
        """All speakers' pods were told."""
        self._pods_known = True
        self._membership.pods_changed(self._pods.values())

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of all Nodes."""
        return tuple(self._nodes)

    @property
    def own_node(self) -> Node | None:
        """This node, as far as the API server told of it."""
        return self._nodes.get(self._options.node_name)

    @property
    def is_running(self) -> bool:
        """Whether this speaker once took part, and knew the others. It never ends."""
        return self._knows_members

    def wires_changed(self, found: tuple[Wire, ...]) -> None:
        """This node is on these topology."""
        # One without any interface tells nothing, and counts as being on every subnet.
        self._wires = topology.encode(found) if found else ""
        self._membership.wires_changed(found)
        self._publish_wires()

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
        self._knows_members = True
        before, self._usable = self._usable, usable
        if self._of_nodes(usable) != self._of_nodes(before):
            self._pacer.due()

    def _of_nodes(self, usable: Usable) -> Usable:
        """Leave out members that are no nodes of this cluster: nothing depends on them."""
        nodes = self._nodes.keys()
        told = {name: found for name, found in usable.wires.items() if name in nodes}
        return Usable(usable.nodes & nodes, told)

    def _state_of(self, name: str) -> NodeState | None:
        """Return what a Node object alone says."""
        node = self._nodes.get(name)
        return node_states({name: node}, (), self._options.rules)[name] if node else None

    def _tell(self) -> None:
        pods, told = self._pods.values(), self._usable.wires
        states = node_states(self._nodes, pods, self._options.rules, told)
        # Who is no node of this cluster can't announce for it, whatever it says.
        self._on_change(self._usable.nodes & states.keys(), states)

    def _publish_wires(self) -> None:
        pod = pod_of(self._options.node_name, self._pods.values())
        if self._wires is None or pod is None:
            return
        if pod.metadata.annotation(topology.ANNOTATION) != self._wires:
            # Through its status, which takes annotations, too: the right to write a whole pod
            # would be the right to replace its programs.
            meta = pod.metadata
            path = f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}/status"
            self._annotations.write(path, {topology.ANNOTATION: self._wires})

    def _on_annotation_error(self, error: ApiError) -> None:
        self._log.error("failed to annotate own pod", op="annotatePod", error=str(error))
