"""The exceptions of metallb-py. Each says whose fault it is.

    MetallbError
    ├── ConfigError              the operator's configuration is wrong; carries every problem
    ├── StartupError             a daemon can't begin its work; the message says what is missing
    ├── AllocationError          no address can be given as asked; the message is for the user
    ├── ApiError                 the Kubernetes API refused a request, or could not be reached
    │   ├── NotFoundError        404: the object does not exist
    │   ├── ConflictError        409: somebody else wrote first, read again and decide again
    │   ├── GoneError            410: the resource version is too old, list again
    │   ├── OversizedError       an answer has more bytes than are read
    │   └── UndecodableError     an answer, or a part of it, can't be decoded
    ├── LocalProtocolError       we broke a protocol: a bug here; no state was changed
    └── RemoteProtocolError      they broke a protocol; the one error a decoder raises

A subclass may live beside the code that raises it; it belongs under one of these.
"""

from __future__ import annotations


class MetallbError(Exception):
    """Root of every exception that metallb-py raises on purpose."""


class StartupError(MetallbError):
    """A daemon can't begin its work. Its cause, where there is one, says why."""


class AllocationError(MetallbError):
    """No address can be given as asked. No state was changed."""


class ApiError(MetallbError):
    """The Kubernetes API refused a request or could not be reached.

    ``status`` is the HTTP status, or 0 where no answer came. ``retry_after`` is how many seconds
    the server wants to be left alone (Retry-After), None where it does not say.
    """

    def __init__(self, message: str, status: int = 0, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    def delay(self, own: float) -> float:
        """Return the seconds until the next attempt, where the caller's backoff is ``own``.

        Both together: who was sent away at the same time does not come back at the same time.
        """
        return own + (self.retry_after or 0.0)


class NotFoundError(ApiError):
    """The object does not exist (HTTP 404)."""


class ConflictError(ApiError):
    """Another writer was first (HTTP 409): read again, decide again."""


class GoneError(ApiError):
    """The resource version is too old to resume from (HTTP 410): list again."""


class OversizedError(ApiError):
    """An answer of the API server has more bytes than are read."""


class UndecodableError(ApiError):
    """An answer of the API server, or a part of it that is needed, can't be decoded."""


class LocalProtocolError(MetallbError):
    """We were asked for something that the protocol forbids: a bug on our side.

    No state was changed and nothing was sent.
    """


class RemoteProtocolError(MetallbError):
    """The other side sent something that the protocol forbids.

    The only error that a decoder of untrusted bytes raises.
    """
