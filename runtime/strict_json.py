"""JSON as RFC 8259 has it, from people we do not know: no NaN, no halves of a surrogate pair, which no file, log or
answer could hold, and no more nesting than a document can need.

Python's decoder recurses on the C stack, and the limit that stops it may be gone: a library under the key files
(py_ecc) sets the recursion limit to 100,000 for the whole process, at which a body of brackets ends it by a stack
overflow. So the depth is counted before anything is decoded.
"""

from __future__ import annotations

import json
import re
from typing import Any

#: Objects and lists within one another; an estimator's pipeline needs six.
MAX_DEPTH = 32

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_SURROGATE = re.compile(r"[\ud800-\udfff]|\\u[dD][89a-fA-F]")
_BRACKET = re.compile(r"[\[\]{}]")


def loads(text: str | bytes, **options: Any) -> Any:
    """What a JSON text says; `options` as `json.loads` takes them. Raises `ValueError`."""
    decoded = text.decode() if isinstance(text, bytes) else text
    if depth_of(decoded) > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
    value = json.loads(decoded, **{"parse_constant": _refuse, **options})
    if _SURROGATE.search(decoded):
        json.dumps(value, ensure_ascii=False).encode()  # raises UnicodeEncodeError, which is a ValueError
    return value


def depth_of(text: str) -> int:
    """How deep lists and objects nest in a JSON text; at least that, for a text that is no JSON."""
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return text.count("[") + text.count("{")
    depth = deepest = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _refuse(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
