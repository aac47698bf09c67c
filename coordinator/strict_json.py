"""How the API reads and writes JSON."""

from __future__ import annotations

from typing import Any

from flask.json.provider import DefaultJSONProvider

from runtime import strict_json


class StrictJSON(DefaultJSONProvider):
    """Keys in the order in which they were written; text as it is; hostile texts refused."""

    sort_keys = False
    ensure_ascii = False

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Raises `ValueError`, which a request answers with 400."""
        return strict_json.loads(s, **kwargs)
