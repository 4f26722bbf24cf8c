"""Scalar values, decoded for a field of a given type like Go's yaml.v2 does.

A string field takes the text as written, whatever type YAML would resolve it to. A quoted number
or Boolean is a string and nothing else.
"""

from __future__ import annotations

import binascii
import re

from metallb_py.config.yaml.document import STRING_TAG, Mapping, Node, Scalar, Sequence

_TRUE = {"y", "Y", "yes", "Yes", "YES", "on", "On", "ON", "true", "True", "TRUE"}
_FALSE = {"n", "N", "no", "No", "NO", "off", "Off", "OFF", "false", "False", "FALSE"}
_NULL = {"", "~", "null", "Null", "NULL"}
_NULL_TAG, _BOOL_TAG, _INT_TAG, _FLOAT_TAG = "!!null", "!!bool", "!!int", "!!float"
_BINARY_TAG = "!!binary"
# A value with one of these tags is still resolved, and the result must agree with the tag.
_RESOLVED_TAGS = {"", _NULL_TAG, _BOOL_TAG, _INT_TAG, _FLOAT_TAG, "!!timestamp"}
_INTEGER = re.compile(
    r"[-+]?(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)|"
    r"(?P<dec>0|[1-9][0-9]*))",
    re.ASCII,
)
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", re.ASCII)
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_BASES = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_DIGITS = 400  # far more than any type has; limits the cost of conversions
_LIMIT = 2**64  # Go decodes a greater integer as a float
_SHOWN = 10  # characters of a value that yaml.v2 quotes in a message

_RANGES = {"uint16": (0, 2**16 - 1), "uint32": (0, 2**32 - 1), "int": (-(2**63), 2**63 - 1)}
_WANTED = {
    "string": "text",
    "bool": "true or false, without quotes",
    "[]string": "a list of texts",
    "map[string]string": "a mapping of texts",
    **{
        kind: f"a whole number from {low} to {high}, without quotes"
        for kind, (low, high) in _RANGES.items()
    },
}
_ASDOT = re.compile(r"([0-9]{1,5})\.([0-9]{1,5})", re.ASCII)  # RFC 5396
_HALF = 0xFFFF


class WrongTypeError(ValueError):
    """A value has the wrong type for its field. The message is MetalLB's, without the line.

    ``wanted`` describes the values that are accepted; empty if the message does.
    """

    def __init__(self, message: str, wanted: str = "") -> None:
        super().__init__(message)
        self.wanted = wanted


def is_null(node: Node) -> bool:
    """Whether a value is null, which means "not set"."""
    return isinstance(node, Scalar) and node.tag in ("", _NULL_TAG) and node.text in _NULL


def read_string(node: Node) -> str:
    """Return the text as written. Raises WrongTypeError."""
    if not isinstance(node, Scalar):
        raise wrong_type(node, "string")
    if is_null(node):
        return ""
    if node.tag == _BINARY_TAG:
        return _from_base64(node.text)
    _resolve(node)  # in Go, a tag that does not match the text is an error even here
    return node.text


def read_bool(node: Node) -> bool:
    """Return a Boolean value. Raises WrongTypeError."""
    if is_null(node):
        return False
    if isinstance(node, Scalar) and _resolve(node) == _BOOL_TAG:
        return node.text in _TRUE
    raise wrong_type(node, "bool")


def read_integer(node: Node, kind: str, low: int, high: int) -> int:
    """Return a whole number between ``low`` and ``high``. Raises WrongTypeError.

    A fraction is an error. Go truncates it, and so changes an AS number in asdot notation
    (RFC 5396) into another one.
    """
    if is_null(node):
        return 0
    if isinstance(node, Scalar) and _resolve(node) in (_INT_TAG, _FLOAT_TAG):
        number = _number(node.text)
        if isinstance(number, float):
            raise wrong_type(node, kind)
        if number is not None and low <= number <= high:
            return number
    raise wrong_type(node, kind)


def wrong_type(node: Node, kind: str, *, quote: bool = True) -> WrongTypeError:
    """Return the error in MetalLB's words, with the value if ``quote`` is set."""
    wanted = _WANTED.get(kind) or ("a list of mappings" if kind.startswith("[]") else "a mapping")
    match node:
        case Sequence():
            return WrongTypeError(f"cannot unmarshal !!seq into {kind}", wanted)
        case Mapping():
            return WrongTypeError(f"cannot unmarshal !!map into {kind}", wanted)
    # A tag that YAML does not define may be the secret itself, for example a password "!...".
    known = node.tag in _RESOLVED_TAGS | {STRING_TAG, _BINARY_TAG}
    tag = node.tag if node.tag and (quote or known) else _natural_tag(node.text)
    shown = f" `{_shortened(node.text)}`" if quote else ""
    if quote and kind == "uint32":
        wanted += _asdot(node.text)
    return WrongTypeError(f"cannot unmarshal {tag}{shown} into {kind}", wanted)


def _asdot(text: str) -> str:
    """Return a hint with the AS number of a text in asdot notation; empty for another text."""
    found = _ASDOT.fullmatch(text)
    if not found or int(found[1]) > _HALF or int(found[2]) > _HALF:
        return ""
    return f"; AS {text} in asdot notation is {int(found[1]) << 16 | int(found[2])}"


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _resolve(node: Scalar) -> str:
    """Return the tag that a value has or resolves to. Raises WrongTypeError if they disagree."""
    if node.tag not in _RESOLVED_TAGS:
        return node.tag
    natural = _natural_tag(node.text)
    if node.tag in ("", natural) or (node.tag == _FLOAT_TAG and natural == _INT_TAG):
        return natural
    if node.tag == "!!timestamp":
        return node.tag  # no field has this type, and a string field takes it as written
    found = f"{natural} `{_shortened(node.text)}`"
    raise WrongTypeError(f"cannot decode {found} as a {node.tag}", "a value that fits its tag")


def _natural_tag(text: str) -> str:
    """Return the tag to which Go resolves a plain scalar with this text."""
    if text in _NULL:
        return _NULL_TAG
    if text in _TRUE or text in _FALSE:
        return _BOOL_TAG
    digits = _digits(text)
    if _INTEGER.fullmatch(digits):
        return _INT_TAG
    if _FLOAT.fullmatch(digits) or _NOT_FINITE.fullmatch(text):
        return _FLOAT_TAG
    return STRING_TAG


def _digits(text: str) -> str:
    # Go removes the underscores of a text that starts like a number.
    return text.replace("_", "") if text[:1] in set("+-0123456789") else text


def _number(text: str) -> int | float | None:
    """Return the value of a numeric text: a float if it has a fraction, None if out of range."""
    digits = _digits(text)
    if len(digits) > _DIGITS or _NOT_FINITE.fullmatch(text):
        return None
    match = _INTEGER.fullmatch(digits)
    if match and match.lastgroup:
        value = int(match[match.lastgroup], _BASES[match.lastgroup])
        return -value if digits.startswith("-") else value
    number = float(digits)
    if abs(number) >= _LIMIT:
        return None
    return int(number) if number.is_integer() else number


def _from_base64(text: str) -> str:
    try:
        return binascii.a2b_base64("".join(text.split()), strict_mode=True).decode()
    except ValueError:
        raise WrongTypeError(
            "!!binary value contains invalid base64 data", "UTF-8 text in base64"
        ) from None
