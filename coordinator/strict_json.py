"""JSON as RFC 8259 has it, from people we do not know: no NaN, and no more nesting than a request can need.

Python's decoder recurses, and the limit that stops it elsewhere is gone here: a library under the key files (py_ecc)
sets the recursion limit to 100,000 for the whole process, at which a body of brackets ends it by a stack overflow. So
the depth is counted before anything is decoded.
"""

from __future__ import annotations

import json
import re
from typing import Any

from flask.json.provider import DefaultJSONProvider

#: Objects and lists within one another; an estimator's pipeline needs six.
MAX_DEPTH = 32

_STRING = re.compile(r'"(?:[^"\\]|\\.)*+"', re.DOTALL)
_BRACKET = re.compile(r"[\[\]{}]")


class StrictJSON(DefaultJSONProvider):
    """Keys in the order in which they were written; text as it is."""

    sort_keys = False
    ensure_ascii = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Raises `ValueError`, which a request answers with 400."""
        text = s.decode() if isinstance(s, bytes) else s
        if depth_of(text) > MAX_DEPTH:
            raise ValueError(f"it is nested more than {MAX_DEPTH} deep")
        return json.loads(text, parse_constant=_refuse, **kwargs)


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
