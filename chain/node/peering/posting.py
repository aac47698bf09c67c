"""One POST to another node, bounded in time and bytes."""

from __future__ import annotations

import contextlib
import json
import time

import urllib3

from chain.node.http import CBOR
from runtime.reasons import reason

#: Connections kept to one address: messages under way, and greetings of theirs that are called back beside them.
TO_ONE_ADDRESS = 16
#: Addresses to which connections are kept.
ADDRESSES = 128
#: Seconds to connect, and between two pieces of an answer.
CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
#: Bytes of a refusal that are read.
REFUSAL_BYTES = 4096


class Unanswered(Exception):  # noqa: N818 - says what happened
    """No answer, or not the one that was asked for."""

    def __init__(self, reason: str, status: int = 0, code: str = "") -> None:
        super().__init__(reason)
        self.status, self.code = status, code


class Poster:
    """Connections that are kept; for any thread."""

    def __init__(self) -> None:
        self._http = urllib3.PoolManager(num_pools=ADDRESSES, maxsize=TO_ONE_ADDRESS, retries=False)

    def close(self) -> None:
        """Close those that nobody uses."""
        self._http.clear()

    def post(self, url: str, body: bytes, limit: int, seconds: float, headers: dict[str, str]) -> bytes:
        """Post, and read at most ``limit`` bytes within ``seconds``.  Raises Unanswered."""
        deadline = time.monotonic() + seconds
        timeout = urllib3.Timeout(connect=min(CONNECT_SECONDS, seconds), read=min(READ_SECONDS, seconds))
        response: urllib3.BaseHTTPResponse | None = None
        try:
            response = self._http.request(
                "POST", url, body=body, headers={"Content-Type": CBOR, **headers}, timeout=timeout,
                redirect=False, retries=False, preload_content=False, decode_content=False,
            )  # fmt: skip
            good = response.status in (200, 204)
            most = limit if good else REFUSAL_BYTES
            found = bytearray()
            while piece := response.read1(65_536):
                found += piece
                if len(found) > most:
                    raise Unanswered(f"an answer of more than {most} bytes", response.status)
                if time.monotonic() > deadline:
                    raise Unanswered(f"the answer took more than {seconds:g} s", response.status)
            if not good:
                raise _refusal(response.status, bytes(found))
            whole, response = response, None
            whole.release_conn()
            return bytes(found)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            raise Unanswered(_why(error, url)) from error
        finally:
            if response is not None:
                with contextlib.suppress(Exception):
                    response.close()


def _refusal(status: int, body: bytes) -> Unanswered:
    try:
        problem = json.loads(body)
        detail, code = str(problem["detail"])[:300], str(problem.get("code", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        detail, code = "", ""
    if status in (404, 405) and not code:  # a node's own have one
        return Unanswered(f"expected a node, found something else there (status {status})", status)
    return Unanswered(f"{status}: {detail}" if detail else f"status {status}", status, code)


def _why(error: Exception, url: str) -> str:
    """Why there was no answer. A node takes what TLS says first for a request that never ends."""
    return f"{reason(error)}; a node itself speaks http, not https" if url.startswith("https:") else reason(error)
