"""Regular expressions in the configuration, matched by RE2, and matching of interface names.

For any expression, RE2 needs time linear in the text and memory up to a limit. Its syntax is that
of Go's package regexp, which MetalLB uses: no back-reference, no look-around, no ``\\Z``.

Apart from ``config``, so that the responder process imports no more of the model.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol, cast

import re2

MAX_LENGTH = 256
"""Characters of an expression."""
MAX_REPETITION = 1000  # RE2 matches a higher number in braces as plain text
_MAX_MEMORY = 1 << 20  # bytes for each expression
_CACHE_SIZE = 256

WANTED = (
    "want a regular expression in RE2's syntax, as in Go: no back-reference, no look-around, no \\Z"
)

# Braces with a count. With a count beyond the limit, RE2 would match the braces as plain text, and
# so no interface name.
_REPETITION = re.compile(r"\{([0-9]+)(?:,([0-9]*))?\}", re.ASCII)


class PatternError(ValueError):
    """A text is not a regular expression. The message is the reason, without the text."""


class _Regexp(Protocol):
    def fullmatch(self, text: bytes) -> object | None: ...
    def search(self, text: bytes) -> object | None: ...


@dataclass(frozen=True, slots=True)
class Pattern:
    """A compiled regular expression."""

    _regexp: _Regexp

    def matches(self, name: str) -> bool:
        """Whether the expression matches the whole name."""
        return self._regexp.fullmatch(_bytes(name)) is not None

    def is_found_in(self, name: str) -> bool:
        """Whether the expression matches a part of the name."""
        return self._regexp.search(_bytes(name)) is not None


def _options() -> object:
    options = re2.Options()
    options.max_mem = _MAX_MEMORY
    options.log_errors = False
    options.never_capture = True
    return options


_OPTIONS = _options()
_compile = cast("Callable[[bytes, object], _Regexp]", re2.compile)


def compile_pattern(text: str) -> Pattern:
    """Compile a regular expression. Raises PatternError, and nothing else, if it is invalid."""
    if len(text) > MAX_LENGTH:
        raise PatternError(f"{len(text)} characters: want at most {MAX_LENGTH}")
    for found in _REPETITION.finditer(text):
        if any(
            len(digits or "") > 4 or int(digits or 0) > MAX_REPETITION for digits in found.groups()
        ):
            raise PatternError(f"a repetition in braces: want at most {MAX_REPETITION} times")
    return _compiled(text)


@lru_cache(_CACHE_SIZE)
def _compiled(text: str) -> Pattern:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as error:
        raise PatternError("half of a surrogate pair: want Unicode text") from error
    try:
        return Pattern(_compile(encoded, _OPTIONS))
    except re2.error as error:
        raise PatternError(_reason(error.args)) from error


def _reason(arguments: tuple[object, ...]) -> str:
    found = arguments[0] if arguments else ""
    return found.decode(errors="replace") if isinstance(found, bytes) else str(found)


def _bytes(name: str) -> bytes:
    # Interface names of the kernel are bytes; a byte that is not UTF-8 matches as "?".
    return name.encode(errors="replace")


def matches_interface(patterns: Iterable[str], name: str) -> bool:
    """Whether one of the patterns matches the whole name, or the list is empty.

    A pattern that is not a valid regular expression matches its own text only. Only a draining
    pool stored by an earlier release can have one.
    """
    wanted = tuple(patterns)
    return not wanted or any(_matches(pattern, name) for pattern in wanted)


def _matches(pattern: str, name: str) -> bool:
    try:
        return compile_pattern(pattern).matches(name)
    except PatternError:
        return pattern == name
