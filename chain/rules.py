"""The rules that finality rests on, each with a switch so that a test can show what it is there for.

Every network has all of them on: no file, flag or variable reaches these switches. A simulation that turns one
off (``dataclasses.replace(params, rules=...)``) must find two conflicting final blocks.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rules:
    """Which rules hold."""

    targets_rise: bool = True
    """A validator's target is higher than all its earlier ones. Off: it may vote twice for one height."""
    sources_stay: bool = True
    """A validator's source is no lower than any earlier one. Off: it may vote around and inside earlier votes."""
    justified_source: bool = True
    """A link counts only from a block that is justified on its branch."""
    direct_child: bool = True
    """Only a link to its direct child makes a block final. Off: a link to any descendant does."""
    two_thirds: bool = True
    """A quorum is more than two thirds of the weight. Off: half of it."""
    joint_sets: bool = True
    """A change of the set waits for its block to be final, and then needs both sets. Off: it acts at once."""


ALL_RULES = Rules()
