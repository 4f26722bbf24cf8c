"""A lab that stays up: how to play with it from another terminal."""

from __future__ import annotations

import signal

from metallb_py.cli.lab.control_plane import NAMESPACE
from metallb_py.cli.lab.lab import Lab


def explain(lab: Lab, process: int) -> None:
    """Print commands to paste into another terminal."""
    inside = f"nsenter -t {process} -m -n"
    if not lab.as_root:
        inside = f"nsenter -t {process} -U --preserve-credentials -m -n"
    kubeconfig = lab.control_plane.kubeconfig("admin")
    print(f"""
The lab stays up until Ctrl-C. From another terminal:
  edit the configuration   {inside} kubectl --kubeconfig {kubeconfig} -n {NAMESPACE} edit cm config
  see the services         {inside} kubectl --kubeconfig {kubeconfig} get svc -o yaml
  follow a speaker         tail -f {lab.folder}/speaker-node1.log
  follow the controller    tail -f {lab.folder}/controller.log
  enter a machine          {inside}=/proc/{process}/root/run/netns/client sh
                           (also node1 node2 node3 router pod1 pod2)
kubeconfig: {kubeconfig}""")


def wait() -> None:
    """Wait for Ctrl-C or SIGTERM."""
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
