"""Writer of the configuration's status into an annotation of the operator's ConfigMap."""

from __future__ import annotations

import time
from collections.abc import Callable

from metallb_py.errors import ApiError
from metallb_py.kube.annotations import CONTENT_REFUSED, AnnotationWriter
from metallb_py.kube.client import KubeClient
from metallb_py.kube.config_status import TIGHT_LIMIT, ConfigStatus, limit_beside
from metallb_py.kube.configmap import DRAINING, LAST_GOOD, STATUS
from metallb_py.kube.objects import ConfigMap


class StatusAnnotation:
    """Writes the latest status. If it is refused for its size, it is shortened once."""

    def __init__(self, client: KubeClient, path: str, on_error: Callable[[ApiError], None]) -> None:
        self._path = path
        self._on_error = on_error
        self._writer = AnnotationWriter(client)
        self._shown: ConfigStatus | None = None
        self._shortened = False

    def show(self, status: ConfigStatus, configmap: ConfigMap) -> None:
        """Request that a status be written to this ConfigMap. Return without waiting."""
        if status == self._shown:
            return
        self._shown, self._shortened = status, False
        self._write(status, limit_beside(configmap.metadata.annotations or {}))

    def show_again(self) -> None:
        """Write the next status even if it is unchanged, as the ConfigMap lost it."""
        self._shown = None

    def drop_legacy(self, configmap: ConfigMap) -> None:
        """Remove the annotations of earlier versions, whose content is stored elsewhere now."""
        present = configmap.metadata.annotations or {}
        old = {name: None for name in (LAST_GOOD, DRAINING) if name in present}
        if old:
            self._writer.write(self._path, old)

    async def run(self) -> None:
        """Write until cancelled."""
        await self._writer.run(self._failed)

    def _write(self, status: ConfigStatus, limit: int) -> None:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._writer.write(self._path, {STATUS: status.text(now, limit)})

    def _failed(self, error: ApiError) -> None:
        if error.status in CONTENT_REFUSED and not self._shortened and self._shown is not None:
            self._shortened = True
            self._write(self._shown, TIGHT_LIMIT)
            return
        self._on_error(error)
