"""Kubeconfig files, in the forms found in practice."""

from __future__ import annotations

import base64
import json
import ssl
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from metallb_py.kube.credentials import Access
from metallb_py.kube.kubeconfig import KubeconfigError, load
from metallb_py.runtime.pki import Authority

SERVER = "https://192.0.2.1:6443"
NOW = datetime.now(UTC)
CA = Authority.create("ca", NOW, timedelta(days=1))
CLIENT = CA.issue("client", ["client"], NOW, timedelta(days=1))


def config(
    cluster: dict[str, object] | None = None, user: dict[str, object] | None = None
) -> dict[str, object]:
    other = {"name": "other", "cluster": {"server": "https://elsewhere"}}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [other, {"name": "c", "cluster": {"server": SERVER, **(cluster or {})}}],
        "users": [{"name": "u", "user": user or {}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }


async def loaded(folder: Path, content: object) -> Access:
    path = folder / "config"
    path.write_text(json.dumps(content))
    return await load(str(path), lambda _: None)


def context(access: Access) -> ssl.SSLContext:
    assert access.tls is not None
    return access.tls


async def test_current_context_names_server_and_user(tmp_path: Path) -> None:
    access = await loaded(tmp_path, config({}, {"token": "s3cret"}))
    assert access.server == SERVER
    assert await access.authorization() == "Bearer s3cret"
    assert context(access).verify_mode is ssl.CERT_REQUIRED
    assert (access.server_name, access.proxy, access.token) == (None, None, None)


async def test_user_without_credentials_is_anonymous(tmp_path: Path) -> None:
    access = await loaded(tmp_path, config())
    assert await access.authorization() == ""


async def test_a_context_needs_no_user(tmp_path: Path) -> None:
    contexts = [{"name": "x", "context": {"cluster": "c"}}]
    access = await loaded(tmp_path, config() | {"contexts": contexts})
    assert await access.authorization() == ""


async def test_cluster_may_have_tls_server_name_proxy_and_skip_tls_verify(tmp_path: Path) -> None:
    more = {"tls-server-name": "kubernetes", "proxy-url": "http://192.0.2.2:3128"}
    access = await loaded(tmp_path, config({"insecure-skip-tls-verify": True, **more}))
    assert (access.server_name, access.proxy) == ("kubernetes", "http://192.0.2.2:3128")
    assert context(access).verify_mode is ssl.CERT_NONE
    assert not context(access).check_hostname


async def test_plain_http_server_needs_no_tls(tmp_path: Path) -> None:
    assert (await loaded(tmp_path, config({"server": "http://192.0.2.1:8080/"}))).tls is None


@pytest.mark.parametrize("where", ["file", "data"])
async def test_certificates_are_in_the_kubeconfig_or_in_files_beside_it(
    tmp_path: Path, where: str
) -> None:
    content = {
        "certificate-authority": CA.certificate,
        "client-certificate": CLIENT.certificate,
        "client-key": CLIENT.key,
    }
    fields: dict[str, object] = {}
    for key, pem in content.items():
        if where == "data":
            fields[f"{key}-data"] = base64.b64encode(pem).decode()
        else:
            (tmp_path / f"{key}.pem").write_bytes(pem)
            fields[key] = f"{key}.pem"
    authority = {k: v for k, v in fields.items() if "authority" in k}
    access = await loaded(tmp_path, config(authority, fields))
    (found,) = context(access).get_ca_certs()
    assert found["subject"] == ((("commonName", "ca"),),)


async def test_client_key_of_another_certificate_is_rejected(tmp_path: Path) -> None:
    other = CA.issue("other", ["other"], NOW, timedelta(days=1))
    pair = {"client-certificate-data": CLIENT.certificate, "client-key-data": other.key}
    user = {key: base64.b64encode(pem).decode() for key, pem in pair.items()}
    with pytest.raises(ssl.SSLError):
        await loaded(tmp_path, config({}, user))


async def test_a_token_file_is_read_when_it_is_needed(tmp_path: Path) -> None:
    access = await loaded(tmp_path, config({}, {"tokenFile": "token"}))
    assert access.token is not None
    (tmp_path / "token").write_text("first\n")
    assert access.token.header(0.0) == "Bearer first"


async def test_exec_credential_plugin_is_run_by_the_library(tmp_path: Path) -> None:
    answer = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "from a program"},
    }
    program = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": sys.executable,
        "args": ["-c", f"print({json.dumps(answer)!r})"],
        "interactiveMode": "Never",
    }
    access = await loaded(tmp_path, config({}, {"exec": program}))
    assert access.server == SERVER
    assert await access.authorization() == "Bearer from a program"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "want a mapping"),
        ({}, 'contexts: found none with the name ""'),
        (config() | {"current-context": "y"}, 'contexts: found none with the name "y"'),
        (config() | {"clusters": None}, 'clusters: found none with the name "c"'),
        (config() | {"users": [1]}, "users: found int, want a mapping"),
        (config({"server": None}), "cluster.server: found nothing, want a URL"),
        (config({}, {"token": 7}), "token: found int, want a text"),
        (config({"certificate-authority-data": "%"}), "certificate-authority-data: want base64"),
    ],
)
async def test_kubeconfig_error_names_the_field(
    tmp_path: Path, content: object, message: str
) -> None:
    with pytest.raises(KubeconfigError, match=message):
        await loaded(tmp_path, content)


async def test_kubeconfig_that_is_not_yaml_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "config"
    path.write_text("a: [")
    with pytest.raises(KubeconfigError, match="want YAML"):
        await load(str(path), lambda _: None)
