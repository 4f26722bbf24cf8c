"""Tree of exceptions, as drawn in its docstring."""

from __future__ import annotations

import re

from metallb_py import errors


def test_exception_tree_is_as_drawn() -> None:
    lines = (errors.__doc__ or "").splitlines()
    matches = [re.match(r"    ([│├└─ ]*)(\w+Error)\b", line) for line in lines]
    drawn = [(len(match[1]) // 4, match[2]) for match in matches if match]
    parents: list[str] = []
    for depth, name in drawn:
        if name == "ConfigError":  # defined beside the problems that it carries
            continue
        parents[depth:] = [name]
        if depth:
            assert issubclass(getattr(errors, name), getattr(errors, parents[depth - 1]))
    defined = {name for name, value in vars(errors).items() if isinstance(value, type)}
    assert defined == {name for _, name in drawn} - {"ConfigError"}


def test_api_error_has_its_http_status() -> None:
    assert errors.ConflictError("taken", 409).status == 409
    assert errors.ApiError("no answer").status == 0
