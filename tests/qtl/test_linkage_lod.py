"""What LODs are without linkage, peaks and support intervals, and the empirical adjustment."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import chi2

import lmmpy as lmm
from lmmpy.errors import DataError, LmmpyWarning, ModelError
from lmmpy.qtl.linkage import linkage
from lmmpy.qtl.linkage_lod import MIXTURES, equivalent_lod, lod_p_values, log_p_values
from lmmpy.qtl.linkage_peaks import linkage_peaks
from lmmpy.qtl.linkage_task import LinkageTask
from lmmpy.qtl.lod_adjust import lod_adjust, lod_multiplier
from lmmpy.qtl.polygenic import polygenic
from tests.qtl.family import pedigree, people
from tests.qtl.linkage_study import ibd, null

LN10 = np.log(10.0)


def test_one_trait_has_half_a_chi_square():
    lod = np.array([0.0, 0.3, 1.0, 3.0, 100.0])
    expected = np.append(1.0, 0.5 * chi2.sf(2.0 * LN10 * lod[1:], 1))
    for mixture in MIXTURES:
        np.testing.assert_allclose(lod_p_values(lod, 1, mixture), expected, rtol=1e-12)
    np.testing.assert_array_equal(equivalent_lod(lod, 1), lod)


def test_solars_correction_of_several_traits():
    x = np.array([1.0, 8.0, 30.0])
    np.testing.assert_allclose(
        np.exp(log_p_values(x, 2, "solar")), 0.5 * chi2.sf(x, 1) + 0.25 * chi2.sf(x, 3), rtol=1e-12
    )
    three = 0.375 * chi2.sf(x, 1) + 0.375 * chi2.sf(x, 3) + 0.125 * chi2.sf(x, 6)
    np.testing.assert_allclose(np.exp(log_p_values(x, 3, "solar")), three, rtol=1e-12)
    np.testing.assert_allclose(
        np.exp(log_p_values(x, 2, "variances")), 0.5 * chi2.sf(x, 1) + 0.25 * chi2.sf(x, 2), rtol=1e-12
    )
    p = 0.5 * chi2.sf(x, 1) + 0.25 * chi2.sf(x, 3)
    lod = chi2.isf(np.minimum(2.0 * p, 1.0), 1) / (2.0 * LN10)
    np.testing.assert_allclose(equivalent_lod(x / (2.0 * LN10), 2), lod, rtol=1e-9)


def test_an_equivalent_lod_does_not_underflow():
    """At LOD 400 no double has the p-value; the equivalent one is a little lower."""
    found = equivalent_lod([400.0], 2)[0]
    assert 395.0 < found < 400.0


def symmetric_draws(m):
    """Standard normal symmetric 2 × 2 matrices by their eigenvalues, in the metric of Frobenius."""
    z = np.random.default_rng(1).standard_normal((m, 3))
    Q = np.empty((m, 2, 2))
    Q[:, 0, 0], Q[:, 1, 1] = z[:, 0], z[:, 1]
    Q[:, 0, 1] = Q[:, 1, 0] = z[:, 2] / np.sqrt(2.0)
    return np.linalg.eigvalsh(Q)


def test_mixtures_of_two_traits_against_their_geometry():
    """The likelihood ratio is the squared length of the nearest matrix: any, diagonal, or of rank one."""
    m = 400_000
    values = symmetric_draws(m)
    cone = np.square(np.maximum(values, 0.0)).sum(axis=1)
    one = np.square(np.maximum(values[:, 1], 0.0))
    separate = np.square(np.maximum(np.random.default_rng(2).standard_normal((m, 2)), 0.0)).sum(axis=1)
    for x in (0.5, 2.0, 6.0, 10.0):
        for mixture, draws in (("cone", cone), ("rank one", one), ("variances", separate)):
            p = float(np.exp(log_p_values(x, 2, mixture))[0])
            assert np.mean(draws > x) == pytest.approx(p, abs=4.0 * np.sqrt(p * (1.0 - p) / m))
    at_zero = {"cone": (2.0 - np.sqrt(2.0)) / 4.0, "rank one": (2.0 - np.sqrt(2.0)) / 4.0, "variances": 0.25}
    for mixture, p in at_zero.items():
        assert 1.0 - np.exp(log_p_values(1e-12, 2, mixture))[0] == pytest.approx(p, abs=1e-5)


def test_solars_mixture_is_as_near_to_the_cone_as_is_said():
    lod = np.linspace(0.05, 10.0, 200)
    ratio = lod_p_values(lod, 2, "solar") / lod_p_values(lod, 2, "cone")
    assert ratio.min() > 0.8
    assert ratio.max() < 1.2
    middle = ratio[(lod >= 2.0) & (lod <= 4.0)]
    assert np.abs(middle - 1.0).max() < 0.06


def test_mixtures_of_three_traits_that_are_not_known_are_refused():
    with pytest.raises(ModelError, match="known for two traits"):
        log_p_values(1.0, 3, "cone")


CURVE = pd.DataFrame(
    {
        "chromosome": ["1"] * 7 + ["2"] * 3,
        "position": [0.0, 10, 20, 30, 40, 50, 60, 0, 5, 10],
        "lod": [0.5, 2.5, 4.0, 1.0, 3.5, 3.5, 0.0, 3.2, 3.0, 2.9],
        "h2q": np.linspace(0.1, 0.2, 10),
    }
)


def test_support_intervals_are_interpolated_and_open_where_the_map_ends():
    found = linkage_peaks(CURVE, 3.0, 1.0, None).set_index("chromosome")
    assert list(found.index) == ["1", "2"]
    one = found.loc["1"]
    assert (one["position"], one["lod"], one["h2q"]) == (20.0, 4.0, CURVE["h2q"][2])
    assert one["low"] == pytest.approx(10.0 + 10.0 * 0.5 / 1.5)
    assert one["high"] == pytest.approx(20.0 + 10.0 * 1.0 / 3.0)
    assert not one["low_open"]
    assert not one["high_open"]
    two = found.loc["2"]
    assert (two["low"], two["high"], two["low_open"], two["high_open"]) == (0.0, 10.0, True, True)


def test_peaks_by_distance():
    near = linkage_peaks(CURVE, 3.0, 1.0, 15.0)
    assert list(zip(near["chromosome"], near["position"], strict=True)) == [("1", 20.0), ("1", 40.0), ("2", 0.0)]
    far = linkage_peaks(CURVE, 3.0, 1.0, 25.0)
    assert list(far["position"]) == [20.0, 0.0]
    assert linkage_peaks(CURVE, 5.0, 1.0, None).empty
    with pytest.raises(ModelError, match="drop must be"):
        linkage_peaks(CURVE, 3.0, -1.0, None)


@pytest.mark.parametrize(
    ("lods", "tops"),
    [
        ([0, 3.5, 3.5, 4.0, 0], [30.0]),
        ([0, 4.0, 3.5, 3.5, 0], [10.0]),
        ([0, 4.0, 3.5, 3.5, 3.8], [10.0, 40.0]),
        ([3.5, 3.5, 0, 4.0, 4.0], [30.0, 0.0]),
        ([3.5, 3.5, 3.5, 3.5, 3.5], [0.0]),
    ],
)
def test_a_shoulder_is_no_peak(lods, tops):
    curve = pd.DataFrame({"chromosome": "1", "position": np.arange(5) * 10.0, "lod": np.array(lods, dtype=float)})
    assert linkage_peaks(curve, 3.0, 1.0, 5.0)["position"].tolist() == tops


def test_the_multiplier_is_a_regression_through_the_origin_over_the_lowest_95_per_cent():
    n = 200
    t = np.arange(n) / n
    expected = np.where(t > 0.5, chi2.isf(np.minimum(2.0 * (1.0 - t), 1.0), 1) / 4.60517, 0.0)
    assert lod_multiplier(expected[::-1] / 1.3) == pytest.approx(1.3, rel=1e-6)
    spoilt = expected / 1.3
    spoilt[-10:] = 50.0  # beyond the lowest 95 %
    assert lod_multiplier(spoilt) == pytest.approx(1.3, rel=1e-6)
    with pytest.raises(DataError, match="all zero"):
        lod_multiplier(np.zeros(100))


def test_lods_at_unlinked_markers_are_what_theory_says():
    """400 markers: the share above zero and the multiplier lie within four standard errors or so."""
    found = lod_adjust(null(), pedigree(), 400, seed=3)
    assert len(found.lods) == 400
    assert np.mean(found.lods > 0.0) == pytest.approx(0.5, abs=0.1)
    assert found.multiplier == pytest.approx(1.0, abs=0.25)
    assert found.multiplier == lod_multiplier(found.lods)
    assert found.p_value(0.0) == 1.0
    again = lod_adjust(null(), pedigree(), 400, seed=3)
    np.testing.assert_array_equal(found.lods, again.lods)
    assert "Multiplier of LODs" in str(found)


def test_a_scan_is_adjusted_by_its_own_null_only():
    adjustment = lod_adjust(null(), pedigree(), 100, seed=1)
    scan = linkage(null(), ibd()).adjusted(adjustment)
    np.testing.assert_array_equal(scan.lod["lod_adjusted"], scan.lod["lod"] * adjustment.multiplier)
    assert "Adjusted" in str(scan)
    other = lmm.lmer("bmi ~ age + kin(ID, ped)", people(), relmat={"ped": pedigree()}, reml=False)
    with pytest.raises(ModelError, match="of another null model"):
        linkage(other, ibd()).adjusted(adjustment)
    # of nearly the same likelihood, and yet another one
    twisted = people().assign(bmi=lambda rows: rows.bmi.where(rows.index != 7, rows.bmi + 1e-5))
    near = polygenic("bmi ~ age + sex", twisted, pedigree())
    assert near.loglik == pytest.approx(null().loglik, rel=1e-6)
    with pytest.raises(ModelError, match="of another null model"):
        linkage(near, ibd(), positions=[("1", 40.0)]).adjusted(adjustment)
    with pytest.raises(ModelError, match="made by lod_adjust of the null model, not 'x'"):
        linkage(null(), ibd(), positions=[("1", 40.0)]).adjusted("x")
    with pytest.raises(ModelError, match="at least 100"):
        lod_adjust(null(), pedigree(), 10)


def test_an_adjustment_that_is_interrupted_at_once(monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(LinkageTask, "__call__", stop)
    with pytest.warns(LmmpyWarning, match="nterrupted"):
        found = lod_adjust(null(), pedigree(), 100, seed=1)
    assert (found.complete, len(found.lods), np.isnan(found.multiplier)) == (False, 0, True)
    assert "Interrupted before the first markers" in str(found)


def test_a_trait_that_is_not_heritable_is_told():
    data = people().assign(noise=np.random.default_rng(1).normal(size=len(people())))
    ped = pedigree()  # noqa: F841  # by the formula
    with pytest.warns(lmm.SingularFitWarning):
        nothing = lmm.lmer("noise ~ age + kin(ID, ped)", data, reml=False)
    with pytest.warns(LmmpyWarning, match="heritability is near zero"):
        found = lod_adjust(nothing, pedigree(), 200, seed=1)
    assert found.multiplier > 1.5
