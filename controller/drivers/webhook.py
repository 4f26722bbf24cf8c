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
import errno
import os
import random
import ssl
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from pathlib import Path

import msgspec

from controller.admission import AdmissionError
from controller.drivers.review_gate import BusyError, Caller
from metallb_py.errors import ApiError, ConflictError, NotFoundError, StartupError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.decoding import decode
from metallb_py.rate_limit import Rate, RateLimiter
from metallb_py.runtime.connections import Limits
from metallb_py.runtime.http_server import HttpServer, Request, Response, listen
from metallb_py.runtime.log import Logger
from metallb_py.runtime.pki import Authority, Identity, merge_bundle

VALID = timedelta(days=90)
ROTATE_AFTER = timedelta(days=60)
CHECK_SECONDS = 60.0
RETRY_SECONDS = 2.0
CONFLICT_SECONDS = 0.5
# A review holds the old and the new object, with annotations; an API server takes 3 MiB of each.
MAX_BODY_BYTES = 8 << 20
# Two of the largest reviews, or many usual ones: what all callers together can have us keep.
LIMITS = Limits(connections=64, per_source=16, body_bytes=2 * MAX_BODY_BYTES)
# Two for each of several replicas, and some of replicas that were restarted.
MAX_TRUSTED = 16
PATH = "/validate"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Where to serve, under which names, and which configuration to publish the authority in.

    ``client_authority`` is the file of the authority that signs the API server's client
    certificate; None where it shows none. ``client_names`` are the common names that are trusted
    of what it signed; empty means all.
    """

    port: int
    hosts: tuple[str, ...]
    configuration: str
    client_authority: Path | None = None
    client_names: frozenset[str] = frozenset()


class Webhook:
    """The webhook, for as long as ``run`` runs."""

    def __init__(
        self,
        client: KubeClient,
        options: WebhookOptions,
        judge: Callable[[bytes, Caller], Awaitable[bytes]],
        log: Logger,
    ) -> None:
        self._client = client
        self._options = options
        self._judge = judge
        self._log = log
        self._strangers = RateLimiter(Rate(1, 1 / 3600), Rate(10, 1 / 60))
        self._client_authority = ""  # certificates in PEM
        self._authority_problem = ""  # why that could not be read again, as it was reported
        self._trusted: list[bytes] = []
        self._serving: Identity | None = None
        self._made = datetime.min.replace(tzinfo=UTC)
        self._server = HttpServer(
            self._answer, log, limits=LIMITS, max_body=MAX_BODY_BYTES, tls=lambda: self._context
        )

    async def run(self, on_error: Callable[[Exception], None]) -> None:
        """Serve, rotate and publish until cancelled. A failure is reported once, and tried again.

        Raises StartupError where the authority of the callers can't be read at first.
        """
        self.rotate(datetime.now(UTC))
        try:
            self._read_client_authority()
            self.serve_latest()
        except (OSError, ssl.SSLError) as error:
            raise StartupError(
                f"--webhook-client-ca={self._options.client_authority}: want a file of "
                "certificates in PEM"
            ) from error
        async with asyncio.TaskGroup() as group:
            group.create_task(self._serve(on_error), name="webhook listener")
            group.create_task(self._keep_published(on_error), name="webhook publisher")

    async def _serve(self, on_error: Callable[[Exception], None]) -> None:
        failing = False
        while True:
            try:
                listeners = await listen("", self._options.port)
            except OSError as error:
                if not failing:
                    on_error(error)
                failing = True
                await asyncio.sleep(RETRY_SECONDS)
            else:
                await self._server.run(listeners)

    async def _keep_published(self, on_error: Callable[[Exception], None]) -> None:
        failing = False
        while True:
            now = datetime.now(UTC)
            # Also where the clock was set back since: made by a clock that ran ahead, the
            # certificate may be valid only from then on.
            misdated = now < self._made
            if misdated or now - self._made > ROTATE_AFTER:
                self.rotate(now)
            try:
                await self.publish()
            except ConflictError:
                # Another replica was faster: add to what it wrote.
                await asyncio.sleep(CONFLICT_SECONDS * random.random())
            except ApiError as error:
                if not failing:
                    on_error(error)
                failing = True
                own = CHECK_SECONDS if _is_absent(error) else RETRY_SECONDS
                await asyncio.sleep(error.delay(own))
            else:
                failing = False
                if not misdated:  # else what is served is of no use
                    await asyncio.sleep(CHECK_SECONDS)
                self._refresh(on_error)

    async def publish(self) -> None:
        """Have the API server trust us, unless it does already.

        Raises ApiError; ConflictError where somebody else wrote meanwhile.
        """
        path = f"{_CONFIGURATIONS}/{self._options.configuration}"
        item = decode(await self._client.get(path), dict[str, object])
        try:
            webhooks = msgspec.convert(item.get("webhooks") or [], list[dict[str, object]])
            changed = self._add_trusted(webhooks)
            meta = msgspec.convert(item.get("metadata") or {}, dict[str, object])
        except (msgspec.ValidationError, ValueError) as error:
            raise ApiError(f"{path}: {error}") from error
        if changed:
            # The server keeps the managedFields that it has; ours may be cut (json_repair).
            meta.pop("managedFields", None)
            await self._client.replace(path, {**item, "metadata": meta, "webhooks": webhooks})

    def _add_trusted(self, webhooks: list[dict[str, object]]) -> bool:
        """Add what is missing of our own; return whether anything was."""
        changed = False
        for webhook in webhooks:
            settings = msgspec.convert(webhook.get("clientConfig") or {}, dict[str, object])
            found = b64decode(str(settings.get("caBundle") or ""))
            if not all(certificate in found for certificate in self._trusted):
                now = datetime.now(UTC)
                bundle = b"".join(merge_bundle(self._trusted, found, now, MAX_TRUSTED))
                webhook["clientConfig"] = {**settings, "caBundle": b64encode(bundle).decode()}
                changed = True
        return changed

    def rotate(self, now: datetime) -> None:
        """Make a new authority and certificate, to be published; what was served still is."""
        authority = Authority.create("metallb-webhook", now, VALID)
        name = self._options.hosts[0]
        self._coming = authority.issue(name, list(self._options.hosts), now, VALID)
        self._trusted = [authority.certificate, *self._trusted[:1]]
        self._made = now

    def serve_latest(self) -> None:
        """Serve the certificate that ``rotate`` made last, from the next connection on."""
        self._context = _context(self._coming, self._client_authority)
        self._serving = self._coming

    def _refresh(self, on_error: Callable[[Exception], None]) -> None:
        """Follow a rotation, of our certificate or of the callers' authority."""
        before = self._client_authority
        try:
            self._read_client_authority()
            if self._serving is not self._coming or self._client_authority != before:
                self.serve_latest()
            self._authority_problem = ""
        except (OSError, ssl.SSLError) as error:
            self._client_authority = before
            if str(error) != self._authority_problem:
                on_error(error)
            self._authority_problem = str(error)

    def _read_client_authority(self) -> None:
        if self._options.client_authority is None:
            return
        text = self._options.client_authority.read_text(errors="replace")
        if not text.strip():
            raise OSError(errno.ENODATA, "the file is empty")
        self._client_authority = text

    async def _answer(self, request: Request) -> Response:
        if request.head.path != PATH:
            return Response(f"not found: want {PATH}\n".encode(), HTTPStatus.NOT_FOUND)
        if request.head.method != "POST":
            fields = {"Allow": "POST"}
            return Response(b"want POST\n", HTTPStatus.METHOD_NOT_ALLOWED, fields=fields)
        try:
            answer = await self._judge(request.body, self._caller(request))
        except AdmissionError as error:
            return Response(f"{error}\n".encode(), HTTPStatus.BAD_REQUEST)
        except BusyError as error:
            fields = {"Retry-After": "5"}
            return Response(f"{error}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE, fields=fields)
        return Response(answer, content_type="application/json")

    def _caller(self, request: Request) -> Caller:
        """Return who calls. OpenSSL has verified the names, where there are any."""
        wanted, names = self._options.client_names, request.names
        trusted = names is not None and (not wanted or not wanted.isdisjoint(names))
        if self._client_authority and not trusted:
            now = asyncio.get_running_loop().time()
            if admitted := self._strangers.admit(request.source, now):
                self._log.warn(
                    "a caller without the client certificate that --webhook-client-ca wants gets "
                    "no effects on services: is it the API server?",
                    op="webhook",
                    source=request.source,
                    suppressed=admitted.suppressed,
                )
        return Caller(request.source, trusted)


def _is_absent(error: ApiError) -> bool:
    return isinstance(error, NotFoundError)


def _context(identity: Identity, client_authority: str) -> ssl.SSLContext:
    """Return what new connections use.

    OpenSSL takes the certificate from a file alone; this one is never on a disk.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if client_authority:
        context.load_verify_locations(cadata=client_authority)
        # Without a certificate the text is judged all the same: an API server that is not set up
        # for this would otherwise store everything, or nothing.
        context.verify_mode = ssl.CERT_OPTIONAL
    handle = os.memfd_create("webhook", os.MFD_CLOEXEC)
    try:
        os.write(handle, identity.certificate + identity.key)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context
