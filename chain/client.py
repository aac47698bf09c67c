"""What everybody else uses to talk to a node: typed objects in, typed objects out.

State objects travel as DAG-CBOR and come back as the same frozen classes that the node's state holds.  A
client may be shared by threads and survives a fork: connections belong to one thread of one process.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from typing import Any, Literal
from urllib.parse import quote

from chain.answers import (
    EventPage,
    NodeError,
    NodeEvent,
    NodeRefused,
    NodeUnavailable,
    Page,
    TransactionRefused,
    View,
    WaitTimeout,
)
from chain.encoding import encode
from chain.errors import InvalidEncoding
from chain.following import POLL_SECONDS, Following
from chain.keys import Key
from chain.params import NETWORKS, Genesis, Params
from chain.schema import Hash, from_object
from chain.state import Account, Attested, Dataset, Finality, Job, Model, ValidatorSet, Version
from chain.state.membership import Membership, Misconduct
from chain.state.objects import JobState
from chain.transactions import Payload, ReportMisconduct, Signed, VoteCheckpoint, body_of, sign
from chain.transport import CBOR

#: Milliseconds after which a transaction made by :meth:`NodeClient.send` expires unless told otherwise.
EXPIRES_IN_MS = 10 * 60 * 1000
#: Which jobs a list has.
Which = Literal["open", "all"] | JobState

__all__ = [
    "EventPage", "NodeClient", "NodeError", "NodeEvent", "NodeRefused", "NodeUnavailable", "Page",
    "TransactionRefused", "View", "WaitTimeout",
]  # fmt: skip


class NodeClient(Following):
    """A node's HTTP API.

    Every method raises :class:`NodeUnavailable` when nobody answers within ``timeout`` seconds and
    :class:`NodeRefused` when the node says no.  Objects that do not exist are ``None``.
    """

    def __init__(self, url: str, timeout: float = 10) -> None:
        super().__init__(url, timeout)
        self._genesis_hash: str | None = None
        self._params: Params | None = None

    # ------------------------------------------------------------------ the chain

    def chain(self) -> dict[str, Any]:
        """Height, head, justified and final block, work, params; what waits, ``pending`` and, checkpoint votes apart,
        ``pending_votes`` (``GET /chain``)."""
        return self._json("/chain")

    def ready(self) -> bool:
        """The node answers and has its chain loaded."""
        try:
            self._request("GET", "/readyz")
        except NodeError:
            return False
        return True

    def genesis(self) -> Genesis:
        """The network's genesis; its block's hash is :meth:`genesis_hash`."""
        try:
            return Genesis.from_bytes(self._request("GET", "/genesis", accept=CBOR).content)
        except InvalidEncoding as error:
            raise self.strange("/genesis", f"no genesis ({error})") from error

    def genesis_hash(self) -> str:
        """Hash of the genesis block, which every transaction names; asked once."""
        if self._genesis_hash is None:
            found = self.chain().get("genesis")
            if type(found) is not str:
                raise self.strange("/chain", "no hash of the genesis block")
            self._genesis_hash = found
        return self._genesis_hash

    def peers(self) -> dict[str, Any]:
        """Nodes that this one is connected with, addresses it knows, peers it refuses (``GET /peers``)."""
        return self._json("/peers")

    def add_peer(self, url: str, token: str) -> None:
        """Have the node connect with another one for good; ``token``: its operator's (``POST /peers``)."""
        self._request("POST", "/peers", data=encode({"url": url}), token=token)

    def remove_peer(self, url: str, token: str) -> None:
        """Have the node forget the address of another one, and end a connection with it (``DELETE /peers``)."""
        self._request("DELETE", "/peers", params={"url": url}, token=token)

    def forgive_peer(self, who: str, token: str) -> None:
        """Have the node listen again to an address, or a host (``DELETE /peers/discouraged``)."""
        self._request("DELETE", "/peers/discouraged", params={"who": who}, token=token)

    def params(self) -> Params:
        """The network's constants, by the name that its genesis gives; asked once.

        Raises :class:`NodeUnavailable` for a network that this program does not know.
        """
        if self._params is None:
            network = str(self.chain().get("network"))
            if network not in NETWORKS:
                raise NodeUnavailable(f"the node at {self.url} serves network {network!r}, which is unknown here")
            self._params = NETWORKS[network]
        return self._params

    def block(self, block: int | str) -> dict[str, Any] | None:
        """One block by height or hash, as JSON; None if there is none."""
        return self._json_or_none(f"/blocks/{block}")

    def blocks(self, limit: int = 20, cursor: int | None = None) -> dict[str, Any]:
        """``{"blocks": [...], "next": height|None}``, newest first, from height ``cursor`` downwards."""
        return self._json("/blocks", {"limit": limit, "cursor": cursor})

    def raw_block(self, block: int | str) -> bytes | None:
        """``Block.encode()`` of the block with this height or hash."""
        try:
            return self._request("GET", f"/blocks/{block}", accept=CBOR).content
        except NodeRefused as refused:
            if refused.status == 404:
                return None
            raise

    # ------------------------------------------------------------------ the state

    def account(self, address: str) -> Account:
        """The account; one that never received anything has balance 0."""
        view = self._view(Account, f"/accounts/{address}")
        return view.value if view is not None else Account(balance=0)

    def may_not_send(self, address: str) -> str | None:
        """Why the chain takes no transaction of ``address`` now (:func:`chain.state.accounts.admit`); None: it does."""
        least = self.params().minimum_balance
        owned = self.account(address).owned if least else 0
        if owned >= least:
            return None
        found = self.membership()
        sets = [found.validators, *([found.pending.set] if found.pending is not None else [])]
        if any(each.weight(address) for each in sets):
            return None
        return f"on this network a sender is a validator or owns at least {least}, and {address} owns {owned}"

    def dataset(self, name: str) -> Dataset | None:
        view = self.dataset_view(name)
        return view.value if view is not None else None

    def dataset_view(self, name: str) -> View[Dataset] | None:
        return self._view(Dataset, f"/datasets/{_segment(name)}")

    def datasets(self) -> list[Dataset]:
        return [view.value for view in self.dataset_views()]

    def dataset_views(self) -> list[View[Dataset]]:
        return self._views(Dataset, "/datasets")

    def dataset_page(self, limit: int, cursor: str | None = None) -> Page[Dataset]:
        """By name."""
        return self._page(Dataset, "/datasets", {"limit": limit, "cursor": cursor})

    def model(self, name: str) -> Model | None:
        view = self.model_view(name)
        return view.value if view is not None else None

    def model_view(self, name: str) -> View[Model] | None:
        return self._view(Model, f"/models/{_segment(name)}")

    def models(self) -> list[Model]:
        return [view.value for view in self.model_views()]

    def model_views(self) -> list[View[Model]]:
        return self._views(Model, "/models")

    def model_page(self, limit: int, cursor: str | None = None) -> Page[Model]:
        """By name."""
        return self._page(Model, "/models", {"limit": limit, "cursor": cursor})

    def version(self, name: str, number: int) -> Version | None:
        view = self.version_view(name, number)
        return view.value if view is not None else None

    def version_view(self, name: str, number: int) -> View[Version] | None:
        return self._view(Version, f"/models/{_segment(name)}/versions/{number}")

    def versions(self, name: str) -> list[Version]:
        """Versions of a model, oldest first; empty for an unknown model."""
        return [view.value for view in self.version_views(name)]

    def version_views(self, name: str) -> list[View[Version]]:
        try:
            return self._views(Version, f"/models/{_segment(name)}/versions")
        except NodeRefused as refused:
            if refused.status == 404:
                return []
            raise

    def version_page(self, name: str, limit: int, cursor: str | None = None) -> Page[Version]:
        """Versions of a model that there is, oldest first."""
        return self._page(Version, f"/models/{_segment(name)}/versions", {"limit": limit, "cursor": cursor})

    def attested_view(self, name: str, number: int) -> View[Attested] | None:
        """Who attested a version; no sets in it where nobody did, None for an unknown version."""
        return self._view(Attested, f"/models/{_segment(name)}/versions/{number}/attestations")

    def job(self, job: str) -> Job | None:
        view = self.job_view(job)
        return view.value if view is not None else None

    def job_view(self, job: str) -> View[Job] | None:
        """The job; ``final`` says that the block which last changed it is final."""
        return self._view(Job, f"/jobs/{_segment(job)}")

    def jobs(self, state: Which = "open") -> list[Job]:
        """Jobs that are training or voting, or all, or those in one state; oldest first, all pages of them."""
        return [view.value for view in self.job_views(state)]

    def job_views(self, state: Which = "open") -> list[View[Job]]:
        return self._views(Job, "/jobs", {"state": state})

    def job_page(
        self, state: Which = "open", *, newest: bool = False, limit: int = 50, cursor: str | None = None
    ) -> Page[Job]:
        """Up to ``limit`` jobs behind ``cursor``, the oldest or the newest first; costs the same at any length."""
        order = "newest" if newest else "oldest"
        return self._page(Job, "/jobs", {"state": state, "order": order, "limit": limit, "cursor": cursor})

    def validators(self) -> ValidatorSet:
        return self._seen(ValidatorSet, self._object("/validators"), "/validators").value

    def membership(self) -> Membership:
        """The set in force, the change under way, who is admitted, and what admissions must be signed for."""
        return self._seen(Membership, self._object("/membership"), "/membership").value

    def misconduct(self) -> list[Misconduct]:
        """Who was slashed and why, by address."""
        return [view.value for view in self._views(Misconduct, "/misconduct")]

    def evidence(self) -> list[ReportMisconduct]:
        """Contradictions that this node has caught and the chain does not have yet: sign one and send it."""
        items = self._items(self._object("/evidence"), "/evidence")
        try:
            return [from_object(ReportMisconduct, report) for report in items]
        except InvalidEncoding as error:
            raise self.strange("/evidence", f"no reports ({error})") from error

    def escrowed(self, address: str) -> int:
        """What open jobs hold of the rewards that the address has offered."""
        found = self._object(f"/accounts/{address}").get("escrowed")
        if type(found) is not int:
            raise self.strange("/accounts", "no amount in escrow")
        return found

    def finality(self) -> View[Finality]:
        """What is justified and final by the head's own state; ``head`` and ``height`` say which head that is."""
        return self._seen(Finality, self._object("/finality"), "/finality")

    def voted(self) -> dict[str, int]:
        """How high the newest checkpoint vote in a block reaches, by validator that has one (``GET /finality``)."""
        found = self._object("/finality").get("voted")
        if not isinstance(found, dict) or not all(type(height) is int for height in found.values()):
            raise self.strange("/finality", "no heights by validator")
        return found

    # ------------------------------------------------------------------ transactions

    def submit(self, signed: Signed) -> str:
        """Hand in a signed transaction; returns its id once the node has it on disk.

        Sending the same one again is harmless, also when it is in a block already.
        """
        self._request("POST", "/transactions", data=signed.data)
        return signed.id

    def send(
        self,
        payload: Payload,
        key: Key,
        *,
        expires_in_ms: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> str:
        """Sign ``payload``  with fresh salt, submit it, return its id."""
        return self.submit(self.prepare(payload, key, expires_in_ms=expires_in_ms, clock=clock))

    def prepare(
        self,
        payload: Payload,
        key: Key,
        *,
        expires_in_ms: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> Signed:
        """What :meth:`send` would submit; keep it to send the identical bytes again."""
        expires = int(clock() * 1000) + (EXPIRES_IN_MS if expires_in_ms is None else expires_in_ms)
        if isinstance(payload, VoteCheckpoint):
            expires = 0  # checkpoint votes do not expire
        body = body_of(payload, key.address, Hash(self.genesis_hash()), secrets.token_hex(16), expires)
        return sign(body, key)

    def transaction(self, transaction: str) -> dict[str, Any] | None:
        """``{transaction, status, height, block, kind, sender, expires, payload}``, or None."""
        return self._json_or_none(f"/transactions/{_segment(transaction)}")

    def wait_transaction(
        self, transaction: str, until: Literal["included", "final"] = "included", timeout: float = 30
    ) -> dict[str, Any]:
        """Wait until the transaction is in a block of the head's branch, or in a final one.

        Raises :class:`TransactionRefused` when the node dropped it, :class:`WaitTimeout` after ``timeout`` seconds.
        """
        deadline = time.monotonic() + timeout
        last: dict[str, Any] | None = None
        while True:
            left = max(0.0, deadline - time.monotonic())
            wait = min(left, POLL_SECONDS)
            last = self._json_or_none(
                f"/transactions/{_segment(transaction)}",
                {"wait": f"{wait:.3f}", "until": until},
                timeout=wait + self.timeout,
            )
            if last is not None:
                status = last.get("status")
                if status == "dropped":
                    raise TransactionRefused(transaction, str(last.get("code")), str(last.get("reason")))
                if status == "final" or (until == "included" and status == "included"):
                    return last
            if time.monotonic() >= deadline:
                status = "unknown" if last is None else last.get("status")
                raise WaitTimeout(f"transaction {transaction} is {status}, not {until}, after {timeout} s", last)


def _segment(text: str) -> str:
    return quote(text, safe="")
