"""Connections over HTTP, seen from the side that asks: who is at which address, and a few threads that post.

There is no identity but an address that answers. A greeting carries a token by which the greeted may address
the greeter; the greeted calls back to the address it was given, shows that token, and only when it is known
there and was meant for itself does it believe the address. Messages carry the token that their receiver gave,
so nobody can speak, or misbehave, in another's name.
"""

from __future__ import annotations

import contextlib
import json
import queue
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

import urllib3

from chain import schema
from chain.errors import ChainError
from chain.node.http import CBOR
from chain.node.peering.codec import NAMES, PATHS, decode, encode, limit_of
from chain.node.peering.messages import ANSWERS, Answer, Hello, Message, Request
from chain.node.peering.peer import PeerRefused
from chain.node.peering.protocol import Peering
from chain.params import Params
from chain.schema import Text
from runtime.logs import get_logger

#: Header with the token that the receiver gave.
TOKEN = "Assay-Peer"  # noqa: S105 - the name of a header
#: Threads that post, messages under way to one peer, and messages that wait for it.
THREADS = 24
UNDER_WAY = 3
WAITING = 256
#: Seconds to connect, between two pieces of an answer, and for all of it.
CONNECT_SECONDS = 3.0
READ_SECONDS = 8.0
ANSWER_SECONDS = 14.0
#: Seconds that a greeting's way back may take; it is waited for within a greeting.
CALLBACK_SECONDS = 3.0
#: Tokens of one peer that are still good: both sides may greet at the same time.
TOKENS = 4
GREETING_BYTES = 4096

_log = get_logger(__name__)
_Token = Annotated[str, Text(0, 32, r"([0-9a-f]{32})?", "32 lowercase hexadecimal digits, or nothing")]


@dataclass(frozen=True)
class Greeting:
    """The handshake's message, in both directions."""

    hello: Hello
    token: _Token
    """By which the receiver may address the sender."""
    answers: _Token
    """The token of the greeting that this one answers or calls back."""


@dataclass
class Link:
    """A connection with a peer."""

    peer: str
    url: str
    """Where it is reached; empty: it only asks."""
    node: str
    token: str
    """What it gave us."""
    tokens: list[str]
    """What we gave it."""
    waiting: deque[Message] = field(default_factory=deque)
    under_way: int = 0
    serving: int = 0


class Unanswered(Exception):  # noqa: N818 - says what happened
    """No answer, or not the one that was asked for."""

    def __init__(self, reason: str, status: int = 0, code: str = "") -> None:
        super().__init__(reason)
        self.status, self.code = status, code


class Pool:
    """Daemon threads that take jobs from a queue; a job must not raise."""

    def __init__(self, threads: int) -> None:
        self._most, self._threads = threads, 0
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._idle = 0
        self._lock = threading.Lock()

    def submit(self, job: Callable[[], None]) -> None:
        """Do it soon."""
        with self._lock:
            if self._idle <= self._jobs.qsize() and self._threads < self._most:
                self._threads += 1
                threading.Thread(target=self._run, name=f"peers-{self._threads}", daemon=True).start()
        self._jobs.put(job)

    def _run(self) -> None:
        while True:
            with self._lock:
                self._idle += 1
            job = self._jobs.get()
            with self._lock:
                self._idle -= 1
            if job is None:
                self._jobs.put(None)
                return
            job()

    def close(self) -> None:
        """No more jobs; those at work end with what they are at."""
        self._jobs.put(None)


class Links:
    """All connections of a node.

    ``post`` hands something to the writer's thread; :meth:`send` and :meth:`dropped` are called there, by the
    node's :class:`Peering`.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], params: Params) -> None:
        self._post, self._params = post, params
        self._pool = Pool(THREADS)
        self._http = urllib3.PoolManager(num_pools=128, maxsize=UNDER_WAY, retries=False)
        self._lock = threading.Condition()
        self._links: dict[str, Link] = {}
        self._by_token: dict[str, Link] = {}
        self._dialling: dict[str, str] = {}
        self._busy: set[str] = set()
        self._reply: tuple[str, type[Answer]] | None = None
        self._replied: Answer | None = None
        self._closed = False
        self.peering: Peering
        """Set once, by whoever makes both."""

    # ------------------------------------------------------------------ the writer's thread

    def send(self, peer: str, message: Message) -> None:
        """Peering's ``send``: the answer to the request at hand, or something to be posted."""
        if self._reply is not None and self._reply[0] == peer and type(message) is self._reply[1]:
            self._reply, self._replied = None, message
            return
        with self._lock:
            link = self._links.get(peer)
            if link is None or not link.url:
                return
            link.waiting.append(message)
            while len(link.waiting) > WAITING:
                link.waiting.popleft()
        self._next(link)

    def answer(self, peer: str, request: Request) -> Answer | None:
        """What the node answers; None: nothing, the peer is no longer one."""
        self._reply, self._replied = (peer, ANSWERS[type(request)]), None
        try:
            self.peering.on_message(peer, request)
            return self._replied
        finally:
            self._reply = self._replied = None

    def dropped(self, peer: str, reason: str) -> None:
        """Peering's ``dropped``."""
        with self._lock:
            link = self._links.pop(peer, None)
            if link is not None:
                for token in link.tokens:
                    self._by_token.pop(token, None)
                link.waiting.clear()
        _log.debug("connection ended", peer=peer, reason=reason)

    def dial(self) -> None:
        """Try the addresses that are due."""
        for url in self.peering.dials(frozenset(self._busy)):
            self._busy.add(url)
            self._pool.submit(lambda url=url: self._dial(url))  # type: ignore[misc]

    def next_time(self) -> int | None:
        """When an address becomes due, in milliseconds."""
        return self.peering.next_dial(frozenset(self._busy))

    def register(self, peer: str, who: str, hello: Hello, token: str, given: str, reachable: bool) -> None:
        """A handshake is done: ``token`` is what the peer gave, ``given`` what it got.  Raises PeerRefused."""
        with self._lock:
            link = self._links.get(peer)
            known = link is not None and link.node == hello.node and peer in self.peering.peers
            if link is None or not known:
                link = Link(peer, peer if reachable else "", hello.node, token, [])
                self._links[peer] = link
            link.token = token
            link.tokens.append(given)
            self._by_token[given] = link
            self._lock.notify_all()
            while len(link.tokens) > TOKENS:
                self._by_token.pop(link.tokens.pop(0), None)
        if known:
            self.peering.check(hello, who)
            return
        try:
            self.peering.connected(peer, hello, who=who, reachable=reachable)
        except PeerRefused as refused:
            self.dropped(peer, str(refused))
            raise

    # ------------------------------------------------------------------ any thread

    def by_token(self, token: str) -> Link | None:
        """Whose token this is.

        Who was greeted may use it before the answer to the greeting has arrived here; that is waited for.
        """
        with self._lock:
            self._lock.wait_for(lambda: token not in self._dialling, CALLBACK_SECONDS)
            return self._by_token.get(token)

    def was_meant_for(self, token: str, url: str) -> bool:
        """Whether this token went with a greeting to ``url`` that is under way."""
        with self._lock:
            return url != "" and self._dialling.get(token) == url

    def call_back(self, hello: Hello, token: str, given: str) -> bool:
        """Whether the node that greeted is at the address it names."""
        if not hello.url or hello.url == self.peering.url:
            return False
        try:
            found = self._greet(hello.url, Greeting(self.peering.hello(), given, token), CALLBACK_SECONDS)
        except Unanswered as error:
            _log.info("a peer is not at the address it names", url=hello.url, reason=str(error))
            return False
        return found.hello.node == hello.node and found.answers == given

    def close(self) -> None:
        """No more messages."""
        self._closed = True
        self._pool.close()
        self._http.clear()

    # ------------------------------------------------------------------ the pool's threads

    def _dial(self, url: str) -> None:
        token = secrets.token_hex(16)
        with self._lock:
            self._dialling[token] = url
        try:
            found = self._greet(url, Greeting(self.peering.hello(), token, ""), ANSWER_SECONDS)
            if found.answers != token or not found.token:
                raise Unanswered("it answered another greeting")
        except Unanswered as error:
            reason, code = str(error), error.code
            self._tell(lambda: self._failed(url, token, reason, code))
            return
        self._tell(lambda: self._dialled(url, found, token))

    def _dialled(self, url: str, found: Greeting, token: str) -> None:
        try:
            self.register(url, url, found.hello, found.token, token, True)
        except PeerRefused as refused:
            self._failed(url, token, str(refused), refused.code)
        else:
            self._settled(url, token)

    def _settled(self, url: str, token: str) -> None:
        self._busy.discard(url)
        with self._lock:
            self._dialling.pop(token, None)
            self._lock.notify_all()

    def _failed(self, url: str, token: str, reason: str, code: str) -> None:
        self._settled(url, token)
        _log.info("no connection", url=url, reason=reason)
        self.peering.dial_failed(url, reason, itself=code == "itself")

    def _next(self, link: Link) -> None:
        with self._lock:
            if not link.waiting or link.under_way >= UNDER_WAY:
                return
            link.under_way += 1
            message = link.waiting.popleft()
        self._pool.submit(lambda: self._deliver(link, message))

    def _deliver(self, link: Link, message: Message) -> None:
        try:
            self._exchange(link, message)
        finally:
            with self._lock:
                link.under_way -= 1
            self._next(link)

    def _exchange(self, link: Link, message: Message) -> None:
        peer = link.peer
        expected = ANSWERS.get(type(message))  # type: ignore[arg-type]
        limit = 0 if expected is None else limit_of(expected, self._params)
        try:
            data = self._request(
                f"{link.url}/p2p/{PATHS[type(message)]}", encode(message), limit, ANSWER_SECONDS, {TOKEN: link.token}
            )
        except Unanswered as error:
            gone = error.status in (401, 403) and self._links.get(peer) is link
            reason = str(error)
            self._tell(lambda: self._lost(link, message, reason, gone))
            return
        if expected is None:
            return
        try:
            answer = decode(expected, data, self._params)
        except ChainError as error:
            said = f"an answer that is no {expected.__name__}: {error}"
            self._tell(lambda: self._if_current(link, lambda: self.peering.misbehaved(peer, said)))
            return
        self._tell(lambda: self._if_current(link, lambda: self.peering.on_message(peer, answer)))

    def _if_current(self, link: Link, do: Callable[[], None]) -> None:
        if self._links.get(link.peer) is link:
            do()

    def _lost(self, link: Link, message: Message, reason: str, gone: bool) -> None:
        if self._links.get(link.peer) is not link:
            return
        if gone:
            self.dropped(link.peer, reason)
            self.peering.disconnected(link.peer)
            self.peering.dial_failed(link.url, reason)
        else:
            self.peering.failed(link.peer, message)

    def _tell(self, do: Callable[[], None]) -> None:
        if not self._closed:
            self._post(do)

    def _greet(self, url: str, greeting: Greeting, seconds: float) -> Greeting:
        data = self._request(f"{url}/p2p/hello", schema.to_bytes(greeting), GREETING_BYTES, seconds, {})
        try:
            return schema.from_bytes(Greeting, data, GREETING_BYTES)
        except ChainError as error:
            raise Unanswered(f"it does not speak this protocol: {error}") from error

    def _request(self, url: str, body: bytes, limit: int, seconds: float, headers: dict[str, str]) -> bytes:
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
            most = limit if good else GREETING_BYTES
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
            raise Unanswered(f"{type(error).__name__}: {error}") from error
        finally:
            if response is not None:
                with contextlib.suppress(Exception):
                    response.close()


def _refusal(status: int, body: bytes) -> Unanswered:
    try:
        problem = json.loads(body)
        return Unanswered(f"{status}: {str(problem['detail'])[:300]}", status, str(problem.get("code", "")))
    except (ValueError, TypeError, KeyError, RecursionError):
        return Unanswered(f"status {status}", status)


def message_class(name: str) -> type[Message] | None:
    """The class of messages posted to ``/p2p/<name>``."""
    return NAMES.get(name)
