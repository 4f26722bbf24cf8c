"""Validating webhook over TLS, with a certificate that it creates and rotates itself.

The certificate authority is kept in memory only. Its certificate is published in the
ValidatingWebhookConfiguration (``caBundle``), beside the previous one. A new serving certificate is
used only after its authority has been published for a time, so that no call fails while the API
server does not trust it yet.

Every replica of the controller serves, and has its own authority. Each adds its missing
certificates to those that the others published, and writes nothing if none is missing, so that the
replicas do not undo each other's writes. The authorities of replicas that no longer run are removed
when there are too many, or when they expire.
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
"""Validity of the authority and of the serving certificate."""
ROTATE_AFTER = timedelta(days=60)
"""Age at which both are replaced; less than ``VALID``."""
CHECK_SECONDS = 60.0
"""Seconds between two checks that the authority is published."""
RETRY_SECONDS = 2.0
"""Seconds before the next attempt to listen or to publish."""
CONFLICT_SECONDS = 0.5
"""Upper limit of the random delay, in seconds, after another replica's write."""
MAX_BODY_BYTES = 8 << 20
"""A review has the old and the new object, with annotations; API servers accept 3 MiB of each."""
LIMITS = Limits(connections=64, per_source=16, body_bytes=2 * MAX_BODY_BYTES)
"""Bound of the memory that all callers together can occupy: two of the largest reviews, or
many usual ones."""
MAX_TRUSTED = 16
"""Published certificates: two of each of several replicas, and some of restarted replicas."""
PATH = "/validate"
_CONFIGURATIONS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"


@dataclass(frozen=True, slots=True)
class WebhookOptions:
    """Options of the webhook."""

    port: int
    """TCP port; it is served on all addresses."""
    hosts: tuple[str, ...]
    """Names and addresses in the serving certificate; at least one, the first is the subject."""
    configuration: str
    """Name of the ValidatingWebhookConfiguration in which the authority is published."""
    client_authority: Path | None = None
    """PEM file with the authority of the API server's client certificate; None if the API server
    presents none."""
    client_names: frozenset[str] = frozenset()
    """Common names that are trusted in certificates of that authority; empty: all."""


class Webhook:
    """The webhook's server and the publication of its authority."""

    def __init__(
        self,
        client: KubeClient,
        options: WebhookOptions,
        review: Callable[[bytes, Caller], Awaitable[bytes]],
        log: Logger,
    ) -> None:
        self._client = client
        self._options = options
        self._review = review
        self._log = log
        self._untrusted_callers = RateLimiter(Rate(1, 1 / 3600), Rate(10, 1 / 60))
        self._client_authority = ""  # certificates in PEM
        self._authority_problem = ""  # why that could not be read again, as it was reported
        self._trusted: list[bytes] = []
        self._serving: Identity | None = None
        self._created_at = datetime.min.replace(tzinfo=UTC)
        self._server = HttpServer(
            self._answer, log, limits=LIMITS, max_body=MAX_BODY_BYTES, tls=lambda: self._context
        )

    async def run(self, on_error: Callable[[Exception], None]) -> None:
        """Serve, rotate and publish until cancelled. Retry failures, and report each once.

        Raises StartupError if the authority of client certificates can't be read at the start.
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
            # Also after the clock was set back: a certificate that was created while the clock
            # was ahead is not valid yet.
            misdated = now < self._created_at
            if misdated or now - self._created_at > ROTATE_AFTER:
                self.rotate(now)
            try:
                await self.publish()
            except ConflictError:
                # Another replica wrote first: add to its version.
                await asyncio.sleep(CONFLICT_SECONDS * random.random())
            except ApiError as error:
                if not failing:
                    on_error(error)
                failing = True
                delay = CHECK_SECONDS if _is_absent(error) else RETRY_SECONDS
                await asyncio.sleep(error.delay(delay))
            else:
                failing = False
                if not misdated:  # otherwise the served certificate is not valid: replace it now
                    await asyncio.sleep(CHECK_SECONDS)
                self._refresh(on_error)

    async def publish(self) -> None:
        """Publish the authority's certificates, unless they are published already.

        Raises ApiError; ConflictError if another client wrote meanwhile.
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
            # The server keeps its managedFields; those read may be truncated (json_repair).
            meta.pop("managedFields", None)
            await self._client.replace(path, {**item, "metadata": meta, "webhooks": webhooks})

    def _add_trusted(self, webhooks: list[dict[str, object]]) -> bool:
        """Add this replica's missing certificates; return whether any was missing."""
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
        """Create a new authority and certificate. The previous certificate is still served."""
        authority = Authority.create("metallb-webhook", now, VALID)
        name = self._options.hosts[0]
        self._latest = authority.issue(name, list(self._options.hosts), now, VALID)
        self._trusted = [authority.certificate, *self._trusted[:1]]
        self._created_at = now

    def serve_latest(self) -> None:
        """Serve the certificate that ``rotate`` created last, from the next connection on."""
        self._context = _context(self._latest, self._client_authority)
        self._serving = self._latest

    def _refresh(self, on_error: Callable[[Exception], None]) -> None:
        """Use the new certificate or the new authority of client certificates after a rotation."""
        before = self._client_authority
        try:
            self._read_client_authority()
            if self._serving is not self._latest or self._client_authority != before:
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
            answer = await self._review(request.body, self._caller(request))
        except AdmissionError as error:
            return Response(f"{error}\n".encode(), HTTPStatus.BAD_REQUEST)
        except BusyError as error:
            fields = {"Retry-After": "5"}
            return Response(f"{error}\n".encode(), HTTPStatus.SERVICE_UNAVAILABLE, fields=fields)
        return Response(answer, content_type="application/json")

    def _caller(self, request: Request) -> Caller:
        """Return the caller. OpenSSL has verified the names of its certificate, if it has one."""
        wanted, names = self._options.client_names, request.names
        trusted = names is not None and (not wanted or not wanted.isdisjoint(names))
        if self._client_authority and not trusted:
            now = asyncio.get_running_loop().time()
            if admitted := self._untrusted_callers.admit(request.source, now):
                self._log.warn(
                    "caller has no client certificate as --webhook-client-ca requires, its answers "
                    "omit the effects on services: is it the API server?",
                    op="webhook",
                    source=request.source,
                    suppressed=admitted.suppressed,
                )
        return Caller(request.source, trusted)


def _is_absent(error: ApiError) -> bool:
    return isinstance(error, NotFoundError)


def _context(identity: Identity, client_authority: str) -> ssl.SSLContext:
    """Return the TLS context for new connections.

    OpenSSL reads the certificate only from a file, so it is passed in a memory file, and never
    written to a disk.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    if client_authority:
        context.load_verify_locations(cadata=client_authority)
        # Without a certificate the text is checked all the same: otherwise an API server that is
        # not configured for client certificates would store every text, or none.
        context.verify_mode = ssl.CERT_OPTIONAL
    handle = os.memfd_create("webhook", os.MFD_CLOEXEC)
    try:
        os.write(handle, identity.certificate + identity.key)
        context.load_cert_chain(f"/proc/self/fd/{handle}")
    finally:
        os.close(handle)
    return context
