"""No function that reads what comes from outside is left out of the campaigns, as far as its name gives it away."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.fuzz import decoders

ROOT = Path(__file__).parents[2]
ROOMS = ("runtime", "chain", "ipfs", "learning", "workers", "validators", "coordinator", "cli")
_NAME = re.compile(
    r"(decode|parse|read|from|load|unpack|open|restore|recover|signer|links_of|problem_of|url_of|to_view|to_event|"
    r"to_page|check|describe|verify|depth_of)(_|$|s$)|(to|url|links|problem|depth)_"
)
_FROM_OUTSIDE = re.compile(r"\b(bytes|str|BinaryIO|Path|object|Any|Mapping|dict|list|Response)\b")
#: What looks like a decoder and is none, or is run by one, and why.
EXCUSED = {
    "cli.reading.read_genesis": "a file for chain.params.Genesis.from_json, which is registered",
    "chain.answers.to_page": "run by answers/node.events",
    "chain.fields.check_of": "takes annotations of ours",
    "chain.node.peering.protocol.Peering.check": "takes a Hello that was decoded; its rules are tests/chain's",
    "chain.node.peering.book.Book.restore": "the node's own database, written in one go",
    "chain.keys.recover_all": "chain.keys.recover's steps in loops; tests/chain/test_keys.py holds them against it",
    "chain.schema.read_values": "run by chain.schema.read",
    "chain.schema.to_bytes": "writes", "chain.schema.to_object": "writes", "chain.encoding.to_json": "writes",
    "ipfs.open_store": "an operator's option: an address or a folder",
    "ipfs.embedded.EmbeddedStore.open": "ipfs/reader.py, run by content/reader.read_range",
    "ipfs.embedded.EmbeddedStore.read": "ipfs/reader.py, run by content/reader.read_range",
    "ipfs.kubo.KuboStore.open": "ipfs/reader.py, run by content/reader.read_range",
    "ipfs.kubo.KuboStore.read": "ipfs/reader.py, run by content/reader.read_range",
    "ipfs.store.ContentStore.open": "a protocol",
    "learning.canonical.to_canonical": "writes",
    "learning.tables.load_table": "read_table and a comparison with the manifest",
    "runtime.endpoints.url_of": "writes",
    "runtime.serving._Parser.parse_header": "waitress's, and what it gets: tests/fuzz/test_sockets.py",
    "runtime.files.Files.read": "a path of ours",
    "validators.audit.check_chain": "composes the client and Block.decode",
    "workers.context.open_session": "composes learning's readers",
    "validators.baseline.open_session": "composes learning's readers",
    "coordinator.opening.open_job": "a request's form: tests/fuzz/test_coordinator.py",
    "coordinator.problems.from_validation": "a request's form: tests/fuzz/test_coordinator.py",
}  # fmt: skip


def suspects() -> Iterator[str]:
    """Public functions and methods named like a decoder with a parameter that may come from outside."""
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                inside = node.body if isinstance(node, ast.ClassDef) else [node]
                for found in inside:
                    if isinstance(found, ast.FunctionDef) and _looks_like_a_decoder(found):
                        owner = f"{node.name}." if isinstance(node, ast.ClassDef) else ""
                        yield f"{module}.{owner}{found.name}"


def _looks_like_a_decoder(function: ast.FunctionDef) -> bool:
    annotations = [each.annotation for each in function.args.args if each.annotation is not None]
    return (
        not function.name.startswith("_")
        and _NAME.match(function.name) is not None
        and any(_FROM_OUTSIDE.search(ast.unparse(each)) for each in annotations)
    )


def covered() -> set[str]:
    return {name for decoder in decoders.everything() for name in decoder.covers}


def test_every_decoder_is_registered_or_excused() -> None:
    missing = sorted(set(suspects()) - covered() - set(EXCUSED))
    assert not missing, f"{missing}: add a decoder to tests/fuzz/decoders_*.py, or say here why none is needed"


def test_what_is_registered_exists() -> None:
    import importlib

    for name in covered():
        parts = name.split(".")
        for count in range(len(parts) - 1, 0, -1):
            try:
                place: object = importlib.import_module(".".join(parts[:count]))
            except ModuleNotFoundError:
                continue
            break
        for part in parts[count:]:
            place = getattr(place, part)
        assert callable(place), name


def test_every_message_and_every_kind_has_an_example() -> None:
    from chain.node.peering.codec import NAMES
    from chain.payloads import PAYLOADS
    from tests.fuzz.decoders_chain import SIGNED
    from tests.fuzz.decoders_peers import MESSAGES

    assert {type(message) for message in MESSAGES} == set(NAMES.values())
    assert {signed.body.kind for signed in SIGNED} == set(PAYLOADS)


def test_what_is_excused_is_still_there() -> None:
    """An excuse for something that is gone, or that is registered by now, goes too."""
    assert set(EXCUSED) <= set(suspects()) - covered()
