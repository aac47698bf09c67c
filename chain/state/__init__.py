"""The state transition: what each transaction does to the chain's state; pure."""

from chain.state.attestations import statement_of
from chain.state.attested import Attestation, Attested, AttestedBy
from chain.state.electorate import Admission, PendingSet, Phase, Slashed
from chain.state.events import Event
from chain.state.explain import WaitingFor, explain
from chain.state.jobs import compacted
from chain.state.models import version_key
from chain.state.objects import (
    Account,
    Aggregate,
    Dataset,
    Failure,
    Finality,
    Job,
    Lease,
    Link,
    Model,
    Partition,
    Round,
    Update,
    ValidatorSet,
    Version,
    Vote,
    Voter,
)
from chain.state.rounds import record_digest
from chain.state.tables import NO_HASH, TABLES, State
from chain.state.transition import (
    KINDS,
    BlockDraft,
    apply_block,
    check,
    genesis_state,
    next_deadline,
)

__all__ = [
    "KINDS",
    "NO_HASH",
    "TABLES",
    "Account",
    "Admission",
    "Aggregate",
    "Attestation",
    "Attested",
    "AttestedBy",
    "BlockDraft",
    "Dataset",
    "Event",
    "Failure",
    "Finality",
    "Job",
    "Lease",
    "Link",
    "Model",
    "Partition",
    "PendingSet",
    "Phase",
    "Round",
    "Slashed",
    "State",
    "Update",
    "ValidatorSet",
    "Version",
    "Vote",
    "Voter",
    "WaitingFor",
    "apply_block",
    "check",
    "compacted",
    "explain",
    "genesis_state",
    "next_deadline",
    "record_digest",
    "statement_of",
    "version_key",
]
