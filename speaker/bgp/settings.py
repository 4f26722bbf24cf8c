"""Address and port that BGP peers may connect to."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.addresses import IPAddress, join_host_port


@dataclass(frozen=True, slots=True)
class ListenAt:
    """Address and port to listen on; an address of None stands for all of both families."""

    address: IPAddress | None = None
    port: int = 179

    def __str__(self) -> str:
        """``10.0.0.1:179``, ``[fd00::1]:179``, ``*:179``."""
        return join_host_port(self.address or "*", self.port)
