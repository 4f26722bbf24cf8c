"""Programs on the lab's machines, each confined to its machine."""

from __future__ import annotations

import subprocess

import pytest
from support.net.isolated import isolated

from metallb_py.lab import network
from metallb_py.lab.enter import HERE, command

pytestmark = pytest.mark.netns


def run(machine: str, *program: str) -> tuple[int, str, str]:
    done = subprocess.run(command(machine, *program), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_machine_has_its_own_links_also_in_sysfs() -> None:
    def look() -> list[str]:
        network.build()
        list_links = ("ls", "/sys/class/net")
        return [run(machine, *list_links)[1] for machine in ("node1", "pod1", HERE)]

    node, pod, here = isolated(look)
    assert set(node.split()) == {"lo", "eth0", "pod"}
    assert set(pod.split()) == set(here.split()) == {"lo", "eth0"}


def test_the_program_replaces_the_launcher() -> None:
    def look() -> tuple[int, int, str]:
        network.build()
        process = subprocess.Popen(
            command("node1", "sh", "-c", "echo $$; exit 5"), stdout=subprocess.PIPE, text=True
        )
        output, _ = process.communicate()
        return process.pid, process.returncode, output.strip()

    pid, status, output = isolated(look)
    assert (status, output) == (5, str(pid))


def test_missing_machine_or_program_is_one_line_of_error() -> None:
    def look() -> list[tuple[int, str, str]]:
        network.build()
        return [run("node9", "true"), run("node1", "no-such-program")]

    no_machine, no_program = isolated(look)
    wanted = "node9: No such file or directory: want one of the lab's machines"
    assert no_machine == (1, "", wanted)
    assert no_program == (1, "", "no-such-program: No such file or directory")
