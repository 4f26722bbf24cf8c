"""Search for the programs that the lab can use: real Kubernetes, routers, packet filters."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

CONTROL_PLANE_PROGRAMS = ("kube-apiserver", "etcd", "kube-controller-manager")
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Kubernetes:
    """Real Kubernetes programs. ``proxy`` is None where there is no kube-proxy."""

    version: str
    apiserver: Path
    etcd: Path
    controller_manager: Path
    proxy: Path | None


def find(name: str, *folders: str | Path) -> Path | None:
    """Find a program in these folders or, without any, on the PATH and in SYSTEM_FOLDERS."""
    path = os.pathsep.join(map(str, folders)) if folders else search_path()
    found = shutil.which(name, path=path)
    return Path(found) if found else None


def search_path() -> str:
    """Return the PATH with SYSTEM_FOLDERS, where daemons are and which many users' PATH lacks."""
    return f"{os.environ.get('PATH', '')}{os.pathsep}{SYSTEM_FOLDERS}"


def find_kubernetes(version: str = "") -> Kubernetes | None:
    """Find Kubernetes as envtest does: KUBEBUILDER_ASSETS, the PATH, then this project's cache.

    ``version`` is the first part of a cached version's name; without it the newest is taken.
    """
    assets = os.environ.get("KUBEBUILDER_ASSETS")
    if assets and not version:
        return _kubernetes(Path(assets).name, assets)
    if not version and (found := _kubernetes("PATH")):
        return found
    cached = sorted(_cache().glob(f"{version}*"), key=_version_of, reverse=True)
    return next(filter(None, (_kubernetes(folder.name, folder) for folder in cached)), None)


def _kubernetes(version: str, *folders: str | Path) -> Kubernetes | None:
    places = {name: find(name, *folders) for name in CONTROL_PLANE_PROGRAMS}
    apiserver, manager = places["kube-apiserver"], places["kube-controller-manager"]
    etcd = places["etcd"] or find("etcd")
    if apiserver is None or manager is None or etcd is None:
        return None
    return Kubernetes(version, apiserver, etcd, manager, find("kube-proxy", *folders))


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "metallb-py" / "control-plane"


def _version_of(folder: Path) -> list[int]:
    return [int(part) for part in folder.name.split(".") if part.isdecimal()]
