"""How the client talks to a coordinator: requests, problem documents, pages and streams."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import IO, Any, Self, TypeVar, cast

import requests

from runtime import strict_json
from runtime.reasons import reason

#: Streams send a heartbeat every 15 s; silence for three of them means that the connection is dead.
STREAM_SILENCE = 45.0
#: What the types of a coordinator's own problems begin with.
OURS = "urn:assay:problem:"

_D = TypeVar("_D")


class ClientError(Exception):
    """Base of what this client raises."""


class CoordinatorUnavailable(ClientError):  # noqa: N818 - the failure's name, as users read it
    """Nobody answers at `url`, or the answer is not a coordinator's."""

    def __init__(self, url: str, detail: str) -> None:
        self.url = url
        self.detail = detail
        super().__init__(url, detail)

    def __str__(self) -> str:
        advice = "Start one with `assay up`, or correct the URL."
        return f"no coordinator answers at {self.url} ({self.detail}). {advice}"


class Problem(ClientError):  # noqa: N818
    """The coordinator refused (RFC 9457): `status`, `title`, `detail`, `code` (the problem's `type` or the
    chain's own code, may be empty) and `errors`, pairs of field and message, where fields were wrong."""

    def __init__(
        self, status: int, title: str, detail: str, code: str = "", errors: Sequence[tuple[str, str]] = ()
    ) -> None:
        self.status = status
        self.title = title
        self.detail = detail
        self.code = code
        self.errors = tuple(errors)
        super().__init__(status, title, detail, code, self.errors)

    def __str__(self) -> str:
        said = self.detail or self.title
        # One wrong field is the detail already; a message of the chain's has its field in front by itself.
        told = (f"{field}: {message.removeprefix(f'{field}: ')}" for field, message in self.errors)
        fields = "".join(f"\n  {line}" for line in told if line not in said)
        return f"{said} ({self.status}){fields}"


class Transport:
    """A connection to the coordinator at `url`."""

    def __init__(self, url: str, timeout: float = 60.0) -> None:
        """`timeout`: seconds for an answer to begin; uploads and streams may last longer."""
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._session = requests.Session()
        self._session.trust_env = False  # a proxy of the environment must not stand before loopback

    def close(self) -> None:
        self._session.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: Any = None,
        file: IO[bytes] | None = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        stream: bool = False,
    ) -> requests.Response:
        silence = STREAM_SILENCE if stream else self.timeout
        try:
            return self._session.request(
                method,
                self.url + path,
                json=body,
                data=data,
                files={"file": file} if file is not None else None,
                params=query,
                headers=headers,
                timeout=(self.timeout, silence),
                stream=stream,
                allow_redirects=False,
            )
        except requests.RequestException as error:
            raise CoordinatorUnavailable(self.url, reason(error)) from error

    def _json(self, response: requests.Response) -> dict[str, Any]:
        try:
            document = strict_json.loads(response.content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise CoordinatorUnavailable(
                self.url, f"status {response.status_code} and not a JSON object: {response.content[:200]!r}"
            )
        return document

    def _problem(self, response: requests.Response) -> Problem:
        document = self._json(response)
        given = document.get("errors")
        items = [item for item in given if isinstance(item, dict)] if isinstance(given, list) else []
        errors = [(str(item.get("field", "")), str(item.get("message", ""))) for item in items]
        code = str(document.get("code") or document.get("type") or "")
        title = str(document.get("title", response.reason))
        detail = str(document.get("detail", ""))
        if response.status_code in (404, 405) and not code.startswith(OURS):  # a coordinator's of a route it has do
            detail = (
                f"expected a coordinator at {self.url}, found something else there, which has no route "
                f"{response.request.path_url[:200]}: name a coordinator's address, http://HOST:PORT"
            )
        return Problem(response.status_code, title, detail, code, errors)

    def _call(self, method: str, path: str, *, form: type[_D], **request: Any) -> _D:
        response = self._send(method, path, **request)
        if response.status_code >= 300:
            raise self._problem(response)
        return cast(_D, self._json(response))

    def _pages(self, path: str, name: str, form: type[Any], query: Mapping[str, str] | None = None) -> Iterator[Any]:
        """The items under `name` of all pages."""
        cursor: str | None = None
        while True:
            paging = {"cursor": cursor} if cursor else {}
            page = cast("dict[str, Any]", self._call("GET", path, query=dict(query or {}) | paging, form=form))
            items = page.get(name)
            if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
                raise CoordinatorUnavailable(self.url, f"its answer to {path} has no list of {name}")
            yield from items
            before, cursor = cursor, page.get("next")
            if cursor is None:
                return
            if cursor == before:
                raise CoordinatorUnavailable(self.url, f"a page of {path} leads nowhere")

    def _stream(self, path: str, last: str | None) -> Iterator[tuple[str | None, str]]:
        """(id, data) of each Server-Sent Event until the stream ends. The format:
        https://html.spec.whatwg.org/multipage/server-sent-events.html."""
        headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": last} if last else {})
        response = self._send("GET", path, headers=headers, stream=True)
        with response:
            if response.status_code != 200:
                raise self._problem(response)
            identity: str | None = None
            data: list[str] = []
            try:
                # The server sends chunks, one per event: None yields each as it comes.
                for raw in response.iter_lines(chunk_size=None):
                    name, _, value = raw.decode().partition(":")
                    value = value.removeprefix(" ")
                    if not raw:
                        if data:
                            yield identity, "\n".join(data)
                        data = []
                    elif name == "data":
                        data.append(value)
                    elif name == "id":
                        identity = value
            except requests.RequestException as error:
                raise CoordinatorUnavailable(self.url, f"the stream broke: {error}") from error
