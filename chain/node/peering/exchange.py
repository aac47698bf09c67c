"""Transactions that peers bring, and the comparison of what waits here and there.  Pure."""

from __future__ import annotations

from collections.abc import Callable

from chain.errors import ChainError, TransactionTooLarge, WrongNetwork
from chain.node.core import Node
from chain.node.interface import Receipt
from chain.node.peering.limits import Limits
from chain.node.peering.messages import (
    MAX_TRANSACTIONS,
    AskTransactions,
    Inventory,
    Offer,
    Request,
    Transactions,
)
from chain.node.peering.peer import Peer, Recent
from chain.params import Params
from chain.schema import Cid, Hash
from chain.transactions import Signed

#: Transactions remembered as refused, so that they are not asked for again and again.
REFUSED = 4096
#: Large transactions asked for at once.
FETCHED = 8


class Exchange:
    """What comes of peers' transactions."""

    def __init__(
        self,
        node: Node,
        limits: Limits,
        ask: Callable[[Peer, Request], bool],
        punish: Callable[[Peer, str], None],
    ) -> None:
        self._node, self._limits, self._ask, self._punish = node, limits, ask, punish
        self._refused = Recent(REFUSED)
        self._refused_until = 0
        self._fetching: dict[str, int] = {}
        """Large transactions that one peer is asked for, and until when others are not."""

    def on_transactions(
        self, peer: Peer, message: Transactions, asked: AskTransactions | None, now: int
    ) -> None:
        """Transactions have come: those asked for, or new ones."""
        items = message.transactions
        if len(items) > MAX_TRANSACTIONS:
            self._punish(peer, f"{len(items)} transactions, at most {MAX_TRANSACTIONS} are allowed")
            return
        if asked is None and not peer.given_transactions.take(now, len(items)):
            self._punish(peer, "too many transactions")
            return
        if asked is None and not peer.quota.transactions.take(now, len(items)):
            return
        peer.transactions.add(each.id for each in items)
        self._fetched(peer, asked, {each.id for each in items})
        if now >= self._refused_until:
            self._refused, self._refused_until = Recent(REFUSED), now + self._limits.refused_ms
        fresh = [each for each in items if each.id not in self._node.pool and each.id not in self._refused]
        for each in fresh:
            error = breaks_rule(each, self._node.params, self._node.chain.genesis_id)
            if error is not None:
                self._punish(peer, f"transaction {each.id}: {error.code}: {error}")
                return
        fresh = fresh[: self._room(peer)]
        if not fresh:
            return
        for each, answer in zip(fresh, self._node.receive_transactions(fresh), strict=True):
            if not isinstance(answer, Receipt):
                self._refused.add([each.id])
            elif answer.status == "pending":
                peer.quota.pending[each.id] = None

    def _room(self, peer: Peer) -> int:
        """How many more waiting transactions the peer may bring."""
        most, quota = self._limits.pending_per_peer, peer.quota
        if len(quota.pending) + MAX_TRANSACTIONS > most:
            quota.pending = {each: None for each in quota.pending if each in self._node.pool}
        return max(0, most - len(quota.pending))

    def on_inventory(self, peer: Peer, message: Inventory, now: int) -> None:
        """A page of what waits there has come."""
        peer.transactions.add(message.pending)
        unknown = tuple(dict.fromkeys(each for each in message.pending if self._unknown(each)))
        if unknown and self._room(peer):
            self._ask(peer, AskTransactions(unknown[: self._room(peer)]))
        peer.page = message.next
        if unknown and message.next:
            peer.next_inventory = now

    def _unknown(self, each: Cid) -> bool:
        return each not in self._node.pool and each not in self._refused and self._node.standing(each) is None

    def on_offer(self, peer: Peer, message: Offer, now: int) -> None:
        """It has large transactions for who wants them."""
        peer.transactions.add(message.ids)
        peer.offered.add(each for each in message.ids if self._unknown(each))
        self.fetch(peer, now)

    def fetch(self, peer: Peer, now: int) -> None:
        """Ask for some of what it has offered and nobody else is asked for."""
        if not len(peer.offered) or Transactions in peer.asked or not self._room(peer):
            return
        self._fetching = {each: until for each, until in self._fetching.items() if until > now}
        unknown = [Cid(each) for each in peer.offered if self._unknown(Cid(each))]
        peer.offered.discard(set(peer.offered) - set(unknown))
        wanted = tuple(each for each in unknown if each not in self._fetching)[:FETCHED]
        if wanted and self._ask(peer, AskTransactions(wanted)):
            self._fetching.update(dict.fromkeys(wanted, now + self._limits.answer_ms))
            peer.offered.discard(wanted)

    def _fetched(self, peer: Peer, asked: AskTransactions | None, came: set[Cid]) -> None:
        """What was asked for and did not fit into the answer is asked for again; an empty answer has nothing."""
        for each in () if asked is None else asked.ids:
            if self._fetching.pop(each, None) is not None and came and each not in came:
                peer.offered.add([each])


def breaks_rule(signed: Signed, params: Params, genesis: Hash) -> ChainError | None:
    """What is wrong with a transaction whatever the state and the time: no honest node sends it on."""
    limit = params.transaction_limit(signed.body.kind)
    if len(signed.data) > limit:
        return TransactionTooLarge(f"at most {limit} bytes for {signed.body.kind}", str(len(signed.data)))
    if signed.body.genesis != genesis:
        return WrongNetwork(f"the genesis {genesis}", signed.body.genesis, "body.genesis")
    try:
        signed.payload.check(params)
        signed.verify()
    except ChainError as error:
        return error
    return None
