"""The ``metallb-py`` command."""
