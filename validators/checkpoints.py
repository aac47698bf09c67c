"""The validator's votes on checkpoints: one for every head that has something to make final."""

from __future__ import annotations

from chain.client import NodeClient, NodeRefused, NodeUnavailable, View
from chain.finality import next_vote
from chain.keys import Key
from chain.schema import Hash
from chain.state import Finality
from chain.transactions import VoteCheckpoint
from chain.voting import VoteFile
from runtime.logs import get_logger

log = get_logger("validators.checkpoints")


class CheckpointVoter:
    """Votes with one key, remembered in `votes`, on the heads that one node shows."""

    def __init__(self, client: NodeClient, key: Key, votes: VoteFile) -> None:
        self._client = client
        self._key = key
        self._votes = votes
        #: The newest vote of which the node has said that it has it, or that it will never want it.
        self._answered: VoteCheckpoint | None = None

    def consider(self) -> VoteCheckpoint | None:
        """Vote for the node's head if there is something to vote on; the vote is on the disk before it is sent.

        A vote that did not reach the node (a crash, a node that was away) is sent again with the next look. Returns
        what was sent. Raises `chain.client.NodeUnavailable`, and `chain.voting.VoteFileError` for a node of another
        network than the one that this key has voted on.
        """
        self._votes.bind(self._client.genesis_hash())
        view = self._client.finality()
        vote = next_vote(view.value, Hash(view.head), view.height, self._votes.last, self._votes.rules)
        if vote is None:
            vote = self._unanswered(view)
        if vote is not None:
            self._cast(vote)
        return vote

    def _cast(self, vote: VoteCheckpoint) -> None:
        self._votes.record(vote)
        self._send(vote)

    def _unanswered(self, view: View[Finality]) -> VoteCheckpoint | None:
        last = self._votes.last
        waits = last is not None and last.target == view.head and not view.value.settled
        return last if waits and last != self._answered else None

    def _send(self, vote: VoteCheckpoint) -> None:
        try:
            self._client.send(vote, self._key)
        except NodeRefused as refused:
            if refused.code == "mempool_full":
                raise NodeUnavailable(f"the node takes no more votes now: {refused.detail}") from refused
            # It is there already, or was overtaken on its way, or comes from no member, which is said once
            # (`validators.contact.Seat`) and not with every block.
            if refused.code in ("duplicate", "conflict", "forbidden"):
                log.debug("checkpoint vote not needed", code=refused.code, height=vote.target_height)
            else:
                log.warning(
                    "checkpoint vote refused", target=vote.target, height=vote.target_height, error=str(refused)
                )
        self._answered = vote
