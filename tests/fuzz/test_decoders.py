"""A slice of the decoders' campaigns; `make fuzz` is the whole of them. This folder mirrors no room: it attacks all."""

from __future__ import annotations

import pytest

from tests.fuzz import campaign, decoders
from tests.fuzz.decoders import Decoder
from tests.fuzz.mutate import Example, generator, make

SEED = 20_261_121
#: Inputs for each decoder.
SLICE = 200

every_group = pytest.mark.parametrize("name", decoders.GROUPS)


def data_of(example: Example) -> bytes:
    return example.data if example.wrap is None else example.wrap(example.data)


@every_group
def test_every_example_is_accepted(name: str) -> None:
    for decoder in decoders.group(name):
        for example in decoder.examples:
            assert campaign.judge(decoder, data_of(example)) == ("accepted", ""), decoder.name


@every_group
@pytest.mark.filterwarnings("ignore")
def test_bad_inputs_are_refused_by_a_declared_error_or_written_back_as_they_came(name: str) -> None:
    findings = []
    for decoder in decoders.group(name):
        result = campaign.run(decoder, SEED, range(SLICE), memory=False)
        print(result)
        findings += result.findings
    assert not findings, "\n".join(map(str, findings))


def test_an_input_is_the_same_alone_as_among_others() -> None:
    decoder = decoders.find("chain/blocks.Block")
    first = [make(generator(SEED, decoder.name, number), decoder.examples) for number in range(20)]
    assert make(generator(SEED, decoder.name, 13), decoder.examples) == first[13]
    assert len(set(first)) > 15
    assert make(generator(SEED + 1, decoder.name, 13), decoder.examples) != first[13]


def judge(decode, *, holds=decoders.anything) -> list[str]:  # type: ignore[no-untyped-def]
    """What a campaign says of a decoder of text that is `decode`."""
    decoder = Decoder("test/decoder", decode, (Example(b'{"a":1}', "json"),), (ValueError,), (), holds)
    return [finding.what for finding in campaign.run(decoder, SEED, range(500), memory=False).findings]


def test_a_campaign_finds_what_it_looks_for() -> None:
    import json
    import time

    def careless(data: bytes) -> object:
        return json.loads(data)["a"]

    assert judge(lambda data: data) == []
    assert any("undeclared KeyError" in what for what in judge(careless))
    assert any("written back otherwise" in what for what in judge(bytes, holds=lambda value, data: len(data) != 7))

    first: list[bytes] = []

    def slow(data: bytes) -> None:
        if len(data) > 50 and first in ([], [data]):
            first[:] = [data]
            end = time.thread_time() + 1.2 * campaign.SLOWEST
            while time.thread_time() < end:
                pass

    assert any("s of CPU" in what for what in judge(slow))


def test_a_campaign_finds_memory_that_grows() -> None:
    kept: list[bytes] = []
    decoder = Decoder("test/leak", lambda data: kept.append(bytes(100_000)), (Example(b"{}", "json"),), (), ())
    result = campaign.run(decoder, SEED, range(500))
    assert [finding.what.partition(" by ")[0] for finding in result.findings] == ["memory grew"]
