"""The protocol between nodes, without sockets, threads, clock or randomness of its own.

One :class:`Peering` belongs to one node and is called from one thread, the node's writer.  ``send`` must not
call back before the call that sends has returned.  Whoever breaks a rule is dropped at once and refused for a
while, with the reason in the log; who is late, slow, of another opinion or on another branch is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chain.blocks import Block
from chain.errors import ChainError
from chain.node.core import Node
from chain.node.interface import Clock
from chain.node.peering import disputes, serving
from chain.node.peering.book import Book, Rng
from chain.node.peering.dialling import Dialling
from chain.node.peering.exchange import Exchange
from chain.node.peering.gossip import Gossip, Send
from chain.node.peering.limits import Limits
from chain.node.peering.messages import (
    ANSWERS,
    MAX_ADDRESSES,
    MAX_BODIES,
    MAX_HEADERS,
    VERSION,
    Answer,
    AskBlocks,
    AskHeaders,
    AskInventory,
    AskPeers,
    AskTransactions,
    Blocks,
    Headers,
    Hello,
    Inventory,
    Message,
    Offer,
    Peers,
    Request,
    Transactions,
)
from chain.node.peering.outside import Dropped, Log, nobody, quiet
from chain.node.peering.peer import Asked, Peer, PeerRefused, PeerView
from chain.node.peering.quota import Quotas, cost_of, size_of
from chain.node.peering.slots import who_leaves
from chain.node.peering.sync import Sync
from chain.transactions import Signed

#: Requests in a row without an answer after which a connection is given up.
MAX_FAILURES = 3
#: Shortest time between two rounds of what recurs.
TICK_MS = 20


class Peering(Dialling):
    """A node's side of the protocol; also the transport through which the node says what is new."""

    def __init__(
        self,
        node: Node,
        clock: Clock,
        send: Send,
        rng: Rng,
        *,
        limits: Limits | None = None,
        url: str = "",
        seeds: Iterable[str] = (),
        dropped: Dropped = nobody,
        log: Log = quiet,
        warn: Log = quiet,
    ) -> None:
        """Becomes ``node.transport``.

        ``clock``: for waits; one that is never set back, or they last as long as it was.
        ``url``: where others reach this node, empty: nowhere. ``seeds``: addresses to begin with, tried for ever.
        """
        limits = limits or Limits()
        super().__init__(Book(limits, rng), limits, clock, url)
        self.node = node
        self._send, self._dropped, self._log, self._warn = send, dropped, log, warn
        self.name = f"{rng.getrandbits(128):032x}"
        """Random for each run; how the node knows itself."""
        for each in seeds:
            self.add(each)
        self.sync = Sync(node, self.limits, self.peers, self._ask, self._punish, warn)
        self._gossip = Gossip(node, self.limits, self.peers, send, self.sync.status)
        self._exchange = Exchange(node, self.limits, self._ask, self._punish)
        self._quotas = Quotas(limits)
        self._last_tick = 0
        self._parting = False
        self._rng = rng
        node.transport = self

    # ------------------------------------------------------------------ connections

    def hello(self) -> Hello:
        """What this node says first."""
        return Hello(VERSION, self.node.chain.genesis_id, self.name, self.url, self.sync.status())

    def check(self, hello: Hello, who: str) -> None:
        """Raises :class:`PeerRefused` unless a connection with this peer is possible."""
        refusal = self.book.refusal(who, self._clock())
        if refusal is not None:
            raise PeerRefused("discouraged", f"refused for a while: {refusal.reason}")
        if hello.version != VERSION:
            raise PeerRefused("other_version", f"expected protocol version {VERSION}, came {hello.version}")
        genesis = self.node.chain.genesis_id
        if hello.genesis != genesis:
            raise PeerRefused("other_genesis", f"expected the network of genesis {genesis}, came {hello.genesis}")
        if hello.node == self.name:
            raise PeerRefused("itself", "the node at the other end is this one")

    def connected(
        self,
        peer_id: str,
        hello: Hello,
        *,
        who: str | None = None,
        reachable: bool = True,
        host: str | None = None,
        dialled: bool = False,
    ) -> None:
        """A peer is there.  Raises :class:`PeerRefused`.

        ``who``: the name under which it is refused should it break a rule, by default ``peer_id``.
        ``reachable``: whether messages can be sent to it; if not, it only asks.
        ``host``: where it is, by default a place of its own. ``dialled``: we asked it, not it us.
        """
        now = self._clock()
        self.check(hello, peer_id if who is None else who)
        if peer_id in self.peers:
            self.disconnected(peer_id)
        host = host or peer_id
        quota = self._quotas.of(peer_id if reachable else f"from {host}", now)
        peer = Peer(peer_id, who or peer_id, hello, self.limits, now, reachable, host, quota, dialled)
        if not self._keeps(peer):
            leaving = who_leaves([each for each in self.peers.values() if not self._keeps(each)], peer, self.limits)
            if leaving is not None:
                self._end(leaving, "its host has the most places of all, and somebody else wants one")
        peer.next_addresses = now if hello.url else now + self.limits.addresses_ms
        # Not all at the same time.
        peer.next_inventory = now + self._rng.randrange(self.limits.inventory_ms // 4 + 1)
        self.peers[peer_id] = peer
        if hello.url and reachable:
            self.book.answered(hello.url)
        self._log("peer connected", peer=peer_id, height=hello.status.height, reachable=reachable)
        if self.sync.learn(peer, hello.status):
            self.sync.want_headers(peer, now)
            if peer.id in self.peers:
                self._compare(peer, now)

    def _keeps(self, peer: Peer) -> bool:
        """Whether it has its place whoever else wants one: we chose it, or an operator did."""
        return peer.dialled or (peer.reachable and self.book.trusts(peer.id))

    def disconnected(self, peer_id: str) -> None:
        """A peer is there no more."""
        peer = self.peers.pop(peer_id, None)
        if peer is not None:
            self.sync.gone(peer)
            self._log("peer disconnected", peer=peer_id)
            self.sync.pump(self._clock())

    def misbehaved(self, peer_id: str, reason: str) -> None:
        """The transport saw a peer break a rule (bytes that are no message, or too many)."""
        peer = self.peers.get(peer_id)
        if peer is not None:
            self._punish(peer, reason)

    def _punish(self, peer: Peer, reason: str) -> None:
        if self.peers.get(peer.id) is not peer:
            return
        self.book.discourage(peer.who, self._clock(), reason)
        self._warn("peer discouraged", peer=peer.id, who=peer.who, reason=reason)
        self._end(peer, reason)

    def _end(self, peer: Peer, reason: str) -> None:
        self.peers.pop(peer.id, None)
        self.sync.gone(peer)
        self._dropped(peer.id, reason)

    def remove(self, url: str) -> bool:
        """An operator wants no connection with it: its address is forgotten; whether it was known."""
        known = self.book.remove(url)
        peer = self.peers.get(url)
        if peer is not None:
            self._end(peer, "the operator removed it")
        return known or peer is not None

    def overview(self) -> list[PeerView]:
        """The peers, for operators."""
        return [peer.view() for peer in list(self.peers.values())]

    # ------------------------------------------------------------------ what comes in

    def on_message(self, peer_id: str, message: Message) -> None:
        """A peer says something.  Raises what ``Node.receive_block`` raises, and the store's errors.

        A request that is one too many for now is not answered.
        """
        peer = self.peers.get(peer_id)
        if peer is None or (self._parting and not isinstance(message, Request)):
            return
        now = peer.heard = self._clock()
        asked = None if isinstance(message, Request | Offer) else peer.answered(message)
        if asked is None:
            cost = cost_of(message)
            if not peer.given.take(now, cost):
                self._punish(peer, "too many messages")
                return
            if not peer.quota.messages.take(now, cost):
                return
        if isinstance(message, Request):
            if peer.quota.answered.take(now, 0):
                answer = self._answer(peer, message, now)
                peer.quota.answered.give(-size_of(answer))
                self._send(peer_id, answer)
            return
        try:
            self._take(peer, message, asked, now)
        except ChainError as error:
            if error.code == "conflicting_finality":
                raise
            self._punish(peer, f"{type(message).__name__}: {error.code}: {error}")
        if isinstance(message, (Headers, Blocks, Inventory)):
            self._go_on(now)

    def _take(self, peer: Peer, message: Answer | Offer, asked: Request | None, now: int) -> None:
        if isinstance(message, Headers):
            if len(message.headers) > MAX_HEADERS:
                self._punish(peer, f"{len(message.headers)} headers, at most {MAX_HEADERS} are allowed")
                return
            self.sync.on_headers(peer, message, asked is not None, now)
        elif isinstance(message, Blocks):
            if len(message.blocks) > MAX_BODIES:
                self._punish(peer, f"{len(message.blocks)} blocks, at most {MAX_BODIES} are allowed")
                return
            blocks = message.read(self.node.params.max_block_bytes)
            wanted = asked if isinstance(asked, AskBlocks) else None
            if wanted is not None and not {block.id for block in blocks} <= set(wanted.ids):
                self._punish(peer, "an answer with blocks it was not asked for")
                return
            self.sync.on_blocks(peer, blocks, wanted, now)
        elif isinstance(message, Transactions):
            wanted_ones = asked if isinstance(asked, AskTransactions) else None
            self._exchange.on_transactions(peer, message, wanted_ones, now)
            self._exchange.fetch(peer, now)
        elif isinstance(message, Offer):
            self._exchange.on_offer(peer, message, now)
        elif asked is None:
            return  # the answer to what was given up
        elif isinstance(message, Inventory):
            if self.sync.learn(peer, message.status):
                self.sync.want_headers(peer, now)
                self._exchange.on_inventory(peer, message, now)
        else:
            for url in message.urls[:MAX_ADDRESSES]:
                if url and url != self.url:
                    self.book.add(url)

    def _answer(self, peer: Peer, message: Request, now: int) -> Answer:
        if isinstance(message, AskPeers):
            return Peers(self.book.sample(MAX_ADDRESSES, peer.hello.url))
        if isinstance(message, AskInventory) and self.sync.learn(peer, message.status):
            self.sync.want_headers(peer, now)
        return serving.answer(self.node, message)

    def failed(self, peer_id: str, message: Message) -> None:
        """The transport could not deliver ``message``, or got no answer to it."""
        peer = self.peers.get(peer_id)
        if peer is None:
            return
        now = self._clock()
        asked = peer.asked.get(ANSWERS[type(message)]) if isinstance(message, Request) else None
        if asked is not None and asked.request is message:
            self._give_up(peer, asked, now)
        elif not isinstance(message, Request):
            self._count_failure(peer, now)
        self._go_on(now)

    def _give_up(self, peer: Peer, asked: Asked, now: int) -> None:
        del peer.asked[ANSWERS[type(asked.request)]]
        if isinstance(asked.request, AskBlocks):
            self.sync.given_up(peer, asked.request, now)
        elif isinstance(asked.request, AskHeaders):
            peer.headers_at = now + self.limits.redial_ms
        self._count_failure(peer, now)

    def _count_failure(self, peer: Peer, now: int) -> None:
        peer.failures += 1
        if peer.failures >= MAX_FAILURES:
            self._log("peer does not answer", peer=peer.id)
            self.book.failed(peer.hello.url, now, "it does not answer")
            self._end(peer, "it does not answer")

    # ------------------------------------------------------------------ what is new here (Transport)

    def transactions(self, signed: Sequence[Signed]) -> None:
        """The node has these now, on its disk."""
        self._gossip.transactions(signed, self._clock())

    def blocks(self, blocks: Sequence[Block]) -> None:
        """The node has these now, on its disk; those on the head's branch are told."""
        for block in blocks:
            self.sync.came(block.id)
        self._gossip.blocks(blocks, self._clock())

    def part(self) -> None:
        """Two branches are final, and the node stops: show that to the peers, which may not have seen it yet.

        From now on it takes nothing, and answers until it is gone.
        """
        self._parting = True
        shown = disputes.proof(self.node, self.sync.conflict)
        for peer in self.peers.values():
            for message in shown if peer.reachable else ():
                self._send(peer.id, message)

    def _ask(self, peer: Peer, request: Request) -> bool:
        """Send a request, one of each kind at a time; False where that has to wait."""
        now = self._clock()
        kind = ANSWERS[type(request)]
        if not peer.reachable or kind in peer.asked or self.peers.get(peer.id) is not peer:
            return False
        if not peer.sent.take(now, cost_of(request)):
            return False
        peer.asked[kind] = Asked(request, now + self.limits.answer_ms)
        self._send(peer.id, request)
        return True

    # ------------------------------------------------------------------ time

    def _go_on(self, now: int) -> None:
        """Ask for what comes next, then apply what has come."""
        if self._parting:
            return
        self.sync.pump(now)
        self.sync.apply(now)
        for peer in list(self.peers.values()):
            self.sync.want_headers(peer, now)
            self._exchange.fetch(peer, now)
        self.sync.pump(now)

    def on_time(self) -> None:
        """Do what is due.  Raises as :meth:`on_message` does."""
        now = self._clock()
        self._last_tick = now
        for peer in list(self.peers.values()):
            for asked in list(peer.asked.values()):
                if asked.deadline <= now and self.peers.get(peer.id) is peer:
                    self._give_up(peer, asked, now)
            if self.peers.get(peer.id) is not peer:
                continue
            if not peer.reachable and peer.heard + self.limits.silent_ms <= now:
                self._end(peer, "it was not heard of for a while")
                continue
            if peer.next_inventory <= now:
                self._compare(peer, now)
            if peer.next_addresses <= now:
                peer.next_addresses = now + self.limits.addresses_ms
                self._ask(peer, AskPeers())
        self.sync.prune()
        self._go_on(now)
        self._gossip.tell(now)

    def _compare(self, peer: Peer, now: int) -> None:
        peer.next_inventory = now + self.limits.inventory_ms
        self._ask(peer, AskInventory(self.sync.status(), peer.page))

    def next_time(self) -> int | None:
        """When :meth:`on_time` has something to do, in milliseconds; None: not before something comes."""
        if self._parting:
            return None
        if self.sync.ready:
            return self._last_tick
        times: list[int] = []
        stalled = self.sync.next_time()
        if stalled is not None:
            times.append(stalled)
        for peer in self.peers.values():
            times += [peer.next_inventory, peer.next_addresses]
            if not peer.reachable:
                times.append(peer.heard + self.limits.silent_ms)
            times += [asked.deadline for asked in peer.asked.values()]
            if peer.queue or peer.fresh:
                times.append(peer.next_gossip)
            if peer.headers_at > self._last_tick:
                times.append(peer.headers_at)
        found = min(times, default=None)
        return None if found is None else max(found, self._last_tick + TICK_MS)
