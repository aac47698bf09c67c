"""Columns become the same matrix for everybody."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from learning.errors import InvalidData
from learning.features import design_matrix, encode_features, feature_names, standardise, target_vector
from learning.statistics import Statistics, compute
from learning.tables import Table

TableOf = Callable[[str], Table]

CSV = "size,word,flag,t\n1,b,true,10\n3,a,,20\n,,false,30\n1000,zzz,true,40\n"
TRAINING = np.array([0, 1, 2])
ALL = np.arange(4)


@pytest.fixture
def table(table_of: TableOf) -> Table:
    return table_of(CSV)


@pytest.fixture
def statistics(table: Table) -> Statistics:
    return compute(table, TRAINING, "t", "regression")


def test_numbers_are_imputed_and_texts_become_indicators(table: Table, statistics: Statistics) -> None:
    assert feature_names(statistics) == ("size", "word=a", "word=b", "flag")
    matrix = design_matrix(table, statistics, ALL)
    assert matrix.tolist() == [
        [1, 0, 1, 1],
        [3, 1, 0, 0.5],  # a missing flag is the mean of the training rows
        [2, 0, 0, 0],  # so is a missing size; a missing word is none
        [1000, 0, 0, 1],  # a word that no training row has is none
    ]
    assert matrix.flags.c_contiguous
    assert matrix.dtype == np.float64


def test_rows_come_in_the_order_asked_for_repeated_where_asked(table: Table, statistics: Statistics) -> None:
    whole = design_matrix(table, statistics, ALL)
    assert np.array_equal(design_matrix(table, statistics, np.array([2, 0, 0])), whole[[2, 0, 0]])


def test_columns_from_elsewhere_are_encoded_alike(table: Table, statistics: Statistics) -> None:
    columns = {name: table.column(name) for name in ("flag", "word", "size")}
    assert np.array_equal(encode_features(columns, statistics), design_matrix(table, statistics, ALL))


def test_standardised_values_are_cut_off_at_ten(table: Table, statistics: Statistics) -> None:
    scaled = standardise(design_matrix(table, statistics, ALL), statistics)
    assert scaled.tolist() == [[-1, 0, 1, 1], [1, 1, 0, 0], [0, 0, 0, -1], [10, 0, 0, 1]]
    with pytest.raises(InvalidData, match=r"4 columns, found the shape \(1, 3\)"):
        standardise(np.zeros((1, 3)), statistics)


def test_scaling_is_that_of_scikit_learn(table_of: TableOf, datasets: Path) -> None:
    from sklearn.preprocessing import StandardScaler

    table = table_of((datasets / "wine.csv").read_text())
    rows = np.arange(table.rows)
    statistics = compute(table, rows, "cultivar", "classification")
    matrix = design_matrix(table, statistics, rows)
    np.testing.assert_allclose(
        standardise(matrix, statistics), StandardScaler().fit_transform(matrix), rtol=1e-9, atol=1e-12
    )


def test_free_text_is_left_out(table_of: TableOf) -> None:
    table = table_of("n,note,t\n" + "".join(f"{n},note {n},{n}\n" for n in range(300)))
    statistics = compute(table, np.arange(300), "t", "regression")
    assert feature_names(statistics) == ("n",)
    only = table_of("note,t\n" + "".join(f"note {n},{n}\n" for n in range(300)))
    with pytest.raises(InvalidData, match="no feature can be encoded"):
        design_matrix(only, compute(only, np.arange(300), "t", "regression"), np.arange(3))


def test_another_dataset_needs_the_same_columns(table_of: TableOf, statistics: Statistics) -> None:
    with pytest.raises(InvalidData, match="no column 'flag'; the columns are size, word, t"):
        design_matrix(table_of("size,word,t\n1,a,2\n"), statistics, np.array([0]))
    with pytest.raises(InvalidData, match="'size' is of type text, but the model's statistics expect integer"):
        design_matrix(table_of("size,word,flag,t\nbig,a,true,2\n"), statistics, np.array([0]))
    decimal = table_of("size,word,flag,t\n1.5,a,true,2\n")  # numbers are numbers
    assert design_matrix(decimal, statistics, np.array([0])).tolist() == [[1.5, 1, 0, 1]]


def test_a_regression_target_is_the_numbers(table: Table, statistics: Statistics) -> None:
    target = target_vector(table, statistics, np.array([3, 1]), "t", "regression")
    assert target.dtype == np.float64
    assert target.tolist() == [40.0, 20.0]


@pytest.mark.parametrize(
    ("values", "classes"),
    [
        (["b", "a", "b"], ("a", "b")),
        (["10", "9", "10"], ("9", "10")),
        (["2.50", "-1.0", "2.5"], ("-1", "2.5")),
        (["true", "FALSE", "True"], ("false", "true")),
    ],
)
def test_a_classification_target_is_indices_of_classes(
    values: list[str], classes: tuple[str, ...], table_of: TableOf
) -> None:
    table = table_of("a,t\n" + "".join(f"{n},{value}\n" for n, value in enumerate(values)))
    statistics = compute(table, np.arange(3), "t", "classification")
    assert statistics.target.classes == classes
    target = target_vector(table, statistics, np.arange(3), "t", "classification")
    assert target.dtype == np.int64
    assert target.tolist() == [1, 0, 1]


def test_a_target_that_cannot_be_used_is_named_with_its_row(table_of: TableOf) -> None:
    statistics = compute(table_of("a,t\n1,x\n2,y\n3,x\n"), np.arange(3), "t", "classification")
    other = table_of("a,t\n1,x\n2,new\n3,\n")
    assert target_vector(other, statistics, np.array([0]), "t", "classification").tolist() == [0]
    with pytest.raises(InvalidData, match="'t' is none of the classes x, y in 2 rows, first in row 2"):
        target_vector(other, statistics, np.arange(3), "t", "classification")
    with pytest.raises(InvalidData, match="of the target 't' \\(classification\\), asked for 'a'"):
        target_vector(other, statistics, np.arange(3), "a", "regression")


def test_a_missing_or_text_regression_target_is_refused(table_of: TableOf, statistics: Statistics) -> None:
    with pytest.raises(InvalidData, match="'t' is missing in 1 rows, first in row 2"):
        target_vector(table_of("a,t\n1,5\n2,\n"), statistics, np.arange(2), "t", "regression")
    with pytest.raises(InvalidData, match="is text: regression needs numbers"):
        target_vector(table_of("a,t\n1,five\n"), statistics, np.arange(1), "t", "regression")
