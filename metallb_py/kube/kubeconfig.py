"""Kubeconfig files: the server and the credentials of the current context.

Values in the file, and in files that it names, are read here. Credentials that a program or another
server provides (``exec``, ``auth-provider``), and passwords, are left to the Kubernetes client
library. It is loaded for them only: with its API models it takes 20 MB, and a pod, which has a
token in a file, never needs it.
"""

from __future__ import annotations

import base64
import binascii
import os
import ssl
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from yaml import YAMLError, safe_load

from metallb_py.kube.credentials import Access, TokenFile, anonymous

if TYPE_CHECKING:
    from kubernetes.aio.client import Configuration

_FOR_THE_LIBRARY: Final = ("exec", "auth-provider", "username", "password")
_Fields = Mapping[object, object]


class KubeconfigError(ValueError):
    """The file is not a kubeconfig, or a required value is missing or invalid."""


async def load(path: str, on_problem: Callable[[str], None]) -> Access:
    """Return the access to the server of a file's current context.

    Raises KubeconfigError, OSError. ``on_problem`` is called when a token file becomes unreadable
    later.
    """
    return _static(path, on_problem) or await _by_library(path)


def _static(path: str, on_problem: Callable[[str], None]) -> Access | None:
    """Return the access that the file defines; None where the library has to load it."""
    if os.pathsep in path:
        return None
    file = Path(path).expanduser()
    try:
        root = _mapping(safe_load(file.read_bytes()), "the file")
    except YAMLError as error:
        raise KubeconfigError(f"want YAML: {error}") from error
    context = _named(root, "contexts", "context", _text(root, "current-context"))
    cluster = _named(root, "clusters", "cluster", _text(context, "cluster"))
    name = _text(context, "user")
    user = _named(root, "users", "user", name) if name else {}
    if any(user.get(key) for key in _FOR_THE_LIBRARY):
        return None
    return _access(file.parent, cluster, user, on_problem)


def _access(
    folder: Path, cluster: _Fields, user: _Fields, on_problem: Callable[[str], None]
) -> Access:
    server = _text(cluster, "server").rstrip("/")
    if not server:
        raise KubeconfigError("cluster.server: found nothing, want a URL")
    token, token_file = _text(user, "token"), _text(user, "tokenFile")

    async def authorization() -> str:
        return f"Bearer {token}"

    return Access(
        server,
        _tls(folder, cluster, user) if server.startswith("https:") else None,
        _text(cluster, "tls-server-name") or None,
        _text(cluster, "proxy-url") or None,
        TokenFile(folder / token_file, on_problem) if token_file else None,
        authorization if token else anonymous,
    )


def _tls(folder: Path, cluster: _Fields, user: _Fields) -> ssl.SSLContext:
    authority = _content(folder, cluster, "certificate-authority")
    context = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify") is True:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate = _content(folder, user, "client-certificate")
    key = _content(folder, user, "client-key")
    if certificate and key:
        # OpenSSL loads them only from a file, which exists until they are loaded.
        with tempfile.NamedTemporaryFile(suffix=".pem") as file:
            file.write(certificate + b"\n" + key)
            file.flush()
            context.load_cert_chain(file.name)
    return context


def _content(folder: Path, fields: _Fields, key: str) -> bytes:
    """Return the inline data, or the content of the file that is named; empty without either."""
    data, path = _text(fields, f"{key}-data"), _text(fields, key)
    if data:
        try:
            return base64.b64decode(data, validate=True)
        except binascii.Error as error:
            raise KubeconfigError(f"{key}-data: want base64: {error}") from error
    return (folder / path).read_bytes() if path else b""


def _named(root: _Fields, plural: str, singular: str, name: str) -> _Fields:
    entries = root.get(plural)
    for entry in entries if isinstance(entries, list) else ():
        fields = _mapping(entry, plural)
        if fields.get("name") == name:
            return _mapping(fields.get(singular) or {}, f'{plural} "{name}"')
    raise KubeconfigError(f'{plural}: found none with the name "{name}"')


def _mapping(found: object, where: str) -> _Fields:
    if not isinstance(found, dict):
        raise KubeconfigError(f"{where}: found {type(found).__name__}, want a mapping")
    return found


def _text(fields: _Fields, key: str) -> str:
    value = fields.get(key)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise KubeconfigError(f"{key}: found {type(value).__name__}, want a text")
    return value


async def _by_library(path: str) -> Access:
    from kubernetes.aio.client import ApiClient, Configuration
    from kubernetes.aio.config import load_kube_config
    from kubernetes.aio.config.config_exception import ConfigException

    configuration = Configuration()
    try:
        await load_kube_config(config_file=path, client_configuration=configuration)
    except (ConfigException, YAMLError) as error:
        raise KubeconfigError(str(error)) from error
    api = ApiClient(configuration)
    try:
        tls: ssl.SSLContext = api.rest_client.ssl_context
    finally:
        await api.close()
    return Access(
        configuration.host,
        tls,
        configuration.tls_server_name,
        configuration.proxy,
        authorization=partial(_header, configuration),
    )


async def _header(configuration: Configuration) -> str:
    """Return the Authorization header with a token that the library refreshes."""
    return await configuration.get_api_key_with_prefix("BearerToken", "authorization") or ""
