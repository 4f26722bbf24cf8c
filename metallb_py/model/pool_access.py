"""Pool reservation: restriction of a pool to namespaces, or to services with given labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.model.selectors import LabelSelector


@dataclass(frozen=True, slots=True)
class ServiceIdentity:
    """The properties of a service by which a pool selects services.

    ``namespace_labels`` is None until the Namespace has been read.
    """

    namespace: str = ""
    namespace_labels: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """The services that a pool is reserved for.

    A namespace qualifies if it is named or if one of the selectors matches it. Without names and
    namespace selectors every namespace qualifies, and without service selectors every service.
    """

    namespaces: frozenset[str] = frozenset()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()

    def refusal(self, service: ServiceIdentity) -> str:
        """Return the reason why the pool excludes this service; empty if it does not."""
        if not self._has_namespace(service):
            return f'not for namespace "{service.namespace}"'
        selectors = self.service_selectors
        if selectors and not any(selector.matches(service.labels) for selector in selectors):
            return "its service-selectors do not match the service's labels"
        return ""

    def is_undecided(self, service: ServiceIdentity) -> bool:
        """Whether the result depends on namespace labels that have not been read yet."""
        return (
            bool(self.namespace_selectors)
            and service.namespace_labels is None
            and service.namespace not in self.namespaces
        )

    def _has_namespace(self, service: ServiceIdentity) -> bool:
        if not self.namespaces and not self.namespace_selectors:
            return True
        labels = service.namespace_labels or {}
        return service.namespace in self.namespaces or any(
            selector.matches(labels) for selector in self.namespace_selectors
        )


UNRESTRICTED = Tenancy()
"""The tenancy of a pool that is for every service."""
UNSCOPED = ServiceIdentity()
"""A service without namespace and labels."""
