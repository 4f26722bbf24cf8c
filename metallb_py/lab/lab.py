"""The whole lab: machines, control plane, daemons and router."""

from __future__ import annotations

import secrets
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from metallb_py.lab import network, proxies, routers
from metallb_py.lab.binaries import Kubernetes, find_kubernetes
from metallb_py.lab.cluster import ACCESS_KINDS, Cluster, Object, read_objects
from metallb_py.lab.control_plane import NAMESPACE, ControlPlane, Embedded, Real
from metallb_py.lab.isolate import has_other_users
from metallb_py.lab.network import NODES, Node
from metallb_py.lab.processes import LabError, Program, Programs
from metallb_py.lab.routers import Router
from speaker.layer2.candidates import SPEAKER_LABELS

MANIFEST = Path("manifests/metallb.yaml")
KEY_NAME = "secretkey"
WEB_PORT = 80
METRICS_PORT = 7472


@dataclass(frozen=True, slots=True)
class LabOptions:
    """Parts that the lab is to have; ``auto`` takes the first one that is installed."""

    control_plane: str = "auto"
    """``auto``, ``real`` or ``embedded``."""
    kubernetes_version: str = ""
    """First part of the version of a cached control plane; empty for the newest one."""
    router: str = "auto"
    """``auto``, ``frr``, ``bird`` or ``builtin``."""
    proxy: str = "auto"
    """``auto``, ``kube-proxy``, ``nft`` or ``relay``."""
    manifest: Path = MANIFEST
    """The manifest with the daemons' permissions, for a real control plane."""


class Lab:
    """The lab, which is up while it is entered. Every method raises LabError."""

    def __init__(self, folder: Path, options: LabOptions) -> None:
        self.folder = folder
        self._options = options
        self._stack = ExitStack()
        self.programs = Programs(folder)
        kubernetes = _choose_kubernetes(options)
        self.control_plane: ControlPlane = (
            Real(self.programs, kubernetes) if kubernetes else Embedded(self.programs)
        )
        self.proxies: list[Program] = []
        self._proxy = proxies.choose(options.proxy, kubernetes)
        self.router: Router = routers.choose(
            options.router, self.programs, other_users=has_other_users()
        )
        self.cluster = Cluster(self.control_plane.kubeconfig("admin"))
        self.speakers: dict[str, Program] = {}
        self._controllers: list[Program] = []
        self._secret = folder / "memberlist" / KEY_NAME

    def __enter__(self) -> Self:
        self._stack.enter_context(self.programs)
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def description(self) -> str:
        """Its parts, as text."""
        parts = (self.control_plane, self.router, self._proxy)
        return ", ".join(part.description for part in parts)

    @property
    def controller(self) -> Program:
        """The controller that was started last."""
        return self._controllers[-1]

    def start_controller(self, *options: str, name: str = "controller") -> Program:
        """Start a controller on the control plane's machine; several need different names."""
        program = self.programs.start(
            name, *self._daemon("controller"), f"--port={METRICS_PORT}", *options
        )
        self._controllers.append(program)
        return program

    def start_speaker(self, node: Node, *options: str) -> Program:
        """Start a node's speaker, and make its pod ready. Options replace the lab's own."""
        program = self.programs.start(
            f"speaker-{node.name}",
            *self._daemon("speaker"),
            f"--port={METRICS_PORT}",
            f"--host={node.address}",
            f"--node-name={node.name}",
            f"--ml-bindaddr={node.address}",
            f"--ml-labels={SPEAKER_LABELS}",
            f"--ml-secret-key-path={self._secret.parent}",
            *options,
            machine=node.name,
        )
        self.speakers[node.name] = program
        self.cluster.add_speaker_pod(node)
        return program

    def logs(self) -> str:
        """Return the last lines of the daemons' logs, and of programs that ended unexpectedly."""
        unexpectedly_ended = self.programs.unexpectedly_ended()
        daemons = [*self.speakers.values(), *self._controllers]
        shown = [
            *unexpectedly_ended,
            *(daemon for daemon in daemons if daemon not in unexpectedly_ended),
        ]
        ended = [
            f"{program.name} ended: {program.process.returncode}" for program in unexpectedly_ended
        ]
        return "\n".join([*ended, *(program.tail() for program in shown)])

    def _daemon(self, name: str) -> list[str]:
        kubeconfig = self.control_plane.kubeconfig(name)
        options = [f"--kubeconfig={kubeconfig}", f"--namespace={NAMESPACE}"]
        return [sys.executable, "-m", name, *options]

    def _start(self) -> None:
        self._secret.parent.mkdir(mode=0o700)
        self._secret.write_text(secrets.token_urlsafe())
        network.build()
        self.control_plane.start()
        self.cluster.apply(self._access_objects())
        self.cluster.add_nodes()
        for node in NODES:
            if node.pod is not None:
                page = [sys.executable, "-m", "metallb_py.lab.page"]
                self.programs.start(
                    node.pod.name, *page, node.pod.name, str(WEB_PORT), machine=node.pod.name
                )
                self.cluster.add_pod(node, node.pod.name, node.pod.address, {"app": "web"})
        self.router.start()
        kubeconfig = self.control_plane.kubeconfig("kube-proxy")
        for node in NODES:
            command = self._proxy.command(node, kubeconfig)
            proxy = self.programs.start(f"proxy-{node.name}", *command, machine=node.name)
            self.proxies.append(proxy)

    def _access_objects(self) -> list[Object]:
        if isinstance(self.control_plane, Embedded):  # it has no authorization
            meta = {"name": NAMESPACE}
            return [{"apiVersion": "v1", "kind": "Namespace", "metadata": meta}]
        objects = read_objects(self._options.manifest)
        return [item for item in objects if item["kind"] in ACCESS_KINDS]


def _choose_kubernetes(options: LabOptions) -> Kubernetes | None:
    if options.control_plane == "embedded":
        return None
    found = find_kubernetes(options.kubernetes_version)
    if found is None and options.control_plane == "real":
        which = options.kubernetes_version or "any version"
        raise LabError(
            f"--control-plane=real: found no kube-apiserver, etcd and kube-controller-manager "
            f"({which}) in KUBEBUILDER_ASSETS, on the PATH or in ~/.cache/metallb-py"
        )
    return found
