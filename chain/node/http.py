"""What the node's routes share: answers in JSON or DAG-CBOR, refusals with a code, strict query parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flask import Response, request

from chain.encoding import encode
from runtime.problems import Problem

CBOR = "application/vnd.ipld.dag-cbor"
#: Objects in one page of a list.
PAGE = 20
MAX_PAGE = 500


class Refused(Problem):
    """A problem document with a ``code``, which is what programs compare."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        headers: Mapping[str, str] | None = None,
        errors: Sequence[Mapping[str, str]] = (),
    ) -> None:
        super().__init__(status, detail=detail, errors=errors, headers=headers)
        self.code = code

    def to_dict(self) -> dict[str, Any]:
        return {**super().to_dict(), "code": self.code}


def not_found(what: str, name: str) -> Refused:
    """404 for what there is not; ``what``: what there would have to be, as in "a block that exists"."""
    return Refused(404, "not_found", f"expected {what}, came {name[:100]}")


def wants_cbor() -> bool:
    """Whether the client asked for DAG-CBOR by name."""
    return any(kind == CBOR for kind, quality in request.accept_mimetypes if quality > 0)


def answer(obj: Any, status: int = 200) -> Response:
    """``obj`` in the form that was asked for; in JSON a link is its CID's text."""
    if wants_cbor():
        return Response(encode(obj), status, content_type=CBOR)
    text = json.dumps(obj, ensure_ascii=False, separators=(",", ":"))
    return Response(text + "\n", status, content_type="application/json")


def arguments(*names: str) -> Mapping[str, str]:
    """The query parameters, which must be among ``names``, each at most once."""
    errors = []
    for name in request.args:
        if name not in names:
            known = f"one of {', '.join(names)}" if names else "none"
            errors.append({"field": name, "message": f"unknown query parameter: expected {known}"})
        elif len(request.args.getlist(name)) > 1:
            errors.append({"field": name, "message": "given more than once"})
    if errors:
        raise Refused(
            400, "invalid_parameter", "; ".join(f"{e['field']}: {e['message']}" for e in errors), None, errors
        )
    return request.args.to_dict()


def integer(given: Mapping[str, str], name: str, default: int, low: int, high: int) -> int:
    """A query parameter as an integer from ``low`` to ``high``."""
    text = given.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and low <= int(text) <= high):
        raise bad(name, f"an integer from {low} to {high}", text)
    return int(text)


def seconds(given: Mapping[str, str], name: str, high: float) -> float:
    """A query parameter as seconds from 0, the default, to ``high``."""
    text = given.get(name, "0")
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= high:
        raise bad(name, f"seconds from 0 to {high:g}", text)
    return value


def choice(given: Mapping[str, str], name: str, choices: Sequence[str]) -> str:
    """A query parameter as one of ``choices``, the first by default."""
    text = given.get(name, choices[0])
    if text not in choices:
        raise bad(name, f"one of {', '.join(choices)}", text)
    return text


def bad(name: str, expected: str, came: str) -> Refused:
    """400 for a query parameter."""
    message = f"expected {expected}, came {came[:100]!r}"
    return Refused(400, "invalid_parameter", f"{name}: {message}", None, [{"field": name, "message": message}])
