"""A lab that stays up: the commands for another terminal, and the restart of its daemons."""

from __future__ import annotations

import signal
import sys
import threading
import time
from pathlib import Path

from metallb_py.lab.binaries import find
from metallb_py.lab.control_plane import NAMESPACE
from metallb_py.lab.inside import Kept
from metallb_py.lab.lab import Lab
from metallb_py.lab.network import NODES, Node
from metallb_py.lab.processes import LabError

RESTART_SECONDS = 10.0
LOOK_SECONDS = 0.2


def stay(lab: Lab, process: int, addresses: list[str]) -> None:
    """Print commands to paste, and keep the lab up until Ctrl-C or SIGTERM."""
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    Kept(lab.folder, process).leave_mark()
    print(explanation(lab, addresses[0] if addresses else "ADDRESS"), flush=True)
    kubelet = Kubelet(lab)
    while not stop.wait(LOOK_SECONDS):
        try:
            kubelet.tend(time.monotonic())
        except LabError as error:
            print(f"lab: {error}", file=sys.stderr)


def explanation(lab: Lab, address: str) -> str:
    """Return the commands to paste into another terminal, of those that can work here."""
    name = Path(sys.argv[0])
    command = f"{name} lab" if name.suffix != ".py" else f"{sys.executable} -m metallb_py.cli lab"
    lines = [
        ("edit the configuration", f"exec kubectl -n {NAMESPACE} edit configmap config"),
        ("see the services", "exec kubectl get services"),
        ("resolve an address by ARP", f"exec --on client arping -I eth0 -c 3 {address}"),
        ("get a page through it", f"exec --on client curl -s http://{address}/"),
        ("kill a speaker", "kill speaker-node1"),
        ("show the router's routes", f"exec --on router {lab.router.show_command}"),
        ("look around on a machine", "exec --on node1 sh"),
    ]
    usable = [(what, line) for what, line in lines if _usable(line)]
    width = max(len(what) for what, _ in usable)
    text = "\n".join(f"  {what:{width}}  {command} {line}" for what, line in usable)
    return f"""
The lab stays up until Ctrl-C. From another terminal, in this folder:
{text}
  {"follow a speaker":{width}}  tail -f {lab.folder}/speaker-node1.log
Machines: node1 node2 node3 client router pod1 pod2; without --on, the control plane's.
Logs: {lab.folder}/*.log
kubeconfig, for use inside: {lab.control_plane.kubeconfig("admin")}"""


def _usable(line: str) -> bool:
    words = line.split()
    program = words[words.index("--on") + 2] if "--on" in words else words[1]
    beside = str(Path(sys.executable).parent)
    return words[0] == "kill" or bool(find(program) or find(program, beside))


class Kubelet:
    """Starts daemons again that ended; a speaker's pod is not ready in between.

    So the addresses of a speaker that fails move to other nodes, as in a cluster.
    """

    def __init__(self, lab: Lab) -> None:
        self._lab = lab
        self._due: dict[str, float] = {}

    def tend(self, now: float) -> None:
        """Check every daemon. Raises LabError where the API server is not available; call again."""
        for node in NODES:
            if self._lab.speakers[node.name].ended_unexpectedly:
                self._tend_speaker(node, now)
        if self._lab.controller.ended_unexpectedly and self._is_due("controller", now):
            self._lab.start_controller()

    def _tend_speaker(self, node: Node, now: float) -> None:
        if node.name not in self._due:
            self._lab.cluster.set_speaker_ready(node, ready=False)
        if self._is_due(node.name, now):
            self._lab.start_speaker(node)

    def _is_due(self, name: str, now: float) -> bool:
        if now < self._due.setdefault(name, now + RESTART_SECONDS):
            return False
        del self._due[name]
        return True
