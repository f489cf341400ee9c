"""The numbers of plots of scans, against plain loops."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy.stats import beta, chi2

from lmmpy.errors import DataError, ModelError
from lmmpy.inference.genomic_control import lambda_gc
from lmmpy.plots.genome import chromosome_order, genome_places
from lmmpy.plots.scan_builders import lod_frame, manhattan_frame, qq_p_frame, regional_frame


def scan(n: int = 400, seed: int = 1) -> pd.DataFrame:
    """An association table in shuffled order, without effects."""
    rng = np.random.default_rng(seed)
    chromosome = rng.choice(["10", "2", "X", "1"], n)
    table = pd.DataFrame(
        {
            "chromosome": chromosome,
            "position": rng.choice(10_000_000, n, replace=False) + 1,
            "variant": [f"rs{i}" for i in range(n)],
            "p_value": rng.uniform(size=n),
        }
    )
    return table.sample(frac=1.0, random_state=seed)


# ---- genome


def test_natural_order():
    names = ["MT", "10", "chr2", "X", "0", "scaffold_9", "1", "22", "Y", "XY", "1"]
    assert chromosome_order(names) == ["1", "chr2", "10", "22", "X", "Y", "XY", "MT", "scaffold_9", "0"]


def test_places_keep_distances_and_do_not_overlap():
    table = scan()
    x = pd.Series(genome_places(table["chromosome"], table["position"]), table.index)
    end = -np.inf
    for name in ["1", "2", "10", "X"]:
        rows = table["chromosome"] == name
        shift = x[rows] - table.loc[rows, "position"]
        assert np.ptp(shift) < 1e-6
        assert x[rows].min() > end
        end = x[rows].max()


def test_places_of_one_chromosome_are_positions():
    table = scan().assign(chromosome="7")
    assert genome_places(table["chromosome"], table["position"]).tolist() == table["position"].tolist()


def test_unknown_positions_are_spaced_in_order():
    chromosome = pd.Series(["1"] * 3 + ["2"] * 2)
    x = genome_places(chromosome, pd.Series([0, 0, 0, 100, 160]))
    assert np.diff(x[:3]) == pytest.approx([20.0, 20.0])
    assert x[3] > x[2]


def test_bad_positions_are_named():
    with pytest.raises(DataError, match=r"rows have others: 'b'"):
        genome_places(pd.Series(["1", "1"], ["a", "b"]), pd.Series([1.0, np.nan], ["a", "b"]))


# ---- Manhattan


def test_manhattan_is_in_order_and_complete():
    table = scan()
    frame = manhattan_frame(table, thin=None)
    assert list(frame["chromosome"].unique()) == ["1", "2", "10", "X"]
    assert (np.diff(frame["x"]) > 0).all()
    assert sorted(frame.index) == sorted(table.index)
    assert frame["log_p"].to_numpy() == pytest.approx(-np.log10(table.loc[frame.index, "p_value"].to_numpy()))


def test_thinning_keeps_what_is_highest_in_each_cell():
    table = scan(5_000)
    whole, thinned = manhattan_frame(table, thin=None), manhattan_frame(table, thin=(40, 20))
    assert len(thinned) < len(whole) / 3
    assert set(thinned.index) <= set(whole.index)
    x, y = whole["x"].to_numpy(), whole["log_p"].to_numpy()
    along = np.floor((x - x.min()) * 40 / np.ptp(x)).astype(int)
    up = np.floor((y - y.min()) * 20 / np.ptp(y)).astype(int)
    best: dict[tuple[object, ...], int] = {}
    for i, key in enumerate(zip(whole["chromosome"], along, up, strict=True)):
        if key not in best or y[i] > y[best[key]]:
            best[key] = i
    assert list(thinned.index) == [whole.index[i] for i in sorted(best.values())]


def test_named_variants_are_not_thinned_away():
    table = scan(5_000)
    dull = table.loc[table["p_value"].idxmax(), "variant"]
    dropped = set(table["variant"]) - set(manhattan_frame(table, thin=(40, 20))["variant"])
    named = [dull, *sorted(dropped)[:3]]
    frame = manhattan_frame(table, thin=(40, 20), keep=named)
    assert set(named) <= set(frame["variant"])
    assert len(frame) <= len(manhattan_frame(table, thin=(40, 20))) + 4
    assert frame["x"].is_monotonic_increasing


def test_half_a_million_variants_become_few():
    rng = np.random.default_rng(2)
    n = 500_000
    table = pd.DataFrame(
        {
            "chromosome": np.repeat([str(c) for c in range(1, 21)], n // 20),
            "position": np.tile(np.arange(n // 20) * 5_000 + 1, 20),
            "variant": "rs",
            "p_value": rng.uniform(size=n),
        }
    )
    table.loc[1234, "p_value"] = 1e-30
    frame = manhattan_frame(table)
    assert len(frame) < 110_000
    assert 1234 in frame.index


def test_p_of_zero_is_the_least_double_and_missing_ones_are_left_out():
    table = scan(10).reset_index(drop=True)
    table.loc[3, "p_value"], table.loc[4, "p_value"], table.loc[5, "p_value"] = 0.0, np.nan, 1.0
    frame = manhattan_frame(table)
    assert frame.loc[3, "log_p"] == pytest.approx(323.306, abs=1e-3)
    assert 4 not in frame.index
    assert str(frame.loc[5, "log_p"]) == "0.0"


def test_wrong_tables_are_refused():
    table = scan(10)
    with pytest.raises(DataError, match=r"needs the columns 'p'; the table has 'chromosome'"):
        manhattan_frame(table, p="p")
    with pytest.raises(DataError, match=r"no p-values: 1\.5"):
        manhattan_frame(table.assign(p_value=1.5))
    with pytest.raises(DataError, match="all are missing"):
        manhattan_frame(table.assign(p_value=np.nan))
    with pytest.raises(ModelError, match=r"table\['trait'\] == 'a'"):
        manhattan_frame(table.assign(trait=["a", "b"] * 5))
    assert len(manhattan_frame(table.assign(trait="a"))) == 10


# ---- regions


def test_region_around_a_variant():
    table = scan().assign(chromosome="3")
    lead = table.loc[table["p_value"].idxmin()]
    frame = regional_frame(table, lead["variant"], window=1_000_000)
    near = table[(table["position"] - lead["position"]).abs() <= 1_000_000]
    assert sorted(frame.index) == sorted(near.index)
    assert frame["position"].is_monotonic_increasing
    assert frame.loc[frame["lead"], "variant"].tolist() == [lead["variant"]]
    assert frame["r2"].isna().all()


def test_region_by_positions_leads_with_its_smallest_p():
    table = scan()
    frame = regional_frame(table, chromosome=10, start=2_000_000, stop=4_000_000)
    inside = table[(table["chromosome"] == "10") & table["position"].between(2_000_000, 4_000_000)]
    assert sorted(frame.index) == sorted(inside.index)
    assert frame.index[frame["lead"]].tolist() == [inside["p_value"].idxmin()]


def test_ld_by_variant_or_square():
    table = scan(4).assign(chromosome="1", variant=list("abcd"), position=[1, 2, 3, 4])
    by_variant = regional_frame(table, "b", ld={"a": 0.3, "c": 0.9})
    square = pd.DataFrame([[1.0, 0.3], [0.3, 1.0]], list("ab"), list("ab"))
    assert by_variant.set_index("variant")["r2"].to_dict() == pytest.approx(
        {"a": 0.3, "b": 1.0, "c": 0.9, "d": np.nan}, nan_ok=True
    )
    assert regional_frame(table, "b", ld=square).set_index("variant").loc["a", "r2"] == 0.3
    with pytest.raises(DataError, match=r"c: -0\.4"):
        regional_frame(table, "b", ld={"c": -0.4})
    with pytest.raises(DataError, match="no column of the lead variant 'c'"):
        regional_frame(table, "c", ld=square)


def test_wrong_regions_are_refused():
    table = scan(10)
    with pytest.raises(ModelError, match="either variant="):
        regional_frame(table)
    with pytest.raises(DataError, match=r"no variant 'RS3' with a p-value. Did you mean 'rs3'"):
        regional_frame(table, "RS3")
    with pytest.raises(DataError, match=r"chromosome 4; there are '1'"):
        regional_frame(table, chromosome=4)
    with pytest.raises(DataError, match="between 1 and 2 of chromosome 1"):
        regional_frame(table.assign(chromosome="1"), chromosome="1", start=1, stop=2)


# ---- Q-Q


def test_qq_against_a_loop():
    p = scan(60)["p_value"]
    p.iloc[7] = np.nan
    frame = qq_p_frame(p, level=0.9)
    ordered = sorted(p.dropna())
    for i, value in enumerate(ordered, start=1):
        row = frame.iloc[i - 1]
        assert row["rank"] == i
        assert row["observed"] == pytest.approx(-np.log10(value))
        assert row["expected"] == pytest.approx(-np.log10(i / 60))
        assert 10 ** -row["conf_high"] == pytest.approx(beta(i, 60 - i).ppf(0.05))
        assert 10 ** -row["conf_low"] == pytest.approx(beta(i, 60 - i).ppf(0.95))
    assert frame["lambda_gc"].unique() == pytest.approx([lambda_gc(p)])


def test_band_covers_at_its_level():
    rng = np.random.default_rng(5)
    inside = [
        frame["observed"].between(frame["conf_low"], frame["conf_high"]).mean()
        for frame in (qq_p_frame(rng.uniform(size=200), level=0.8) for _ in range(200))
    ]
    assert np.mean(inside) == pytest.approx(0.8, abs=0.03)


def test_thinned_qq_has_the_same_points():
    p = np.random.default_rng(3).uniform(size=200_000)
    whole, thinned = qq_p_frame(p, thin=False), qq_p_frame(p)
    assert len(thinned) < 6_000
    pd.testing.assert_frame_equal(thinned, whole.iloc[thinned["rank"] - 1].reset_index(drop=True))
    assert thinned["rank"].iloc[[0, -1]].tolist() == [1, 200_000]
    assert np.diff(thinned["expected"].iloc[1_000:]).min() > -0.01  # no gaps that an eye could see


def test_qq_by_group():
    p, group = scan(50)["p_value"].to_numpy(), np.repeat(["rare", "common"], 25)
    frame = qq_p_frame(p, group=group)
    assert frame["group"].unique().tolist() == ["common", "rare"]
    own = frame[frame["group"] == "rare"].drop(columns="group").reset_index(drop=True)
    pd.testing.assert_frame_equal(own, qq_p_frame(p[:25]))
    with pytest.raises(DataError, match="group has 3 values and there are 50"):
        qq_p_frame(p, group=[1, 2, 3])


# ---- genomic control


def test_lambda_of_inflated_statistics():
    q = (np.arange(1, 10_001) - 0.5) / 10_000
    statistics = 1.3 * chi2.isf(q, 1)
    p = chi2.sf(statistics, 1)
    assert lambda_gc(p) == pytest.approx(1.3, rel=1e-6)
    assert lambda_gc(p, quantile=0.01) == pytest.approx(1.3, rel=1e-4)
    assert lambda_gc([*p, np.nan]) == lambda_gc(p)
    assert lambda_gc(p) == pytest.approx(np.median(statistics) / chi2.median(1), rel=1e-4)


@pytest.mark.parametrize(
    ("p", "quantile", "error", "words"),
    [
        ([0.5, 1.2], 0.5, DataError, "do not: 1.2"),
        ([np.nan], 0.5, DataError, "all are missing"),
        ([0.5], 1.0, ModelError, "quantile must be"),
    ],
)
def test_lambda_refuses(p, quantile, error, words):
    with pytest.raises(error, match=words):
        lambda_gc(p, quantile)


# ---- LOD


def linkage() -> pd.DataFrame:
    chromosome = ["2"] * 3 + ["1"] * 4
    return pd.DataFrame(
        {"chromosome": chromosome, "position": [0.0, 5, 10, 0, 5, 10, 15], "lod": [0.1, 2, 1, 0, 3.5, 3, 0.2]}
    )


def test_lod_genome_wide_and_by_chromosome():
    whole, two = lod_frame(linkage()), lod_frame(linkage(), 2)
    assert whole["chromosome"].tolist() == ["1"] * 4 + ["2"] * 3
    assert (np.diff(whole["x"]) > 0).all()
    assert two["x"].tolist() == [0.0, 5.0, 10.0]
    assert two["lod"].tolist() == [0.1, 2.0, 1.0]
    assert whole["pass"].unique().tolist() == [""]
    with pytest.raises(DataError, match="no chromosome 3; it has '1', '2'"):
        lod_frame(linkage(), "3")


def test_lod_of_several_passes():
    passes = {"1": linkage(), "given 1:5": linkage().assign(lod=0.5)}
    frame = lod_frame(passes)
    assert frame["pass"].unique().tolist() == ["1", "given 1:5"]
    assert frame.loc[frame["pass"] == "1", "x"].tolist() == frame.loc[frame["pass"] != "1", "x"].tolist()
    column = pd.concat([linkage().assign(**{"pass": 1}), linkage().assign(**{"pass": 2})])
    assert lod_frame(column)["pass"].unique().tolist() == ["1", "2"]
    with pytest.raises(ModelError, match="mapping from passes"):
        lod_frame({})


# ---- tables of which there is no picture


def test_no_positions_and_no_p_values():
    with pytest.raises(DataError, match="needs positions, and the table has none"):
        lod_frame(pd.DataFrame({"chromosome": [], "position": [], "lod": []}))
    with pytest.raises(DataError, match="Column 'p_value' holds no p-values but 'small'"):
        manhattan_frame(scan(3).assign(p_value=["small", "0.1", "0.2"]))


def test_a_region_needs_one_variant_at_a_known_place():
    table = scan(6).sort_index().assign(chromosome="1", position=[0, 0, 10, 20, 30, 40])
    with pytest.raises(DataError, match="position of variant 'rs0' is not known"):
        regional_frame(table, "rs0")
    twice = table.assign(variant=["a", "b", "c", "c", "d", "d"], p_value=[0.5, 0.5, 0.5, 0.4, 0.01, 0.5])
    with pytest.raises(DataError, match="has 2 variants 'c', at '1:10', '1:20'"):
        regional_frame(twice, "c")
    assert regional_frame(twice, chromosome=1, start=1)["lead"].tolist() == [False, False, True, False]
