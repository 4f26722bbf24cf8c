"""Members of the cluster: the state of each node, and what this node publishes to the others."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

from metallb_py.kube.annotations import Annotations
from metallb_py.kube.objects import Node, Pod
from metallb_py.kube.reflector import Changed
from metallb_py.runtime.pacer import Pacer
from speaker.layer2 import topology
from speaker.layer2.candidates import Rules, node_states, pod_of
from speaker.layer2.eligibility import NodeState
from speaker.layer2.topology import NodeInterface
from speaker.membership.interface import InterfacePublisher, Membership, PodObserver, Usable


class Members:
    """Merges Nodes, speaker pods and the membership into node states.

    ``on_change`` is called with the nodes that have a usable speaker, and the state of every node.
    """

    def __init__(
        self,
        membership: Membership,
        rules: Rules,
        on_change: Callable[[frozenset[str], Mapping[str, NodeState]], None],
    ) -> None:
        self._membership = membership
        self._pod_observer = membership if isinstance(membership, PodObserver) else None
        self._rules = rules
        self._on_change = on_change
        self._pods: dict[str, Pod] = {}
        self._pods_known = False
        self._nodes: dict[str, Node] = {}
        self._usable = Usable()
        self._has_reported = False
        self._may_join = asyncio.Event()
        self._pacer = Pacer(self._report_change)

    async def run(self) -> None:
        """Run the membership, once ``allow_join`` was called, until cancelled.

        Not earlier, since the other speakers hand addresses over to a new member at once.
        """
        await self._may_join.wait()
        await self._membership.run(self._on_usable)

    async def follow(self) -> None:
        """Call ``on_change`` after changes, once for those that coincide, until cancelled."""
        await self._pacer.run()

    def flush(self) -> None:
        """Report a pending change now, because the next decisions depend on it."""
        self._pacer.flush()

    def allow_join(self) -> None:
        """Let ``run`` join: this node has read everything that it needs to announce."""
        self._may_join.set()

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
            self._pass_pods_on()
        self._pacer.due()

    def pods_synced(self) -> None:
        """Record that the list of the speakers' pods is complete."""
        self._pods_known = True
        self._pass_pods_on()

    @property
    def node_names(self) -> tuple[str, ...]:
        """The names of all Nodes."""
        return tuple(self._nodes)

    def node(self, name: str) -> Node | None:
        """Return a Node object; None if it does not exist or was not read yet."""
        return self._nodes.get(name)

    @property
    def is_running(self) -> bool:
        """Whether the membership reported usable speakers at least once; never reset."""
        return self._has_reported

    def _pass_pods_on(self) -> None:
        if self._pod_observer is not None:
            self._pod_observer.pods_changed(self._pods.values())

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
        return node_states({name: node}, (), self._rules)[name] if node else None

    def _report_change(self) -> None:
        pods, gossiped = self._pods.values(), self._usable.interfaces
        states = node_states(self._nodes, pods, self._rules, gossiped)
        # Members without a Node object are ignored.
        self._on_change(self._usable.nodes & states.keys(), states)


class InterfacePublication:
    """Publishes this node's interfaces, by its pod's annotation and by a membership that can.

    ``write`` queues annotations of the object at an API path.
    """

    def __init__(
        self, node: str, membership: Membership, write: Callable[[str, Annotations], None]
    ) -> None:
        self._node = node
        self._publisher = membership if isinstance(membership, InterfacePublisher) else None
        self._write = write
        self._pods: dict[str, Pod] = {}  # of this node
        # The value of the annotation; None before the first report.
        self._interfaces: str | None = None

    def pod_changed(self, event: Changed[Pod]) -> None:
        """Apply a changed pod of a speaker: an outdated annotation of this node's is written."""
        if event.new is not None and event.new.spec.node_name == self._node:
            self._pods[event.key] = event.new
        else:
            self._pods.pop(event.key, None)
        self._annotate()

    def interfaces_changed(self, found: tuple[NodeInterface, ...]) -> None:
        """Publish the interfaces of this node; ``found`` are all of them."""
        # A node without interfaces publishes nothing and counts as being on every subnet.
        self._interfaces = topology.encode(found) if found else ""
        if self._publisher is not None:
            self._publisher.interfaces_changed(found)
        self._annotate()

    def _annotate(self) -> None:
        pod = pod_of(self._node, self._pods.values())
        if self._interfaces is None or pod is None:
            return
        if pod.metadata.annotation(topology.ANNOTATION) != self._interfaces:
            # By the status subresource, which accepts annotations: permission to write whole pods
            # would allow replacing their images.
            meta = pod.metadata
            path = f"/api/v1/namespaces/{meta.namespace}/pods/{meta.name}/status"
            self._write(path, {topology.ANNOTATION: self._interfaces})
