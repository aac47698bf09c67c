"""Headers whose bodies have not come yet: checked against all header rules, in bounded number.  Pure."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from chain import work
from chain.blocks import Header, check_header, is_early
from chain.errors import BadParent
from chain.node.core import Node
from chain.node.peering.disputes import fork_height
from chain.schema import Hash
from chain.tree import Entry


@dataclass(frozen=True)
class Pending:
    """A valid header of a block that is not here."""

    header: Header
    height: int
    work: int
    """Of the branch from genesis up to and with it."""
    recent: tuple[Header, ...]
    """What the next block's target follows from (:func:`chain.work.window`)."""
    owner: str
    """The peer that brought it first."""

    @property
    def id(self) -> Hash:
        """The block's id."""
        return self.header.id


@dataclass(frozen=True)
class Added:
    """What became of a run of headers."""

    tip: Hash | None
    """The last of them that is known now, here or in the chain; None where none is."""
    early_ms: int = 0
    """Milliseconds until the one after the tip is no longer early here, where it is."""
    unconnected: bool = False
    """Nothing is known of the first one's parent."""
    behind_final: bool = False
    """They leave the chain below the last final block."""
    disputed: bool = False
    """They do, and are said to have a final block of their own."""


class HeaderTree:
    """Headers above the blocks that a node has."""

    def __init__(self, node: Node, per_peer: int) -> None:
        self._node, self._per_peer = node, per_peer
        self._pending: dict[Hash, Pending] = {}
        self._children: dict[Hash, list[Hash]] = {}
        self._owned: dict[str, int] = {}
        self._final: Hash | None = None
        self._disputed: set[Hash] = set()
        """Blocks here below the final one, from which branches are taken whose peers claim that they are final."""

    def __len__(self) -> int:
        return len(self._pending)

    def __contains__(self, block: str) -> bool:
        return block in self._pending

    def get(self, block: str) -> Pending | None:
        """The header of a block that is not here."""
        return self._pending.get(Hash(block))

    def room(self, peer: str) -> int:
        """Headers that ``peer`` may still bring."""
        return max(0, self._per_peer - self._owned.get(peer, 0))

    def add(self, headers: Sequence[Header], peer: str, now: int, claimed: int = 0) -> Added:
        """Check headers, each the parent of the next, and keep those that are new.

        ``claimed``: the height of the block on their branch that the peer says is final. A branch that leaves ours
        below our last final block is refused, unless it claims a final block of its own above the fork: then the
        votes on it prove who lied, and somebody has to see them.

        Raises InvalidBlock for one that breaks a rule; what came before it is kept.
        """
        for before, after in itertools.pairwise(headers):
            if after.parent != before.id:
                raise BadParent(before.id, after.parent, "header.parent")
        tip: Hash | None = None
        start = 0
        for header in headers:
            if header.id not in self._pending and self._node.chain.entry(header.id) is None:
                break
            tip = header.id
            start += 1
        rest = headers[start:]
        if not rest:
            return Added(tip)
        parent = self._parent(rest[0].parent)
        if parent is None:
            if self._node.header(rest[0].parent) is None:
                return Added(tip, unconnected=True)
            return Added(tip, behind_final=True)
        if isinstance(parent, Entry) and not self._node.chain.holds_final(parent):
            if claimed <= fork_height(self._node, parent):
                return Added(tip, behind_final=True)
            self._disputed.add(parent.id)
            return replace(self._append(rest, parent, peer, now), disputed=True)
        return self._append(rest, parent, peer, now)

    def _append(self, headers: Sequence[Header], parent: Entry | Pending, peer: str, now: int) -> Added:
        before = parent.block.header if isinstance(parent, Entry) else parent.header
        height, total = parent.height, parent.work
        tip = before.id
        params = self._node.params
        recent = parent.recent
        for header in headers:
            if is_early(header, params, now):
                return Added(tip, header.time - params.max_future_ms - now)
            check_header(header, before, work.next_target(params, recent))
            height, total = height + 1, total + work.work_of(header.target)
            recent = work.window(params, recent, header)
            if header.id not in self._pending:
                if not self.room(peer):
                    return Added(tip)
                self._put(Pending(header, height, total, recent, peer))
            before, tip = header, header.id
        return Added(tip)

    def path(self, tip: str) -> list[Pending]:
        """Headers from the first whose parent is here up to ``tip``, lowest first; empty where that is gone."""
        found: list[Pending] = []
        at = self._pending.get(Hash(tip))
        while at is not None:
            found.append(at)
            parent = at.header.parent
            at = self._pending.get(parent)
            if at is None and self._node.chain.entry(parent) is None:
                return []
        return found[::-1]

    def _parent(self, block: Hash) -> Entry | Pending | None:
        pending = self._pending.get(block)
        return self._node.chain.entry(block) if pending is None else pending

    def _put(self, pending: Pending) -> None:
        self._pending[pending.id] = pending
        self._children.setdefault(pending.header.parent, []).append(pending.id)
        self._owned[pending.owner] = self._owned.get(pending.owner, 0) + 1

    def forget(self, block: str) -> None:
        """The block has come: it is the chain's now."""
        pending = self._pending.pop(Hash(block), None)
        if pending is None:
            return
        self._count(pending)
        siblings = self._children[pending.header.parent]
        siblings.remove(pending.id)
        if not siblings:
            del self._children[pending.header.parent]

    def cut(self, block: str) -> set[Hash]:
        """Drop a header and all that follow it; their ids."""
        gone: set[Hash] = set()
        left = [Hash(block)]
        while left:
            each = left.pop()
            left.extend(self._children.get(each, ()))
            gone.add(each)
        for each in gone:
            self.forget(each)
        return gone

    def prune(self, wanted: Iterable[str], dead: Callable[[str], bool]) -> None:
        """Drop what can no longer become part of the chain, or what no peer has any more.

        ``wanted``: the tips of the peers' branches. ``dead``: whether a peer is gone.
        """
        final = self._node.chain.final.id
        if final != self._final:
            self._final = final
            for root in [r for r in self._children if r not in self._pending]:
                entry = self._node.chain.entry(root)
                if entry is not None and root in self._disputed:
                    continue
                self._disputed.discard(root)
                if entry is None or not self._node.chain.holds_final(entry):
                    for child in list(self._children.get(root, ())):
                        self.cut(child)
        if not any(dead(owner) for owner in self._owned):
            return
        kept: set[Hash] = set()
        for tip in wanted:
            at = self._pending.get(Hash(tip))
            while at is not None and at.id not in kept:
                kept.add(at.id)
                at = self._pending.get(at.header.parent)
        for pending in list(self._pending.values()):
            if pending.id not in kept and dead(pending.owner):
                self.forget(pending.id)

    def _count(self, pending: Pending) -> None:
        left = self._owned[pending.owner] - 1
        if left:
            self._owned[pending.owner] = left
        else:
            del self._owned[pending.owner]
