"""The webhook on loopback: TLS as OpenSSL's own client verifies it, and the CA bundle."""

from __future__ import annotations

import asyncio
import socket
import ssl
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from support.kube.api import HOST
from support.net.ports import free_port
from support.net.waiting import TIMEOUT, retry, until

from controller.admission import AdmissionError
from controller.drivers import webhook as module
from controller.drivers.review_gate import BusyError, Caller
from controller.drivers.webhook import MAX_TRUSTED, Webhook, WebhookOptions
from metallb_py.errors import ApiError, StartupError
from metallb_py.kube.client import KubeClient
from metallb_py.runtime.log import Logger
from metallb_py.runtime.pki import Authority

NAME = "metallb-webhook-configuration"
REFUSED = (aiohttp.ClientError, ssl.SSLError, ConnectionError)
"""Errors of a client whose certificate the webhook does not accept."""


class Registration:
    """An API server with one webhook configuration, for the client to read and replace."""

    def __init__(self) -> None:
        self.item = {
            "metadata": {"name": NAME, "resourceVersion": "1"},
            "webhooks": [
                {"name": "a", "clientConfig": {"url": "https://x"}, "sideEffects": "None"}
            ],
        }
        self.changed = asyncio.Event()

    def application(self) -> web.Application:
        app = web.Application()
        path = f"/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/{NAME}"
        app.router.add_get(path, self._get)
        app.router.add_put(path, self._put)
        return app

    def bundle(self) -> bytes:
        return b64decode(self.item["webhooks"][0]["clientConfig"]["caBundle"])  # type: ignore[index]

    def bundle_size(self) -> int:
        settings = self.item["webhooks"][0]["clientConfig"]  # type: ignore[index]
        return b64decode(settings.get("caBundle", "")).count(b"BEGIN CERTIFICATE")

    async def _get(self, _: web.Request) -> web.Response:
        return web.json_response(self.item)

    async def _put(self, request: web.Request) -> web.Response:
        item = await request.json()
        version = self.item["metadata"]["resourceVersion"]  # type: ignore[index]
        if item["metadata"]["resourceVersion"] != version:
            return web.json_response({"message": "modified"}, status=409)
        self.item = item
        self.item["metadata"]["resourceVersion"] = str(int(version) + 1)  # type: ignore[index]
        self.changed.set()
        return web.json_response(self.item)


@asynccontextmanager
async def registering(tmp_path: Path) -> AsyncIterator[tuple[Registration, KubeClient]]:
    registration, port = Registration(), free_port()
    runner = web.AppRunner(registration.application(), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, HOST, port).start()
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(
        f"""{{"apiVersion": "v1", "kind": "Config", "current-context": "t",
        "clusters": [{{"name": "t", "cluster": {{"server": "http://{HOST}:{port}"}}}}],
        "users": [{{"name": "t", "user": {{}}}}],
        "contexts": [{{"name": "t", "context": {{"cluster": "t", "user": "t"}}}}]}}"""
    )
    client = await KubeClient.connect(str(kubeconfig))
    try:
        yield registration, client
    finally:
        await client.close()
        await runner.cleanup()


async def review(body: bytes, caller: Caller) -> bytes:
    if body == b"who":
        return str(caller.trusted).encode()
    if body == b"busy":
        raise BusyError("too many")
    if body == b"nonsense":
        raise AdmissionError("AdmissionReview: nonsense")
    return b'{"echo": "' + body + b'"}'


@asynccontextmanager
async def serving(
    client: KubeClient, authority: Path | None = None, names: frozenset[str] = frozenset()
) -> AsyncIterator[tuple[Webhook, str]]:
    port = free_port()
    options = WebhookOptions(port, (HOST, "webhook.example"), NAME, authority, names)
    webhook = Webhook(client, options, review, Logger())
    task = asyncio.create_task(webhook.run(lambda error: pytest.fail(str(error))))
    try:
        yield webhook, f"https://{HOST}:{port}/validate"
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def post(
    url: str, bundle: bytes, body: bytes = b"hello", certificate: Path | None = None
) -> tuple[int, str]:
    context = ssl.create_default_context(cadata=bundle.decode())
    if certificate:
        context.load_cert_chain(certificate)
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=BytesIO(body), ssl=context) as answer,
    ):
        return answer.status, await answer.text()


async def test_client_that_trusts_the_published_ca_bundle_gets_an_answer(tmp_path: Path) -> None:
    async with registering(tmp_path) as (registration, client), serving(client) as (_, url):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        assert await post(url, registration.bundle()) == (200, '{"echo": "hello"}')
        assert registration.item["webhooks"][0]["clientConfig"]["url"] == "https://x"  # type: ignore[index]
        status, text = await post(url, registration.bundle(), b"nonsense")
        assert (status, text) == (400, "AdmissionReview: nonsense\n")
        assert await post(url, registration.bundle(), b"busy") == (503, "too many\n")


def certified(tmp_path: Path, name: str, authority: Authority) -> Path:
    """Return the file of a client certificate that this authority signed."""
    identity = authority.issue(name, [name], datetime.now(UTC), timedelta(days=1))
    file = tmp_path / f"{name}.pem"
    file.write_bytes(identity.certificate + identity.key)
    return file


async def test_only_client_certificates_with_a_configured_name_are_trusted(tmp_path: Path) -> None:
    authority = Authority.create("front", datetime.now(UTC), timedelta(days=1))
    file = tmp_path / "ca.crt"
    file.write_bytes(authority.certificate)
    server = certified(tmp_path, "kube-apiserver", authority)
    other = certified(tmp_path, "kubelet", authority)
    names = frozenset({"kube-apiserver"})
    async with (
        registering(tmp_path) as (registration, client),
        serving(client, file, names) as (_, url),
        serving(client, file) as (_, any_name),
        serving(client) as (_, without),
    ):
        async with asyncio.timeout(TIMEOUT):
            while registration.bundle_size() < 3:
                registration.changed.clear()
                await registration.changed.wait()
        bundle = registration.bundle()
        assert await post(url, bundle, b"who", server) == (200, "True")
        assert await post(url, bundle, b"who", other) == (200, "False")
        assert await post(url, bundle, b"who") == (200, "False")
        assert await post(any_name, bundle, b"who", other) == (200, "True")
        assert await post(without, bundle, b"who", server) == (200, "False")


async def test_changed_client_ca_file_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    old, new = (Authority.create(n, datetime.now(UTC), timedelta(days=1)) for n in ("a", "b"))
    file = tmp_path / "ca.crt"
    file.write_bytes(old.certificate)
    certificate = certified(tmp_path, "kube-apiserver", new)
    async with registering(tmp_path) as (registration, client), serving(client, file) as (_, url):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        with pytest.raises(REFUSED):
            await post(url, registration.bundle(), b"who", certificate)
        file.write_bytes(new.certificate)
        answer = await retry(
            lambda: post(url, registration.bundle(), b"who", certificate), *REFUSED
        )
        assert answer == (200, "True")


@pytest.mark.parametrize("text", ["", "no certificate"])
async def test_unreadable_client_ca_file_is_a_startup_error(tmp_path: Path, text: str) -> None:
    file = tmp_path / "ca.crt"
    file.write_text(text)
    async with registering(tmp_path) as (_, client):
        webhook = Webhook(client, WebhookOptions(0, (HOST,), NAME, file), review, Logger())
        with pytest.raises(StartupError, match="want a file of certificates"):
            await webhook.run(lambda _: None)


async def test_stalled_bodies_of_24_clients_do_not_block_the_api_server(
    tmp_path: Path,
) -> None:
    async with registering(tmp_path) as (registration, client), serving(client) as (_, url):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        context = ssl.create_default_context(cadata=registration.bundle().decode())
        port = int(url.split(":")[2].split("/")[0])
        size = 8 << 20
        stalled = []
        for _ in range(24):
            _, writer = await asyncio.open_connection(HOST, port, ssl=context)
            writer.write(
                f"POST /validate HTTP/1.1\r\nHost: a\r\nContent-Length: {size}\r\n\r\n".encode()
            )
            sending = asyncio.create_task(send(writer, b"x" * (64 << 10), (size >> 16) - 1))
            stalled.append((writer, sending))
        for _ in range(5):
            assert (await post(url, registration.bundle(), b"y" * (1 << 20)))[0] == 200
        await asyncio.wait([sending for _, sending in stalled])
        for writer, _ in stalled:
            writer.close()


async def send(writer: asyncio.StreamWriter, chunk: bytes, times: int) -> None:
    try:
        for _ in range(times):
            writer.write(chunk)
            await writer.drain()
    except (ConnectionError, ssl.SSLError):
        pass  # the server freed its budget


async def test_client_without_the_ca_bundle_rejects_the_certificate(tmp_path: Path) -> None:
    async with registering(tmp_path) as (registration, client), serving(client) as (_, url):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await session.post(url, data=b"x", ssl=ssl.create_default_context())


async def test_rotation_keeps_the_old_and_the_new_certificate_trusted(tmp_path: Path) -> None:
    async with registering(tmp_path) as (registration, client), serving(client) as (webhook, url):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        before = registration.bundle()
        webhook.rotate(datetime.now(UTC))
        assert (await post(url, before))[0] == 200
        await webhook.publish()
        after = registration.bundle()
        assert before in after
        assert after.count(b"BEGIN CERTIFICATE") == 2
        assert (await post(url, before))[0] == 200
        webhook.serve_latest()
        assert (await post(url, after))[0] == 200
        assert (await post(url, after.removesuffix(before)))[0] == 200


async def test_review_of_two_large_objects_is_read(tmp_path: Path) -> None:
    async with registering(tmp_path) as (registration, client), serving(client) as (_, url):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        body = b"x" * (6 << 20)
        assert (await post(url, registration.bundle(), body))[0] == 200


async def test_published_ca_bundle_is_not_written_again(tmp_path: Path) -> None:
    async with registering(tmp_path) as (registration, client), serving(client) as (webhook, _):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        registration.changed.clear()
        await webhook.publish()
        assert not registration.changed.is_set()


async def test_replicas_keep_each_other_in_the_ca_bundle(tmp_path: Path) -> None:
    async with (
        registering(tmp_path) as (registration, client),
        serving(client) as (first, one),
        serving(client) as (second, other),
    ):
        async with asyncio.timeout(TIMEOUT):
            while registration.bundle_size() < 2:
                registration.changed.clear()
                await registration.changed.wait()
        registration.changed.clear()
        for webhook in (first, second):
            await webhook.publish()
        assert not registration.changed.is_set(), "the replicas agree"
        for url in (one, other):
            assert (await post(url, registration.bundle()))[0] == 200


async def test_oldest_certificate_leaves_a_full_ca_bundle(tmp_path: Path) -> None:
    async with registering(tmp_path) as (registration, client), serving(client) as (_, url):
        await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
        options = WebhookOptions(0, (HOST,), NAME)
        for _ in range(MAX_TRUSTED + 3):
            replica = Webhook(client, options, review, Logger())
            replica.rotate(datetime.now(UTC))
            await replica.publish()
        assert registration.bundle_size() == MAX_TRUSTED
        with pytest.raises(aiohttp.ClientConnectorCertificateError):
            await post(url, registration.bundle())


async def test_port_in_use_is_reported_once_and_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.05)
    errors: list[Exception] = []
    async with registering(tmp_path) as (registration, client):
        taken = socket.create_server(("", 0))
        port = taken.getsockname()[1]
        webhook = Webhook(client, WebhookOptions(port, (HOST,), NAME), review, Logger())
        task = asyncio.create_task(webhook.run(errors.append))
        try:
            await asyncio.wait_for(registration.changed.wait(), TIMEOUT)
            await until(lambda: errors)
            taken.close()
            url = f"https://{HOST}:{port}/validate"
            answer = await retry(
                lambda: post(url, registration.bundle()), aiohttp.ClientConnectorError
            )
            assert answer[0] == 200
            assert len(errors) == 1
            assert isinstance(errors[0], OSError)
        finally:
            taken.close()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_certificate_from_a_clock_that_was_ahead_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.05)
    async with registering(tmp_path) as (registration, client), serving(client) as (webhook, url):
        await asyncio.wait_for(registration.changed.wait(), 10)
        webhook.rotate(datetime.now(UTC) + timedelta(days=3650))
        webhook.serve_latest()
        answered = False
        async with asyncio.timeout(10):
            while not answered:
                with suppress(aiohttp.ClientConnectorCertificateError):
                    answered = (await post(url, registration.bundle()))[0] == 200
                await asyncio.sleep(0.05)


async def test_malformed_webhook_configuration_is_an_api_error(tmp_path: Path) -> None:
    async with registering(tmp_path) as (registration, client):
        webhook = Webhook(client, WebhookOptions(0, (HOST,), NAME), review, Logger())
        webhook.rotate(datetime.now(UTC))
        odd: tuple[Any, ...] = (
            7,
            [7],
            [{"clientConfig": 7}],
            [{"clientConfig": {"caBundle": "ä"}}],
        )
        for webhooks in odd:
            registration.item["webhooks"] = webhooks
            with pytest.raises(ApiError):
                await webhook.publish()
