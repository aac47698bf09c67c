"""A node's HTTP API as requests and answers; `chain.client` gives them names and types."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from typing import Any

import requests

from chain.answers import NodeRefused, NodeUnavailable, Page, T, View, problem_of, to_view
from chain.encoding import decode
from chain.errors import InvalidEncoding
from runtime import strict_json
from runtime.reasons import reason

CBOR = "application/vnd.ipld.dag-cbor"
#: Bytes of the largest answer that is read.
MAX_ANSWER = 64 * 1024 * 1024
#: Objects asked for in one page of a list.
PAGE = 100


class Transport:
    """Connections to one node, one for each thread of each process."""

    def __init__(self, url: str, timeout: float = 10) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._local = threading.local()

    # ------------------------------------------------------------------ transport

    def _session(self) -> requests.Session:
        pid = os.getpid()
        if getattr(self._local, "pid", None) != pid:
            self._local.session = requests.Session()
            self._local.session.trust_env = False  # a node is spoken to directly, never through a proxy
            self._local.pid = pid
        session: requests.Session = self._local.session
        return session

    def close(self) -> None:
        """Close this thread's connections."""
        if getattr(self._local, "pid", None) == os.getpid():
            self._local.session.close()
            self._local.pid = None

    def _request(
        self,
        method: str,
        path: str,
        *,
        accept: str = "application/json",
        params: Mapping[str, Any] | None = None,
        data: bytes | None = None,
        timeout: float | None = None,
        stream: bool = False,
        token: str | None = None,
        resume: str = "",
    ) -> requests.Response:
        """`resume`: the id of the last event that came of a stream before."""
        headers = {"Accept": accept}
        if resume:
            headers["Last-Event-ID"] = resume
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if data is not None:
            headers["Content-Type"] = CBOR
        given = {k: v for k, v in (params or {}).items() if v is not None}
        for attempt in (0, 1):
            try:
                response = self._session().request(
                    method,
                    self.url + path,
                    params=given,
                    data=data,
                    headers=headers,
                    stream=stream,
                    timeout=self.timeout if timeout is None else timeout,
                )
                break
            except requests.ConnectionError as error:
                # A connection from before the node's restart fails once; every request may be repeated.
                self.close()
                if attempt:
                    advice = "start it, or name another one"
                    raise NodeUnavailable(f"no node answers at {self.url} ({reason(error)}); {advice}") from error
            except (requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
                raise NodeUnavailable(f"expected a node's address, http://HOST:PORT, came {self.url!r}") from error
            except requests.RequestException as error:
                self.close()
                raise NodeUnavailable(f"the node at {self.url} did not answer {path} ({reason(error)})") from error
        if response.status_code < 400:
            return response
        problem = problem_of(response)
        if response.status_code in (404, 405) and "code" not in problem:  # a node's always have one
            raise NodeUnavailable(
                f"expected a node at {self.url}, found something else there (status {response.status_code} to {path}): "
                "name a node's address, http://HOST:PORT"
            )
        if response.status_code in (502, 503):
            raise NodeUnavailable(f"the node at {self.url} cannot answer {path} now: {problem.get('detail')}")
        raise NodeRefused(response.status_code, problem)

    def _json(
        self, path: str, params: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> dict[str, Any]:
        response = self._request("GET", path, params=params, timeout=timeout)
        try:
            answer = strict_json.loads(response.content)
        except ValueError as error:
            raise self.strange(path, f"no JSON ({error})") from error
        if not isinstance(answer, dict):
            raise self.strange(path, f"a {type(answer).__name__}")
        return answer

    def _json_or_none(
        self, path: str, params: Mapping[str, Any] | None = None, timeout: float | None = None
    ) -> dict[str, Any] | None:
        try:
            return self._json(path, params, timeout)
        except NodeRefused as refused:
            if refused.status == 404:
                return None
            raise

    def _object(self, path: str, params: Mapping[str, Any] | None = None) -> dict[str, Any]:
        response = self._request("GET", path, accept=CBOR, params=params)
        try:
            answer = decode(response.content, MAX_ANSWER)
        except InvalidEncoding as error:
            raise self.strange(path, f"no DAG-CBOR ({error})") from error
        if not isinstance(answer, dict):
            raise self.strange(path, f"a {type(answer).__name__}")
        return answer

    def strange(self, path: str, what: str) -> NodeUnavailable:
        """The error for an answer that no node of ours gives: something else listens at its address."""
        return NodeUnavailable(f"the node at {self.url} answered {path} with {what}")

    def _items(self, answer: Mapping[str, Any], path: str) -> list[dict[str, Any]]:
        items = answer.get("items")
        if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
            raise self.strange(path, "no list of items")
        return items

    def _seen(self, cls: type[T], answer: Mapping[str, Any], path: str) -> View[T]:
        try:
            return to_view(cls, answer)
        except InvalidEncoding as error:
            raise self.strange(path, f"no {cls.__name__} ({error})") from error

    def _view(self, cls: type[T], path: str) -> View[T] | None:
        try:
            answer = self._object(path)
        except NodeRefused as refused:
            if refused.status == 404:
                return None
            raise
        return self._seen(cls, answer, path)

    def _views(self, cls: type[T], path: str, params: Mapping[str, Any] | None = None) -> list[View[T]]:
        found: list[View[T]] = []
        cursor: str | None = None
        while True:
            page = self._page(cls, path, {**(params or {}), "limit": PAGE, "cursor": cursor})
            found.extend(page.views)
            before, cursor = cursor, page.next
            if cursor is None:
                return found
            if cursor == before:
                raise self.strange(path, "a page that leads nowhere")

    def _page(self, cls: type[T], path: str, params: Mapping[str, Any]) -> Page[T]:
        answer = self._object(path, params)
        items, following = self._items(answer, path), answer.get("next")
        if following is not None and type(following) is not str:
            raise self.strange(path, "no cursor")
        return Page(tuple(self._seen(cls, {**answer, **item}, path) for item in items), following)
