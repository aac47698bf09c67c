"""Random states follow from the chain's seed and from nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from learning.recipe import derived_random_state
from learning.session import Session


def test_the_random_state_is_exactly_specified(job: Callable[..., Session]) -> None:
    recipe = job("iris", "sklearn.naive_bayes.GaussianNB", "merge").recipe
    text = b"assay-random-state\n" + b"ab" * 32 + b"\njob\n2\n3\nfit"
    assert derived_random_state(recipe, 2, 3, "fit") == int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    different = {
        derived_random_state(recipe, *place)
        for place in ((2, 3, "fit"), (3, 2, "fit"), (2, None, "fit"), (2, 3, "initial"))
    }
    assert len(different) == 4
