"""A small Kubernetes API server in memory, for machines without a real one.

Objects, lists with selectors, watches that resume, optimistic locking, patches, discovery and
schemas as far as kubectl needs them. There is no authorization. kmock's emulator was tried first:
kubectl does not find its way around there, and it has no conflicts, bookmarks or cluster
addresses, which are what controllers stumble over.
"""
