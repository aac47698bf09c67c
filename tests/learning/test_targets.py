"""Whether a column can be learned, and as what."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from learning.errors import InvalidData, InvalidSpec
from learning.tables import Table
from learning.targets import check_target, class_labels

TableOf = Callable[[str], Table]


def column(values: list[object]) -> str:
    return "a,t\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values))


@pytest.mark.parametrize(
    ("values", "guess"),
    [
        (["x", "y", "x"], "classification"),
        (["true", "false"], "classification"),
        ([0, 1, 2, 1], "classification"),
        (list(range(20)) * 2, "classification"),
        (list(range(21)) * 2, "regression"),
        ([0.5, 1.5], "regression"),
    ],
)
def test_the_task_is_guessed_from_the_target(values: list[object], guess: str, table_of: TableOf) -> None:
    assert check_target(table_of(column(values)), "t", None) == guess


def test_the_task_named_counts(table_of: TableOf) -> None:
    table = table_of(column([0, 1, 2, 1]))
    assert check_target(table, "t", "regression") == "regression"
    with pytest.raises(InvalidSpec, match="unknown task 'clustering': expected classification or regression"):
        check_target(table, "t", "clustering")


@pytest.mark.parametrize(
    ("csv", "task", "message"),
    [
        ("a,b\n1,2\n", None, "no column 't'; the columns are a, b"),
        ("t\n1\n2\n", None, "'t' is the only column"),
        ("a,t\n1,\n2,3\n3,4\n", None, "'t' is missing in 1 of 3 rows.*the columns are a, t"),
        ("a,t\n1,x\n2,x\n", None, "'t' has the same value in every row.*the columns are a, t"),
        (column([f"name {n}" for n in range(5)]), None, "different in every one of the 5 rows.*columns are a, t"),
        (column([f"name {n}" for n in range(257)] * 2), None, "257 distinct values in 514 rows, at most 256"),
        (column([n + 0.5 for n in range(257)] * 2), "classification", "at most 256 classes"),
        (column(["x", "y", "x"]), "regression", "of type text: regression needs numbers"),
        (column(["true", "false"]), "regression", "of type boolean: regression needs numbers"),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(
    csv: str, task: str | None, message: str, table_of: TableOf
) -> None:
    with pytest.raises(InvalidData, match=message):
        check_target(table_of(csv), "t", task)


def test_labels_are_texts(table_of: TableOf) -> None:
    assert class_labels(table_of(column(["1.0", "", "2.5"])), "t").to_pylist() == ["1", None, "2.5"]
    assert class_labels(table_of(column(["x", "", "y"])), "t").to_pylist() == ["x", None, "y"]
