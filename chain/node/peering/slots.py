"""Who may be a peer when places are few: no host may take them all.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from chain.node.peering.limits import Limits
from chain.node.peering.peer import Peer, PeerRefused


def who_leaves(strangers: Sequence[Peer], peer: Peer, limits: Limits) -> Peer | None:
    """Who gives its place to ``peer``; None: there is room.  Raises PeerRefused.

    ``strangers``: those that came by themselves, as this one did. Where all places are taken, the youngest peer of the
    host that has the most leaves for one of a host that has fewer.
    """
    if sum(each.host == peer.host for each in strangers) >= limits.per_host:
        raise PeerRefused("full", f"{limits.per_host} peers of host {peer.host} are connected, which is the limit")
    if not peer.reachable:
        asking = [each for each in strangers if not each.reachable]
        if len(asking) >= limits.unreachable:
            return _of_the_most_crowded(asking, peer, f"{limits.unreachable} peers that cannot be reached")
    if len(strangers) >= limits.peers:
        return _of_the_most_crowded(strangers, peer, f"{limits.peers} peers")
    return None


def _of_the_most_crowded(strangers: Sequence[Peer], peer: Peer, what: str) -> Peer:
    counts = Counter(each.host for each in strangers)
    host, count = counts.most_common(1)[0]
    if count < counts[peer.host] + 2:
        raise PeerRefused("full", f"{what} are connected, which is the limit")
    return [each for each in strangers if each.host == host][-1]
