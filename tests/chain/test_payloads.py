"""What the texts in transactions may hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from chain.errors import InvalidEncoding
from chain.payloads import Payload, RegisterDataset, ReportFailure, VoteModel
from chain.schema import from_bytes, to_bytes

FIELDS = [("report_failure", "message"), ("report_failure", "asked"), ("vote_model", "reason"),
          ("vote_model", "asked"), ("register_dataset", "target")]  # fmt: skip


@pytest.mark.parametrize(("kind", "field"), FIELDS)
@pytest.mark.parametrize(
    "text", ["red \x1b[31m", "two\nlines", "back\r", "\x00", "\x7f", "\x9b31m", "\u2028", "\u202egnp.exe", "\u2066"]
)
def test_what_a_terminal_would_obey_is_refused(examples: dict[str, Payload], kind: str, field: str, text: str) -> None:
    with pytest.raises(InvalidEncoding, match="control characters") as caught:
        to_bytes(replace(examples[kind], **{field: text}))
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(("kind", "field"), FIELDS)
@pytest.mark.parametrize("text", ["größe (cm)", "目標", "a\u00a0b", "👩‍🔬", 'quotes " and \\', "x" * 200])
def test_every_other_text_is_kept(examples: dict[str, Payload], kind: str, field: str, text: str) -> None:
    payload = replace(examples[kind], **{field: text})
    assert isinstance(payload, RegisterDataset | ReportFailure | VoteModel)
    assert from_bytes(type(payload), to_bytes(payload), 10_000) == payload
