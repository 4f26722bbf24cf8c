"""The ConfigMap that carries the configuration."""

from __future__ import annotations

from metallb_py.config.compile import read_config
from metallb_py.config.model import Config
from metallb_py.kube.objects import ConfigMap
from metallb_py.kube.reflector import Resource

DATA_KEY = "config"


def config_resource(namespace: str, name: str) -> Resource[ConfigMap]:
    """Return the resource that holds this one ConfigMap."""
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    return Resource(path, ConfigMap, {"fieldSelector": f"metadata.name={name}"})


def config_in(item: ConfigMap) -> Config:
    """Read the configuration in a ConfigMap; a missing key is an empty one (MetalLB).

    Raises ConfigError with every problem.
    """
    return read_config((item.data or {}).get(DATA_KEY, ""))
