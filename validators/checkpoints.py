"""The validator's votes on checkpoints: one for every head that has something to make final."""

from __future__ import annotations

from chain.client import NodeClient, NodeError, View
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

    def consider(self) -> VoteCheckpoint | None:
        """Vote for the node's head if there is something to vote on; the vote is on the disk before it is sent.

        A vote that did not reach the node (a crash, a node that was away) is sent again with the first look.
        Raises `chain.client.NodeUnavailable`.
        """
        view = self._client.finality()
        vote = next_vote(view.value, Hash(view.head), view.height, self._votes.last)
        if vote is None:
            return self._again(view)
        self._votes.record(vote)
        self._send(vote)
        return vote

    def _again(self, view: View[Finality]) -> VoteCheckpoint | None:
        last = self._votes.last
        waits = last is not None and last.target == view.head and not view.value.settled
        if last is None or not waits:
            return None
        self._send(last)  # identical votes count once
        return last

    def _send(self, vote: VoteCheckpoint) -> None:
        try:
            self._client.send(vote, self._key)
        except NodeError as error:
            log.warning("checkpoint vote not sent", target=vote.target, height=vote.target_height, error=str(error))
