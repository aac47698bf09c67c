"""Which rows each worker trains on: a function of the job's seed from the chain, of job and round.

Everything is drawn from one stream of 64-bit words (:func:`row_keys`)::

    key   = int.from_bytes(SHA-256('["partitions","SEED","JOB",ROUND]')[:16], "little")
    words = numpy.random.Philox(key=key).random_raw(count)

that is Philox4x64-10 (Salmon et al., SC 2011) with a 128-bit key and a counter from 1; NumPy promises raw
streams to be stable, ``Generator.permutation`` not.  The hashed text is RFC 8785 JSON.

``{"scheme": "disjoint"}``: the n training rows sorted stably by the first n words, cut into pieces:
partition p of k has the places from ``p n // k`` up to ``(p + 1) n // k``.

``{"scheme": "bootstrap"}``: partition p draws m = max(1, fraction n) rows with replacement: with the words
from ``p m`` up to ``(p + 1) m``, each taken modulo n, as places in the training rows.  ``fraction`` (1
by default) is a multiple of a millionth, and ``fraction n`` is rounded down.

Both draw once for the whole job (ROUND is 0 in the hashed text), or with ``"redraw": true`` anew each round.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

import numpy as np

from learning.canonical import to_canonical
from learning.errors import InvalidSpec
from learning.statistics import Rows
from runtime import strict_json

Words = np.ndarray[tuple[int], np.dtype[np.uint64]]

_SEED = re.compile(r"[0-9a-f]{64}")
_MILLION = 1_000_000
_OPTIONS = {"disjoint": {"redraw"}, "bootstrap": {"fraction", "redraw"}}
_MAX_TEXT = 1_000


def parse_partitioning(spec: str | dict[str, Any]) -> str:
    """The canonical JSON text of a partitioning; options at their default are left out.

    Raises :class:`InvalidSpec` for anything but an object with a known ``scheme`` and its options.
    """
    known = "expected {\"scheme\": \"disjoint\"} or {\"scheme\": \"bootstrap\", \"fraction\": 0.5}"
    if isinstance(spec, str):
        if len(spec) > _MAX_TEXT:
            raise InvalidSpec(f"the partitioning has {len(spec)} characters, at most {_MAX_TEXT}; {known}")
        try:
            spec = strict_json.loads(spec)
        except ValueError as problem:
            raise InvalidSpec(f"the partitioning is no JSON ({problem}); {known}") from None
    if not isinstance(spec, dict):
        raise InvalidSpec(f"the partitioning is {spec!r}; {known}")
    scheme = spec.get("scheme")
    if not isinstance(scheme, str) or scheme not in _OPTIONS:
        raise InvalidSpec(f"unknown partitioning scheme {scheme!r}: expected one of {', '.join(_OPTIONS)}")
    unknown = set(spec) - {"scheme"} - _OPTIONS[scheme]
    if unknown:
        raise InvalidSpec(
            f"the scheme {scheme} has no option {', '.join(map(repr, sorted(map(str, unknown))))}: expected "
            f"{', '.join(sorted(_OPTIONS[scheme]))}"
        )
    canonical: dict[str, Any] = {"scheme": scheme}
    redraw = spec.get("redraw", False)
    if type(redraw) is not bool:
        raise InvalidSpec(f"redraw is {redraw!r}: expected true (drawn anew each round) or false")
    if redraw:
        canonical["redraw"] = True
    if (fraction := _micro(spec.get("fraction", 1))) != _MILLION:
        canonical["fraction"] = fraction / _MILLION
    return to_canonical(canonical).decode()


def row_keys(seed: str, job: str, round: int, count: int) -> Words:
    """The first ``count`` words of the stream of this seed (64 hex digits), job and round; shape
    ``(count,)``.

    Raises :class:`InvalidSpec` for a seed of another form.
    """
    if not _SEED.fullmatch(seed):
        raise InvalidSpec(f"the seed is {seed[:80]!r}: expected 64 lowercase hex digits, from the chain")
    digest = hashlib.sha256(to_canonical(["partitions", seed, job, round])).digest()
    words: Words = np.random.Philox(key=int.from_bytes(digest[:16], "little")).random_raw(count)
    return words


def partition_rows(
    training_rows: Rows,
    seed: str,
    job: str,
    round: int,
    partitions: int,
    partitioning: str,
) -> list[Rows]:
    """The rows of each partition of a round, as int64 indices in the order drawn.

    ``training_rows`` has the shape ``(n,)``: indices into the table, ascending.  Raises :class:`InvalidSpec`
    when there are more partitions than training rows, or the partitioning is not known.
    """
    options = json.loads(parse_partitioning(partitioning))
    count = len(training_rows)
    if not 1 <= partitions <= count:
        raise InvalidSpec(
            f"{partitions} partitions of {count} training rows: expected at least one partition, and at "
            "least one row in each; ask for fewer"
        )
    drawn = round if options.get("redraw", False) else 0
    if options["scheme"] == "disjoint":
        order = np.argsort(row_keys(seed, job, drawn, count), kind="stable")
        cuts = [part * count // partitions for part in range(partitions + 1)]
        return [training_rows[order[cuts[part] : cuts[part + 1]]] for part in range(partitions)]
    size = max(1, _micro(options.get("fraction", 1)) * count // _MILLION)
    words = row_keys(seed, job, drawn, partitions * size).reshape(partitions, size)
    places = (words % np.uint64(count)).astype(np.int64)
    return [training_rows[places[part]] for part in range(partitions)]


def _micro(fraction: Any) -> int:
    """A fraction in millionths, exactly."""
    if type(fraction) not in (int, float) or not 0 < fraction <= 1:
        raise InvalidSpec(f"fraction is {fraction!r}: expected a number above 0, up to 1")
    micro: int = round(fraction * _MILLION)
    if micro < 1 or micro / _MILLION != fraction:
        raise InvalidSpec(f"fraction is {fraction!r}: expected a multiple of a millionth")
    return micro
