"""Label and field selectors in a request's query."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from metallb_py.errors import ApiError
from metallb_py.lab.apiserver.store import Json, Object, metadata
from metallb_py.model.selectors import Operator, Requirement

_TERM = re.compile(r"\s*(?:[^,()]|\([^()]*\))+")
_IN = re.compile(r"(?P<key>\S+)\s+(?P<operator>in|notin)\s*\((?P<values>[^()]*)\)")
_EQUALS = re.compile(r"(?P<key>[^=!\s]+)\s*(?P<operator>==?|!=)\s*(?P<value>\S*)")
_OPERATORS = {
    "in": Operator.IN,
    "notin": Operator.NOT_IN,
    "=": Operator.IN,
    "==": Operator.IN,
    "!=": Operator.NOT_IN,
}


def selection(query: Mapping[str, str]) -> Callable[[Object], bool]:
    """Return a predicate for selected objects. Raises ApiError for an invalid selector."""
    labels = [_label_term(term) for term in _terms(query.get("labelSelector", ""))]
    fields = [_field_term(term) for term in _terms(query.get("fieldSelector", ""))]

    def selects(item: Object) -> bool:
        found = metadata(item).get("labels")
        texts = {k: str(v) for k, v in found.items()} if isinstance(found, dict) else {}
        return all(term.matches(texts) for term in labels) and all(
            term.matches({term.key: _field(item, term.key)}) for term in fields
        )

    return selects


def _terms(text: str) -> list[str]:
    return [term.strip() for term in _TERM.findall(text)]


def _label_term(term: str) -> Requirement:
    if match := _IN.fullmatch(term):
        values = frozenset(value.strip() for value in match["values"].split(","))
        return Requirement(match["key"], _OPERATORS[match["operator"]], values)
    if match := _EQUALS.fullmatch(term):
        return Requirement(match["key"], _OPERATORS[match["operator"]], frozenset([match["value"]]))
    operator = Operator.DOES_NOT_EXIST if term.startswith("!") else Operator.EXISTS
    return Requirement(term.removeprefix("!"), operator)


def _field_term(term: str) -> Requirement:
    match = _EQUALS.fullmatch(term)
    if match is None:
        raise ApiError(f'field selector "{term}": want KEY=VALUE or KEY!=VALUE', 400)
    return Requirement(match["key"], _OPERATORS[match["operator"]], frozenset([match["value"]]))


def _field(item: Json, path: str) -> str:
    for step in path.split("."):
        item = item.get(step) if isinstance(item, dict) else None
    return "" if item is None else str(item)
