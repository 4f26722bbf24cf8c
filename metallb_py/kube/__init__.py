"""Kubernetes: the API as plain asyncio, and its objects as frozen views of the fields in use."""
