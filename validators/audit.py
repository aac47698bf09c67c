"""Is an adopted version what the chain says it is? All the work behind it, done again by somebody who trusts nobody.

The chain is checked from its genesis (work, signatures, every state transition, so also the quorum of approvals that
adopted the version), then the version's job is replayed with the validators' own code, and what comes out is held
against what stands in the chain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from chain.blockchain import Blockchain
from chain.blocks import Block
from chain.certificates import Certificate, certificate_of
from chain.client import NodeClient
from chain.errors import ChainError
from chain.params import NETWORKS, Genesis
from chain.schema import Hash
from chain.state import Job, Model, State, ValidatorSet, Version, version_key
from chain.tree import Kind
from ipfs.store import ContentStore
from learning.errors import LearningError
from learning.records import recipe_of
from validators.baseline import open_session, score_of_version
from validators.replay import Check, Replay, Replayer, Unworkable

if TYPE_CHECKING:
    from learning.recipe import Recipe


class AuditError(Exception):
    """The audit cannot be made, or the chain itself does not hold; the text says what to do or what is wrong."""


@dataclass(frozen=True)
class CheckedChain:
    """A chain that was checked from its genesis, block by block."""

    network: str
    genesis: str
    height: int
    head: str
    final_height: int
    transactions: int
    state: State
    electorates: Mapping[str, ValidatorSet]
    """The set of validators that adopted each version, by "name@number": the set changes, a decision stands."""
    jobs: Mapping[str, Job]
    """By id, the jobs behind the version that the chain was checked for, and behind the one that it replaced: jobs
    that are over leave the state."""


@dataclass(frozen=True)
class Comparison:
    """Something the chain states, beside what came out here."""

    what: str
    stated: str
    found: str

    @property
    def matches(self) -> bool:
        return self.stated == self.found


@dataclass(frozen=True)
class Audit:
    """What was checked of one version."""

    chain: CheckedChain
    model: Model
    version: Version
    job: Job
    checks: tuple[Check, ...]
    foreign: tuple[str, ...]
    """Statements made in another environment than this one, which bytes cannot judge."""
    comparisons: tuple[Comparison, ...]
    certificate: Certificate | None
    """By the newest set of which a quorum attested the version; None while there is none."""

    @property
    def final(self) -> bool:
        """Whether the block that adopted the version is final."""
        return self.version.height <= self.chain.final_height

    @property
    def false(self) -> bool:
        """Whether anything stated was found to be otherwise."""
        resting = [check for check in self.checks if check.counts]
        return not all(check.matches for check in resting) or not all(c.matches for c in self.comparisons)

    @property
    def verdict(self) -> str:
        """`verified`, `refuted`, or `undecided` where statements of another environment could not be judged."""
        if self.false:
            return "refuted"
        return "undecided" if self.foreign else "verified"


def check_chain(
    client: NodeClient,
    genesis: Genesis | None,
    progress: Callable[[int, int], None],
    model: str = "",
    number: int | None = None,
) -> CheckedChain:
    """Fetch every block from a node and apply it from the genesis on; nothing the node says is taken on trust.

    `genesis`: the document the auditor knows the network by; None takes the node's, which says nothing about who the
    validators should be. `model`, `number`: the version that is to be audited, None for the one in service; only its
    jobs are kept on the way. Raises `AuditError` for a chain that does not hold.
    """
    own = genesis or client.genesis()
    if own.network not in NETWORKS:
        raise AuditError(f"network {own.network!r} is unknown: expected one of {', '.join(NETWORKS)}")
    params = NETWORKS[own.network]
    chain = Blockchain(own, params)
    told = client.chain()
    if told["genesis"] != chain.genesis_id:
        raise AuditError(f"the node's network starts at {told['genesis']}, the genesis given at {chain.genesis_id}")
    transactions = 0
    electorates: dict[str, ValidatorSet] = {}
    jobs: dict[str, Job] = {}
    for height in range(1, int(told["height"]) + 1):
        data = client.raw_block(height)
        if data is None:
            raise AuditError(f"the node has no block at height {height}, and says that its head is at {told['height']}")
        try:
            block = Block.decode(data, params.max_block_bytes)
            result = chain.add(block, block.header.time)
        except ChainError as error:
            raise AuditError(f"block {height} does not hold: {error}") from error
        if result.kind is not Kind.NEW_HEAD:
            raise AuditError(f"block {height} does not hold ({result.kind.value}): {result.reason}")
        transactions += len(block.transactions)
        for event in chain.head.events:
            if event.kind == "adopted":
                key = version_key(str(event.fields["model"]), int(str(event.fields["version"])))
                electorates[key] = chain.head.state.validators
                version = chain.head.state.versions[key]
                if version.model == model and (number is None or version.number <= number):
                    jobs = _jobs_behind(version, chain.head.state, jobs)
        progress(height, int(told["height"]))
    head = chain.head
    return CheckedChain(
        own.network, chain.genesis_id, head.height, head.id, chain.final.height, transactions, head.state, electorates,
        jobs,
    )  # fmt: skip


def _jobs_behind(version: Version, state: State, known: Mapping[str, Job]) -> dict[str, Job]:
    """The jobs of a version just adopted and of the one that it replaces, which is among those `known`."""
    jobs: dict[str, Job] = {version.job: state.jobs[version.job]}
    replaced = state.versions.get(version_key(version.model, version.replaces))
    if replaced is not None:
        jobs[replaced.job] = known[replaced.job]
    return jobs


def find_version(chain: CheckedChain, name: str, number: int | None) -> tuple[Model, Version, Job]:
    """The model, its version (None: the one in service) and the job behind it. Raises `AuditError`."""
    state = chain.state
    model = state.models.get(name)
    if model is None:
        raise AuditError(f"the chain has no model {name!r}; it has {', '.join(sorted(state.models)) or 'none'}")
    wanted = model.in_service if number is None else number
    version = state.versions.get(version_key(name, wanted))
    if version is None:
        raise AuditError(f"model {name} has no version {wanted or 'in service'}; it has {model.versions} in all")
    if version.job not in chain.jobs:
        raise AuditError(f"the jobs behind {name}@{version.number} were not kept: check the chain for that version")
    return model, version, chain.jobs[version.job]


def audit(
    chain: CheckedChain,
    name: str,
    number: int | None,
    store: ContentStore,
    cache: Path,
    progress: Callable[[Check], None],
) -> Audit:
    """Do the work behind a version again. Raises `AuditError` and `ipfs.errors.ContentError`.

    The aggregates that stand beside the candidate are checked too, but the verdict is on the version.
    """
    from learning.environment import environment_id

    state = chain.state
    model, version, job = find_version(chain, name, number)
    try:
        recipe = recipe_of(job, model, state.datasets.get)
        replay = Replayer(open_session(recipe, store, cache), store, environment_id(), progress).replay(job)
        comparisons = _compare(chain, model, version, recipe, replay, store, cache)
    except (Unworkable, LearningError) as error:
        raise AuditError(f"version {version.number} of {name} cannot have been made as stated: {error}") from error
    return Audit(
        chain,
        model,
        version,
        job,
        replay.checks,
        replay.foreign,
        comparisons,
        certificate_of(Hash(chain.genesis), model, version, state.attestations.get(version_key(name, version.number))),
    )


def _compare(
    chain: CheckedChain,
    model: Model,
    version: Version,
    recipe: Recipe,
    replay: Replay,
    store: ContentStore,
    cache: Path,
) -> tuple[Comparison, ...]:
    state = chain.state
    found: list[Comparison] = []
    if replay.candidate is not None:
        found.append(Comparison("candidate", version.candidate, store.add(replay.candidate)))
        found.append(Comparison("score", _micro(version.score), _micro(replay.score)))
    elif not replay.foreign:
        found.append(Comparison("candidate", version.candidate, "nothing: the last round could not be aggregated"))
    replaced = state.versions.get(version_key(model.name, version.replaces)) if version.replaces else None
    if replaced is not None:
        made_by = chain.jobs[replaced.job]
        baseline = score_of_version(recipe, made_by, replaced.candidate, store, cache, open_session)
        found.append(Comparison(f"score of version {replaced.number}", _micro(version.baseline), _micro(baseline)))
        if replay.score is not None:
            enough = model.direction * (replay.score - baseline) >= model.minimum_improvement
            found.append(Comparison("improvement is enough", "yes", "yes" if enough else "no"))
    electorate = chain.electorates[version_key(model.name, version.number)]
    weight, quorum = electorate.weight_of(version.approvals), electorate.quorum()
    found.append(Comparison("approvals reach the quorum", "yes", "yes" if weight >= quorum else "no"))
    return tuple(found)


def _micro(score: int | None) -> str:
    return "none" if score is None else f"{score / 1e6:.6f}"
