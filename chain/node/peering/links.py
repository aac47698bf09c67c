"""Connections over HTTP, seen from the side that asks: who is at which address, and threads that post.

There is no identity but an address that answers. A greeting carries a token by which the greeted may address
the greeter; the greeted calls back to the address it was given, shows that token, and only when it is known
there and was meant for itself does it believe the address. Messages carry the token that their receiver gave,
so nobody can speak, or misbehave, in another's name.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from chain import schema
from chain.errors import ChainError
from chain.node.peering.codec import NAMES, PATHS, decode, encode, limit_of
from chain.node.peering.messages import ANSWERS, Answer, Hello, Message, Request, host_of
from chain.node.peering.peer import PeerRefused
from chain.node.peering.pool import Pool
from chain.node.peering.posting import Poster, Unanswered
from chain.node.peering.protocol import Peering
from chain.params import Params
from chain.schema import Text
from runtime.logs import get_logger

#: Header with the token that the receiver gave.
TOKEN = "Assay-Peer"  # noqa: S105 - the name of a header
#: Messages under way to one peer, and messages that wait for it.
UNDER_WAY = 3
WAITING = 256
#: Threads that post, at most: slow peers, if most of them are, hold up nobody but themselves.
THREADS = 64 * UNDER_WAY
#: Threads that greet the addresses that are due: those where nobody answers must not hold up messages.
DIALLING = 8
#: Seconds for all of an answer.
ANSWER_SECONDS = 14.0
#: Seconds that a greeting's way back may take; it is waited for within a greeting.
CALLBACK_SECONDS = 3.0
#: Tokens of one peer that are still good: both sides may greet at the same time.
TOKENS = 4
#: Greetings of nodes that cannot be reached, remembered until they say something.
SILENT = 256
#: Requests that may wait at a time for the answer to a greeting of ours.
WAITERS = 8
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
    newcomer: Newcomer | None = None
    """It was greeted, cannot be reached, and has not said anything yet."""


@dataclass(frozen=True)
class Newcomer:
    """Who greeted, and from where."""

    who: str
    hello: Hello
    host: str


class Links:
    """All connections of a node.

    ``post`` hands something to the writer's thread; :meth:`send` and :meth:`dropped` are called there, by the
    node's :class:`Peering`.
    """

    def __init__(self, post: Callable[[Callable[[], None]], None], params: Params) -> None:
        self._post, self._params = post, params
        self._pool, self._dialler = Pool(THREADS), Pool(DIALLING)
        self._poster = Poster()
        self._lock = threading.Condition()
        self._links: dict[str, Link] = {}
        self._by_token: dict[str, Link] = {}
        self._silent: OrderedDict[str, Link] = OrderedDict()
        self._waiters = 0
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

    def answer(self, link: Link, request: Request) -> Answer | None:
        """What the node answers; None: nothing, the peer is no longer one.  Raises PeerRefused."""
        self._reply, self._replied = (link.peer, ANSWERS[type(request)]), None
        try:
            self.told(link, request)
            return self._replied
        finally:
            self._reply = self._replied = None

    def told(self, link: Link, message: Message) -> None:
        """A peer says something.  Raises PeerRefused where that is the first thing it says, and there is no room."""
        self._heard(link)
        self.peering.on_message(link.peer, message)

    def misbehaved(self, link: Link, reason: str) -> None:
        """A peer says what is no message.  Raises PeerRefused as :meth:`told` does."""
        self._heard(link)
        self.peering.misbehaved(link.peer, reason)

    def _heard(self, link: Link) -> None:
        newcomer, link.newcomer = link.newcomer, None
        if newcomer is not None:
            with self._lock:
                self._silent.pop(link.peer, None)
                self._links[link.peer] = link
            self._connected(link.peer, newcomer, reachable=False)

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
            self._dialler.submit(lambda url=url: self._dial(url))  # type: ignore[misc]

    def next_time(self) -> int | None:
        """When an address becomes due, in milliseconds."""
        return self.peering.next_dial(frozenset(self._busy))

    def register(self, url: str, newcomer: Newcomer, token: str, given: str, *, dialled: bool = False) -> None:
        """A handshake with a node that is reached is done: ``token`` is what it gave, ``given`` what it got.

        Raises PeerRefused.
        """
        hello = newcomer.hello
        with self._lock:
            link = self._links.get(url)
            known = link is not None and link.node == hello.node and url in self.peering.peers
            if link is None or not known:
                for old in [] if link is None else link.tokens:
                    self._by_token.pop(old, None)
                link = self._links[url] = Link(url, url, hello.node, token, [])
            link.token = token
            link.tokens.append(given)
            self._by_token[given] = link
            self._lock.notify_all()
            while len(link.tokens) > TOKENS:
                self._by_token.pop(link.tokens.pop(0), None)
        if known:
            self.peering.check(hello, newcomer.who)
        else:
            self._connected(url, newcomer, dialled=dialled)

    def _connected(self, peer: str, newcomer: Newcomer, *, reachable: bool = True, dialled: bool = False) -> None:
        try:
            self.peering.connected(
                peer, newcomer.hello, who=newcomer.who, reachable=reachable, host=newcomer.host, dialled=dialled
            )
        except PeerRefused as refused:
            self.dropped(peer, str(refused))
            raise

    def expect(self, newcomer: Newcomer, given: str) -> None:
        """A node that cannot be reached has greeted; it is a peer once it says something.  Raises PeerRefused.

        It may have given up waiting for our answer, and greeted again: then it never will.
        """
        self.peering.check(newcomer.hello, newcomer.who)
        link = Link(f"{newcomer.host}/{given[:8]}", "", newcomer.hello.node, "", [given], newcomer=newcomer)
        with self._lock:
            self._silent[link.peer] = self._by_token[given] = link
            while len(self._silent) > SILENT:
                for token in self._silent.popitem(last=False)[1].tokens:
                    self._by_token.pop(token, None)

    # ------------------------------------------------------------------ any thread

    def by_token(self, token: str) -> Link | None:
        """Whose token this is.

        Who was greeted may use it before the answer to the greeting has arrived here; that is waited for.
        """
        with self._lock:
            if token in self._dialling and self._waiters < WAITERS:
                self._waiters += 1
                self._lock.wait_for(lambda: token not in self._dialling, CALLBACK_SECONDS)
                self._waiters -= 1
            return self._by_token.get(token)

    def was_meant_for(self, token: str, url: str) -> bool:
        """Whether this token went with a greeting to ``url`` that is under way."""
        with self._lock:
            return url != "" and self._dialling.get(token) == url

    def call_back(self, hello: Hello, token: str, given: str) -> bool:
        """Whether the node that greeted is at the address it names.

        It answers only to the address that it greeted. Who names none cannot show to be that one, and does not ask.
        """
        if not hello.url or not self.peering.url or hello.url == self.peering.url:
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
        self._dialler.close()
        self._poster.close()

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
            self.register(url, Newcomer(url, found.hello, host_of(url)), found.token, token, dialled=True)
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
            data = self._poster.post(
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
        data = self._poster.post(f"{url}/p2p/hello", schema.to_bytes(greeting), GREETING_BYTES, seconds, {})
        try:
            return schema.from_bytes(Greeting, data, GREETING_BYTES)
        except ChainError as error:
            raise Unanswered(f"it does not speak this protocol: {error}") from error


def message_class(name: str) -> type[Message] | None:
    """The class of messages posted to ``/p2p/<name>``."""
    return NAMES.get(name)
