"""Discovery of the API that has a service's endpoints: EndpointSlices, or Endpoints without them.

Short: the daemons depend on no other property of the server's version.
"""

from __future__ import annotations

import asyncio

from metallb_py.backoff import API_RETRY
from metallb_py.errors import ApiError, NotFoundError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.resource import SLICES_API


async def has_slices(client: KubeClient) -> bool:
    """Return whether the server has EndpointSlices. Retries until the server answers."""
    failures = 0
    while True:
        try:
            await client.get(SLICES_API)
        except NotFoundError:
            return False
        except ApiError as error:
            failures += 1
            await asyncio.sleep(error.delay(API_RETRY.delay(failures)))
        else:
            return True
