"""Address and port that BGP peers may connect to."""

from __future__ import annotations

from dataclasses import dataclass

from metallb_py.addresses import IPAddress


@dataclass(frozen=True, slots=True)
class ListenAt:
    """Address and port to listen on; an address of None stands for all of both families."""

    address: IPAddress | None = None
    port: int = 179

    def __str__(self) -> str:
        """``10.0.0.1:179``, ``[fd00::1]:179``, ``*:179``."""
        if self.address is None:
            return f"*:{self.port}"
        host = f"[{self.address}]" if self.address.version == 6 else str(self.address)
        return f"{host}:{self.port}"
