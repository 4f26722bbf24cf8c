"""``metallb-py lab exec`` and ``lab kill``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.kube.lab_command import KeptLab, kept_lab

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KeptLab]:
    parts = ("--control-plane=embedded", "--router=builtin", "--proxy=relay")
    with kept_lab(tmp_path_factory.mktemp("inside"), *parts) as lab:
        yield lab


@pytest.mark.parametrize(
    ("machine", "links"),
    [((), {"lo", "eth0"}), (("--on", "node1"), {"lo", "eth0", "pod"})],
)
def test_lab_exec_runs_a_command_on_a_machine(
    lab: KeptLab, machine: tuple[str, ...], links: set[str]
) -> None:
    done = lab("exec", *machine, "ls", "/sys/class/net")
    assert set(done.stdout.split()) == links


def test_lab_exec_shares_the_labs_pid_namespace_and_keeps_the_directory(lab: KeptLab) -> None:
    done = lab("exec", "sh", "-c", "pwd; cat /proc/1/cmdline; echo; echo $KUBECONFIG")
    here, first, kubeconfig = done.stdout.splitlines()
    assert Path(here) == Path.cwd()
    assert "metallb_py.cli" in first
    assert kubeconfig.endswith("/admin.kubeconfig")
    assert Path(kubeconfig).exists()


@pytest.mark.parametrize("separator", [(), ("--",)])
def test_lab_exec_returns_the_exit_status_of_the_command(
    lab: KeptLab, separator: tuple[str, ...]
) -> None:
    assert lab("exec", *separator, "sh", "-c", "exit 3").returncode == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("exec", "--on", "node9", "true"), "node9: No such file or directory: want one of"),
        (("exec", "no-such-program"), "no-such-program: No such file or directory"),
        (("kill", "nobody"), "nobody: no such program: want one of apiserver, "),
        (("kill", "collector", "--signal", "NONE"), "NONE: no such signal"),
    ],
)
def test_unknown_machine_program_or_signal_is_one_line_of_error(
    lab: KeptLab, arguments: tuple[str, ...], message: str
) -> None:
    done = lab(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith(message)
    assert len(done.stderr.splitlines()) == 1


def state(folder: Path, program: str, lab: KeptLab) -> str:
    """Return a program's state letter, as the lab's own /proc has it."""
    (pid_file,) = folder.glob(f"metallb-py-lab-*/{program}.pid")
    status = lab("exec", "cat", f"/proc/{pid_file.read_text()}/stat").stdout
    return status.rpartition(")")[2].split()[0]


def test_lab_kill_signals_a_program(lab: KeptLab) -> None:
    assert lab("kill", "collector", "--signal", "STOP").returncode == 0
    assert state(lab.folder, "collector", lab) == "T"
    assert lab("kill", "collector", "--signal", "CONT").returncode == 0
    assert state(lab.folder, "collector", lab) in "RS"
