"""A change of who is admitted as a validator, as a file that travels from member to member for their signatures.  Pure.

What they sign binds the network's genesis, the number of the set they know and the exact change
(:meth:`chain.payloads.AdmitValidator.digest`), so a file needs no protection on its way.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated, ClassVar, Literal, cast

from chain import schema
from chain.encoding import from_json, to_json
from chain.errors import ChainError, InvalidEncoding, InvalidSignature
from chain.keys import Key, recover
from chain.params import Params
from chain.payloads import MAX_VALIDATORS, AdmitValidator, Count, SignatureText
from chain.schema import Address, Hash, Items
from chain.state import ValidatorSet
from chain.state.membership import Membership

MAX_BYTES = 64 * 1024


class AdmissionRefused(ChainError):  # noqa: N818 - as the ledger's other refusals
    """A change that the network would not take as it is."""

    code: ClassVar[str] = "admission_refused"
    advice: ClassVar[str] = "See `assay validators list`."


@dataclass(frozen=True)
class SignatureOf:
    """One member's signature."""

    validator: Address
    signature: SignatureText


@dataclass(frozen=True)
class Proposal:
    """A change of who is admitted, and who has signed it so far (by address, none twice)."""

    format: Literal["assay-admission-1"]
    genesis: Hash
    serial: Count
    """Number of the set that the signers know."""
    add: Address | None
    remove: Address | None
    power: Count
    """Of `add`: 1 where members vote, the cap of its weight where stake does; 0 without `add`."""
    signatures: Annotated[tuple[SignatureOf, ...], Items(0, MAX_VALIDATORS)]

    @property
    def signers(self) -> tuple[Address, ...]:
        """Who has signed."""
        return tuple(each.validator for each in self.signatures)

    def signed_by(self, key: Key) -> Proposal:
        """The same with this key's signature."""
        signature = SignatureOf(key.address, key.sign(self._payload().digest(self.genesis)))
        return self._with([signature])

    def merged(self, other: Proposal) -> Proposal:
        """The same with the other copy's signatures too.  Raises AdmissionRefused for another change."""
        if replace(other, signatures=()) != replace(self, signatures=()):
            raise AdmissionRefused(f"copies of one change, {self.summary}", other.summary)
        return self._with(other.signatures)

    @property
    def summary(self) -> str:
        """The change in a line for people."""
        parts = [f"admit {self.add}" + (f" with a cap of {self.power}" if self.power > 1 else "")] if self.add else []
        parts += [f"remove {self.remove}"] if self.remove else []
        return f"{' and '.join(parts)}, signed for set {self.serial}"

    def to_json(self) -> str:
        """The file's content: JSON, indented."""
        return json.dumps(json.loads(to_json(schema.to_object(self))), indent=2) + "\n"

    @classmethod
    def from_json(cls, text: str | bytes, params: Params | None = None) -> Proposal:
        """Raises InvalidEncoding and InvalidSignature: every signature is its signer's under this very change."""
        found = schema.from_object(cls, from_json(text, MAX_BYTES))
        if list(found.signers) != sorted(set(found.signers)):
            raise InvalidEncoding("signatures sorted by validator, none twice", "another order", "signatures")
        if found.add == found.remove or (found.add is None) != (found.power == 0):
            raise InvalidEncoding("somebody to add with a power of at least 1, to remove, or both", found.summary)
        digest = found._payload().digest(found.genesis)
        for index, each in enumerate(found.signatures):
            signer = recover(digest, each.signature)
            if signer != each.validator:
                raise InvalidSignature(
                    f"{each.validator}'s signature of this very change", f"{signer}'s", f"signatures[{index}]"
                )
        return found

    def transaction(self, genesis: str, members: Membership) -> AdmitValidator:
        """The transaction to send, with the signatures of members.

        Raises AdmissionRefused: another network, a set that is not the one in force, too few signatures; says whose
        are missing.
        """
        current = members.validators
        if self.genesis != genesis:
            raise AdmissionRefused(f"a change for the network {genesis}", f"one for {self.genesis}")
        if self.serial > current.serial:
            raise AdmissionRefused(f"a change signed for set {current.serial}, which is in force", f"set {self.serial}")
        if self.serial < members.signed_from:
            raise AdmissionRefused(
                f"a change signed for set {members.signed_from} or later, since another admission has come; make it "
                f"anew once set {members.signed_from} is in force",
                f"set {self.serial}",
            )
        strangers = [who for who in self.signers if not current.weight(who)]
        weight = current.weight_of(set(self.signers))
        if weight < current.quorum():
            aside = f"; no member of set {current.serial}: {', '.join(strangers)}" if strangers else ""
            raise AdmissionRefused(
                f"signatures with a weight of {current.quorum()} of {current.total}, missing: "
                f"{', '.join(self.missing(current))}",
                f"{weight}{aside}",
            )
        return self._payload(current)

    def missing(self, validators: ValidatorSet) -> tuple[Address, ...]:
        """Members that have not signed."""
        return tuple(who for who in validators.members if who not in self.signers)

    def _payload(self, members: ValidatorSet | None = None) -> AdmitValidator:
        signatures = tuple(
            (each.validator, each.signature)
            for each in self.signatures
            if members is None or members.weight(each.validator)
        )
        return AdmitValidator(self.serial, self.add, self.remove, self.power, signatures)

    def _with(self, signatures: list[SignatureOf] | tuple[SignatureOf, ...]) -> Proposal:
        found = {each.validator: each for each in (*signatures, *self.signatures)}
        return replace(self, signatures=tuple(found[who] for who in sorted(found)))


def propose(
    genesis: str, members: Membership, add: Address | None, remove: Address | None, power: int | None = None
) -> Proposal:
    """A change of the set in force that nobody has signed yet; ``power`` is the cap of the weight where stake votes.

    Raises AdmissionRefused for what is so already or cannot be.
    """
    admitted = {each.address: each for each in members.admitted}
    if members.power == "member":
        if power not in (None, 1):
            raise AdmissionRefused("no power: on this network each member has one vote", str(power))
        power = 1
    elif add is not None and power is None:
        raise AdmissionRefused("the cap of the new validator's weight, since stake votes on this network", "none")
    if add is not None and add == remove:
        raise AdmissionRefused("different validators to admit and to remove", add)
    if add in admitted and admitted[add].power == power and remove is None:
        raise AdmissionRefused("somebody who is not admitted yet", add)
    if remove is not None and remove not in admitted:
        raise AdmissionRefused("an admitted validator to remove", remove)
    if remove is not None and add is None and len(admitted) == 1:
        raise AdmissionRefused("another validator that stays", f"{remove}, the only one")
    serial = max(members.validators.serial, members.signed_from)
    return Proposal(
        "assay-admission-1", Hash(genesis), serial, add, remove, cast(int, power) if add is not None else 0, ()
    )
