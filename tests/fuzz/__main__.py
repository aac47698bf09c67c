"""`make fuzz`: a million inputs for each function that decodes, ten thousand for each route; or parts of that.

It goes on where it was stopped, part by part (`tests/fuzz/progress.py`), so that the whole takes several evenings.

    python -m tests.fuzz                         # all of it: an hour and more
    python -m tests.fuzz chain content           # the decoders of two rooms
    python -m tests.fuzz peers/codec.hello --inputs 20000 --seed 7
    python -m tests.fuzz peers/codec.hello --seed 7 --at 4711   # one input again, with the traceback
    python -m tests.fuzz routes --requests 500   # node, coordinator and sockets
    python -m tests.fuzz list                    # all parts, and how far each is
    python -m tests.fuzz chain --anew            # from the first input on

Exit status: 0 nothing found, 1 something.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from runtime import numeric

numeric.pin()  # before anything imports numpy

from tests.fuzz import campaign, decoders  # noqa: E402
from tests.fuzz.mutate import generator, make  # noqa: E402
from tests.fuzz.progress import FOLDER, VARIABLE, Progress, Taken, forget, of_decoder  # noqa: E402

ROOT = Path(__file__).parents[2]
ROUTES = ("node", "peer-routes", "coordinator", "sockets")
#: Seconds without a next input after which a decoder counts as hanging.
HANGS = 60.0
#: Settings of glibc under which a route's memory is what is kept. By default each of the hundred threads has caches
#: of freed blocks that fill for hours, which looks like growth: 0.5 MiB for 10,000 requests, none at all with these.
ALLOCATOR = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1"
#: Set when somebody interrupts: no more children.
STOPPED = threading.Event()


def main() -> int:
    parser = argparse.ArgumentParser(prog="make fuzz", description=__doc__, add_help=True,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    parser.add_argument("parts", nargs="*", help="decoders, a room, a decoder's name, routes, or one of its parts")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--inputs", type=int, default=1_000_000, help="for each function: its forms share them")
    parser.add_argument("--requests", type=int, default=10_000, help="for each route")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--at", type=int, help="this input of this decoder alone")
    parser.add_argument("--anew", action="store_true", help="these parts from the first input on")
    parser.add_argument("--child", nargs=2, metavar=("FILE", "FIRST"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    campaign.quiet()
    if options.child:
        folder, first = options.child
        return _child(options.parts[0], options.seed, range(int(first), options.inputs), Path(folder))
    if options.parts == ["list"]:
        for one in decoders.everything():
            wanted = decoders.share(one, options.inputs)
            print(f"{one.name:44} {_progress(one.name, options.seed).said(one.name, wanted)}")
        print("\n".join(ROUTES))
        return 0
    if options.at is not None:
        return _once(options.parts[0], options.seed, options.at)
    names, routes = _chosen(options.parts)
    print(f"seed {options.seed}: {options.inputs:,} inputs for each function behind {len(names)} decoders, "
          f"{', '.join(routes) or 'no routes'} with {options.requests:,} requests a route", flush=True)  # fmt: skip
    if options.anew:
        forget(FOLDER, lambda part: part in names if part.partition("/")[0] in decoders.GROUPS else bool(routes))
    begun = time.monotonic()
    found = _decoders(names, options.seed, options.inputs, options.jobs)
    for part in routes:
        found += _routes(part, options.seed, options.requests)
    print(f"{found} found in {(time.monotonic() - begun) / 60:.1f} minutes")
    return 1 if found else 0


def _chosen(parts: list[str]) -> tuple[list[str], list[str]]:
    """Names of decoders and of the parts with routes."""
    everything = [one.name for one in decoders.everything()]
    if not parts:
        return everything, list(ROUTES)
    names: list[str] = []
    routes: list[str] = []
    for part in parts:
        matching = [name for name in everything if part in ("decoders", name) or name.startswith(f"{part}/")]
        if not matching and part not in ("routes", *ROUTES):
            raise SystemExit(f"no part {part!r}: expected decoders, one of {', '.join(decoders.GROUPS)}, a decoder's "
                             f"name (PART=list shows them), routes, or one of {', '.join(ROUTES)}")  # fmt: skip
        names += matching
        routes += ROUTES if part == "routes" else [part] if part in ROUTES else []
    return names, routes


def _decoders(names: list[str], seed: int, inputs: int, jobs: int) -> int:
    found = 0
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        try:
            for result in pool.map(partial(_watched, seed=seed, inputs=inputs), names):
                wanted = decoders.share(decoders.find(result.decoder), inputs)
                whole = _progress(result.decoder, seed).said(result.decoder, wanted)
                print(f"{result}\n  taken: {whole}", flush=True)
                for one in result.findings:
                    print(one, flush=True)
                found += len(result.findings)
        except KeyboardInterrupt:
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # the same one may come twice
            STOPPED.set()
            pool.shutdown(cancel_futures=True)
            raise SystemExit("stopped; the same command goes on from here") from None
    return found


def _progress(name: str, seed: int) -> Progress:
    return of_decoder(FOLDER, seed, decoders.GROUPS[name.partition("/")[0]], decoders.find(name).covers)


def _watched(name: str, seed: int, inputs: int) -> campaign.Result:
    """A campaign in a process of its own, so that a crash or an endless loop is a finding too."""
    progress, inputs = _progress(name, seed), decoders.share(decoders.find(name), inputs)
    first = progress.taken(name).inputs
    if first >= inputs:
        return campaign.Result(name, before=first)
    with tempfile.TemporaryDirectory(prefix="assay-fuzz-") as folder:
        place, answer = Path(folder) / "at", Path(folder) / "result"
        place.write_bytes(first.to_bytes(8, "little") * 2)
        command = [sys.executable, "-m", "tests.fuzz", name, "--seed", str(seed), "--inputs", str(inputs), "--child",
                   folder, str(first)]  # fmt: skip
        process = subprocess.Popen(command, cwd=ROOT)
        last, since = -1, time.monotonic()
        while True:
            try:
                process.wait(1.0)
                break
            except subprocess.TimeoutExpired:
                number, good = _at(place)
                progress.note(name, Taken(good))
                if STOPPED.is_set():
                    process.terminate()
                elif number != last:
                    last, since = number, time.monotonic()
                elif time.monotonic() - since > HANGS:
                    process.kill()
                    process.wait()
        number, good = _at(place)
        if process.returncode == 0:
            result = campaign.undescribe(json.loads(answer.read_text()))
            # What was found comes again next time, until it is mended: then the code is another, and all begins anew.
            progress.note(name, Taken(good if result.findings else inputs))
            result.before = first
            return result
        progress.note(name, Taken(good))
        if process.returncode in (-signal.SIGTERM, -signal.SIGINT):  # with this process
            return campaign.Result(name, inputs=number - first, before=first)
        what = f"no end after {HANGS:.0f} s" if process.returncode == -9 else f"exit status {process.returncode}"
        data = make(generator(seed, name, number), decoders.find(name).examples)
        return campaign.Result(name, before=first, findings=[campaign.Finding(name, seed, number, what, data)])


def _at(place: Path) -> tuple[int, int]:
    """The number that a child is at, and that of the first finding, or the same."""
    data = place.read_bytes()
    return int.from_bytes(data[:8], "little"), int.from_bytes(data[8:], "little")


def _child(name: str, seed: int, numbers: range, folder: Path) -> int:
    import mmap

    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with (folder / "at").open("r+b") as file, mmap.mmap(file.fileno(), 16) as place:

        def now_at(number: int, findings: int) -> None:
            place[:8] = number.to_bytes(8, "little")
            if not findings:
                place[8:] = place[:8]

        result = campaign.run(decoders.find(name), seed, numbers, now_at=now_at)
    (folder / "result").write_text(json.dumps(campaign.describe(result)))
    return 0


def _once(name: str, seed: int, number: int) -> int:
    """One input again, with all that is known of it."""
    decoder = decoders.find(name)
    data = make(generator(seed, name, number), decoder.examples)
    print(f"{name}, seed {seed}, input {number}: {len(data)} bytes\n{data.hex()}\n{data[:2000]!r}")
    clock = time.thread_time()
    outcome, wrong = campaign.judge(decoder, data)
    took = time.thread_time() - clock
    slow = f"more than {campaign.SLOWEST}" if took > campaign.SLOWEST else ""
    print(f"{outcome}; {wrong or slow or 'nothing wrong'}; {1000 * took:.1f} ms of CPU")
    if not wrong:
        return 1 if slow else 0
    decoder.holds(decoder.decode(data), data)  # the traceback
    return 1


def _routes(part: str, seed: int, requests: int) -> int:
    """The tests of these routes, at full length."""
    environment = {**os.environ, "ASSAY_FUZZ_REQUESTS": str(requests), "ASSAY_FUZZ_SEED": str(seed),
                   VARIABLE: str(FOLDER), "GLIBC_TUNABLES": ALLOCATOR}  # fmt: skip
    test = f"tests/fuzz/test_{part.replace('-', '_')}.py"
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", "--timeout=0", test]
    return int(subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode != 0)


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # `make fuzz PART=list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    sys.exit(status)
