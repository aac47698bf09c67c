"""How the API reads and writes JSON."""

from __future__ import annotations

from typing import Any

from flask import Request
from flask.json.provider import DefaultJSONProvider

from runtime import strict_json
from runtime.problems import Problem


class StrictJSON(DefaultJSONProvider):
    """Keys in the order in which they were written; text as it is; hostile texts refused."""

    sort_keys = False
    ensure_ascii = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Raises `ValueError`, which a request answers with 400."""
        return strict_json.loads(s, **kwargs)


class StrictRequest(Request):
    """One whose body is JSON, or is answered with why it is not."""

    def on_json_loading_failed(self, e: ValueError | None) -> Any:
        """Raises `Problem` 400."""
        body = self.get_data()
        came = f"{body[:40].decode(errors='replace')!r} ({e})" if body else "none"
        kind = self.mimetype if self.mimetype not in ("", "application/json") else ""
        sent = f", sent as {kind[:80]}" if kind else ""
        detail = f"expected a JSON object as the body, came {came}{sent}; GET /docs shows what each route takes"
        raise Problem(400, detail=detail, type="urn:assay:problem:invalid-json")
