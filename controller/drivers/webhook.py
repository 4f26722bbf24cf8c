"""Serves the validating webhook over TLS, with a certificate that it makes and rotates itself.

The authority lives in memory alone. Its certificate is published in the webhook's configuration in
the API server, beside the one before it. A new certificate is served only once its authority has
been published for a while, so that no call fails while the API server learns of it.

Every replica of the controller serves, and has an authority of its own. Each adds what is missing
of its own to what the others published, and writes nothing where nothing is missing, so they agree;
the authorities of replicas that are gone make room when there are too many, or expire.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from aiohttp import web

from controller.admission import AdmissionError
from metallb_py.errors import ApiError, ConflictError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.runtime.pki import Authority, Identity, merge_bundle

VALID = timedelta(days=90)
ROTATE_AFTER = timedelta(days=60)
CHECK_SECONDS = 60.0
RETRY_SECONDS = 2.0
# A review holds the old and the new object, with annotations; an API server takes 3 MiB of each.
MAX_BODY_BYTES = 8 << 20
# Two for each of several replicas, and some of replicas that were restarted.
MAX_TRUSTED = 16
PATH = "/validate"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where to serve, under which names, and which configuration to publish the authority in."""

    port: int
    hosts: tuple[str, ...]
    configuration: str


class Webhook:
    """The webhook, for as long as ``run`` runs."""

    def __init__(
        self,
        client: KubeClient,
        options: WebhookOptions,
        judge: Callable[[bytes], Awaitable[bytes]],
    ) -> None:
        self._client = client
        self._options = options
        self._judge = judge
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._trusted: list[bytes] = []
        self._coming: Identity | None = None
        self._made = datetime.min.replace(tzinfo=UTC)

    async def run(self, on_error: Callable[[Exception], None]) -> None:
        """Serve, rotate and publish until cancelled. A failure is told once, and tried again."""
        self.rotate(datetime.now(UTC))
        self.serve_latest()
        runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(runner, on_error), name="webhook listener")
                group.create_task(self._keep_published(on_error), name="webhook publisher")
        finally:
            await runner.cleanup()

    async def _listen(self, runner: web.AppRunner, on_error: Callable[[Exception], None]) -> None:
        failing = False
        while True:
            site = web.TCPSite(runner, None, self._options.port, ssl_context=self._context)
            try:
                await site.start()
            except OSError as error:
                await site.stop()
                if not failing:
                    on_error(error)
                failing = True
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return

    async def _keep_published(self, on_error: Callable[[Exception], None]) -> None:
        failing = False
        while True:
            now = datetime.now(UTC)
            if now - self._made > ROTATE_AFTER:
                self.rotate(now)
            try:
                await self.publish()
            except ConflictError:
                continue  # another replica was faster: add to what it wrote
            except ApiError as error:
                if not failing:
                    on_error(error)
                failing = True
                await asyncio.sleep(CHECK_SECONDS if _is_absent(error) else RETRY_SECONDS)
            else:
                failing = False
                await asyncio.sleep(CHECK_SECONDS)
                self.serve_latest()

    async def publish(self) -> None:
        """Have the API server trust us, unless it does already.

        Raises ApiError; ConflictError where somebody else wrote meanwhile.
        """
        path = f"{_CONFIGURATIONS}/{self._options.configuration}"
        item = msgspec.json.decode(await self._client.get(path), type=dict[str, object])
        webhooks = msgspec.convert(item.get("webhooks", []), list[dict[str, object]])
        changed = False
        for webhook in webhooks:
            settings = msgspec.convert(webhook["clientConfig"], dict[str, object])
            found = b64decode(str(settings.get("caBundle") or ""))
            if not all(certificate in found for certificate in self._trusted):
                now = datetime.now(UTC)
                bundle = b"".join(merge_bundle(self._trusted, found, now, MAX_TRUSTED))
                webhook["clientConfig"] = {**settings, "caBundle": b64encode(bundle).decode()}
                changed = True
        if changed:
            await self._client.replace(path, {**item, "webhooks": webhooks})

    def rotate(self, now: datetime) -> None:
        """Make a new authority and certificate, to be published; what was served still is."""
        authority = Authority.create("metallb-webhook", now, VALID)
        name = self._options.hosts[0]
        self._coming = authority.issue(name, list(self._options.hosts), now, VALID)
        self._trusted = [authority.certificate, *self._trusted[:1]]
        self._made = now

    def serve_latest(self) -> None:
        """Serve the certificate that ``rotate`` made last."""
        if self._coming is not None:
            _load(self._context, self._coming)
            self._coming = None

    def _application(self) -> web.Application:
        app = web.Application(client_max_size=MAX_BODY_BYTES)
        app.router.add_post(PATH, self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        try:
            answer = await self._judge(await request.read())
        except AdmissionError as error:
            return web.Response(status=400, text=str(error))
        return web.Response(body=answer, content_type="application/json")


def _is_absent(error: ApiError) -> bool:
    return isinstance(error, NotFoundError)


def _load(context: ssl.SSLContext, identity: Identity) -> None:
    """Give a certificate to OpenSSL, which takes files alone; this one is never on a disk."""
    handle = os.memfd_create("webhook", os.MFD_CLOEXEC)
    try:
        os.write(handle, identity.certificate + identity.key)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
