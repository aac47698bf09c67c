"""What everybody else uses to talk to a node: typed objects in, typed objects out.

State objects travel as DAG-CBOR and come back as the same frozen classes that the node's state holds.  A
client may be shared by threads and survives a fork: connections belong to one thread of one process.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import requests

from chain.encoding import decode
from chain.errors import InvalidEncoding
from chain.keys import Key
from chain.params import NETWORKS, Genesis, Params
from chain.schema import Hash, from_object
from chain.state import Account, Attested, Dataset, Finality, Job, Model, ValidatorSet, Version
from chain.state.membership import Membership, Misconduct
from chain.transactions import Payload, ReportMisconduct, Signed, VoteCheckpoint, body_of, sign

CBOR = "application/vnd.ipld.dag-cbor"
#: Bytes of the largest answer that is read.
MAX_ANSWER = 64 * 1024 * 1024
#: Milliseconds after which a transaction made by :meth:`NodeClient.send` expires unless told otherwise.
EXPIRES_IN_MS = 10 * 60 * 1000
#: Seconds of one long poll; the node answers at its end with what there is.
POLL_SECONDS = 20.0
#: Seconds between two tries to reach a node that does not answer, in :meth:`NodeClient.follow`.
RETRY_SECONDS = 0.5
#: Objects asked for in one page of a list.
PAGE = 100

T = TypeVar("T")
Status = Literal["pending", "included", "final", "dropped"]


class NodeError(Exception):
    """Base of what a node, or its absence, answers."""


class NodeUnavailable(NodeError):  # noqa: N818 - named in the interface between the rooms
    """Nobody answers at the node's address, or it is too busy or stopping: try again later."""


class NodeRefused(NodeError):  # noqa: N818
    """The node answered with a problem document (RFC 9457).

    ``code`` is the chain's own error code (``insufficient_balance``, ``not_yet``, ``unknown`` ...),
    ``detail`` says what was expected and what came, ``problem`` is the whole document.
    """

    def __init__(self, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = dict(problem)
        self.code = str(problem.get("code", "unknown"))
        self.detail = str(problem.get("detail", ""))
        super().__init__(f"{self.code}: {self.detail} (status {status})")


class TransactionRefused(NodeError):  # noqa: N818
    """A transaction that was pending will not enter the chain: ``code`` and ``reason`` say why."""

    def __init__(self, transaction: str, code: str, reason: str) -> None:
        self.transaction = transaction
        self.code = code
        self.reason = reason
        super().__init__(f"transaction {transaction} was dropped: {reason} ({code})")


class WaitTimeout(NodeError):  # noqa: N818
    """What was waited for did not happen in time; ``last`` is the last answer."""

    def __init__(self, message: str, last: Mapping[str, Any] | None) -> None:
        self.last = last
        super().__init__(message)


@dataclass(frozen=True)
class View(Generic[T]):
    """An object of the state and where the node stood when it showed it."""

    value: T
    height: int
    """Height of the head."""
    head: str
    """Hash of the head."""
    final_height: int
    """Height of the last final block."""
    final: bool
    """The block that last changed ``value`` is final."""


@dataclass(frozen=True)
class NodeEvent:
    """One line of what happened on the head's branch."""

    seq: int
    """Strictly increasing within a run."""
    height: int
    block: str
    kind: str
    undone: bool
    """The block left the head's branch: what the event said is no longer so."""
    time: int
    """Block time, milliseconds since 1970."""
    fields: Mapping[str, str | int | None]


@dataclass(frozen=True)
class EventPage:
    """What one long poll brought; ask on with ``after=next``."""

    events: tuple[NodeEvent, ...]
    next: int
    run: str
    """Another run than before: the numbers start over, look at the state anew."""
    head: str
    height: int
    final_height: int


class NodeClient:
    """A node's HTTP API.

    Every method raises :class:`NodeUnavailable` when nobody answers within ``timeout`` seconds and
    :class:`NodeRefused` when the node says no.  Objects that do not exist are ``None``.
    """

    def __init__(self, url: str, timeout: float = 10) -> None:
        self.url = url.rstrip("/")
        self.timeout = timeout
        self._local = threading.local()
        self._genesis_hash: str | None = None
        self._params: Params | None = None

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
    ) -> requests.Response:
        headers = {"Accept": accept}
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
                    raise NodeUnavailable(f"no node answers at {self.url}: {error}") from error
            except requests.RequestException as error:
                self.close()
                raise NodeUnavailable(f"the node at {self.url} did not answer {path}: {error}") from error
        if response.status_code < 400:
            return response
        problem = _problem(response)
        if response.status_code in (502, 503):
            raise NodeUnavailable(f"the node at {self.url} cannot answer {path} now: {problem.get('detail')}")
        raise NodeRefused(response.status_code, problem)

    def _json(self, path: str, params: Mapping[str, Any] | None = None, timeout: float | None = None) -> Any:
        return self._request("GET", path, params=params, timeout=timeout).json()

    def _json_or_none(self, path: str, params: Mapping[str, Any] | None = None, timeout: float | None = None) -> Any:
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
            raise NodeUnavailable(f"the node at {self.url} answered {path} with no DAG-CBOR: {error}") from error
        if not isinstance(answer, dict):
            raise NodeUnavailable(f"the node at {self.url} answered {path} with a {type(answer).__name__}")
        return answer

    def _view(self, cls: type[T], path: str) -> View[T] | None:
        try:
            answer = self._object(path)
        except NodeRefused as refused:
            if refused.status == 404:
                return None
            raise
        return _to_view(cls, answer)

    def _views(self, cls: type[T], path: str, params: Mapping[str, Any] | None = None) -> list[View[T]]:
        found: list[View[T]] = []
        cursor: str | None = None
        while True:
            answer = self._object(path, {**(params or {}), "limit": PAGE, "cursor": cursor})
            found.extend(_to_view(cls, {**answer, **item}) for item in answer["items"])
            cursor = answer["next"]
            if cursor is None:
                return found

    # ------------------------------------------------------------------ the chain

    def chain(self) -> dict[str, Any]:
        """Height, head, justified and final block, work, pending, params (``GET /chain``)."""
        answer: dict[str, Any] = self._json("/chain")
        return answer

    def ready(self) -> bool:
        """The node answers and has its chain loaded."""
        try:
            self._request("GET", "/readyz")
        except NodeError:
            return False
        return True

    def genesis(self) -> Genesis:
        """The network's genesis; its block's hash is :meth:`genesis_hash`."""
        return Genesis.from_bytes(self._request("GET", "/genesis", accept=CBOR).content)

    def genesis_hash(self) -> str:
        """Hash of the genesis block, which every transaction names; asked once."""
        if self._genesis_hash is None:
            self._genesis_hash = str(self.chain()["genesis"])
        return self._genesis_hash

    def params(self) -> Params:
        """The network's constants, by the name that its genesis gives; asked once.

        Raises :class:`NodeUnavailable` for a network that this program does not know.
        """
        if self._params is None:
            network = str(self.chain()["network"])
            if network not in NETWORKS:
                raise NodeUnavailable(f"the node at {self.url} serves network {network!r}, which is unknown here")
            self._params = NETWORKS[network]
        return self._params

    def block(self, block: int | str) -> dict[str, Any] | None:
        """One block by height or hash, as JSON; None if there is none."""
        answer: dict[str, Any] | None = self._json_or_none(f"/blocks/{block}")
        return answer

    def blocks(self, limit: int = 20, cursor: int | None = None) -> dict[str, Any]:
        """``{"blocks": [...], "next": height|None}``, newest first, from height ``cursor`` downwards."""
        answer: dict[str, Any] = self._json("/blocks", {"limit": limit, "cursor": cursor})
        return answer

    def raw_block(self, block: int | str) -> bytes | None:
        """``Block.encode()`` of the block with this height or hash."""
        try:
            return self._request("GET", f"/blocks/{block}", accept=CBOR).content
        except NodeRefused as refused:
            if refused.status == 404:
                return None
            raise

    # ------------------------------------------------------------------ the state

    def account(self, address: str) -> Account:
        """The account; one that never received anything has balance 0."""
        view = self._view(Account, f"/accounts/{address}")
        return view.value if view is not None else Account(balance=0)

    def dataset(self, name: str) -> Dataset | None:
        view = self.dataset_view(name)
        return view.value if view is not None else None

    def dataset_view(self, name: str) -> View[Dataset] | None:
        return self._view(Dataset, f"/datasets/{_segment(name)}")

    def datasets(self) -> list[Dataset]:
        return [view.value for view in self.dataset_views()]

    def dataset_views(self) -> list[View[Dataset]]:
        return self._views(Dataset, "/datasets")

    def model(self, name: str) -> Model | None:
        view = self.model_view(name)
        return view.value if view is not None else None

    def model_view(self, name: str) -> View[Model] | None:
        return self._view(Model, f"/models/{_segment(name)}")

    def models(self) -> list[Model]:
        return [view.value for view in self.model_views()]

    def model_views(self) -> list[View[Model]]:
        return self._views(Model, "/models")

    def version(self, name: str, number: int) -> Version | None:
        view = self.version_view(name, number)
        return view.value if view is not None else None

    def version_view(self, name: str, number: int) -> View[Version] | None:
        return self._view(Version, f"/models/{_segment(name)}/versions/{number}")

    def versions(self, name: str) -> list[Version]:
        """Versions of a model, oldest first; empty for an unknown model."""
        return [view.value for view in self.version_views(name)]

    def version_views(self, name: str) -> list[View[Version]]:
        try:
            return self._views(Version, f"/models/{_segment(name)}/versions")
        except NodeRefused as refused:
            if refused.status == 404:
                return []
            raise

    def attested_view(self, name: str, number: int) -> View[Attested] | None:
        """Who attested a version; no sets in it where nobody did, None for an unknown version."""
        return self._view(Attested, f"/models/{_segment(name)}/versions/{number}/attestations")

    def job(self, job: str) -> Job | None:
        view = self.job_view(job)
        return view.value if view is not None else None

    def job_view(self, job: str) -> View[Job] | None:
        """The job; ``final`` says that the block which last changed it is final."""
        return self._view(Job, f"/jobs/{_segment(job)}")

    def jobs(self, state: Literal["open", "all"] = "open") -> list[Job]:
        """Jobs that are training or voting, or all; oldest first."""
        return [view.value for view in self.job_views(state)]

    def job_views(self, state: Literal["open", "all"] = "open") -> list[View[Job]]:
        return self._views(Job, "/jobs", {"state": state})

    def validators(self) -> ValidatorSet:
        return _to_view(ValidatorSet, self._object("/validators")).value

    def membership(self) -> Membership:
        """The set in force, the change under way, who is admitted, and what admissions must be signed for."""
        return _to_view(Membership, self._object("/membership")).value

    def misconduct(self) -> list[Misconduct]:
        """Who was slashed and why, by address."""
        return [view.value for view in self._views(Misconduct, "/misconduct")]

    def evidence(self) -> list[ReportMisconduct]:
        """Contradictions that this node has caught and the chain does not have yet: sign one and send it."""
        items = self._object("/evidence")["items"]
        return [from_object(ReportMisconduct, report) for report in items]

    def escrowed(self, address: str) -> int:
        """What open jobs hold of the rewards that the address has offered."""
        return int(self._object(f"/accounts/{address}")["escrowed"])

    def finality(self) -> View[Finality]:
        """What is justified and final by the head's own state; ``head`` and ``height`` say which head that is."""
        return _to_view(Finality, self._object("/finality"))

    # ------------------------------------------------------------------ transactions

    def submit(self, signed: Signed) -> str:
        """Hand in a signed transaction; returns its id once the node has it on disk.

        Sending the same one again is harmless, also when it is in a block already.
        """
        self._request("POST", "/transactions", data=signed.data)
        return signed.id

    def send(
        self,
        payload: Payload,
        key: Key,
        *,
        expires_in_ms: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> str:
        """Sign ``payload``  with fresh salt, submit it, return its id."""
        return self.submit(self.prepare(payload, key, expires_in_ms=expires_in_ms, clock=clock))

    def prepare(
        self,
        payload: Payload,
        key: Key,
        *,
        expires_in_ms: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Signed:
        """What :meth:`send` would submit; keep it to send the identical bytes again."""
        expires = int(clock() * 1000) + (EXPIRES_IN_MS if expires_in_ms is None else expires_in_ms)
        if isinstance(payload, VoteCheckpoint):
            expires = 0  # checkpoint votes do not expire
        body = body_of(payload, key.address, Hash(self.genesis_hash()), secrets.token_hex(16), expires)
        return sign(body, key)

    def transaction(self, transaction: str) -> dict[str, Any] | None:
        """``{transaction, status, height, block, kind, sender, expires, payload}``, or None."""
        answer: dict[str, Any] | None = self._json_or_none(f"/transactions/{_segment(transaction)}")
        return answer

    def wait_transaction(
        self, transaction: str, until: Literal["included", "final"] = "included", timeout: float = 30
    ) -> dict[str, Any]:
        """Wait until the transaction is in a block of the head's branch, or in a final one.

        Raises :class:`TransactionRefused` when the node dropped it and :class:`WaitTimeout` after ``timeout``
        seconds.
        """
        deadline = time.monotonic() + timeout
        last: dict[str, Any] | None = None
        while True:
            left = max(0.0, deadline - time.monotonic())
            wait = min(left, POLL_SECONDS)
            last = self._json_or_none(
                f"/transactions/{_segment(transaction)}",
                {"wait": f"{wait:.3f}", "until": until},
                timeout=wait + self.timeout,
            )
            if last is not None:
                if last["status"] == "dropped":
                    raise TransactionRefused(transaction, str(last["code"]), str(last["reason"]))
                if last["status"] == "final" or (until == "included" and last["status"] == "included"):
                    return last
            if time.monotonic() >= deadline:
                status = "unknown" if last is None else last["status"]
                raise WaitTimeout(f"transaction {transaction} is {status}, not {until}, after {timeout} s", last)

    # ------------------------------------------------------------------ events

    def events(self, after: int | None = None, wait: float = 0, limit: int = 500) -> EventPage:
        """Events with a number above ``after``; waits up to ``wait`` seconds for the first one.

        Without ``after`` the page is empty and ``next`` is where the future begins.
        """
        answer = self._json(
            "/events", {"after": after, "wait": f"{wait:.3f}", "limit": limit}, timeout=wait + self.timeout
        )
        return EventPage(
            events=tuple(_to_event(event) for event in answer["events"]),
            next=answer["next"],
            run=answer["run"],
            head=answer["head"],
            height=answer["height"],
            final_height=answer["final_height"],
        )

    def follow(
        self, stop: threading.Event, after: int | None = None, wait: float = POLL_SECONDS
    ) -> Iterator[EventPage]:
        """Pages of events until ``stop`` is set; never raises for an absent node, it waits for it.

        The first page (without ``after``) has no events: look at the state then.  So has the first page of
        another run, and the first one after the node was away.
        """
        run: str | None = None
        look = True  # the follower has to look at the state whatever the events say
        while not stop.is_set():
            try:
                page = self.events(after, 0 if look else wait)
            except NodeUnavailable:
                look = True
                stop.wait(RETRY_SECONDS)
                continue
            except NodeRefused as refused:
                if refused.code != "unknown_event":
                    raise
                after, look = None, True  # the node never had that many events: another run
                continue
            if run is not None and page.run != run and after is not None:
                run, after, look = page.run, None, True
                continue
            run, after = page.run, page.next
            if page.events or look:
                look = False
                yield page

    def log(self, stop: threading.Event, tail: int = 10) -> Iterator[str]:
        """Lines of ``blockchain.log``: the last ``tail`` ones, then each as it is written, until ``stop``."""
        while not stop.is_set():
            try:
                with self._request("GET", "/log", params={"tail": tail}, stream=True, timeout=30) as response:
                    response.encoding = "utf-8"
                    for line in response.iter_lines(chunk_size=1, decode_unicode=True):
                        if stop.is_set():
                            return
                        if line.startswith("data: "):
                            yield line[len("data: ") :]
            except (NodeUnavailable, requests.RequestException):
                stop.wait(RETRY_SECONDS)
            tail = 0


def _segment(text: str) -> str:
    return quote(text, safe="")


def _problem(response: requests.Response) -> dict[str, Any]:
    try:
        problem = response.json()
    except ValueError:
        problem = None
    if isinstance(problem, dict):
        return problem
    return {"code": "unknown", "detail": response.text[:500] or response.reason}


def _to_view(cls: type[T], answer: Mapping[str, Any]) -> View[T]:
    return View(
        value=from_object(cls, answer["value"]),
        height=answer["height"],
        head=answer["head"],
        final_height=answer["final_height"],
        final=answer["final"],
    )


def _to_event(event: Mapping[str, Any]) -> NodeEvent:
    known = {"seq", "height", "block", "kind", "undone", "time"}
    return NodeEvent(
        seq=event["seq"],
        height=event["height"],
        block=event["block"],
        kind=event["kind"],
        undone=event["undone"],
        time=event["time"],
        fields={k: v for k, v in event.items() if k not in known},
    )
