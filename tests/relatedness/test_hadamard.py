"""Products of relatednesses, entry by entry."""

import numpy as np
import pandas as pd
import pytest

from lmmpy.errors import DataError
from lmmpy.relatedness import Pedigree, Relatedness
from tests.qtl.family import kinship, pedigree


def test_additive_by_additive_is_the_square_of_every_entry():
    found = pedigree().additive() * pedigree().additive()
    assert found.to_frame(range(1, 399)).to_numpy() == pytest.approx(kinship().to_numpy() ** 2, abs=1e-12)
    assert found.id == "ID"


def test_twins_are_one_level_where_both_factors_have_them_so():
    A = pedigree().additive()
    assert (A * A).size == A.size == 396
    apart = A * Relatedness(kinship())
    assert apart.size == 398
    assert apart.to_frame(range(1, 399)).to_numpy() == pytest.approx(kinship().to_numpy() ** 2, abs=1e-12)


def test_levels_are_matched_by_id_in_any_order():
    rng = np.random.default_rng(1)
    ids, F = list("abcdef"), rng.standard_normal((2, 6, 6))
    K, L = (pd.DataFrame(f @ f.T, index=ids, columns=ids) for f in F)
    order = list("fbdace")
    found = Relatedness(K).hadamard(Relatedness(L.loc[order, order]))
    assert found.to_frame(ids).to_numpy() == pytest.approx((K * L).to_numpy(), rel=1e-12)
    assert np.linalg.eigvalsh(found.dense())[0] > 0.0


def test_small_families_stay_sparse():
    table = pd.DataFrame(
        [
            (f"{f}{k}", None if k in "fm" else f"{f}f", None if k in "fm" else f"{f}m")
            for f in range(9)
            for k in "fmabc"
        ],
        columns=["id", "father", "mother"],
    )
    family = Pedigree.from_frame(table, "id", "father", "mother", sex=None, twin=None)
    found = family.additive() * family.dominance()
    assert found.form.kind == "sparse"
    assert found.to_frame(["0a", "0b", "1a"]).to_numpy() == pytest.approx(
        np.array([[1, 0.125, 0], [0.125, 1, 0], [0, 0, 1]])
    )


def test_identities_have_an_identity_and_unlabelled_ones_are_taken_in_order():
    assert (Relatedness.identity(4) * Relatedness.identity(4)).is_identity
    K = np.array([[1.0, 0.5], [0.5, 2.0]])
    assert (Relatedness(K) * Relatedness(K)).dense() == pytest.approx(K**2)


@pytest.mark.parametrize(
    ("one", "other", "problem"),
    [
        (
            Relatedness(np.eye(2), ["a", "b"]),
            Relatedness(np.eye(2), ["a", "c"]),
            "first alone has 'b'.*second alone has 'c'",
        ),
        (Relatedness(np.eye(2), ["a", "b"]), Relatedness(np.eye(2)), "no labels"),
        (Relatedness(np.eye(2)), Relatedness(np.eye(3)), "2 and 3 levels"),
        (Relatedness(np.eye(2)), np.eye(2), "must be a Relatedness"),
    ],
)
def test_what_has_no_product_is_refused(one, other, problem):
    with pytest.raises(DataError, match=problem):
        one.hadamard(other)
