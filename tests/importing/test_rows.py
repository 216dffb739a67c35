"""Rows that are wrong, rows that sum up others, and mixtures in one cell."""

import numpy as np
import pytest

from engine.core.errors import Problem
from engine.importing import read, read_runs, read_table
from tests.importing import made


@pytest.mark.parametrize("wrong", ["", "x", "0.9", "---"])
@pytest.mark.parametrize("place", [0, 7, made.RUNS - 1])
def test_a_wrong_row_hides_no_shares_and_is_named(tmp_path, wrong, place):
    """One row without shares, or with a wrong one, and nothing named like weights: the rest tells which they are."""
    columns = {name: list(cells) for name, cells in made.PLAIN.items()}
    for name in made.DOMAINS if wrong != "0.9" else ("web",):
        columns[name][place] = wrong
    (tmp_path / "runs.csv").write_text(made.text(columns))
    found = read("flat", read_table(tmp_path / "runs.csv"))
    assert list(found.mapping.weights) == list(made.DOMAINS)
    with pytest.raises(Problem, match=f"row {place + 2} of runs.csv"):
        read_runs(found)


def test_rows_that_sum_up_the_others_are_no_runs(tmp_path):
    whole = made.text(made.PLAIN)
    (tmp_path / "runs.csv").write_text(whole + "Mean,0.3,0.3,0.4,2.5\nTotal,,,,40\n")
    found = read("flat", read_table(tmp_path / "runs.csv"))
    assert len(read_runs(found).weights) == made.RUNS
    assert found.dropped[0] == "row 18 of runs.csv: 'Mean' sums up the others" and "'Total'" in found.dropped[1]
    (tmp_path / "runs.csv").write_text(whole.replace("\n0,", "\nmax,").replace("\n15,", "\nmin,"))
    assert len(read_runs(read("flat", read_table(tmp_path / "runs.csv"))).weights) == made.RUNS


@pytest.mark.parametrize("pair", ["{}:{}", "{}={}", "{} : {}"])
@pytest.mark.parametrize("mark", [",", "; ", "|"])
def test_a_mixture_as_people_write_it_in_one_cell(tmp_path, pair, mark):
    cells = [mark.join(pair.format(name, share) for name, share in one.items()) for one in made.mixtures()]
    (tmp_path / "runs.csv").write_text(made.text({**made.RUN, "mixture": cells, "val_loss": made.LOSS.tolist()}))
    found = read_runs(read("flat", read_table(tmp_path / "runs.csv")))
    assert list(found.mapping.weights) == list(made.DOMAINS)
    np.testing.assert_allclose(found.weights, made.SHARES, atol=1e-9)


@pytest.mark.parametrize("cell", ["12:30,13:45", "a:1", "note: first, second", "a:1,a:2", "a:b,c:d"])
def test_text_with_colons_stays_text(tmp_path, cell):
    (tmp_path / "runs.csv").write_text(made.text({**made.PLAIN, "remark": [cell] * made.RUNS}))
    assert "remark" in read_table(tmp_path / "runs.csv").columns
