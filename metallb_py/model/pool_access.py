"""Whom a pool is for: the services of some namespaces, or services with some labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from metallb_py.model.selectors import LabelSelector


@dataclass(frozen=True, slots=True)
class Tenant:
    """A service, as far as pools choose among services.

    ``namespace_labels`` is None as long as nobody knows them.
    """

    namespace: str = ""
    namespace_labels: Mapping[str, str] | None = None
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Tenancy:
    """Whom a pool is for. Of the namespaces, one that is named or selected will do.

    Without any namespaces it is for all of them, and without service selectors for all services
    in them.
    """

    namespaces: frozenset[str] = frozenset()
    namespace_selectors: tuple[LabelSelector, ...] = ()
    service_selectors: tuple[LabelSelector, ...] = ()

    def refusal(self, tenant: Tenant) -> str:
        """Return why the pool is not for this service; nothing where it is."""
        if not self._has_namespace(tenant):
            return f'not for namespace "{tenant.namespace}"'
        selectors = self.service_selectors
        if selectors and not any(selector.matches(tenant.labels) for selector in selectors):
            return "its service-selectors do not match the service's labels"
        return ""

    def is_undecided(self, tenant: Tenant) -> bool:
        """Whether the answer depends on namespace labels that nobody knows yet."""
        return (
            bool(self.namespace_selectors)
            and tenant.namespace_labels is None
            and tenant.namespace not in self.namespaces
        )

    def _has_namespace(self, tenant: Tenant) -> bool:
        if not self.namespaces and not self.namespace_selectors:
            return True
        labels = tenant.namespace_labels or {}
        return tenant.namespace in self.namespaces or any(
            selector.matches(labels) for selector in self.namespace_selectors
        )


EVERYBODY = Tenancy()
ANYBODY = Tenant()
