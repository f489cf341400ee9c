"""`multivariate`: several traits together, against dense likelihoods and other starts."""

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import lmmpy as lmm
from lmmpy.errors import FormulaError
from lmmpy.fitting.start import typical_scale
from lmmpy.qtl import bivariate, multivariate
from lmmpy.relatedness import Pedigree
from tests.qtl import dense
from tests.qtl.family import FAMILY, pedigree, people

UNITS = np.array([1.0, 10.0, 0.1, 5.0, 1.0])
FIVE = [f"y{i}" for i in range(5)]


@cache
def untwinned():
    """The pedigree with twins as sibs: of two pairs and five traits the likelihood would have no bound."""
    return Pedigree.from_frame(pd.read_csv(FAMILY / "pedigree.csv").drop(columns="MZTWIN"))


@cache
def related():
    return untwinned().additive().to_frame(range(1, 399)).to_numpy()


@cache
def five():
    """Five traits in very different units, one value in twenty missing."""
    data, rng = people(), np.random.default_rng(5)
    root = np.linalg.cholesky(related())
    halves = [rng.standard_normal((5, 5)) for _ in range(2)]
    G, E = (B @ B.T / 5 + 0.3 * np.eye(5) for B in halves)
    genetic = root @ rng.standard_normal((398, 5)) @ np.linalg.cholesky(G).T
    values = UNITS * (genetic + rng.standard_normal((398, 5)) @ np.linalg.cholesky(E).T)
    values[rng.random(values.shape) < 0.05] = np.nan
    data[FIVE] = values
    return data


@cache
def analysed():
    return multivariate(FIVE, "age + sex", five(), untwinned())


def test_five_traits_converge_from_where_a_search_begins():
    found = analysed()
    assert found.fit.optimum.converged and not found.fit.is_singular()
    assert found.n_records == int(five()[FIVE].notna().to_numpy().sum())
    assert found.h2_se.between(0.02, 0.25).all()


@pytest.mark.parametrize("n", [6, pytest.param(20, marks=pytest.mark.slow)])
def test_other_starts_end_at_the_same_optimum(n):
    rng, fit = np.random.default_rng(n), analysed().fit
    size = typical_scale(fit.criterion)
    formula = f"cbind({', '.join(FIVE)}) ~ age + sex + kin(ID, ped)"
    for _ in range(n):
        start = size * rng.standard_normal(len(fit.theta))
        again = lmm.lmer(formula, five(), relmat={"ped": untwinned()}, reml=False, start=start)
        assert again.loglik == pytest.approx(fit.loglik, abs=1e-7)


def test_the_dense_likelihood_is_at_its_maximum():
    """By the correlations and shares that are reported, one at a time."""
    found, data = analysed(), five()
    X = np.column_stack([np.ones(398), data.age, data.SEX == 2]).astype(float)
    traits, A, alone = dense.Traits(data, FIVE, X), related(), np.eye(398)
    at = found.estimates.set_index("parameter")["estimate"]
    sd, h2 = (at[[f"{what}[{trait}]" for trait in FIVE]].to_numpy() for what in ("sd", "h2"))
    rho_g, rho_e = (found.correlations(part).to_numpy() for part in "ge")

    def loglik(x):
        g, e = rho_g.copy(), rho_e.copy()
        g[0, 3] = g[3, 0] = rho_g[0, 3] + x[0]
        e[1, 2] = e[2, 1] = rho_e[1, 2] + x[1]
        share = h2 + np.array([0, 0, 0, 0, x[2]])
        G, E = (np.outer(s, s) * rho for s, rho in ((sd * np.sqrt(share), g), (sd * np.sqrt(1.0 - share), e)))
        return traits.loglik((G, A), (E, alone))

    assert loglik(np.zeros(3)) == pytest.approx(found.loglik, abs=1e-7)
    assert dense.slope(loglik, np.zeros(3), np.full(3, 1e-3)) * 0.1 == pytest.approx(0.0, abs=1e-4)


def test_phenotypic_correlations_follow_from_the_others():
    found = analysed()
    h, e = np.sqrt(found.h2.to_numpy()), np.sqrt(1.0 - found.h2.to_numpy())
    implied = found.correlations("g") * np.outer(h, h) + found.correlations("e") * np.outer(e, e)
    assert found.correlations("p").to_numpy() == pytest.approx(implied.to_numpy(), abs=1e-9)
    assert (np.diag(found.correlations("g", "std_error")) == 0.0).all()


def test_of_two_traits_it_is_bivariate_with_tests_on_request():
    found = multivariate(["bmi", "fvii"], "age + sex", people(), pedigree(), tests=True)
    two = bivariate(["bmi", "fvii"], "age + sex", people(), pedigree())
    assert found.loglik == pytest.approx(two.loglik, abs=1e-9)
    assert found.correlations("g").loc["bmi", "fvii"] == pytest.approx(two.rho_g, abs=1e-7)
    assert found.p_value("rho_g[bmi, fvii] = 0") == pytest.approx(two.p_value("rho_g = 0"), rel=1e-5)
    assert analysed().tests.empty and "Tests" not in str(analysed())


def test_each_pair_is_tested_by_a_fit_in_which_it_is_zero():
    three = ["y0", "y1", "y2"]
    found = multivariate(three, "1", five(), untwinned(), tests=True)
    assert list(found.tests["hypothesis"]) == [
        f"rho_{x}[{a}, {b}] = 0" for x in "ge" for a, b in combinations(three, 2)
    ]
    zero = found.fit.constrain({f"cor_y2.y0|{found.fit.design.random[0].name}": 0.0})
    chisq = 2.0 * (found.loglik - zero.loglik)
    assert found.p_value("rho_g[y0, y2] = 0") == pytest.approx(chi2.sf(chisq, 1), rel=1e-5)


def test_one_trait_is_refused():
    with pytest.raises(FormulaError, match="analysis of one trait"):
        multivariate(["y0"], "1", five(), untwinned())


def test_fewer_pairs_of_twins_than_traits_are_noted():
    """What twins differ in is residual alone: a combination of traits in which no pair differs may have none."""
    found = multivariate(["y0", "y1", "y2"], "1", five().head(100), pedigree())
    assert any("differ in 1 way only" in note and "a local maximum" in note for note in found.notes)
    assert not any("no maximum" in note for note in analysed().notes)
