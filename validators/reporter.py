"""The validator's reports of misconduct: contradictions that its node has caught, signed and sent to the chain."""

from __future__ import annotations

from chain.client import NodeClient, NodeRefused
from chain.keys import Key
from runtime.logs import get_logger

log = get_logger("validators.reporter")

#: Seconds between two looks at what the node has caught; nothing in the chain tells of it.
LOOK = 5.0


class Reporter:
    """Reports with one key what one node has caught.  Nothing is on disk: the node shows it until it is slashed."""

    def __init__(self, client: NodeClient, key: Key) -> None:
        self._client = client
        self._key = key
        #: Ids of the reports that were sent, by who is accused.
        self._sent: dict[str, str] = {}

    def consider(self) -> None:
        """Report what nobody has reported yet.  Raises `chain.client.NodeUnavailable`."""
        found = self._client.evidence()
        self._sent = {who: sent for who, sent in self._sent.items() if who in {each.validator for each in found}}
        for report in found:
            if self._under_way(report.validator):
                continue
            try:
                self._sent[report.validator] = self._client.send(report, self._key)
            except NodeRefused as refused:
                if refused.code not in ("duplicate", "mempool_full"):  # another validator's report is there
                    log.warning("report refused", validator=report.validator, code=refused.code, error=str(refused))
                continue
            log.warning("misconduct reported", validator=report.validator)

    def _under_way(self, validator: str) -> bool:
        sent = self._sent.get(validator)
        known = None if sent is None else self._client.transaction(sent)
        return known is not None and known["status"] != "dropped"
