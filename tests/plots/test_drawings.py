"""The pictures, against stored ones; and how plots behave in a user's figure."""

from __future__ import annotations

import subprocess
import sys

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.testing.compare import compare_images

import lmmpy as lmm
from lmmpy.plots import caterpillar_frame, draw_caterpillar, draw_qq, qq_frame, residual_frame
from tests.plots.pictures import BASELINE, MODELS, PICTURES, draw, figure_of, fit, picture

# Root mean square difference of the pixels, of 255. Without text matplotlib 3.9 to 3.11 draw the same pixels; one point
# in another place makes more than this.
TOLERANCE = 0.5
PANELS = {
    "qq_ranef": 2,
    "caterpillar": 2,
    "caterpillar_nested": 2,
    "profile": 6,
    "profile_singular": 3,
    "shrinkage_three": 3,
    "groups": 5,
    "groups_factor": 6,
}


@pytest.fixture(autouse=True)
def no_figures_left():
    yield
    plt.close("all")


# ---- pictures


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name, tmp_path):
    draw(name, tmp_path / f"{name}.png")
    difference = compare_images(str(BASELINE / f"{name}.png"), str(tmp_path / f"{name}.png"), tol=TOLERANCE)
    assert difference is None, difference


def test_every_stored_picture_is_compared():
    assert {path.stem for path in BASELINE.glob("*.png")} == set(PICTURES)


@pytest.mark.parametrize("name", ["residuals", "qq", "caterpillar", "shrinkage", "influence", "groups", "forest"])
def test_a_changed_picture_is_seen(name, tmp_path, monkeypatch):
    """The same plot of other data, of the same model and size."""
    model = MODELS[PICTURES[name][0]]
    other = lmm.lmer(model[0], lmm.datasets.load(model[1])).simulate(1, seed=3)["sim_1"]
    changed = fit(PICTURES[name][0]).refit(other)
    monkeypatch.setattr("tests.plots.pictures.fit", lambda _: changed)
    draw(name, tmp_path / "changed.png")
    assert compare_images(str(BASELINE / f"{name}.png"), str(tmp_path / "changed.png"), tol=TOLERANCE) is not None


def test_a_moved_point_is_seen(tmp_path):
    def save(path, shift):
        with mpl.rc_context():
            mpl.rcdefaults()
            frame = qq_frame(residual_frame(fit("sleepstudy"))["residual"])
            frame.iloc[-1, 1] += shift
            figure_of(draw_qq(frame)).savefig(path, dpi=64)

    save(tmp_path / "a.png", 0.0)
    save(tmp_path / "b.png", -15.0)
    assert compare_images(str(tmp_path / "a.png"), str(tmp_path / "b.png"), tol=TOLERANCE) is not None


# ---- words


LABELS = {
    "residuals": ("Fitted Reaction", "Pearson residual of Reaction"),
    "scale_location": ("Fitted Reaction", "√|standardized residual|"),
    "qq": ("Normal quantile", "Standardized residual of Reaction"),
    "qq_ranef": ("Normal quantile", "Standardized mode\n(Intercept) | Subject"),
    "caterpillar": ("(Intercept)", "Subject"),
    "profile_singular": ("(Intercept)", "ζ"),
    "shrinkage": ("(Intercept) by Subject", "Days by Subject"),
    "shrinkage_dots": ("(Intercept)", "plate"),
    "forest": ("Effect on angle, 95 % interval", ""),
    "influence": ("Cook's distance", "Subject"),
    "influence_rows": ("Row, in order", "Cook's distance"),
}


@pytest.mark.parametrize("name", LABELS)
def test_axes_have_the_names_of_the_variables(name):
    ax = np.ravel(np.array(picture(name), dtype=object))[0]
    assert (ax.get_xlabel(), ax.get_ylabel()) == LABELS[name]
    assert ax.get_title() == ""


def test_groups_are_named_once():
    axes = fit("sleepstudy").plot.groups(n=5)
    figure = axes[0].get_figure()
    assert (figure.get_supxlabel(), figure.get_supylabel()) == ("Days", "Reaction")
    assert figure.legends[0].get_title().get_text() == "Subject: 5 of 18 levels"
    assert [ax.get_title() for ax in axes] == ["308", "309", "333", "337", "350"]
    assert fit("sleepstudy").plot.groups()[0].get_figure().legends[0].get_title().get_text() == "Subject"


def level_names(ax: Axes) -> list[str]:
    return [label.get_text() for label in ax.get_yticklabels()]


def test_caterpillars_are_sorted():
    modes = fit("sleepstudy").ranef()["Subject"]
    own, by_days = fit("sleepstudy").plot.caterpillar(), fit("sleepstudy").plot.caterpillar(sort="Days")
    assert level_names(own[0]) == list(modes["(Intercept)"].sort_values().index)
    assert level_names(own[1]) == level_names(by_days[0]) == list(modes["Days"].sort_values().index)


def test_forest_rows():
    plot = fit("cake").plot
    names = list(fit("cake").fixef.index)
    assert level_names(plot.forest()) == names[:0:-1]
    assert level_names(plot.forest(["recipeC", "(Intercept)"])) == ["(Intercept)", "recipeC"]
    assert level_names(plot.forest("recipeC")) == ["recipeC"]
    assert level_names(fit("penicillin").plot.forest()) == ["(Intercept)"]
    with pytest.raises(lmm.ModelError, match=r"no fixed effect 'recipeD'. They are '\(Intercept\)'"):
        plot.forest(["recipeD"])


def texts(ax: Axes) -> list[str]:
    return [text.get_text() for text in ax.texts]


def test_a_variance_of_zero_is_said():
    for method in ("caterpillar", "qq_ranef"):
        assert texts(getattr(fit("singular").plot, method)()) == ["variance estimated\nas zero"]


def test_a_correlation_without_profile_is_said():
    """The groups have the same mean; the panel of their correlation stays, so that none is missed."""
    rng, g, x = np.random.default_rng(1), np.repeat(np.arange(8), 6), np.tile([-1.0, 1.0], 24)
    e = rng.normal(size=48)
    y = 2 * rng.normal(size=8)[g] * x + e - (np.bincount(g, e) / 6)[g]
    with pytest.warns(lmm.SingularFitWarning):
        model = lmm.lmer("y ~ x + (x | g)", pd.DataFrame({"y": y, "x": x, "g": g}))
    name = "cor_x.(Intercept)|g"
    for parameters in (name, [name, "sigma"]):
        with pytest.warns(lmm.SingularFitWarning):
            profile = model.profile(parameters)
        ax = np.ravel(np.array(model.plot.profile(profile), dtype=object))[0]
        assert texts(ax) == ["not defined: an effect\ndoes not vary"]
        assert ax.get_xlabel() == name
    left, right = model.plot.caterpillar()
    assert (texts(left), texts(right)) == (["variance estimated\nas zero"], [])
    assert model.plot.shrinkage().get_xlabel() == "(Intercept) by g\n(variance of (Intercept) estimated as zero)"


def test_a_profile_by_the_names_of_parameters():
    one = fit("sleepstudy").plot.profile("sigma")
    assert one.get_xlabel() == "sigma"
    given = fit("sleepstudy").plot.profile(fit("sleepstudy").profile("sigma"))
    np.testing.assert_array_equal(one.lines[0].get_xydata(), given.lines[0].get_xydata())
    assert [ax.get_xlabel() for ax in fit("sleepstudy").plot.profile(["Days", "sigma"])] == ["Days", "sigma"]
    with pytest.raises(lmm.ModelError, match="day"):
        fit("sleepstudy").plot.profile("day")


def test_what_cannot_be_shown_is_said():
    data = lmm.datasets.load("sleepstudy")
    data = data[(data["Subject"] != "308") | (data["Days"] == 3)]
    model = lmm.lmer("Reaction ~ Days + (Days | Subject)", data)
    expected = "(Intercept) by Subject\n(1 of 18 groups too small for their own estimate)"
    assert model.plot.shrinkage().get_xlabel() == expected


def test_many_levels_are_counted_not_named():
    data = lmm.datasets.load("Arabidopsis")
    data = data.assign(plant=np.arange(len(data)) // 9)
    model = lmm.lmer("log(total.fruits + 1) ~ amd + (1 | plant)", data)
    ax = model.plot.caterpillar()
    assert (ax.get_ylabel(), level_names(ax)) == ("plant (70 levels)", [])
    plant = model.design.random[0]
    frame = caterpillar_frame(model)
    assert frame["recorded"].all() and len(frame) == plant.n_levels
    assert (
        draw_caterpillar(frame.assign(recorded=np.arange(70) < 60)).get_ylabel() == "Level (60 levels with rows of 70)"
    )
    ax = model.plot.influence("plant", refit=False)
    frame = model.influence("plant", refit=False)
    largest = frame.cooks[frame.cooks > frame.cut].nlargest(8)
    assert set(texts(ax)) == {*largest.index, "4/n = 0.057"}


def test_names_have_no_backticks():
    data = lmm.datasets.load("sleepstudy").rename(
        columns=dict(Reaction="time (ms)", Days="a day", Subject="the subject")
    )
    model = lmm.lmer("`time (ms)` ~ `a day` + (`a day` | `the subject`)", data)
    plot, limits = model.plot, model.profile("sd_(Intercept)|`the subject`")
    drawn = [
        plot.residuals(),
        plot.qq(),
        plot.forest(),
        plot.influence("the subject", refit=False),
        plot.profile(limits),
    ]
    drawn += [*plot.qq_ranef(), *plot.caterpillar(), plot.shrinkage(), plot.shrinkage(effects="`a day`")]
    drawn += list(plot.groups(n=3))
    words = {text.get_text() for ax in drawn for text in figure_of(ax).findobj(mpl.text.Text)}
    assert not [word for word in words if "`" in word]
    assert {"Effect on time (ms), 95 % interval", "a day", "the subject", "sd_(Intercept)|the subject"} <= words


# ---- axes


@pytest.mark.parametrize("name", PICTURES)
def test_on_the_axes_of_a_user(name, monkeypatch):
    """What is drawn is what a new figure has; pyplot's state and matplotlib's settings stay as they are."""
    n = PANELS.get(name, 1)
    mine, grid = plt.subplots(1, n, squeeze=False)
    current = plt.figure()
    before, settings = plt.get_fignums(), dict(mpl.rcParams)
    monkeypatch.setattr(plt, "show", lambda *_: pytest.fail("a plot was shown"))
    drawn = picture(name, ax=grid[0, 0] if n == 1 else grid)
    assert [id(ax) for ax in np.ravel(np.array(drawn, dtype=object))] == [id(ax) for ax in grid.ravel()]
    assert plt.get_fignums() == before
    assert plt.gcf() is current
    assert not current.axes
    assert dict(mpl.rcParams) == settings
    assert all(ax.get_figure() is mine for ax in mine.axes)
    assert drawn.shape == (n,) if name in PANELS else drawn is grid[0, 0]
    alone = figure_of(picture(name))
    assert len(alone.axes) == n
    assert [len(ax.get_children()) for ax in mine.axes][1:] == [len(ax.get_children()) for ax in alone.axes][1:]


def test_one_accent_of_colour():
    """Everything but #0072B2 is a grey, which colour blindness leaves alone."""
    for name in ("residuals", "shrinkage", "profile_singular", "influence_rows", "groups"):
        for artist in figure_of(picture(name)).findobj(
            lambda a: hasattr(a, "get_facecolor") or hasattr(a, "get_color")
        ):
            getter = artist.get_facecolor if hasattr(artist, "get_facecolor") else artist.get_color
            value = getter()
            rows = np.atleast_2d(value) if isinstance(value, np.ndarray) else [value]
            for colour in rows:
                rgb = to_rgb(colour)
                assert len(set(rgb)) == 1 or rgb == to_rgb("#0072B2"), (name, artist, colour)


def test_the_wrong_number_of_axes():
    plot, (_, axes) = fit("sleepstudy").plot, plt.subplots(1, 3)
    needed = r"needs 2 Axes, for '\(Intercept\) of Subject', 'Days of Subject'; got 3"
    with pytest.raises(lmm.ModelError, match=needed):
        plot.caterpillar(ax=axes)
    with pytest.raises(lmm.ModelError, match="needs 1 Axes, for 'the plot'; got 3"):
        plot.residuals(ax=axes)
    with pytest.raises(lmm.ModelError, match=r"needs 18 Axes, for 'Subject 308', .* and 13 more; got 1"):
        plot.groups(ax=axes[0])
    with pytest.raises(lmm.ModelError, match="ax must be matplotlib Axes, or an array of them; got 'Figure'"):
        plot.qq(ax=axes[0].get_figure())
    assert plot.caterpillar(effect="Days", ax=axes[:1]) is axes[0]
    assert list(plot.qq_ranef(ax=list(axes[1:]))) == list(axes[1:])
    assert list(plot.qq_ranef(ax=axes[1:].flat)) == list(axes[1:])


def test_effects_that_do_not_exist():
    plot = fit("sleepstudy").plot
    with pytest.raises(lmm.ModelError, match="no random term 'Nobody'"):
        plot.shrinkage("Nobody")
    with pytest.raises(lmm.ModelError, match="Subject has no random effect 'Weeks'; it has"):
        plot.shrinkage(effects=["Days", "Weeks"])
    with pytest.raises(lmm.ModelError, match="has no effect 'Weeks'"):
        plot.caterpillar("Subject", sort="Weeks")
    with pytest.raises(lmm.ModelError, match="type is one of"):
        plot.residuals("raw")


def test_the_accessor_lists_its_plots():
    assert repr(fit("sleepstudy").plot) == (
        "Plots of Reaction: .residuals(), .scale_location(), .qq(), .influence(), .forest(), .profile(), .qq_ranef(), "
        ".caterpillar(), .shrinkage(), .groups()"
    )


# ---- the extra


def test_matplotlib_is_an_extra():
    """Importing lmmpy does not import it; without it frames come all the same, and a plot says what to install."""
    code = """
import sys
import lmmpy as lmm
from lmmpy.plots import caterpillar_frame
print([name for name in sys.modules if name.split(".")[0] == "matplotlib"])
sys.modules["matplotlib"] = None
fit = lmm.lmer("Yield ~ 1 + (1 | Batch)", lmm.datasets.load("Dyestuff"))
print(len(caterpillar_frame(fit)))
for name in [name for name in dir(fit.plot) if not name.startswith("_")]:
    try:
        getattr(fit.plot, name)()
    except ImportError as error:
        print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["[]", "6"] + ["Plots need matplotlib: pip install matplotlib"] * 10
