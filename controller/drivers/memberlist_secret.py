"""Creation of the Secret with the speakers' memberlist key, as by MetalLB. Short: one request."""

from __future__ import annotations

import secrets
from base64 import b64encode

from metallb_py.errors import ApiError, ConflictError
from metallb_py.kube.client import KubeClient
from metallb_py.kube.decoding import decode
from metallb_py.kube.objects import KubeObject, ObjectList

KEY_BYTES = 16


async def ensure_secret(client: KubeClient, namespace: str, name: str, deployment: str) -> bool:
    """Create the Secret unless it exists; return whether it was created. Raises ApiError.

    The Deployment owns it, so it is deleted with it. An existing Secret is never changed.
    """
    collection = f"/api/v1/namespaces/{namespace}/secrets"
    # MetalLB's own Role allows list, not get.
    found = await client.get(collection, {"fieldSelector": f"metadata.name={name}"})
    if decode(found, ObjectList).items:
        return False
    if not deployment:
        raise ApiError("no Deployment is named that could own it")
    path = f"/apis/apps/v1/namespaces/{namespace}/deployments/{deployment}"
    owner = decode(await client.get(path), KubeObject).metadata
    reference = {"apiVersion": "apps/v1", "kind": "Deployment", "name": owner.name}
    meta = {"name": name, "ownerReferences": [{**reference, "uid": owner.uid}]}
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "data": {"secretkey": _key()}}
    try:
        await client.create(collection, body)
    except ConflictError:  # another replica created it
        return False
    return True


def _key() -> str:
    """Return 16 random bytes as MetalLB writes them: base64 without padding, then base64 again.

    The speakers use the text of the inner base64.
    """
    text = b64encode(secrets.token_bytes(KEY_BYTES)).rstrip(b"=")
    return b64encode(text).decode()
