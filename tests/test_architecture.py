"""Rules for the tree as a whole."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

ROOT = Path(__file__).parent.parent
PACKAGES = ("metallb_py", "speaker", "controller")
MODULES = sorted(
    path.relative_to(ROOT) for package in PACKAGES for path in (ROOT / package).rglob("*.py")
)
TESTS = ROOT / "tests"
# Suites whose folders have the same paths as the packages'.
MIRRORS = ("unit", "property", "netns")
LINES = 600

# Modules that only run as a part of something larger, and the test file that covers them.
TESTED_ELSEWHERE = {
    "metallb_py/cli/cluster.py": "netns/cli/test_commands.py",
    "metallb_py/cli/explain.py": "netns/cli/test_commands.py",
    "metallb_py/cli/plan.py": "netns/cli/test_commands.py",
    "metallb_py/kube/configmap.py": "unit/kube/test_config_reader.py",
    "metallb_py/kube/snapshot.py": "unit/controller/test_simulation.py",
    "metallb_py/lab/cluster.py": "e2e/test_cluster.py",
    "metallb_py/lab/collector.py": "interop/test_collector.py",
    "metallb_py/lab/keep.py": "e2e/test_keep.py",
    "metallb_py/lab/lab.py": "e2e/test_lab.py",
    "metallb_py/lab/run.py": "e2e/test_lab.py",
    "metallb_py/runtime/daemon.py": "netns/controller/test_app.py",
    "speaker/announcers/interface.py": "netns/speaker/announcers/test_bgp.py",
    "speaker/app.py": "e2e/test_cluster.py",
    "speaker/bgp/io/secrets.py": "netns/speaker/announcers/test_bgp_passwords.py",
    "speaker/bgp/io/transport.py": "netns/speaker/bgp/io/test_session_driver.py",
    "speaker/membership/interface.py": "e2e/test_members.py",
}

# Each outside library is imported by these modules alone, so that it can be replaced.
IMPORTERS = {
    "cryptography": {
        "metallb_py/protocols/memberlist/codec/keyring.py",
        "metallb_py/runtime/pki.py",
    },
    "kubernetes": {"metallb_py/kube/kubeconfig.py"},
    "msgpack": {"metallb_py/protocols/memberlist/codec/msgpack_fields.py"},
    "prometheus_client": {"metallb_py/runtime/metrics.py"},
    "netaddr": {"metallb_py/addresses.py"},
    "re2": {"metallb_py/model/patterns.py"},
    "scapy": {"metallb_py/lab/resolve.py"},
    "yaml": {
        "metallb_py/lab/cluster.py",
        "metallb_py/config/yaml/document.py",
        "metallb_py/kube/kubeconfig.py",
    },
    "aiomqtt": set(),
}


BY_NAME = {".".join(m.with_suffix("").parts).removesuffix(".__init__"): m for m in MODULES}
"""Our modules by the names under which they are imported."""


class Contents(NamedTuple):
    """What the rules need to know of a module."""

    imports: frozenset[str]
    """The top-level packages that it imports."""
    modules: frozenset[str]
    """Those of our modules that it imports, anywhere in its code."""
    has_behaviour: bool
    """Whether it has code to test, beyond names and types."""


@cache
def contents(module: Path) -> Contents:
    """Return the contents of a module, which is parsed once."""
    names: set[str] = set()
    has_behaviour = False
    modules: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / module).read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.partition(".")[0] for alias in node.names)
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.partition(".")[0])
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            modules |= members & BY_NAME.keys() or {node.module}
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            has_behaviour = True
    return Contents(frozenset(names), frozenset(modules & BY_NAME.keys()), has_behaviour)


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: contents(module).modules - {name} for name, module in BY_NAME.items()}
    assert sum(map(len, graph.values())) > len(graph), "imports were found"
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_no_module_exceeds_the_line_limit() -> None:
    lines = {module: len((ROOT / module).read_text().splitlines()) for module in MODULES}
    assert {module: count for module, count in lines.items() if count > LINES} == {}


@pytest.mark.parametrize(
    "module",
    [m for m in MODULES if not m.name.startswith("__") and contents(m).has_behaviour],
    ids=str,
)
def test_every_module_has_its_test_file(module: Path) -> None:
    elsewhere = TESTED_ELSEWHERE.get(str(module))
    path = Path(*(part for part in module.parts if part != "metallb_py"))
    own = [TESTS / kind / path.with_name(f"test_{module.name}") for kind in MIRRORS]
    assert any(file.exists() for file in own) != (elsewhere is not None)
    assert elsewhere is None or (TESTS / elsewhere).exists()


@pytest.mark.parametrize("library", IMPORTERS)
def test_each_library_has_its_importers(library: str) -> None:
    assert {str(m) for m in MODULES if library in contents(m).imports} == IMPORTERS[library]


def test_no_todo_and_no_bare_type_ignore_in_comments() -> None:
    unwanted = re.compile(r"#\s*type: ignore(?!\[)|\bTODO\b|\bFIXME\b|\bXXX\b")
    assert [module for module in MODULES if unwanted.search((ROOT / module).read_text())] == []


HEAVY = ("kubernetes", "pydantic", "requests", "scapy", "pyroute2.ipdb", "numpy")
"""Packages that cost a daemon megabytes when imported, and are not needed to serve."""


@cache
def loaded(daemon: str) -> frozenset[str]:
    """Return the modules that a daemon's process loads."""
    code = f"import sys, {daemon}.__main__, {daemon}.app; print(*sys.modules)"
    line = [sys.executable, "-c", code]
    done = subprocess.run(line, capture_output=True, text=True, check=True, cwd=ROOT)
    return frozenset(done.stdout.split())


@pytest.mark.parametrize("daemon", ["controller", "speaker"])
def test_daemon_loads_no_heavy_package(daemon: str) -> None:
    assert f"{daemon}.app" in loaded(daemon)
    assert not loaded(daemon) & set(HEAVY)


@pytest.mark.parametrize("path", sorted((ROOT / "manifests").glob("*.yaml")), ids=lambda p: p.name)
def test_manifests_are_kubernetes_objects(path: Path) -> None:
    objects = list(yaml.safe_load_all(path.read_text()))
    assert objects
    for item in objects:
        assert {"apiVersion", "kind", "metadata"} <= item.keys()
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda p: p.name)
def test_sample_configurations_load(path: Path) -> None:
    from metallb_py.config.compile.read_config import read_config

    (manifest,) = (o for o in yaml.safe_load_all(path.read_text()) if o["kind"] == "ConfigMap")
    assert read_config(manifest["data"]["config"]).pools


@pytest.mark.parametrize("daemon", ["controller", "speaker"])
def test_daemon_loads_no_package_that_it_does_not_use(daemon: str) -> None:
    packages = {name.partition(".")[0] for name in loaded(daemon)}
    assert not packages & {"scapy", "aiomqtt", "hypothesis", "pytest"}
    assert packages & {"controller", "speaker"} == {daemon}


@pytest.mark.parametrize("daemon", ["controller", "speaker"])
def test_help_loads_no_library(daemon: str) -> None:
    code = (
        f"import sys; from {daemon}.cli import parse\n"
        "try: parse(['--help'])\n"
        "except SystemExit: print(*sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "--config" in done.stdout
    assert not {"kubernetes", "aiohttp", "prometheus_client", "yaml"} & set(done.stderr.split())


PROGRAMS = (
    ("controller",),
    ("speaker",),
    *(("metallb_py.cli", name) for name in ("validate", "plan", "explain", "who-has", "lab")),
    *(("metallb_py.cli", "lab", name) for name in ("exec", "kill")),
)


# kubectl's, kube-apiserver's and k3s's
OF_OTHERS = {"--replicas", "--admission-control-config-file", "--disable"}


def help_of(programs: Sequence[tuple[str, ...]]) -> str:
    """Return what the programs print with ``--help``, from one process for all of them."""
    code = (
        "import runpy, sys\n"
        "for line in sys.argv[1:]:\n"
        "    program, *sys.argv[1:] = line.split()\n"
        "    try: runpy.run_module(program, run_name='__main__', alter_sys=True)\n"
        "    except SystemExit as end: assert not end.code\n"
    )
    line = [sys.executable, "-c", code, *(" ".join((*program, "--help")) for program in programs)]
    return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, check=True).stdout


def test_flags_commands_and_links_of_the_documentation_exist() -> None:
    readme = (ROOT / "README.md").read_text()
    pages = [readme, *(path.read_text() for path in (ROOT / "docs").glob("*.md"))]
    known = set(re.findall(r"--[a-z][-a-z0-9]+", help_of(PROGRAMS)))
    named = set(re.findall(r"--[a-z][-a-z0-9]+", "".join(pages)))
    assert named - known == OF_OTHERS
    code = re.findall(r"^```sh\n.*?^```|`[^`\n]+`", "\n".join(pages), re.DOTALL | re.MULTILINE)
    commands = set(re.findall(r"\bmetallb(?:-py)? ([a-z][-a-z]*)", "\n".join(code)))
    assert {"validate", "plan", "explain", "who-has", "lab"} <= commands
    assert commands <= {program[-1] for program in PROGRAMS}
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
