"""A program on one of the lab's machines sees that machine alone."""

from __future__ import annotations

import subprocess

import pytest
from support.isolated import isolated

from metallb_py.lab import network
from metallb_py.lab.enter import HERE, command

pytestmark = pytest.mark.netns


def run(machine: str, *program: str) -> tuple[int, str, str]:
    done = subprocess.run(command(machine, *program), capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip(), done.stderr.strip()


def test_a_machine_has_its_own_links_also_in_sys() -> None:
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
        said, _ = process.communicate()
        return process.pid, process.returncode, said.strip()

    pid, status, said = isolated(look)
    assert (status, said) == (5, str(pid))


def test_what_there_is_not_is_said_in_a_line() -> None:
    def look() -> list[tuple[int, str, str]]:
        network.build()
        return [run("node9", "true"), run("node1", "no-such-program")]

    no_machine, no_program = isolated(look)
    wanted = "node9: No such file or directory: want one of the lab's machines"
    assert no_machine == (1, "", wanted)
    assert no_program == (1, "", "no-such-program: No such file or directory")
