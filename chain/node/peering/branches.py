"""Which branches of peers are worth their bodies, and how far along one a peer can help.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from chain.node.core import Node
from chain.node.peering.headers import HeaderTree, Pending
from chain.node.peering.messages import MAX_HEADERS, Status
from chain.node.peering.peer import Peer
from chain.schema import Hash

#: Branches that are downloaded at a time.
MAX_BRANCHES = 4


def tips(node: Node, tree: HeaderTree, peers: Iterable[Peer], ours: Status, turn: int) -> list[Hash]:
    """The ends of the branches to download, the best first, of peers that claim one that we would take.

    What is claimed costs nothing and shows only when bodies come; so the last place goes round, by ``turn``, among
    those that claim less.
    """
    found: dict[Hash, tuple[int, int, int]] = {}
    for peer in peers:
        pending = None if peer.best is None else tree.get(peer.best)
        if pending is None:
            continue
        claimed = peer.status.justified_height
        shown = peer.disputes or pending.work >= node.head.work or claimed > ours.justified_height
        if shown or tree.room(peer.id) < MAX_HEADERS:
            key = (claimed, pending.work, -int(pending.id, 16))
            found[pending.id] = max(found.get(pending.id, key), key)
    best = sorted(found, key=found.__getitem__, reverse=True)
    rest = best[MAX_BRANCHES - 1 :]
    return [*best[: MAX_BRANCHES - 1], *([rest[turn % len(rest)]] if rest else [])]


def reach_of(tree: HeaderTree, peer: Peer, place: Mapping[Hash, int]) -> int:
    """How far along a path the peer's branch goes; -1: not at all."""
    at: Pending | None = None if peer.best is None else tree.get(peer.best)
    while at is not None:
        if at.id in place:
            return place[at.id]
        at = tree.get(at.header.parent)
    return -1
