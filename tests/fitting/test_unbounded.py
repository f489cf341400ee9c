"""Several traits whose likelihood grows without end: what is said, and that nothing breaks."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.errors import ConvergenceWarning, ModelError
from lmmpy.fitting.convergence import unbounded
from lmmpy.fitting.unbounded import differences, no_maximum


@cache
def pedigree():
    """Thirty families of two parents and four children, the first two of whom are identical twins in three of them."""
    rows = []
    for f in range(30):
        rows += [(f"{f}a", None, None, "male", None), (f"{f}b", None, None, "female", None)]
        for c in range(4):
            twin = f"t{f}" if f < 3 and c < 2 else None
            rows.append((f"{f}c{c}", f"{f}a", f"{f}b", "female", twin))
    frame = pd.DataFrame(rows, columns=["id", "father", "mother", "sex", "twin"])
    return lmm.Pedigree(frame["id"], frame["father"], frame["mother"], frame["sex"], twin=frame["twin"])


@cache
def people():
    """The count of a gene, which identical twins share, and four traits of many genes, in which they differ."""
    rng = np.random.default_rng(4)
    ids = [f"{f}{who}" for f in range(30) for who in ("a", "b", "c0", "c1", "c2", "c3")]
    data = pd.DataFrame({"id": ids, "age": rng.uniform(20, 60, 180)})
    for name in "abcd":
        data[name] = sum(counts(rng) for _ in range(12)) / 2.5 + rng.normal(size=180) + 0.01 * data["age"]
    data["gene"] = counts(rng)
    return data


def counts(rng):
    """How many alleles of one kind each has, of 0, 1 or 2: by family two parents and four children."""
    parents = rng.integers(0, 2, size=(30, 2, 2))
    given = rng.integers(0, 2, size=(30, 4, 2))
    given[:3, 1] = given[:3, 0]
    children = sum(parents[np.arange(30)[:, None], who, given[:, :, who]] for who in range(2))
    return np.column_stack([parents.sum(axis=2), children]).ravel().astype(float)


def dense_differences(fit):
    """All combinations of complete records that no random effect is in: the null space of Zᵀ, by one trait."""
    design = fit.design
    d = len(design.traits.names)
    Z = np.hstack([term.Z[::d].toarray() for term in design.random])
    U, s, _ = np.linalg.svd(Z)
    return U[:, int((s > 1e-10).sum()) :].T @ design.y.reshape(-1, d)


@pytest.mark.parametrize("terms", ["kin(id, pedigree)", "(1 | pair) + kin(id, pedigree)"])
def test_differences_are_those_that_no_random_effect_is_in(terms):
    data = people().assign(pair=[i if i.endswith("c1") else i.split("c")[0] for i in people()["id"]])
    fit = lmm.lmer(f"cbind(a, b) ~ age + {terms}", data, relmat={"pedigree": pedigree()}, varcomp=known(terms))
    wanted = dense_differences(fit)
    found = differences(fit.design, (0, 1))
    assert len(wanted) == (3 if "pair" not in terms else 0)
    if not len(wanted):
        assert found is None
        return
    sizes = np.abs(fit.design.y.reshape(-1, 2) - fit.design.y.reshape(-1, 2).mean(axis=0)).max(axis=0)
    np.testing.assert_allclose(
        np.linalg.svd(found.values * sizes, compute_uv=False), np.sqrt(2) * np.linalg.svd(wanted, compute_uv=False)
    )


def known(terms):
    held = {"kin(id, pedigree)": np.eye(2), "Residual": np.eye(2)}
    return held | ({"pair": np.eye(2)} if "pair" in terms else {})


def test_as_many_differences_as_traits_have_a_maximum():
    fit = lmm.lmer("cbind(a, b, c) ~ age + kin(id, pedigree)", people(), relmat={"pedigree": pedigree()})
    assert no_maximum(fit.design) is None and fit.convergence.ok


def test_fewer_differences_than_traits_have_a_local_maximum():
    """Which the derivatives confirm: the report says that there is no other, and no warning is given."""
    fit = lmm.lmer("cbind(a, b, c, d) ~ age + kin(id, pedigree)", people(), relmat={"pedigree": pedigree()})
    assert fit.optimum.converged and fit.convergence.ok
    reason = unbounded(fit.criterion, fit.optimum)
    assert "differ in 3 ways only" in reason and "combination of a, b, c, d" in reason and "a local maximum" in reason
    assert reason in fit.convergence.advice


def without_end(residual):
    with pytest.warns(ConvergenceWarning, match="no maximum: all records of one level of kin.*equal values of gene"):
        return lmm.lmer(
            "cbind(a, gene) ~ 1 + kin(id, pedigree)", people(), relmat={"pedigree": pedigree()}, residual=residual
        )


@pytest.mark.filterwarnings("ignore::lmmpy.errors.SingularFitWarning")
@pytest.mark.parametrize("residual", ["us", "diag"])
def test_equal_values_of_twins_are_told_and_nothing_breaks(residual):
    fit = without_end(residual)
    report = fit.convergence
    assert not report.ok and "no maximum" in report.advice[0]
    assert "no maximum" in str(report)
    assert len(fit.parameters()) > 0


def test_the_likelihood_grows_indeed_where_it_is_said_to():
    fit = lmm.lmer(
        "cbind(a, gene) ~ 1 + kin(id, pedigree)",
        people(),
        relmat={"pedigree": pedigree()},
        varcomp={"kin(id, pedigree)": np.eye(2), "Residual": np.eye(2)},
    )
    at = [
        fit.update(varcomp={"kin(id, pedigree)": np.eye(2), "Residual": np.diag([1.0, size])}).loglik
        for size in (1e-4, 1e-6, 1e-8)
    ]
    np.testing.assert_allclose(np.diff(at), 1.5 * np.log(100.0), rtol=1e-2)


def test_analyses_of_several_traits_say_so_too():
    with pytest.warns(ConvergenceWarning, match="means nothing"):
        found = lmm.qtl.multivariate(["a", "gene"], "1", people(), pedigree(), id="id")
    assert any("no maximum" in note for note in found.notes)


def test_constraints_at_which_no_maximum_exists_are_refused():
    fit = lmm.lmer("cbind(a, b) ~ age + kin(id, pedigree)", people(), relmat={"pedigree": pedigree()}, reml=False)
    with pytest.raises(ModelError, match="singular, so that the likelihood has no maximum"):
        fit.constrain({"cor_b.a|Residual": 1})


def test_traits_that_twins_miss_leave_fewer_differences():
    data = people().copy()
    data.loc[data["id"] == "0c1", "c"] = np.nan
    data.loc[data["id"] == "1c1", "b"] = np.nan
    held = {"kin(id, pedigree)": np.eye(3), "Residual": np.eye(3)}
    fit = lmm.lmer("cbind(a, b, c) ~ age + kin(id, pedigree)", data, relmat={"pedigree": pedigree()}, varcomp=held)
    counts_of = {
        chosen: len(differences(fit.design, chosen).values) for chosen in ((0,), (0, 1), (0, 2), (1, 2), (0, 1, 2))
    }
    assert counts_of == {(0,): 3, (0, 1): 2, (0, 2): 2, (1, 2): 1, (0, 1, 2): 1}
    assert "a combination of b, c without" in no_maximum(fit.design)
