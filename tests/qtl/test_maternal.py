"""Direct and maternal effects: against dense likelihoods, `lmer` without their covariance, and Henderson's BLUP."""

from functools import cache

import numpy as np
import pandas as pd
import pytest

import lmmpy as lmm
from lmmpy.covariance.diagonal import Diagonal
from lmmpy.covariance.unstructured import Unstructured
from lmmpy.errors import DataError, ModelError
from lmmpy.qtl import maternal_effects
from lmmpy.qtl.incidence import JointIncidence
from lmmpy.relatedness import Pedigree
from tests.qtl import dense
from tests.qtl.family import FAMILY, kinship, pedigree

C = np.array([[1.0, -0.4], [-0.4, 0.8]])


@cache
def herd():
    """Sixty founders and four generations of sixty, dams with several calves; a trait of all but the founders."""
    rng, rows = np.random.default_rng(12), [(f"a{i}", None, None, "mf"[i % 2]) for i in range(60)]
    parents = rows[:]
    for generation in range(4):
        sires = [row[0] for row in parents if row[3] == "m"]
        dams = [row[0] for row in parents if row[3] == "f"]
        calves = []
        for k in range(60):
            sire, dam = sires[rng.integers(min(10, len(sires)))], dams[rng.integers(min(25, len(dams)))]
            calves.append((f"g{generation}n{k}", sire, dam, "mf"[k % 2]))
        rows += calves
        parents = calves
    return pd.DataFrame(rows, columns=["id", "sire", "dam", "sex"])


@cache
def lines():
    return Pedigree.from_frame(herd(), "id", "sire", "dam", sex="sex", twin=None)


@cache
def additive():
    """A by the recursion of its definition, nothing of the package."""
    table = herd()
    place = {id: i for i, id in enumerate(table.id)}
    A = np.zeros((len(table), len(table)))
    for i, (sire, dam) in enumerate(zip(table.sire, table.dam, strict=True)):
        known = [place[parent] for parent in (sire, dam) if isinstance(parent, str)]
        for parent in known:
            A[i, :i] += 0.5 * A[parent, :i]
        A[:i, i] = A[i, :i]
        A[i, i] = 1.0 + (0.5 * A[known[0], known[1]] if len(known) == 2 else 0.0)
    return A


@cache
def weights():
    """A trait with direct, maternal and permanent effects, of calves; and where they and their dams are in A."""
    table, rng = herd(), np.random.default_rng(3)
    place = {id: i for i, id in enumerate(table.id)}
    calves = table.iloc[60:].rename(columns={"dam": "mother"})
    own, dams = (np.array([place[id] for id in calves[name]]) for name in ("id", "mother"))
    effects = np.linalg.cholesky(additive()) @ rng.standard_normal((len(table), 2)) @ np.linalg.cholesky(C).T
    permanent = np.sqrt(0.3) * rng.standard_normal(len(table))
    y = 30.0 + effects[own, 0] + effects[dams, 1] + permanent[dams] + np.sqrt(0.8) * rng.standard_normal(len(calves))
    return calves.assign(y=y, x=rng.standard_normal(len(calves))), own, dams


@cache
def analysed():
    return maternal_effects("y ~ x", weights()[0], lines(), id="id")


def values(found, column="estimate"):
    return found.estimates.set_index("parameter")[column]


def covariance(G, permanent, residual):
    _, own, dams = weights()
    A = additive()
    both = A[np.ix_(own, dams)]
    V = G[0, 0] * A[np.ix_(own, own)] + G[0, 1] * (both + both.T) + G[1, 1] * A[np.ix_(dams, dams)]
    return V + permanent * dense.same(dams) + residual * np.eye(len(own))


def components(found):
    at = values(found)
    a, m, p, e = at[["h2", "m2", "pe2", "e2"]] * at["sd"] ** 2
    am = at["rho_am"] * np.sqrt(a * m)
    return np.array([[a, am], [am, m]]), p, e


def test_estimates_maximise_the_dense_likelihood():
    data, found = weights()[0], analysed()
    X = np.column_stack([np.ones(len(data)), data.x])
    G, permanent, residual = components(found)
    x = np.array([G[0, 0], G[0, 1], G[1, 1], permanent, residual])

    def loglik(x):
        return dense.loglik(data.y.to_numpy(), X, covariance(np.array([[x[0], x[1]], [x[1], x[2]]]), x[3], x[4]))

    assert loglik(x) == pytest.approx(found.loglik, abs=1e-7)
    assert dense.slope(loglik, x, np.full(5, 1e-3)) == pytest.approx(0.0, abs=1e-3)
    steps, small = 4e-3 * np.eye(5), np.full(5, 4e-3)
    ahead, behind = (np.array([dense.slope(loglik, x + sign * step, small) for step in steps]) for sign in (1, -1))
    H = (ahead - behind) / 8e-3
    vcov = np.linalg.inv(-0.5 * (H + H.T))
    total = x[0] + x[1] + x[2] + x[3] + x[4]
    slope = np.array([1.0, 0, 0, 0, 0]) / total - x[0] / total**2
    assert values(found, "std_error")["h2"] == pytest.approx(np.sqrt(slope @ vcov @ slope), rel=1e-3)
    assert values(found)["h2_total"] == pytest.approx((x[0] + 1.5 * x[1] + 0.5 * x[2]) / total)


def test_what_was_simulated_is_found():
    at, se = values(analysed()), values(analysed(), "std_error")
    total = C.sum() - C[0, 1] + 0.3 + 0.8
    truth = {"h2": C[0, 0] / total, "m2": C[1, 1] / total, "rho_am": C[0, 1] / np.sqrt(C[0, 0] * C[1, 1])}
    for name, value in truth.items():
        assert abs(at[name] - value) < 3.0 * se[name]


@pytest.mark.parametrize(
    ("hypothesis", "terms"),
    [
        ("rho_am = 0", "kin(id, ped) + kin(mother, ped) + (1 | mother)"),
        ("m2 = 0", "kin(id, ped) + (1 | mother)"),
        ("h2 = 0", "kin(mother, ped) + (1 | mother)"),
    ],
)
def test_hypotheses_are_smaller_models(hypothesis, terms):
    fit = lmm.lmer(f"y ~ x + {terms}", weights()[0], relmat={"ped": lines()}, reml=False)
    row = analysed().tests.set_index("hypothesis").loc[hypothesis]
    assert row["chisq"] == pytest.approx(2.0 * (analysed().loglik - fit.loglik), abs=1e-6)


def test_the_permanent_effect_may_be_left_out():
    found = maternal_effects("y ~ x", weights()[0], lines(), id="id", permanent=False)
    row = analysed().tests.set_index("hypothesis").loc["pe2 = 0"]
    assert row["chisq"] == pytest.approx(2.0 * (analysed().loglik - found.loglik), abs=1e-6)
    assert "pe2" not in values(found).index and "pe2 = 0" not in list(found.tests["hypothesis"])


def test_breeding_values_are_best_linear_predictions():
    data, own, dams = weights()
    X = np.column_stack([np.ones(len(data)), data.x])
    G, permanent, residual = components(analysed())
    V = covariance(G, permanent, residual)
    beta = np.linalg.solve(X.T @ np.linalg.solve(V, X), X.T @ np.linalg.solve(V, data.y))
    Py = np.linalg.solve(V, data.y - X @ beta)
    A = additive()
    received = np.stack([np.bincount(at, Py, minlength=len(A)) for at in (own, dams)])
    expected = pd.DataFrame((G @ received @ A).T, index=herd().id, columns=["direct", "maternal"])
    found = analysed().breeding_values()
    assert found.to_numpy() == pytest.approx(expected.loc[found.index].to_numpy(), abs=1e-5)
    assert set(data.id) | set(data.mother) <= set(found.index)


def test_mothers_may_be_a_column_and_not_the_true_ones():
    data = weights()[0].assign(nurse=lambda d: d.mother)
    found = maternal_effects("y ~ x", data, lines(), "nurse", id="id")
    assert found.loglik == pytest.approx(analysed().loglik, abs=1e-7)
    swapped = data.assign(nurse=np.roll(data.mother.to_numpy(), 7))
    other = maternal_effects("y ~ x", swapped, lines(), "nurse", id="id")
    assert other.loglik < found.loglik - 5.0
    missing = data.assign(nurse=data.mother.where(data.mother != data.mother.iloc[0], None))
    noted = maternal_effects("y ~ x", missing, lines(), "nurse", id="id")
    assert any("no known mother" in note for note in noted.notes)


def test_who_has_no_known_mother_has_a_founder():
    """With twins, whose mother is one."""
    table = pd.read_csv(FAMILY / "pedigree.csv")
    mothers = [f"{m}" if m else f"new{i}" for i, m in zip(table.ID, table.MO, strict=True)]
    every = sorted(set(mothers))
    effect = dict(zip(every, 2.0 * np.random.default_rng(1).standard_normal(len(every)), strict=True))
    data = pd.read_csv(FAMILY / "phenotypes.csv").assign(y=lambda d: d.bmi + [effect[m] for m in mothers])
    found = maternal_effects("y ~ age", data, pedigree(), permanent=False)
    founders = pd.DataFrame({"ID": [m for m in every if m.startswith("new")]})
    extended = pd.concat(
        [table.assign(MO=mothers).astype(str), founders.assign(FA="0", MO="0", SEX="2", MZTWIN="0")], ignore_index=True
    )
    named = data.assign(ID=data.ID.astype(str), mum=mothers)
    relmat = {"ped": Pedigree.from_frame(extended)}
    fit = lmm.lmer("y ~ age + kin(ID, ped) + kin(mum, ped)", named, relmat=relmat, reml=False)
    row = found.tests.set_index("hypothesis").loc["rho_am = 0"]
    assert row["chisq"] == pytest.approx(2.0 * (found.loglik - fit.loglik), abs=1e-6)
    assert any("105 people have no known mother" in note for note in found.notes)


def test_the_fit_refuses_what_no_formula_says():
    fit = analysed().fit
    assert np.corrcoef(fit.fitted(), weights()[0].y)[0, 1] > 0.5
    with pytest.raises(ModelError, match="maternal_effects again"):
        fit.update(". ~ . - x")
    with pytest.raises(ModelError, match="breeding_values"):
        fit.predict(weights()[0].head())
    assert "maternal" in str(analysed()) and "h2_total" in analysed()._repr_html_()


@pytest.mark.parametrize(
    ("arguments", "error", "problem"),
    [
        ({"pedigree": kinship()}, DataError, "not of a DataFrame"),
        ({"permanent": 1}, ModelError, "True or False"),
        ({"dam": "nurse"}, DataError, "nurse"),
        ({"dam": "nobody"}, DataError, "does not have .* of the mothers"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments, error, problem):
    data = weights()[0].assign(nobody="z")
    call = {"formula": "y ~ x", "data": data, "pedigree": lines(), "id": "id"} | arguments
    with pytest.raises(error, match=problem):
        maternal_effects(**call)


@pytest.mark.parametrize("inner", [Unstructured(2), Diagonal(2)])
def test_derivatives_of_joint_effects(inner):
    rng = np.random.default_rng(0)
    F = rng.standard_normal((5, 5))
    joint = JointIncidence(inner, rng.integers(0, 5, (2, 8)), F @ F.T, ("direct", "maternal"))
    i, j = rng.integers(0, 8, (2, 20))
    pairs, phi, weights_ = joint.between(i, j), rng.standard_normal(joint.n_theta), rng.standard_normal(20)
    C = inner.factor(phi).T @ inner.factor(phi).T.T
    between = np.array([[joint.K[joint.codes[a, i], joint.codes[b, j]] for b in range(2)] for a in range(2)])
    expected = np.einsum("ab,abm->m", C, between)
    assert pairs.at(phi).values == pytest.approx(expected)
    slopes = np.array([pairs.at(phi).slope(k) for k in range(joint.n_theta)])
    by_differences = dense.slope(lambda x: pairs.at(x).values, phi, np.full(joint.n_theta, 1e-3))
    assert slopes == pytest.approx(by_differences, abs=1e-8)
    assert pairs.at(phi).contract(weights_) == pytest.approx(slopes @ weights_)
    bend = dense.slope(lambda x: pairs.at(x).contract(weights_), phi, np.full(joint.n_theta, 1e-3))
    assert pairs.at(phi).bend(weights_) == pytest.approx(bend, abs=1e-7)
