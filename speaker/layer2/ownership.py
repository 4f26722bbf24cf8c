"""Ownership of addresses: this node owns an address while it announces a service with it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from metallb_py.addresses import IPAddress


@dataclass(frozen=True, slots=True)
class OwnershipChange:
    """Addresses that became owned, and addresses that no service announces any more."""

    gained: frozenset[IPAddress] = frozenset()
    lost: frozenset[IPAddress] = frozenset()


class Owned:
    """The addresses of this node, counted by distinct service.

    MetalLB counts announcements, so each resync of a service leaks a count. Here a service either
    announces an address or does not; announcing it again changes nothing.
    """

    __slots__ = ("_addresses", "_services")

    def __init__(self) -> None:
        self._addresses: dict[str, frozenset[IPAddress]] = {}
        self._services: dict[IPAddress, set[str]] = {}

    def __contains__(self, address: IPAddress) -> bool:
        return address in self._services

    @property
    def addresses(self) -> frozenset[IPAddress]:
        """Every owned address."""
        return frozenset(self._services)

    def announce(self, service: str, addresses: Iterable[IPAddress]) -> OwnershipChange:
        """Set the addresses that a service announces, by its key; return what changed."""
        before = self._addresses.get(service, frozenset())
        after = frozenset(addresses)
        if after:
            self._addresses[service] = after
        else:
            self._addresses.pop(service, None)
        gained = frozenset(a for a in after - before if self._add(a, service))
        lost = frozenset(a for a in before - after if self._remove(a, service))
        return OwnershipChange(gained, lost)

    def withdraw(self, service: str) -> OwnershipChange:
        """Remove a service, by its key; return what changed."""
        return self.announce(service, ())

    def _add(self, address: IPAddress, service: str) -> bool:
        services = self._services.setdefault(address, set())
        services.add(service)
        return len(services) == 1

    def _remove(self, address: IPAddress, service: str) -> bool:
        services = self._services[address]
        services.discard(service)
        if services:
            return False
        del self._services[address]
        return True
