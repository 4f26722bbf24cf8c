"""A small Kubernetes API server in memory, for machines without a real one, and for tests.

It has objects, lists with selectors, watches that resume, optimistic locking, patches, and
the discovery and the schemas that kubectl needs. There is no authorization. Entry points:
``python -m metallb_py.lab.apiserver``, and ``server.ApiServer`` on a ``store.Store``. kmock's
emulator was tried first: kubectl does not work with it, and it has no conflicts, bookmarks or
cluster addresses, which controllers must handle.
"""
