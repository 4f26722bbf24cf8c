"""Programs that the lab uses, and their search order."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from metallb_py.lab.binaries import find, find_kubernetes, search_path

CONTROL_PLANE = ("kube-apiserver", "etcd", "kube-controller-manager")


def put(folder: Path, *names: str) -> Path:
    """Put programs into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        file = folder / name
        file.write_text("#!/bin/sh\n")
        file.chmod(0o755)
    return folder


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Provide an empty cache on a machine with nothing installed."""
    monkeypatch.setenv("PATH", str(tmp_path / "path"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("KUBEBUILDER_ASSETS", raising=False)
    return tmp_path / "cache" / "metallb-py" / "control-plane"


@pytest.mark.usefixtures("cache")
def test_daemons_are_found_in_path_and_in_the_sbin_folders(tmp_path: Path) -> None:
    put(tmp_path / "path", "ours")
    assert find("ours") == tmp_path / "path" / "ours"
    assert {"/usr/sbin", "/sbin"} <= set(search_path().split(os.pathsep))
    assert find("no-such-program") is None


@pytest.mark.usefixtures("cache")
def test_explicit_folder_is_the_only_one_searched(tmp_path: Path) -> None:
    put(tmp_path / "path", "ours")
    assert find("ours", tmp_path / "elsewhere") is None


@pytest.mark.usefixtures("cache")
def test_no_kubernetes_without_any_binaries() -> None:
    assert find_kubernetes() is None


def test_newest_version_of_the_cache_is_chosen(cache: Path) -> None:
    for version in ("1.9.0", "1.34.4", "1.20.2"):
        put(cache / version, *CONTROL_PLANE)
    put(cache / "1.34.4", "kube-proxy")
    found = find_kubernetes()
    assert found is not None
    assert (found.version, found.apiserver) == ("1.34.4", cache / "1.34.4" / "kube-apiserver")
    assert found.proxy == cache / "1.34.4" / "kube-proxy"


def test_requested_version_is_chosen(cache: Path) -> None:
    for version in ("1.34.4", "1.20.2"):
        put(cache / version, *CONTROL_PLANE)
    found = find_kubernetes("1.20")
    assert found is not None
    assert (found.version, found.proxy) == ("1.20.2", None)
    assert find_kubernetes("1.30") is None


def test_incomplete_control_plane_is_skipped(cache: Path) -> None:
    put(cache / "1.34.4", "kube-apiserver", "etcd")
    put(cache / "1.20.2", *CONTROL_PLANE)
    found = find_kubernetes()
    assert found is not None
    assert found.version == "1.20.2"


def test_kubebuilder_assets_come_first(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(cache / "1.34.4", *CONTROL_PLANE)
    assets = put(tmp_path / "1.33.0-linux-amd64", *CONTROL_PLANE)
    monkeypatch.setenv("KUBEBUILDER_ASSETS", str(assets))
    found = find_kubernetes()
    assert found is not None
    assert found.apiserver == assets / "kube-apiserver"
    requested = find_kubernetes("1.34")
    assert requested is not None
    assert requested.version == "1.34.4"


def test_etcd_may_be_in_another_folder(cache: Path, tmp_path: Path) -> None:
    put(cache / "1.34.4", "kube-apiserver", "kube-controller-manager")
    put(tmp_path / "path", "etcd")
    found = find_kubernetes()
    assert found is not None
    assert found.etcd == tmp_path / "path" / "etcd"
