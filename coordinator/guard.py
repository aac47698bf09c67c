"""Who is answered while there are no tokens: programs of this machine, not the web pages its browser shows.

A page of another site can make a browser send requests to 127.0.0.1, under the page's own name where it
rebinds its DNS entry: such a request carries another Host. One that is sent across sites carries an Origin.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from flask import Flask, request

from coordinator.settings import is_loopback
from runtime.problems import Problem


def refusal(host: str, origin: str | None) -> str | None:
    """Why a request with these headers is refused; None for one that is answered."""
    if not is_loopback(_name(host)):
        return (
            f"this coordinator answers this machine alone, and the request was for host {host!r}; "
            "use http://127.0.0.1 with its port"
        )
    if origin is not None and not is_loopback(urlsplit(origin).hostname or ""):
        return f"a page of {origin!r} may not use this coordinator"
    return None


def _name(host: str) -> str:
    try:
        return urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return ""


def install(app: Flask) -> None:
    """Check every request before anything else; 403."""

    def check() -> None:
        why = refusal(request.headers.get("Host", ""), request.headers.get("Origin"))
        if why is not None:
            raise Problem(403, detail=why, type="urn:assay:problem:loopback-only")

    app.before_request(check)
