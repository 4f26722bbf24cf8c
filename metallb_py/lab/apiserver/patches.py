"""Patches of objects: merge, JSON and strategic merge patches."""

from __future__ import annotations

from collections.abc import Callable

from metallb_py.lab.apiserver.store import Json, Object

_OPERATIONS = ("add", "remove", "replace", "test")
# The keys by which Kubernetes merges lists of objects, the more specific first.
_MERGE_KEYS = ("uid", "containerPort", "port", "name", "ip", "type", "key", "address")


class PatchError(Exception):
    """The patch can't be applied to this object."""


def apply_patch(content_type: str, target: Object, patch: Json) -> Object:
    """Return the patched object. Raises PatchError."""
    apply = _KINDS.get(content_type.partition(";")[0])
    if apply is None:
        raise PatchError(f"{content_type}: want one of {', '.join(_KINDS)}")
    changed = apply(target, patch)
    if not isinstance(changed, dict):
        raise PatchError("the patch leaves no object")
    return changed


def _merge(target: Json, patch: Json) -> Json:
    """Apply a merge patch (RFC 7386)."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _merge(result.get(key), value)
    return result


def _strategic(target: Json, patch: Json) -> Json:
    if isinstance(patch, list):
        return _strategic_list(target if isinstance(target, list) else [], patch)
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    for key, value in patch.items():
        if key.startswith("$"):
            continue  # orders and retained keys: the order of a list's objects is irrelevant here
        if value is None:
            result.pop(key, None)
        else:
            result[key] = _strategic(result.get(key), value)
    return result


def _strategic_list(target: list[Json], patch: list[Json]) -> list[Json]:
    objects = [item for item in patch if isinstance(item, dict)]
    key = next((k for k in _MERGE_KEYS if objects and all(k in o for o in objects)), None)
    if key is None or len(objects) != len(patch):
        return patch
    result = list(target)
    for item in objects:
        index = _find(result, key, item[key])
        if item.get("$patch") == "delete":
            if index is not None:
                del result[index]
        elif index is None:
            result.append(_strategic({}, item))
        else:
            result[index] = _strategic(result[index], item)
    return result


def _find(items: list[Json], key: str, value: Json) -> int | None:
    for index, item in enumerate(items):
        if isinstance(item, dict) and item.get(key) == value:
            return index
    return None


def _json_patch(target: Json, patch: Json) -> Json:
    """Apply a JSON patch (RFC 6902), with the operations that kubectl and client libraries use."""
    if not isinstance(patch, list):
        raise PatchError("want a list of operations")
    for operation in patch:
        if not isinstance(operation, dict):
            raise PatchError("want operations")
        path = str(operation.get("path", ""))
        steps = [s.replace("~1", "/").replace("~0", "~") for s in path.split("/")[1:]]
        target = _operate(target, steps, str(operation.get("op")), operation.get("value"))
    return target


def _operate(target: Json, steps: list[str], operation: str, value: Json) -> Json:
    """Return the target after one operation; parts that change are copied."""
    if operation not in _OPERATIONS:
        raise PatchError(f"{operation}: want {', '.join(_OPERATIONS[:-1])} or {_OPERATIONS[-1]}")
    if not steps:
        return value
    step, rest = steps[0], steps[1:]
    if isinstance(target, list):
        return _operate_list(target, step, rest, operation, value)
    if not isinstance(target, dict) or (step not in target and (rest or operation != "add")):
        raise PatchError(f"{step}: no such place")
    result = dict(target)
    if rest:
        result[step] = _operate(target[step], rest, operation, value)
    elif operation == "remove":
        del result[step]
    elif operation == "test":
        _test(target[step], value, step)
    else:
        result[step] = value
    return result


def _operate_list(
    target: list[Json], step: str, rest: list[str], operation: str, value: Json
) -> list[Json]:
    last = len(target) - (0 if operation == "add" and not rest else 1)
    index = len(target) if step == "-" else int(step) if step.isdecimal() else -1
    if not 0 <= index <= last:
        raise PatchError(f"{step}: no such place")
    result = list(target)
    if rest:
        result[index] = _operate(target[index], rest, operation, value)
    elif operation == "remove":
        del result[index]
    elif operation == "add":
        result.insert(index, value)
    elif operation == "test":
        _test(target[index], value, step)
    else:
        result[index] = value
    return result


def _test(found: Json, wanted: Json, step: str) -> None:
    if found != wanted:
        raise PatchError(f"{step}: test failed")


_KINDS: dict[str, Callable[[Json, Json], Json]] = {
    "application/merge-patch+json": _merge,
    "application/strategic-merge-patch+json": _strategic,
    "application/json-patch+json": _json_patch,
}
