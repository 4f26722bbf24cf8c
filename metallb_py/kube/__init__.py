"""Kubernetes API: a plain asyncio client, and frozen views of the object fields in use.

Entry points: ``client.KubeClient`` sends requests, ``reflector.Reflector`` follows a collection by
list and watch, ``objects`` has the views and the collections, ``workqueue.WorkQueue`` retries
writes, ``events.EventRecorder`` writes Events, and ``configmap.ConfigReader`` follows the daemons'
configuration. ``leader_election`` has no I/O.

May do I/O and import ``metallb_py.config``, ``model``, ``protocols`` and what is below them;
``metallb_py.runtime`` and the daemons are above it. The daemons' pure modules may import the views,
but nothing that does I/O. Follows the Kubernetes API concepts and client-go's reflector, leader
election and Event recorder; RFC 7386 (merge patch), RFC 6750 (bearer tokens), RFC 9110 (HTTP).
"""
