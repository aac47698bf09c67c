"""Changes of the set of validators, one at a time, so that no two conflicting blocks become final across them.

Who is admitted (and, where stake votes, what they have staked) says which set is *wanted*.  When it differs from the
set in force, or somebody was admitted or removed since, and no change is under way, the block it shows in, b, begins
one; what comes meanwhile goes into the next.  The change acts in three phases, each told from the state of the parent,
so that all blocks on one parent agree:

* ``waiting``: links need a quorum of the old set;
* ``joint``: from the first block whose parent's state shows b final, c, links need a quorum of the old *and* of the
  new set;
* alone: from the first block whose parent's state shows a joint block (so c) final, links need the new set's.

A link's sets are its target's.  Every change of weight is one: admission, removal, stake, unstake, slash.

**Why two conflicting blocks cannot be final while less than a third of each set lies.**  Claim: if A is final, by the
link A -> A' to its child, and t is justified with height(t) >= height(A), then t is A or descends from it.  Suppose
not, and take a counterexample (A, t) with the least height(A) + height(t), and t's link s -> t.

1. s is justified.  Were height(s) >= height(A), the smaller pair (A, s) would make s, so t, descend from A.  So
   height(s) < height(A), and t lies at the height of A, at that of A' or above: every validator in both quorums voted
   for two targets of one height, or for s -> t around A -> A'.  Either is against its rules (chain/finality.py).
   It remains that the two links compared, one into X (which is A or A') and one into t, share a set.
2. Let f be the last block that t's parent's state shows final, by a link to its child f'.  Those votes lie in blocks
   up to t's parent, so f' is justified and lower than t.  Not height(f') >= height(A), for then by the smaller pair
   (A, f') t would descend from A; so f is lower than A, and by the smaller pair (f, A) A descends from f.  In the same
   way the last block g that X's parent's state shows final is lower than A, and by the smaller pair (g, t) t descends
   from g.  So f and g lie on the trunk that both branches share.
3. Number the phases 2k (set k alone) and 2k + 1 (sets k and k + 1).  A change acts only once its block is shown
   final, so by 2. the changes that act on X or on t have their blocks on the trunk, in the trunk's one order: both
   branches count the same sets.  If t is in phase 2k + 2 or higher, its parent's state shows the first joint block c
   of change k final: c is on the trunk, so X, above it, is in phase 2k + 1 or higher.  The same holds with X and t
   exchanged.  So the phases of X and t are equal, or adjacent, or 2k + 1 and 2k + 3: in each case both need a quorum
   of one common set.
4. Two quorums of one set, each more than two thirds of its weight, have more than a third in common.  All of that
   broke a rule, against the assumption, and its signatures prove it (chain/misconduct.py).

Without the joint phase 3. fails: set k alone on one branch and set k + 1 alone on the other have nothing in common.
"""

from __future__ import annotations

from chain.records import replace
from chain.schema import Address
from chain.state.accounts import account_of
from chain.state.context import Context
from chain.state.electorate import PendingSet, Phase, Phases
from chain.state.objects import ValidatorSet
from chain.state.tables import (
    ACCOUNTS,
    ADMISSIONS,
    ADMISSIONS_FROM,
    NUMBERS,
    ONLY,
    PENDING_SET,
    PHASES,
    VALIDATORS,
)


def wanted(context: Context) -> tuple[tuple[Address, ...], tuple[int, ...]]:
    """Members and weights as admissions and stakes have them now; who has no weight is no member."""
    weights = {}
    for key in context.draft.keys(ADMISSIONS):
        admission = context.draft.get(ADMISSIONS, key)
        if admission is not None:
            weights[Address(key)] = (
                1 if context.params.power == "member" else min(account_of(context, key).stake, admission.power)
            )
    members = tuple(sorted(member for member, weight in weights.items() if weight > 0))
    return members, tuple(weights[member] for member in members)


def begin_block(context: Context) -> bool:
    """Go on with the change under way, if the parent's state lets it; says whether a new set is in force alone."""
    pending = context.draft.get(PENDING_SET, ONLY)
    if pending is None:
        return False
    joint = context.params.rules.joint_sets
    if joint and context.draft.base.finality.final_height < pending.height:
        return False
    old = context.validators
    if joint and pending.phase == "waiting":
        context.draft.put(PENDING_SET, ONLY, PendingSet(pending.set, "joint", context.height))
        _enter(context, Phase(context.height, old, pending.set))
        _tell(context, "joint", pending.set)
        return False
    context.draft.remove(PENDING_SET, ONLY)
    context.draft.put(VALIDATORS, ONLY, pending.set)
    _enter(context, Phase(context.height, pending.set, None))
    _keep_locked(context, old, pending.set)
    _tell(context, "alone", pending.set)
    return True


def finish_block(context: Context) -> bool:
    """Begin a change where one is wanted and none is under way; says whether one is under way.

    A set without any weight could decide nothing, not even the next change: it is not begun.
    """
    if context.draft.get(PENDING_SET, ONLY) is not None:
        return True
    current = context.validators
    members, weights = wanted(context)
    # An admission uses up the number of its set, also where it moves no weight (before the stake is there, or of a
    # key that was slashed meanwhile): without the next number no admission would be possible any more.
    admitted = (context.draft.get(NUMBERS, ADMISSIONS_FROM) or 0) > current.serial
    if not members or (not admitted and (members, weights) == (current.members, current.weights)):
        return False
    new = ValidatorSet(current.serial + 1, members, weights)
    context.draft.put(PENDING_SET, ONLY, PendingSet(new, "waiting", context.height))
    _tell(context, "waiting", new)
    return True


def forget_phases(context: Context, final_height: int) -> None:
    """Links to blocks up to the final one are not counted any more."""
    phases = context.draft.only(PHASES).phases
    later = [index for index, phase in enumerate(phases) if phase.height <= final_height + 1]
    if later and later[-1] > 0:
        context.draft.put(PHASES, ONLY, Phases(phases[later[-1] :]))


def is_member(context: Context, address: str) -> bool:
    """Whether an address votes now, or will when the change under way is through."""
    pending = context.draft.get(PENDING_SET, ONLY)
    return context.validators.weight(address) > 0 or (pending is not None and pending.set.weight(address) > 0)


def _enter(context: Context, phase: Phase) -> None:
    context.draft.put(PHASES, ONLY, Phases((*context.draft.only(PHASES).phases, phase)))


def _keep_locked(context: Context, old: ValidatorSet, new: ValidatorSet) -> None:
    """Stake whose weight left only now stays slashable for a whole evidence period from now."""
    earliest = context.time + context.params.evidence_ms
    for member in old.members:
        account = context.draft.get(ACCOUNTS, member)
        if account is not None and account.unbonding and new.weight(member) < old.weight(member):
            later = tuple((amount, max(release, earliest)) for amount, release in account.unbonding)
            context.draft.put(ACCOUNTS, member, replace(account, unbonding=later))


def _tell(context: Context, phase: str, new: ValidatorSet) -> None:
    context.emit(
        "validators", phase=phase, serial=new.serial, members=len(new.members), weight=new.total, quorum=new.quorum()
    )
