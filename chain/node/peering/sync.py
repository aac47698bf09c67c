"""Getting the best branch from peers: headers first, then bodies from several peers at a time.  Pure.

A branch is downloaded when a peer claims one that our choice between branches would take, its headers follow
all rules and show at least our work (or the claim is of a higher justified block, which headers cannot show;
or there is no room for more headers before bodies come).  It must contain our last final block.  A claim that
its own blocks do not bear out is a broken rule.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from chain import work
from chain.blocks import Block
from chain.errors import BadParent, BadRoot, ChainError, ConflictingFinality, InvalidBlock
from chain.node.core import Node
from chain.node.peering.branches import reach_of, tips
from chain.node.peering.disputes import finals, look
from chain.node.peering.headers import HeaderTree, Pending
from chain.node.peering.limits import Limits
from chain.node.peering.messages import (
    MAX_BODIES,
    MAX_HEADERS,
    AskBlocks,
    AskHeaders,
    Blocks,
    Headers,
    Request,
    Status,
)
from chain.node.peering.outside import Log
from chain.node.peering.peer import Peer
from chain.node.peering.quota import forks_off, weight_of
from chain.node.peering.serving import locator, rank_of, status_of
from chain.schema import Hash
from chain.tree import Kind

#: Blocks applied before other messages have their turn.
MAX_APPLIED = 16
#: Answers that connect with nothing, before they count as a broken rule.
MAX_UNCONNECTED = 8


class Sync:
    """Headers and bodies on their way here."""

    def __init__(
        self,
        node: Node,
        limits: Limits,
        peers: Mapping[str, Peer],
        ask: Callable[[Peer, Request], bool],
        punish: Callable[[Peer, str], None],
        log: Log,
    ) -> None:
        self._node, self._limits, self._peers = node, limits, peers
        self._ask, self._punish, self._log = ask, punish, log
        self.tree = HeaderTree(node, limits.headers_per_peer)
        self._arrived: dict[Hash, tuple[Block, str]] = {}
        self._size = 0
        self._flight: dict[Hash, tuple[str, int]] = {}
        self._status: Status | None = None
        self.conflict: Block | None = None
        """The block that showed that two branches are final."""

    # ------------------------------------------------------------------ where we are

    def status(self) -> Status:
        """Our own."""
        head = self._node.head
        if self._status is None or self._status.head != head.id:
            self._status = status_of(self._node.chain, head)
        return self._status

    @property
    def held(self) -> tuple[int, int]:
        """Bodies that wait for those before them, and their bytes."""
        return len(self._arrived), self._size

    def behind(self, peer: Peer) -> bool:
        """Whether the peer claims a branch that we would take."""
        if self._node.chain.entry(peer.status.head) is not None:
            return False
        return peer.disputes or rank_of(peer.status) > rank_of(self.status())

    # ------------------------------------------------------------------ headers

    def learn(self, peer: Peer, status: Status) -> bool:
        """Take note of where a peer says it is; False where that is a lie, and the peer is gone."""
        peer.status = status
        look(self._node, peer)
        entry = self._node.chain.entry(status.head)
        if entry is not None:
            true = status_of(self._node.chain, entry)
            names = ("height", "work", "justified_height", "final_height")
            for name in names if entry.height else ():
                if getattr(true, name) != getattr(status, name):
                    said = f"it claims {name} {getattr(status, name)} of block {status.head}"
                    self._punish(peer, f"{said}, whose {name} is {getattr(true, name)}")
                    return False
        return True

    def want_headers(self, peer: Peer, now: int) -> None:
        """Ask for headers where the peer has a branch that we want and do not know to its end."""
        if Headers in peer.asked or peer.headers_at > now or not self.behind(peer):
            return
        if peer.status.head in self.tree:
            peer.best = peer.status.head
            return
        if self.tree.room(peer.id) < MAX_HEADERS and self.tree.room(peer.id) < self._limits.headers_per_peer:
            return  # more when bodies have come
        self.ask_headers(peer)

    def ask_headers(self, peer: Peer) -> None:
        """Ask for what follows on the peer's branch."""
        if Headers in peer.asked:
            return
        known = locator(self._node)
        if peer.best is not None and peer.best in self.tree:
            known = (peer.best, *known)
        self._ask(peer, AskHeaders(known[:63] + known[-1:] if len(known) > 64 else known))

    def on_headers(self, peer: Peer, message: Headers, asked: bool, now: int) -> None:
        """Headers have come."""
        if not self.learn(peer, message.status):
            return
        headers = message.unpacked()
        try:
            added = self.tree.add(headers, peer.id, self._node.now(), message.status.final_height)
        except ChainError as error:
            self._punish(peer, f"a header against the rules: {error.code}: {error}")
            return
        if added.behind_final:
            self._other_chain(peer, now)
            return
        if added.unconnected:
            if asked:
                peer.unconnected += 1
                if peer.unconnected > MAX_UNCONNECTED:
                    self._punish(peer, "headers that connect with nothing it was asked for")
                    return
            if not asked or self.behind(peer):
                self.ask_headers(peer)
            return
        if added.disputed and not peer.other_chain:
            peer.disputes = peer.other_chain = True
            self._log("a peer is final on another branch; its votes are looked at", **finals(self._node, peer))
        if added.tip is not None:
            peer.best = added.tip
            peer.blocks.add(header.id for header in headers)
            self._take_held(peer)
        if asked:
            peer.unconnected = 0
            if len(headers) < MAX_HEADERS and added.tip != peer.status.head:
                # It has no more, or what follows is early here: nothing changes before that is not.
                peer.headers_at = now + min(added.early_ms or self._limits.answer_ms, self._limits.answer_ms)
        reached = self.tree.get(peer.status.head)
        if reached is not None and (reached.height, str(reached.work)) != (peer.status.height, peer.status.work):
            claim = f"height {peer.status.height} and work {peer.status.work}"
            self._punish(peer, f"it claims {claim}, its headers show {reached.height} and {reached.work}")
            return
        self.want_headers(peer, now)

    def _other_chain(self, peer: Peer, now: int) -> None:
        peer.headers_at = now + self._limits.other_chain_ms
        if not peer.other_chain and self.behind(peer):
            peer.other_chain = True
            self._log("a peer's branch leaves out our final block; it is not followed", **finals(self._node, peer))

    # ------------------------------------------------------------------ bodies

    def on_blocks(self, peer: Peer, blocks: list[Block], asked: AskBlocks | None, now: int) -> None:
        """Bodies have come: those asked for, or new ones."""
        if asked is not None:
            for each in asked.ids:
                if self._flight.get(each, ("", 0))[0] == peer.id:
                    del self._flight[each]
            if not blocks:
                peer.lacking = peer.status.head
            peer.slow_until = 0
        for block in blocks:
            peer.blocks.add([block.id])
            if block.id in self.tree:
                self._arrive(block, peer)
            elif asked is None and self._node.chain.entry(block.id) is None:
                self._told(peer, block, now)
            if peer.id not in self._peers:
                return

    def _arrive(self, block: Block, peer: Peer) -> None:
        # One that can be applied at once is taken though those that cannot, which cost little to make, fill the room.
        room = len(self._arrived) < self._limits.bodies + MAX_BODIES
        if block.id not in self._arrived and (room or self._node.chain.entry(block.header.parent) is not None):
            self._arrived[block.id] = (block, peer.id)
            self._size += len(block.data)
        self._flight.pop(block.id, None)

    def _told(self, peer: Peer, block: Block, now: int) -> None:
        """A new block that nobody asked for."""
        parent = block.header.parent
        if self._node.chain.entry(parent) is not None:
            self._process(block, peer.id, now, told=True)
            return
        try:
            work.check(block.header, self._node.params)
        except InvalidBlock as error:
            self._punish(peer, f"a block without its work: {block.id}: {error.code}: {error}")
            return
        if parent in self.tree:
            try:
                self.tree.add([block.header], peer.id, self._node.now())
            except InvalidBlock as error:
                self._punish(peer, f"a header against the rules: {error.code}: {error}")
                return
            if block.id in self.tree:
                peer.best = block.id
                self._arrive(block, peer)
            return
        if block.height <= self._node.chain.lowest:
            return  # from a branch left long ago
        peer.held[block.id] = block
        while len(peer.held) > self._limits.orphans:
            peer.held.popitem(last=False)
        self.ask_headers(peer)

    def _take_held(self, peer: Peer) -> None:
        for block in list(peer.held.values()):
            if block.id in self.tree:
                self._arrive(peer.held.pop(block.id), peer)
            elif self._node.chain.entry(block.id) is not None:
                del peer.held[block.id]

    def pump(self, now: int) -> None:
        """Ask idle peers for the bodies that are missing."""
        if not self.tree:
            return
        for tip in tips(self._node, self.tree, self._wanted(), self.status(), now // self._limits.stall_ms):
            path = self.tree.path(tip)
            if path:
                self._assign(path, now)

    def _wanted(self) -> list[Peer]:
        """Peers with branches that we would take."""
        return [peer for peer in self._peers.values() if self.behind(peer)]

    def _assign(self, path: list[Pending], now: int) -> None:
        place = {each.id: index for index, each in enumerate(path)}
        idle: list[tuple[bool, int, Peer]] = []
        for peer in self._peers.values():
            if Blocks not in peer.asked and peer.lacking != peer.status.head:
                reach = reach_of(self.tree, peer, place)
                if reach >= 0:
                    idle.append((peer.slow_until > now, -reach, peer))
        fast = [each for each in idle if not each[0]] or idle
        stalled = now - self._limits.stall_ms
        missing = [
            each.id
            for each in path[: self._limits.bodies]
            if each.id not in self._arrived and (each.id not in self._flight or self._flight[each.id][1] <= stalled)
        ]
        if self._size > self._limits.body_bytes or len(self._arrived) >= self._limits.bodies:
            missing = [each for each in missing[:1] if each == path[0].id]
        for _, reach, peer in sorted(fast, key=lambda each: each[:2]):
            wanted = tuple(each for each in missing[:MAX_BODIES] if place[each] <= -reach)
            if not wanted:
                continue
            if not self._ask(peer, AskBlocks(wanted)):
                continue
            for each in wanted:
                before = self._flight.get(each)
                if before is not None and before[0] in self._peers and before[0] != peer.id:
                    self._peers[before[0]].slow_until = now + self._limits.slow_ms
                self._flight[each] = (peer.id, now)
            missing = missing[len(wanted) :]

    # ------------------------------------------------------------------ applying

    @property
    def ready(self) -> bool:
        """Bodies are here whose parents are."""
        return any(self._node.chain.entry(block.header.parent) for block, _ in self._arrived.values())

    def apply(self, now: int) -> None:
        """Give the node what it can take, a few at a time."""
        done = 0
        ready = [b.id for b, _ in self._arrived.values() if self._node.chain.entry(b.header.parent) is not None]
        following: dict[Hash, list[Hash]] = {}
        for block, _ in self._arrived.values():
            following.setdefault(block.header.parent, []).append(block.id)
        while ready and done < MAX_APPLIED:
            found = self._arrived.get(ready.pop())
            if found is None:
                continue
            self._process(*found, now)
            self._drop(found[0].id)
            done += 1
            if self._node.chain.entry(found[0].id) is not None:
                ready.extend(following.get(found[0].id, ()))

    def _drop(self, block: Hash) -> None:
        found = self._arrived.pop(block, None)
        if found is not None:
            self._size -= len(found[0].data)

    def _process(self, block: Block, sender: str, now: int, told: bool = False) -> None:
        """Give the node a block; its sender answers for it."""
        bringer, fork = self._peers.get(sender), forks_off(self._node, block.header.parent, told)
        weight = weight_of(block, self._limits.forks[1])
        if bringer is not None and fork and not bringer.quota.forks.take(now, weight):
            # Not lost: whoever has it on a better branch than ours is asked for that.
            bringer.headers_at = max(bringer.headers_at, now + self._limits.fork_ms)
            self._cut(block.id)
            return
        try:
            result = self._node.receive_block(block)
        except ConflictingFinality:
            self.conflict = block
            raise
        if bringer is not None and bringer.other_chain and self._off(block) and not bringer.quota.disputed.take(now):
            self._punish(bringer, "many blocks of a branch that leaves out our final one, and none of them is final")
            return
        if result.kind in (Kind.NEW_HEAD, Kind.SIDE, Kind.KNOWN):
            if bringer is not None and fork and result.kind is Kind.NEW_HEAD:
                bringer.quota.forks.give(weight)
            self.came(block.id)
            return
        reason = result.reason
        if result.kind is not Kind.INVALID or isinstance(reason, BadParent):
            # Held by the node, or on a branch that became hopeless meanwhile: nobody's fault.
            self._cut(block.id)
            return
        culprits = {sender}
        if not isinstance(reason, BadRoot):  # the header itself is bad, and whoever vouched for what follows it
            gone = self._cut(block.id)
            culprits |= {peer.id for peer in self._peers.values() if peer.best in gone}
        code = "invalid" if reason is None else reason.code
        for each in culprits:
            peer = self._peers.get(each)
            if peer is not None:
                self._punish(peer, f"invalid block {block.id}: {code}: {reason}")

    def _off(self, block: Block) -> bool:
        """Whether the node has taken it on a branch that leaves out the final block."""
        entry = self._node.chain.entry(block.id)
        return entry is not None and not self._node.chain.holds_final(entry)

    def _cut(self, block: Hash) -> set[Hash]:
        gone = self.tree.cut(block)
        for each in gone:
            self._drop(each)
            self._flight.pop(each, None)
        return gone

    def came(self, block: Hash) -> None:
        """The node has the block now."""
        self.tree.forget(block)
        self._drop(block)
        self._flight.pop(block, None)

    # ------------------------------------------------------------------ time

    def given_up(self, peer: Peer, asked: AskBlocks, now: int) -> None:
        """The peer did not answer."""
        peer.slow_until = now + self._limits.slow_ms
        for each in asked.ids:
            if self._flight.get(each, ("", 0))[0] == peer.id:
                del self._flight[each]

    def gone(self, peer: Peer) -> None:
        """The peer is."""
        for each in [block for block, (who, _) in self._flight.items() if who == peer.id]:
            del self._flight[each]
        self.prune()

    def prune(self) -> None:
        """Forget headers and bodies that lead nowhere any more."""
        tips = [peer.best for peer in self._peers.values() if peer.best is not None]
        self.tree.prune(tips, lambda owner: owner not in self._peers)
        for each in [block for block in self._arrived if block not in self.tree]:
            self._drop(each)

    def next_time(self) -> int | None:
        """When another peer is to be asked for what stalls."""
        return min((asked + self._limits.stall_ms for _, asked in self._flight.values()), default=None)
