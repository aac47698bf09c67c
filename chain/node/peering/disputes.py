"""Peers that are final on another block than we are.

Two conflicting final blocks mean that more than a third of the validators' weight broke its rules, and the votes in
the two branches prove who.  So such a branch is fetched, although it can never be followed: the node that has seen
its votes knows the guilty, and stops (``ConflictingFinality``).  Only a fork above the lowest block that is kept in
memory can be looked at; a claim that the branch does not bear out is a broken rule like any other.
"""

from __future__ import annotations

from chain.blocks import Block
from chain.node.core import Node
from chain.node.peering import serving
from chain.node.peering.messages import MAX_BODIES, MAX_HEADERS, AskBlocks, Blocks, Headers, Message
from chain.node.peering.peer import Peer
from chain.schema import Hash
from chain.tree import Entry

#: Messages with blocks of the other branch that are told; each has up to 2 MiB.
PROOF_MESSAGES = 16


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


def proof(node: Node, conflict: Block | None) -> list[Message]:
    """What has peers of either side see that two branches are final, for those that follow ours and the others.

    The bodies of the branch that ends in ``conflict``, which is not here but its parent is, and the headers of our own,
    whose bodies are asked for. Without a block only the latter.
    """
    messages: list[Message] = []
    fork = node.chain.lowest
    at = None if conflict is None else node.chain.entry(conflict.header.parent)
    if conflict is not None and at is not None:
        fork, ids = fork_height(node, at), list[Hash]()
        while at is not None and at.height > fork:
            ids.append(at.id)
            at = node.chain.entry(at.parent)
        ids.reverse()
        while ids and len(messages) < PROOF_MESSAGES:
            found = serving.blocks(node, AskBlocks(tuple(ids[:MAX_BODIES])))
            if not found.blocks:
                break
            messages.append(found)
            ids = ids[len(found.blocks) :]
        messages.append(Blocks((conflict,)))
    status = serving.status_of(node.chain, node.head)
    return [*messages, Headers(status, node.headers(fork, MAX_HEADERS))]


def finals(node: Node, peer: Peer) -> dict[str, object]:
    """The two final blocks, for the log."""
    ours, its = node.chain.final, peer.status
    return {
        "peer": peer.id,
        "its_head": its.head,
        "its_final": f"{its.final_height} {its.final}",
        "our_final": f"{ours.height} {ours.id}",
    }
