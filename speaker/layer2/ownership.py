"""Addresses that this node owns; apart from the announcer, which does I/O.

It owns an address while it announces a service with it.
"""

from __future__ import annotations

from collections.abc import Iterable

from metallb_py.addresses import IPAddress


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

    def announce(self, service: str, addresses: Iterable[IPAddress]) -> frozenset[IPAddress]:
        """Set the addresses that a service announces, by its key.

        Returns the addresses that no service announces any more.
        """
        before = self._addresses.get(service, frozenset())
        after = frozenset(addresses)
        if after:
            self._addresses[service] = after
        else:
            self._addresses.pop(service, None)
        for address in after - before:
            self._services.setdefault(address, set()).add(service)
        return frozenset(a for a in before - after if self._remove(a, service))

    def withdraw(self, service: str) -> frozenset[IPAddress]:
        """Remove a service, by its key; return the addresses that no service announces any more."""
        return self.announce(service, ())

    def _remove(self, address: IPAddress, service: str) -> bool:
        services = self._services[address]
        services.discard(service)
        if services:
            return False
        del self._services[address]
        return True
