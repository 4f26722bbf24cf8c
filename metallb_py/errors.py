"""The exceptions of metallb-py. The class of an exception identifies the side at fault.

    MetallbError
    ├── ConfigError              the operator's configuration is wrong; carries every problem
    ├── StartupError             a daemon can't start; the message names what is missing
    ├── AllocationError          no address can be assigned as requested; written for the user
    ├── ApiError                 the Kubernetes API refused a request, or could not be reached
    │   ├── NotFoundError        404: the object does not exist
    │   ├── ConflictError        409: another writer was first; read again and decide again
    │   ├── GoneError            410: the resource version is too old; relist
    │   ├── OversizedError       a response exceeds the size limit
    │   └── UndecodableError     a response, or a part of it, can't be decoded
    ├── LocalProtocolError       we violated a protocol: a bug here; no state was changed
    └── RemoteProtocolError      the peer violated a protocol; the one error a decoder raises

A subclass may be defined beside the code that raises it, and derives from one of these.
"""

from __future__ import annotations


class MetallbError(Exception):
    """Root of every exception that metallb-py raises on purpose."""


class StartupError(MetallbError):
    """A daemon can't start. Its ``__cause__``, if set, is the reason."""


class AllocationError(MetallbError):
    """No address can be assigned as requested. No state was changed."""


class ApiError(MetallbError):
    """The Kubernetes API refused a request or could not be reached.

    ``status`` is the HTTP status, or 0 if no response arrived. ``retry_after`` is the number of
    seconds for which the server accepts no further request (Retry-After); None without the header.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    def delay(self, own: float) -> float:
        """Return the seconds until the next attempt, with ``own`` as the caller's backoff.

        It is the sum of both, so that clients rejected at the same time do not retry at the same
        time.
        """
        return own + (self.retry_after or 0.0)


class NotFoundError(ApiError):
    """The object does not exist (HTTP 404)."""


class ConflictError(ApiError):
    """Another writer was first (HTTP 409): read again, decide again."""


class GoneError(ApiError):
    """The resource version is too old to resume from (HTTP 410): relist."""


class OversizedError(ApiError):
    """A response of the API server exceeds the size limit."""


class UndecodableError(ApiError):
    """A response of the API server, or a required part of it, can't be decoded."""


class LocalProtocolError(MetallbError):
    """The caller requested something that the protocol forbids: a bug on our side.

    No state was changed and nothing was sent.
    """


class RemoteProtocolError(MetallbError):
    """The other side sent something that the protocol forbids.

    The only error that a decoder of untrusted bytes raises.
    """
