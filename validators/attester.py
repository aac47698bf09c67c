"""The validator's attestations: a portable signature under every version whose adoption is final."""

from __future__ import annotations

import threading

from chain.attestations import attest
from chain.client import EventPage, NodeClient, NodeRefused
from chain.keys import Key
from chain.schema import Hash
from chain.state import Model, ValidatorSet, Version, statement_of
from chain.transactions import Attest
from runtime.logs import get_logger
from validators.contact import Seat

log = get_logger("validators.attester")

#: Seconds after which an attestation that a node refused is tried again.
RETRY = 5.0


class Attester:
    """Attests with one key what one node shows as final.

    Nothing is kept on disk. What is missing is read from the chain: an attestation that is there is not sent again,
    one that was lost on its way is. (Two signatures under one version are equal; none of them can be misconduct.)
    """

    def __init__(self, client: NodeClient, key: Key) -> None:
        self._client = client
        self._key = key
        self._seat = Seat(key)
        #: Something is, or may be, left to attest.
        self._due = threading.Event()
        self._due.set()
        self._serial: int | None = None
        #: Ids of the attestations that were sent, by model, version and set, until none is left to attest.
        self._sent: dict[tuple[str, int, int], str] = {}

    def notice(self, page: EventPage) -> bool:
        """Take note of what happened; whether it is worth calling `consider`. For the thread that follows the chain."""
        if not page.events or any(event.kind == "adopted" or event.undone for event in page.events):
            self._due.set()
        return not page.events or any(event.kind == "final" for event in page.events)

    def consider(self) -> float | None:
        """Attest what is to be attested now, under the set in force. Returns the seconds after which to look again
        even if nothing happens, None where only events matter. Raises `chain.client.NodeError`.
        """
        validators = self._client.validators()
        self._seat.notice(validators)
        if validators.serial != self._serial:
            self._serial = validators.serial
            self._due.set()
        if not self._due.is_set() or not validators.weight(self._key.address):
            return None
        self._due.clear()  # before looking: what is noticed meanwhile is looked at next time
        left, refused = True, False
        try:
            open_versions = [
                (model, number) for model in self._client.models() for number in self._lacking(model, validators)
            ]
            refused = bool([at for at in open_versions if not self._one(*at, validators)])
            left = bool(open_versions)
        finally:
            if left:
                self._due.set()
            else:
                self._sent.clear()
        return RETRY if refused else None

    def _lacking(self, model: Model, validators: ValidatorSet) -> list[int]:
        """The model's versions that lack this validator's attestation in a final block: the one in service, and those
        after the newest one that this validator has attested or any quorum has."""
        lacking = []
        for number in range(model.versions, 0, -1):
            view = self._client.attested_view(model.name, number)
            if view is None:
                continue  # a reorganisation took the version back between two questions
            current = view.value.by(validators.serial)
            mine = current is not None and current.of(self._key.address) is not None
            if not (mine and view.final):
                lacking.append(number)
            if number <= model.in_service and (mine or view.value.certified is not None):
                break
        return lacking

    def _one(self, model: Model, number: int, validators: ValidatorSet) -> bool:
        """Attest one version if it is final and the attestation is not under way; False where the node refused."""
        at = (model.name, number, validators.serial)
        view = self._client.version_view(model.name, number)
        if view is None or view.value.height > view.final_height:
            return True  # its finality is an event
        known = self._client.transaction(self._sent[at]) if at in self._sent else None
        if known is not None and known["status"] != "dropped":
            return True
        try:
            self._sent[at] = self._client.send(self._attestation(model, view.value, validators), self._key)
        except NodeRefused as refused:
            if refused.code == "duplicate":
                return True
            log.warning("attestation refused", model=model.name, version=number, code=refused.code, error=str(refused))
            return False
        log.info("attested", model=model.name, version=number, set=validators.serial)
        return True

    def _attestation(self, model: Model, version: Version, validators: ValidatorSet) -> Attest:
        statement = statement_of(Hash(self._client.genesis_hash()), validators.serial, model, version)
        return Attest(statement.model, statement.version, statement.set, attest(statement, self._key))
