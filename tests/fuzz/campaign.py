"""A campaign: many inputs into one decoder, watching errors, forms, time and memory.

Input number `n` of a seed is the same whatever came before it, so each finding is repeated alone.
"""

from __future__ import annotations

import ctypes
import gc
import resource
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.fuzz.decoders import Decoder, Skipped
from tests.fuzz.mutate import generator, make

#: CPU seconds one input may take.
SLOWEST = 0.25
#: Bytes by which the memory at the end may exceed that after a tenth of the inputs.
GROWTH = 12 << 20
#: Bytes by which one input may exceed, for a moment, what was held before (its decoding copies it a few times).
PEAK = 192 << 20
#: Findings after which a campaign ends.
ENOUGH = 5
_libc = ctypes.CDLL(None)


@dataclass(frozen=True)
class Finding:
    """A defect, and the input that shows it."""

    decoder: str
    seed: int
    number: int
    what: str
    data: bytes
    inputs: int = 0
    """All of so many inputs show it, from the first one on, and none alone; 0 for what this one shows."""

    def __str__(self) -> str:
        shown = self.data.hex() if len(self.data) <= 600 else f"{self.data[:600].hex()}... ({len(self.data)} bytes)"
        whole = f"N={self.inputs} ANEW=1" if self.inputs else f"AT={self.number}"
        again = f"make fuzz PART={self.decoder} SEED={self.seed} {whole}"
        return f"FOUND {self.decoder}: {self.what}\n  input (hex): {shown}\n  again: {again}"


@dataclass
class Result:
    """What a campaign saw."""

    decoder: str
    inputs: int = 0
    before: int = 0
    """Inputs that earlier runs took."""
    accepted: int = 0
    refused: int = 0
    skipped: int = 0
    seconds: float = 0.0
    slowest: float = 0.0
    """CPU seconds of the slowest input."""
    growth: int = 0
    peak: int = 0
    findings: list[Finding] = field(default_factory=list)

    def __str__(self) -> str:
        rate = self.inputs / self.seconds if self.seconds else 0.0
        return (
            f"{self.decoder:44} {self.before:9,} inputs before, {self.inputs:9,} now {rate:8,.0f}/s  "
            f"accepted {self.accepted:8,}  slowest "
            f"{1000 * self.slowest:5.1f} ms  memory {self.growth / 2**20:+5.1f} MiB (peak {self.peak / 2**20:+.0f})"
        )


def resident() -> int:
    """Bytes of this process in memory, once what is free was given back."""
    gc.collect()
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def peak() -> int:
    """The most bytes this process has had in memory."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def judge(decoder: Decoder, data: bytes) -> tuple[str, str]:
    """How one input fares: `accepted`, `refused` or `skipped`, and what is wrong with that, if anything."""
    try:
        value = decoder.decode(data)
    except Skipped:
        return "skipped", ""
    except decoder.declared as error:
        try:
            str(error).encode()
        except Exception as unprintable:
            return "refused", f"{type(error).__name__} cannot be shown: {type(unprintable).__name__}: {unprintable}"
        return "refused", ""
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return "refused", f"undeclared {type(error).__name__}: {str(error)[:300]} ({where.filename}:{where.lineno})"
    try:
        holds = decoder.holds(value, data)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        what = f"accepted, but then {type(error).__name__}: {str(error)[:300]} ({where.filename}:{where.lineno})"
        return "accepted", what
    return "accepted", "" if holds else f"accepted, but written back otherwise: {str(value)[:300]}"


def run(
    decoder: Decoder,
    seed: int,
    numbers: range,
    *,
    now_at: Callable[[int, int], None] | None = None,
    memory: bool = True,
) -> Result:
    """The inputs with these numbers. `now_at` is told each before it is tried, and how much was
    found by then, for who looks on from outside."""
    result = Result(decoder.name, inputs=len(numbers))
    tenth = numbers.start + max(1, len(numbers) // 10)
    begun, before, held = time.perf_counter(), peak(), 0
    kinds: set[str] = set()
    for number in numbers:
        if now_at is not None:
            now_at(number, len(result.findings))
        if number == tenth and memory:
            held = resident()
        data = make(generator(seed, decoder.name, number), decoder.examples)
        clock = time.thread_time()
        outcome, wrong = judge(decoder, data)
        took = time.thread_time() - clock
        if took > result.slowest:
            result.slowest = took
            if took > SLOWEST and not wrong and _slow_again(decoder, data):
                wrong = f"it took {took:.2f} s of CPU, more than {SLOWEST}"
        setattr(result, outcome, getattr(result, outcome) + 1)
        kind = wrong.partition(":")[0] + wrong.rpartition("(")[2]  # the error and its line
        if wrong and kind not in kinds:
            kinds.add(kind)
            result.findings.append(Finding(decoder.name, seed, number, wrong, data))
            if len(result.findings) >= ENOUGH:
                result.inputs = number - numbers.start + 1
                break
    result.seconds = time.perf_counter() - begun
    if memory and held:
        result.growth, result.peak = resident() - held, peak() - before
        if result.growth > GROWTH:
            what = f"memory grew by {result.growth / 2**20:.0f} MiB in the last nine tenths of {result.inputs} inputs"
            result.findings.append(Finding(decoder.name, seed, numbers.start, what, b"", numbers.stop))
        if result.peak > PEAK:
            what = f"an input took {result.peak / 2**20:.0f} MiB at a time"
            result.findings.append(Finding(decoder.name, seed, numbers.start, what, b"", numbers.stop))
    return result


def _slow_again(decoder: Decoder, data: bytes) -> bool:
    """Not by a garbage collection that happened to fall on it."""
    clock = time.thread_time()
    judge(decoder, data)
    return time.thread_time() - clock > SLOWEST


def quiet() -> None:
    """Warnings of libraries about hostile numbers (overflows, divisions) are no findings."""
    warnings.simplefilter("ignore")


def describe(result: Result) -> dict[str, Any]:
    """A result as plain JSON, for the process that started this one."""
    plain = {name: value for name, value in vars(result).items() if name != "findings"}
    plain["findings"] = [{**vars(one), "data": one.data.hex()} for one in result.findings]
    return plain


def undescribe(plain: dict[str, Any]) -> Result:
    """Back."""
    findings = [Finding(**{**one, "data": bytes.fromhex(one["data"])}) for one in plain.pop("findings")]
    return Result(**plain, findings=findings)
