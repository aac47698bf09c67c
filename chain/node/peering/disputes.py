"""Peers that are final on another block than we are.

Two conflicting final blocks mean that more than a third of the validators' weight broke its rules, and the votes in
the two branches prove who.  So such a branch is fetched, although it can never be followed: the node that has seen
its votes knows the guilty, and stops (``ConflictingFinality``).  Only a fork above the lowest block that is kept in
memory can be looked at; a claim that the branch does not bear out is a broken rule like any other.
"""

from __future__ import annotations

from chain.node.core import Node
from chain.node.peering.peer import Peer
from chain.tree import Entry


def look(node: Node, peer: Peer) -> None:
    """Note whether the peer claims a final block that is not on our branch, as far as we are final ourselves."""
    final, height = peer.status.final, peer.status.final_height
    if height <= node.chain.final.height and peer.agreed != final:
        peer.disputes = node.branch_at(height) != final
        peer.agreed = None if peer.disputes else final


def fork_height(node: Node, entry: Entry) -> int:
    """Height of the last block that the branch of ``entry`` shares with the head's; of the lowest kept, without one."""
    at: Entry | None = entry
    while at is not None:
        here = node.chain.at_height(at.height)
        if here is not None and here.id == at.id:
            return at.height
        at = node.chain.entry(at.parent)
    return node.chain.lowest


def finals(node: Node, peer: Peer) -> dict[str, object]:
    """The two final blocks, for the log."""
    ours, its = node.chain.final, peer.status
    return {
        "peer": peer.id,
        "its_head": its.head,
        "its_final": f"{its.final_height} {its.final}",
        "our_final": f"{ours.height} {ours.id}",
    }
