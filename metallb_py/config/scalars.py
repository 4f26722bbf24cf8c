"""Single values, decoded as Go's yaml.v2 decodes them into fields of a given type.

Strings take the text as written, whatever YAML would make of it. A quoted number or truth value
is a string and nothing else.
"""

from __future__ import annotations

import re

from metallb_py.config.document import Mapping, Node, Scalar, Sequence

_TRUE = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"}
_FALSE = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"}
_NULL = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(
    r"[-+]?(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|"
    r"(?P<dec>0|[1-9][0-9]*))",
    re.ASCII,
)
_FLOAT = re.compile(r"[-+]?[0-9]*\.?[0-9]+(?:[eE][-+][0-9]+)?", re.ASCII)
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_DIGITS = 400  # far beyond any type; keeps conversions cheap


class WrongTypeError(ValueError):
    """A value does not fit its field. The message is MetalLB's, without the line."""


def is_null(node: Node) -> bool:
    """Whether a value is null, which stands for "not set"."""
    return isinstance(node, Scalar) and node.plain and node.text in _NULL


def read_string(node: Node) -> str:
    """Return the text as written. Raises WrongTypeError."""
    if isinstance(node, Scalar):
        return "" if is_null(node) else node.text
    raise wrong_type(node, "string")


def read_bool(node: Node) -> bool:
    """Return a truth value. Raises WrongTypeError."""
    if is_null(node):
        return False
    if isinstance(node, Scalar) and node.plain:
        if node.text in _TRUE:
            return True
        if node.text in _FALSE:
            return False
    raise wrong_type(node, "bool")


def read_integer(node: Node, kind: str, low: int, high: int) -> int:
    """Return a whole number; a fraction is cut off, as Go does. Raises WrongTypeError."""
    if is_null(node):
        return 0
    if isinstance(node, Scalar) and node.plain and len(node.text) < _DIGITS:
        number = _integer(node.text)
        if number is not None and low <= number <= high:
            return number
    raise wrong_type(node, kind)


def wrong_type(node: Node, kind: str, *, quote: bool = True) -> WrongTypeError:
    """Return the error in MetalLB's words; ``quote`` tells whether to show the value."""
    shown = ""
    if isinstance(node, Scalar) and quote:
        text = node.text if len(node.text) <= 10 else node.text[:7] + "..."
        shown = f" `{text}`"
    return WrongTypeError(f"cannot unmarshal {_tag(node)}{shown} into {kind}")


def _integer(text: str) -> int | None:
    digits = text.replace("_", "")
    match = _INTEGER.fullmatch(digits)
    if match and match.lastgroup:
        value = int(match[match.lastgroup], _BASES[match.lastgroup])
        return -value if digits.startswith("-") else value
    if _FLOAT.fullmatch(digits):
        number = float(digits)
        return int(number) if abs(number) < 2**64 else None
    return None


def _tag(node: Node) -> str:
    match node:
        case Sequence():
            return "!!seq"
        case Mapping():
            return "!!map"
        case Scalar(plain=False):
            return "!!str"
    if node.text in _NULL:
        return "!!null"
    if node.text in _TRUE | _FALSE:
        return "!!bool"
    digits = node.text.replace("_", "")
    if _INTEGER.fullmatch(digits):
        return "!!int"
    return "!!float" if _FLOAT.fullmatch(digits) else "!!str"
