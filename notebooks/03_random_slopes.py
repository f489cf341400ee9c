# %% [markdown]
# # 3. Random slopes
#
# Do people differ only in their level, or also in how they change? This notebook lets slopes vary between subjects,
# shows what that implies for variances and correlations over time, and tests it. You will be able to fit and read
# `(x | g)`, to choose between `(x | g)` and `(x || g)`, to read a profile, to decide what to do about a singular fit,
# and to predict with intervals for subjects who are in the data and for those who are not. Assumed: random intercepts,
# $V = ZGZ^\top + R$ and BLUP, from [notebook 1](01_from_linear_to_mixed.ipynb) and
# [notebook 2](02_crossed_and_nested.ipynb).

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

import lmmpy as lmm
from lmmpy import plots

plots.use_style()

# %% [markdown]
# ## Eighteen people who sleep too little
#
# Belenky and others (2003) restricted people to three hours in bed a night and measured their reaction time every day.
# The data have one row for each subject and day.

# %%
sleep = lmm.datasets.load("sleepstudy")
sleep.groupby("Days")["Reaction"].describe()[["count", "mean", "std", "min", "max"]].round(1)

# %% [markdown]
# The mean rises with the days, and so, by and large, does the standard deviation between people: that is the first hint
# that slopes differ.
#
# There are three ways to draw a line for each subject $i$, with $t$ the day:
#
# * **complete pooling**: one line for all, $\beta_0 + \beta_1 t$;
# * **no pooling**: a regression for each subject alone, which learns nothing from the others;
# * **partial pooling**: a mixed model, in which each subject has deviations $b_{0i}$ and $b_{1i}$ that come from a
#   common distribution:
#
# $$y_{it} = (\beta_0 + b_{0i}) + (\beta_1 + b_{1i})\,t + e_{it},\qquad
# \begin{pmatrix} b_{0i} \\ b_{1i}\end{pmatrix} \sim N(0, G),\qquad e_{it} \sim N(0, \sigma^2).$$

# %%
complete = np.polyfit(sleep["Days"], sleep["Reaction"], 1)[::-1]  # intercept, slope
by_subject = {
    subject: np.polyfit(rows["Days"], rows["Reaction"], 1)[::-1]
    for subject, rows in sleep.groupby("Subject", observed=True)
}
alone = pd.DataFrame(by_subject, index=["(Intercept)", "Days"]).T
fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleep)
partial = fit.coef()["Subject"]
print("complete pooling:", complete.round(2))
pd.concat({"no pooling": alone, "partial pooling": partial}, axis=1).round(2).head(6)

# %% [markdown]
# `lmm.lm_list` does the regressions of each subject in one call, with one residual standard deviation for all:

# %%
separate = lmm.lm_list("Reaction ~ Days | Subject", sleep)
print("largest difference:", np.abs(separate.coef.to_numpy() - alone.to_numpy()).max().round(6))
print("residual standard deviation:", round(separate.sigma, 2), "and of the mixed model:", round(fit.sigma, 2))

# %%
figure, axes = plt.subplots(3, 6, figsize=(7, 5), sharex=True, sharey=True)
order = partial.sort_values("Days").index
day = np.array([0, 9])
for ax, subject in zip(axes.flat, order, strict=True):
    rows = sleep[sleep["Subject"] == subject]
    ax.plot(rows["Days"], rows["Reaction"], ".", color=plots.COLOURS["grey"], ms=4)
    lines = [complete, alone.loc[subject].to_numpy(), partial.loc[subject].to_numpy()]
    for (a, slope), colour, style in zip(lines, ["vermilion", "orange", "blue"], [":", "--", "-"], strict=True):
        ax.plot(day, a + slope * day, style, color=plots.COLOURS[colour], lw=1.5)
    ax.set_title(subject, fontsize=9, pad=2)
axes[0, 0].set(xticks=[0, 3, 6, 9], yticks=[200, 300, 400])
figure.supxlabel("Days of sleep deprivation", fontsize=10)
figure.supylabel("Reaction time (ms)", fontsize=10)
labels = ["data", "complete pooling", "no pooling", "partial pooling"]
figure.legend(axes[0, 0].lines, labels, loc="outside upper center", ncols=4)
plt.show()

# %% [markdown]
# Panels are sorted by the slope of the mixed model. Its lines are drawn from the subject's own towards the common one,
# and stay much nearer to the own: ten days tell much about a slope. Look at 335, the first: no pooling has a falling
# line, the mixed model draws it towards the others, and it is about flat.
#
# Who is right? Give each method the first five days only, and let it predict the other five.

# %%
early, late = sleep.query("Days <= 4"), sleep.query("Days > 4")
pooled = np.polyval(np.polyfit(early["Days"], early["Reaction"], 1), late["Days"])
own = lmm.lm_list("Reaction ~ Days | Subject", early).coef.loc[late["Subject"]].to_numpy()
mixed = lmm.lmer("Reaction ~ Days + (Days | Subject)", early).predict(late)
errors = {
    "complete pooling": late["Reaction"] - pooled,
    "no pooling": late["Reaction"] - (own[:, 0] + own[:, 1] * late["Days"].to_numpy()),
    "partial pooling": late["Reaction"] - mixed,
}
pd.DataFrame({"root mean square error (ms)": {name: np.sqrt((e**2).mean()) for name, e in errors.items()}}).round(1)

# %% [markdown]
# Here the mixed model predicts best. No pooling believes every accident of five days; complete pooling believes that
# all are alike.
#
# ## Total = fixed + random
#
# `fit.fixef` is $\hat\beta$, `fit.ranef()` holds the predicted deviations $\hat b_i$, and `fit.coef()` their sum: each
# subject's own intercept and slope.

# %%
beta, b = fit.fixef, fit.ranef()["Subject"]
print(beta.round(3).to_dict())
print("coef = fixef + ranef:", np.allclose(fit.coef()["Subject"], b + beta))
pd.concat(
    {"fixed": pd.DataFrame([beta] * 3, index=b.index[:3]), "random": b.head(3), "total": partial.head(3)}, axis=1
).round(2)

# %%
subject, t = "308", np.arange(10)
rows = sleep[sleep["Subject"] == subject]
fixed, random = beta.iloc[0] + beta.iloc[1] * t, b.loc[subject].iloc[0] + b.loc[subject].iloc[1] * t
figure, axes = plt.subplots(1, 3, figsize=(7, 2.7), sharex=True)
axes[0].fill_between(t, fixed, color=plots.COLOURS["grey"], alpha=0.5)
axes[0].set(title="fixed", ylim=(0, 480), ylabel="Reaction time (ms)", xticks=[0, 3, 6, 9])
axes[1].fill_between(t, random, color=plots.COLOURS["blue"], alpha=0.7)
axes[1].axhline(0, color="black", lw=0.8)
axes[1].set(title="+ random", ylim=(-60, 420), xlabel="Days of sleep deprivation")
axes[2].stackplot(t, fixed, random, colors=[plots.COLOURS["grey"], plots.COLOURS["blue"]], alpha=0.6)
axes[2].plot(rows["Days"], rows["Reaction"], "o", color="black", ms=4)
axes[2].set(title="= total, and the data of 308", ylim=(0, 480))
plt.show()

# %% [markdown]
# The grey wedge is the same for everybody, the blue one belongs to subject 308: almost nothing at day 0, and then a
# slope of nearly as much again as the common one. For all subjects, the slope in parts:

# %%
slopes = partial["Days"].sort_values()
place = np.arange(len(slopes))
figure, ax = plt.subplots(figsize=(6.4, 3.8))
ax.barh(place, beta["Days"], color=plots.COLOURS["grey"], alpha=0.45, label="fixed")
deviation = slopes - beta["Days"]
for part, colour, hatch, name in [
    (deviation > 0, "blue", "", "random, above zero"),
    (deviation <= 0, "orange", "////", "random, below zero"),
]:
    look = {"color": plots.COLOURS[colour], "hatch": hatch, "edgecolor": "white", "label": name}
    ax.barh(place[part], deviation[part], left=beta["Days"], height=0.5, lw=0, **look)
ax.plot(slopes, place, "o", color="black", ms=4, label="total")
ax.plot(alone.loc[slopes.index, "Days"], place, "D", mfc="white", color="black", ms=4, ls="", label="no pooling")
ax.set(yticks=place, xlabel="Slope (ms per day): total = fixed + random", ylabel="Subject")
ax.set_yticklabels(slopes.index, fontsize=8)
ax.legend(loc="lower right")
plt.show()
own_slope = alone.loc[slopes.index, "Days"]
further = np.abs(slopes - beta["Days"]) > np.abs(own_slope - beta["Days"])
print("subjects:", len(slopes), " further from the common slope than their own:", list(slopes.index[further]))

# %% [markdown]
# Most totals (black) lie between the common slope and the subject's own least squares slope (white): the deviation is
# shrunken. Not all do: intercept and slope are predicted together, and a line whose intercept is moved turns with it
# (310, say). By how much follows from $G$ and $\sigma^2$. By hand, for one subject, with $Z_i = [1, t]$:
#
# $$\hat b_i = G Z_i^\top V_i^{-1}(y_i - X_i\hat\beta),\qquad V_i = Z_i G Z_i^\top + \sigma^2 I.$$

# %%
G = fit.varcorr["Subject"].to_numpy()  # variances and covariance of intercepts and slopes
Z = np.column_stack([np.ones(10), np.arange(10)])  # the same for everybody: days 0 to 9
V = Z @ G @ Z.T + fit.sigma**2 * np.eye(10)
y = sleep.loc[sleep["Subject"] == "335", "Reaction"].to_numpy()
by_hand = G @ Z.T @ np.linalg.solve(V, y - Z @ beta)
print("by hand:", by_hand.round(3), " lmmpy:", b.loc["335"].to_numpy().round(3))

# %%
fit.plot.shrinkage().set(xlabel="Intercept (ms)", ylabel="Slope (ms per day)")
plt.show()

# %% [markdown]
# Arrows go from the subject's own regression to the mixed model's line, both coordinates at once. They do not all point
# straight at the mean: the errors of intercept and slope of one regression are negatively correlated, so that where one
# is moved, the other moves, too.
#
# ## What random slopes say about variances and correlations
#
# Integrate the random effects out. A subject's ten values then have the covariance matrix $V_i$ above; between subjects
# they are independent. Its entries, with $g_{00}$, $g_{01}$, $g_{11}$ those of $G$:
#
# $$\operatorname{Var}(y_t) = g_{00} + 2 g_{01} t + g_{11} t^2 + \sigma^2,\qquad
# \operatorname{Cov}(y_s, y_t) = g_{00} + g_{01}(s + t) + g_{11}\,st .$$
#
# With a random intercept alone the variance is constant and every two days have the same correlation. With a slope, the
# variance is a parabola of time and the correlation depends on when. Compare both with the data: the covariance matrix
# of the ten days over the 18 subjects. (`.cov()` takes deviations from the mean of each day, so that nothing is assumed
# about the fixed line.)

# %%
intercepts = lmm.lmer("Reaction ~ Days + (1 | Subject)", sleep)
V_intercept = intercepts.varcorr["Subject"].iloc[0, 0] + intercepts.sigma**2 * np.eye(10)
wide = sleep.pivot(index="Subject", columns="Days", values="Reaction")
S = wide.cov().to_numpy()
sd = (
    pd.DataFrame({"data": S.diagonal(), "(1 | Subject)": V_intercept.diagonal(), "(Days | Subject)": V.diagonal()})
    ** 0.5
)
sd.rename_axis("Days").T.round(1)

# %%
figure, ax = plt.subplots(figsize=(5.6, 3.2))
fine = np.linspace(0, 9, 91)
parabola = G[0, 0] + 2 * G[0, 1] * fine + G[1, 1] * fine**2 + fit.sigma**2
spread = sd["data"] / np.sqrt(2 * 17)  # standard error of a standard deviation, roughly
ax.errorbar(sd.index, sd["data"], 1.96 * spread, fmt="o", color="black", label="data, with 95 % intervals", lw=1)
ax.plot(fine, np.sqrt(parabola), color=plots.COLOURS["blue"], label="(Days | Subject)")
ax.axhline(sd["(1 | Subject)"][0], color=plots.COLOURS["vermilion"], ls="--", label="(1 | Subject)")
ax.set(xlabel="Days of sleep deprivation", ylabel="SD between subjects (ms)", ylim=(0, None))
ax.legend(loc="upper left")
plt.show()


# %%
def correlation(C):
    return C / np.sqrt(np.outer(C.diagonal(), C.diagonal()))


parts = {"data": S, "(Days | Subject)": V, "(1 | Subject)": V_intercept}
figure, axes = plt.subplots(1, 3, figsize=(7, 2.7), sharey=True)
for ax, (name, C) in zip(axes, parts.items(), strict=True):
    image = ax.imshow(correlation(C), vmin=0, vmax=1)
    ax.set(title=name, xlabel="Day", xticks=range(0, 10, 3), yticks=range(0, 10, 3))
axes[0].set_ylabel("Day")
figure.colorbar(image, ax=axes, label="Correlation", shrink=0.8)
plt.show()

# %%
pairs = [(0, 1), (0, 9), (4, 5), (8, 9)]
pd.DataFrame(
    {name: [correlation(C)[i, j] for i, j in pairs] for name, C in parts.items()},
    index=[f"days {i} and {j}" for i, j in pairs],
).round(2)

# %% [markdown]
# Random slopes get the rising variance and the fall of the correlation with the distance between days; random
# intercepts neither. The model is not perfect. Neighbouring days early and in the middle of the study are more alike in
# the data than it says; late in the study the two agree:

# %%
neighbours = pd.DataFrame({name: correlation(C).diagonal(1) for name, C in parts.items()})
neighbours.index = [f"{day} and {day + 1}" for day in range(9)]
print(neighbours.rename_axis("days").T.round(2))
print("standard error of a correlation near zero, n = 18:", round(1 / np.sqrt(18 - 1), 2))

# %% [markdown]
# A residual that carries over to the next day would do that, and is not in the model. With 18 subjects a correlation
# has a standard error of up to 0.24, so do not read too much into single cells.

# %% [markdown]
# ## Correlated or not
#
# `(Days | Subject)` estimates two variances and their correlation. `(Days || Subject)` sets the correlation to zero; it
# is short for `(1 | Subject) + (0 + Days | Subject)`.

# %%
uncorrelated = lmm.lmer("Reaction ~ Days + (Days || Subject)", sleep)
print(fit.varcorr, uncorrelated.varcorr, sep="\n")
print(lmm.anova(uncorrelated, fit, refit=False))

# %% [markdown]
# The estimated correlation is near zero and the test does not ask for it. `refit=False` compares the REML fits as they
# are, which is allowed as both have the same fixed part; a correlation of zero is inside its range, and the reference
# is an ordinary $\chi^2_1$.
#
# But what does that correlation mean? The intercept is a subject's level on day 0, and day 0 is where somebody began to
# count. Count from day $c$ instead, $t' = t - c$. The same lines have new intercepts $b_0' = b_0 + c\,b_1$, so that
#
# $$G' = M G M^\top,\quad M = \begin{pmatrix} 1 & c \\ 0 & 1 \end{pmatrix},\qquad
# \operatorname{Cov}(b_0', b_1) = g_{01} + c\,g_{11}.$$
#
# The correlation depends on $c$, the model does not. With `||` it is another matter: it sets the covariance to zero *at
# the origin that was chosen*, and a different origin is a different model.


# %%
def moved(c):
    M = np.array([[1, c], [0, 1]])
    return M @ G @ M.T


origins = [-3, 0, 2, 4.5, 7, 9]
rows = []
for c in origins:
    data = sleep.assign(t=sleep["Days"] - c)
    full = lmm.lmer("Reaction ~ t + (t | Subject)", data)
    bars = lmm.lmer("Reaction ~ t + (t || Subject)", data)
    rows.append(
        [
            full.varcorr["Subject"].iloc[0, 0] ** 0.5,
            correlation(full.varcorr["Subject"].to_numpy())[0, 1],
            correlation(moved(c))[0, 1],
            -2 * full.loglik,
            -2 * bars.loglik,
        ]
    )
columns = ["SD of intercepts", "correlation", "by G′ = MGMᵀ", "−2ℓ of (t | Subject)", "−2ℓ of (t || Subject)"]
by_origin = pd.DataFrame(rows, index=pd.Index(origins, name="origin"), columns=columns)
by_origin.round(3)

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 2.9))
cs = np.linspace(-4, 10, 141)
axes[0].plot(cs, [correlation(moved(c))[0, 1] for c in cs], color=plots.COLOURS["blue"])
axes[0].plot(by_origin.index, by_origin["correlation"], "o", color="black", label="fits")
axes[0].axhline(0, color="black", lw=0.8)
axes[0].set(xlabel="Origin of the days, $c$", ylabel="Correlation", ylim=(-1, 1))
axes[0].legend()
axes[1].plot(
    by_origin.index, by_origin["−2ℓ of (t | Subject)"], "o-", color=plots.COLOURS["blue"], label="(t | Subject)"
)
axes[1].plot(
    by_origin.index, by_origin["−2ℓ of (t || Subject)"], "s--", color=plots.COLOURS["vermilion"], label="(t || Subject)"
)
axes[1].set(xlabel="Origin of the days, $c$", ylabel="REML criterion, $-2\\ell$", xticks=[-3, 0, 3, 6, 9])
axes[1].legend()
plt.show()

# %% [markdown]
# Left: the correlation runs from strongly negative to strongly positive, and is zero at one origin only,
# $c = -g_{01}/g_{11}$. Right: the criterion of the correlated model is the same everywhere; that of `||` is as good
# near that origin only. Two rules follow.
#
# * Use `||` where the origin has a meaning (a baseline, an experiment's zero), and say which it is. A change of units,
#   days to hours, is harmless; a change of origin is not.
# * Do not interpret the correlation of intercept and slope ("who is slow at first gets slower") without saying where
#   the intercept is.

# %%
print("the correlation is zero at day", round(-G[0, 1] / G[1, 1], 2))

# %% [markdown]
# ## Do the slopes vary?
#
# Compare three models, each nested in the next. All have the same fixed part, so that REML may be compared.

# %%
print(lmm.anova(intercepts, uncorrelated, fit, refit=False))

# %% [markdown]
# A variance of zero is on the boundary of what it can be, and there the $\chi^2$ with as many degrees of freedom as
# there are parameters is not the right reference: half of the time, roughly, the best estimate is on the boundary and
# one parameter fewer is estimated. The large-sample references are mixtures (Stram & Lee 1994):
#
# | without slopes | with | parameters | reference |
# |---|---|---|---|
# | `(1 \| Subject)` | `(Days \|\| Subject)` | a variance | $\tfrac12\chi^2_0 + \tfrac12\chi^2_1$ |
# | `(1 \| Subject)` | `(Days \| Subject)` | a variance and a covariance | $\tfrac12\chi^2_1 + \tfrac12\chi^2_2$ |
#
# The second, by hand and by `lmm.ranova`:

# %%
lrt = 2 * (fit.loglik - intercepts.loglik)
naive, mixture = stats.chi2.sf(lrt, 2), (stats.chi2.sf(lrt, 1) + stats.chi2.sf(lrt, 2)) / 2
print(f"LRT {lrt:.3f}, naive p {naive:.3g}, mixture p {mixture:.3g}")
print(lmm.ranova(fit))

# %% [markdown]
# Here the evidence is overwhelming and the reference does not matter. It does when p is near 0.05, and then the
# parametric bootstrap needs no asymptotics: simulate from the model without slopes, fit both models to each simulated
# response, and see how large the ratio becomes when there is nothing to find.

# %%
null = lmm.parametric_bootstrap_lrt(intercepts, fit, n=100, seed=1)
simulated = np.sort(null.reference)
print(
    f"largest of {len(simulated)} under the null: {simulated[-1]:.1f}; observed: {null.statistic:.1f}; "
    f"p = {null.p_value:.4f}"
)
print(f"a fit on the boundary in {100 * null.singular:.0f} % of the replicates")
print("Monte Carlo standard error of a probability of one half:", np.sqrt(0.25 / len(simulated)))


# %%
def mixture_tail(x):
    return (stats.chi2.sf(x, 1) + stats.chi2.sf(x, 2)) / 2


figure, ax = plt.subplots(figsize=(5.6, 3.2))
x = np.linspace(0, 10, 201)
ax.plot(simulated, 1 - np.arange(1, 101) / 101, drawstyle="steps-post", color="black", lw=1.2, label="simulated")
ax.plot(x, stats.chi2.sf(x, 2), "--", color=plots.COLOURS["vermilion"], label="$\\chi^2_2$ (naive)")
ax.plot(x, mixture_tail(x), color=plots.COLOURS["blue"], label="$\\frac{1}{2}\\chi^2_1 + \\frac{1}{2}\\chi^2_2$")
ax.axhline(0.05, color=plots.COLOURS["grey"], lw=0.8, ls=":")
ax.set(xlabel="Likelihood ratio statistic", ylabel="Probability of more", xlim=(0, 10), ylim=(0, 1))
ax.legend()
plt.show()

# %% [markdown]
# The simulated curve lies far below the naive one, and nearer to the mixture. In the middle it is below the mixture,
# too, by about twice its Monte Carlo standard error (at most 0.05). A hundred replicates cannot settle the tail.
# Thousands of data sets in [How far to trust intervals and tests](../docs/explanation/calibration.md) say that with few
# groups the mixture is a little cautious: it rejects a true hypothesis somewhat less often than its level says. In more
# than half of the replicates a fit is on the boundary.
#
# ## Profiles: what intervals look like
#
# Hold a parameter at a value, maximise over all others, and note how much the criterion rises: $d(\psi) - d(\hat\psi)$,
# with $d = -2\ell$. The profile plot shows its signed root,
#
# $$\zeta(\psi) = \operatorname{sign}(\psi - \hat\psi)\sqrt{d(\psi) - d(\hat\psi)},$$
#
# which is about standard normal at the true $\psi$. A 95 % interval is where $|\zeta| < 1.96$. If the criterion is a
# parabola, $\zeta$ is a straight line and the interval is the Wald one, estimate ± 1.96 standard errors.

# %%
print("two-sided 5 % point of the normal distribution:", round(stats.norm.ppf(0.975), 2))
profile = fit.profile()
figure, axes = plt.subplots(2, 3, figsize=(7, 4.4))
fit.plot.profile(profile, ax=axes)
names = ["Intercept (ms)", "Slope (ms/day)", "SD of intercepts (ms)", "SD of slopes (ms/day)", "Correlation", "σ (ms)"]
for ax, name in zip(axes.flat, names, strict=True):
    ax.set_xlabel(name)
plt.show()

# %% [markdown]
# Vertical lines end the intervals of three levels. Between −2 and 2 the curves of the fixed effects and of σ are nearly
# straight. Those of the two standard deviations are steep on the left and flatten on the right: values far above the
# estimate agree better with the data than values as far below, so that a symmetric interval is wrong on both sides. As
# in lme4, profiles are those of the maximum likelihood fit, also when the fit is by REML. Compare for that fit:

# %%
ml = fit.refit_ml()
table = ml.parameters()
symmetric = pd.DataFrame(
    {"low": table["estimate"] - 1.96 * table["std_error"], "high": table["estimate"] + 1.96 * table["std_error"]}
)
wald, profiled = ml.confint(method="wald"), profile.confint()
for interval in (wald, profiled):
    interval.columns = ["low", "high"]
print(table["estimate"].round(2).to_dict())
pd.concat({"estimate ± 1.96 se": symmetric, "Wald": wald, "profile": profiled}, axis=1).round(2)

# %%
name = "sd_(Intercept)|Subject"
estimate, error = table.loc[name, ["estimate", "std_error"]]
values = np.linspace(10, 48, 39)
rise = [2 * (ml.loglik - ml.constrain({name: value}).loglik) for value in values]
figure, ax = plt.subplots(figsize=(5.6, 3.2))
ax.plot(values, rise, color=plots.COLOURS["blue"], label="profile")
ax.plot(
    values,
    ((values - estimate) / error) ** 2,
    "--",
    color=plots.COLOURS["vermilion"],
    label="parabola of Wald's interval",
)
ax.axhline(1.96**2, color=plots.COLOURS["grey"], lw=0.8, ls=":")
ax.plot(profiled.loc[name], [1.96**2] * 2, "o", color=plots.COLOURS["blue"])
ax.plot(symmetric.loc[name], [1.96**2] * 2, "s", color=plots.COLOURS["vermilion"])
ax.set(xlabel="SD of intercepts (ms)", ylabel="Rise of $-2\\ell$", ylim=(0, 9))
ax.legend(loc="upper center")
plt.show()

# %% [markdown]
# The curve is the deviance by `fit.constrain`, a constrained fit at each value. It is steep to the left and flat to the
# right: the profile interval is shifted upwards. lmmpy's own Wald intervals of standard deviations are made on the
# logarithm, and those of correlations on Fisher's $z$, which cannot leave the range and follow the skewness in part.
# For standard deviations with few groups the profile by REML, `fit.vpredict(…, interval="profile")` of the variance,
# covers best; how often intervals cover is measured in
# [How far to trust intervals and tests](../docs/explanation/calibration.md).

# %%
reml = fit.vpredict(var="Subject.(Intercept)", interval="profile")
print("SD of intercepts by REML:", np.sqrt(reml[["estimate", "conf_low", "conf_high"]]).round(2).to_dict("records")[0])

# %% [markdown]
# ## Singular fits
#
# A fit is *singular* when the estimate of $G$ is not of full rank: a variance of zero, or a correlation of ±1. It
# happens when the data are too few for the model, or the model too rich for the truth. Make one: a study with three
# visits, on days 0, 4 and 9.

# %% tags=["warns"]
visits = sleep[sleep["Days"].isin([0, 4, 9])]
three = lmm.lmer("Reaction ~ Days + (Days | Subject)", visits)
print(three.varcorr)

# %% [markdown]
# The warning is a `SingularFitWarning`. The fit has converged: the maximum of the likelihood is on the boundary. Read
# what `fit.convergence` says, and `fit.re_pca()`, the principal components of the random effects: a component with
# standard deviation zero (they are in units of σ) is a direction that the model has and the estimate does not use.

# %%
print(three.is_singular(), three.theta.round(3).to_dict())
print(three.convergence.advice[0])
print(three.re_pca())

# %%
name = "cor_Days.(Intercept)|Subject"
held = np.array([-0.4, -0.3, -0.2, -0.1, 0, 0.2, 0.4, 0.6, 0.8, 0.9, 1])
with warnings.catch_warnings():
    warnings.simplefilter("ignore", lmm.SingularFitWarning)  # some of the constrained fits are singular, too
    rise = [2 * (three.loglik - three.constrain({name: r}).loglik) for r in held]
figure, axes = plt.subplots(1, 2, figsize=(7, 3))
axes[0].plot(held, rise, "o-", color=plots.COLOURS["blue"])
axes[0].axhline(1.96**2, color=plots.COLOURS["grey"], lw=0.8, ls=":")
axes[0].set(xlabel="Correlation", ylabel="Rise of $-2\\ell$ (REML)")
lines, span = three.coef()["Subject"].to_numpy(), np.array([-6.0, 9.0])
for a, slope in lines:
    axes[1].plot(span, a + slope * span, color=plots.COLOURS["blue"], lw=0.8)
axes[1].plot(visits["Days"], visits["Reaction"], ".", color="black", ms=4)
ratio = np.sqrt(np.divide(*three.varcorr["Subject"].to_numpy().diagonal()))  # SD of intercepts over that of slopes
meet = -ratio, three.fixef.iloc[0] - ratio * three.fixef.iloc[1]
axes[1].plot(*meet, "D", color=plots.COLOURS["vermilion"], ms=6)
axes[1].annotate("all lines meet", meet, (-6, 300), arrowprops={"arrowstyle": "->"}, fontsize=9)
axes[1].set(xlabel="Days of sleep deprivation", ylabel="Reaction time (ms)", xticks=[-6, -3, 0, 3, 6, 9])
plt.show()

# %% [markdown]
# Left: −2ℓ falls all the way to a correlation of 1, but it is flat; below the dotted line are the values that an
# interval would contain, zero among them. The data do not say that the correlation is one; they say little about it.
# Right: what the estimate means. Intercept and slope are one variable, so that all subjects' lines pass through one
# point (diamond), outside the data. Nobody believes that.
#
# How often does it happen by chance? Draw from the model that all ten days gave, whose correlation is 0.07, with three
# visits, and count.

# %%
print("correlation with ten days:", correlation(G)[0, 1].round(2))
rng = np.random.default_rng(3)
L, n_singular, n_fits = np.linalg.cholesky(G), 0, 100
index, days = visits["Subject"].cat.codes.to_numpy(), visits["Days"].to_numpy()
with warnings.catch_warnings():
    warnings.simplefilter("ignore", lmm.SingularFitWarning)
    for _ in range(n_fits):
        drawn = rng.standard_normal((18, 2)) @ L.T
        mean = beta.iloc[0] + drawn[index, 0] + (beta.iloc[1] + drawn[index, 1]) * days
        n_singular += three.refit(mean + fit.sigma * rng.standard_normal(len(visits))).is_singular()
error = 100 * np.sqrt(n_singular * (n_fits - n_singular) / n_fits**3)
print(f"{n_singular} of {n_fits} fits are singular; Monte Carlo standard error {error:.0f} %")

# %% [markdown]
# A singular fit is thus an ordinary event in a small study, even where the truth is not singular. What to do:
#
# 1. **Simplify the random part to what the data support**, and keep what the question needs: `||` where the origin has
#    a meaning, fewer effects left of the bar.
# 2. **Keep the model and report it as singular**, if the design asks for it, or if the term was planned. Fixed effects
#    and their standard errors are those of a proper optimum. Test with Kenward and Roger's degrees of freedom.
# 3. **Get more data**: more days a subject for slopes, more subjects for variances.

# %%
simpler = {
    "(Days | Subject)": three,
    "(Days || Subject)": lmm.lmer("Reaction ~ Days + (Days || Subject)", visits),
    "(1 | Subject)": lmm.lmer("Reaction ~ Days + (1 | Subject)", visits),
}
rows = {}
for name, model in simpler.items():
    tested = lmm.contest(model, {"Days": 1}, joint=False, ddf="kenward-roger").iloc[0]
    numbers = [-2 * model.loglik, model.aic, tested["Estimate"], tested["Std. Error"], tested["df"]]
    rows[name] = [model.is_singular(), *np.round(numbers, 2)]
pd.DataFrame(rows, index=["singular", "−2ℓ", "AIC", "slope", "std. error", "df"]).T

# %% [markdown]
# `||` costs little in likelihood and is not singular; the slope is the same, and its standard error is similar, a
# little larger. The model without random slopes is not singular either, and it is the wrong way out: its likelihood is
# far worse, and it claims a smaller standard error of the slope, with twice as many degrees of freedom.
#
# What not to do:
#
# * **Drop random slopes because there was a warning.** With subjects who differ in their slopes, `(1 | Subject)` treats
#   the days of a subject as independent evidence about the common slope. Exercise 5 shows how wrong its tests become.
# * **Try optimisers until the warning goes away.** The maximum lies on the boundary, whichever of them finds it:

# %%
searches = lmm.all_fit(three)
print(searches.table[["criterion", "converged"]].round(4), "\nall agree:", searches.agree)

# %% [markdown]
# * **Report a correlation of one as a finding**, or a variance of zero as proof that there is none.
#
# There is a limit beyond which lmmpy refuses: as many random effects as rows.

# %%
try:
    lmm.lmer("Reaction ~ Days + (poly(Days, 2) | Subject)", visits)
except lmm.LmmpyError as error:
    print(error)

# %% [markdown]
# ## Predictions, for those who are in the data and for others
#
# For subject 308 the prediction is the total line, and its uncertainty is that of $\hat\beta$ and of $b_i$ given the
# data. For somebody new the best prediction is the fixed line, and the whole variation between people is added. A
# *confidence* interval is for the subject's mean at that day, a *prediction* interval for a single new measurement: it
# adds $\sigma^2$. The column `std_error` is that of the mean, without $\sigma^2$, in both tables.

# %%
ahead = pd.DataFrame({"Days": np.tile(np.arange(0, 15), 2), "Subject": np.repeat(["308", "new"], 15)})
confidence = fit.predict(ahead, allow_new_levels=True, interval="confidence")
prediction = fit.predict(ahead, allow_new_levels=True, interval="prediction")
chosen = ahead["Days"].isin([0, 9, 14])
pd.concat({"": ahead, "confidence": confidence, "prediction": prediction}, axis=1)[chosen].round(1)

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharex=True, sharey=True)
for ax, who in zip(axes, ["308", "new"], strict=True):
    part = (ahead["Subject"] == who).to_numpy()
    t = ahead["Days"][part]
    for band, colour, name in [(prediction, "sky", "prediction"), (confidence, "blue", "confidence")]:
        ax.fill_between(
            t, band["conf_low"][part], band["conf_high"][part], color=plots.COLOURS[colour], alpha=0.4, lw=0, label=name
        )
    ax.plot(t, confidence["prediction"][part], color="black")
    ax.axvspan(9, 14, color=plots.COLOURS["grey"], alpha=0.12, lw=0)
    ax.set(title="Subject 308" if who == "308" else "A new subject", xlabel="Days of sleep deprivation")
rows = sleep[sleep["Subject"] == "308"]
axes[0].plot(rows["Days"], rows["Reaction"], "o", color="black", ms=4)
axes[0].set(ylabel="Reaction time (ms)", xticks=[0, 3, 6, 9, 12])
axes[0].legend(loc="upper left", title="95 % interval")
plt.show()

# %% [markdown]
# The grey part is beyond the data. There the intervals assume that lines remain lines, which the data cannot check.
#
# By hand, the variance of a new subject's single measurement on day 9 is $V_{tt}$ plus that of the fixed line:

# %%
x = np.array([1, 9])
total = x @ G @ x + fit.sigma**2 + x @ fit.vcov().to_numpy() @ x
low, high = fit.fixef @ x - 1.96 * np.sqrt(total), fit.fixef @ x + 1.96 * np.sqrt(total)
print(f"by hand {low:.1f} to {high:.1f}")

# %% [markdown]
# ## The bootstrap in a few lines
#
# `fit.bootstrap` simulates responses from the fit, refits, and collects what you ask for: here the standard deviations
# and correlations that the summary has, and then a quantity of our own, the correlation of two measurements of a
# subject, on day 0 and on day 9.

# %%
draws = fit.bootstrap(300, seed=1)
print(draws.summary().round(2))
bands = {"bootstrap": draws.confint(), "profile": profiled}
pd.concat(bands, axis=1).round(2)


# %%
def between_days(model):
    G = model.varcorr["Subject"].to_numpy()
    V = Z @ G @ Z.T + model.sigma**2 * np.eye(10)
    return {"correlation": correlation(V)[0, 9]}


ours = fit.bootstrap(300, between_days, seed=2)
ours.confint().assign(estimate=correlation(V)[0, 9]).round(2)

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 2.8))
axes[0].hist(draws.replicates["sd_(Intercept)|Subject"], bins=24, color=plots.COLOURS["blue"])
axes[0].set(xlabel="SD of intercepts (ms)", ylabel="Replicates")
axes[1].hist(draws.replicates["cor_Days.(Intercept)|Subject"], bins=24, color=plots.COLOURS["blue"])
axes[1].set(xlabel="Correlation of intercept and slope", xticks=[-0.5, 0, 0.5, 1])
plt.show()

# %% [markdown]
# The few replicates at a correlation of 1 are singular fits: even ten days a subject are not far from them, and the
# upper limit of the bootstrap is there. The percentile limits of the standard deviations are lower than the profile's:
# replicates scatter around a value that is itself a little below the estimate that they were drawn from
# (`draws.summary()` has that bias), and the percentile method takes it over.
#
# ## What to take away
#
# * `(x | g)` gives each group its own intercept and slope: total = fixed + random, `fit.coef()` = `fit.fixef` +
#   `fit.ranef()`.
# * Predicted slopes are shrunken towards the common one, the more so the less the group's own data say. That predicts
#   better than either extreme.
# * Random slopes imply a variance that changes with x and correlations that depend on both values of x: look whether
#   the data do the same.
# * The correlation of intercept and slope depends on the origin of x. `(x | g)` does not; `(x || g)` does.
# * A test of a variance is on the boundary: use the mixture (`lmm.ranova`), or the parametric bootstrap.
# * Skewed profiles: give profile intervals, not ± 1.96 standard errors.
# * A singular fit is a proper optimum that says that the data do not support all of the random part. Simplify with
#   thought, or keep and report; do not drop the slopes that your test needs.

# %% [markdown]
# ## Exercises
#
# 1. In the study, days 0 and 1 were adaptation and training, and day 2 the baseline. Leave out days 0 and 1, count from
#    day 2, and fit `(t | Subject)` again. What do the intercept and the correlation now mean?
# 2. Fit `distance ~ age * Sex + (age | Subject)` to `Orthodont`, once with age as it is and once with `t = age - 11` in
#    its place. Which numbers change, and which do not?
# 3. For the centred model of exercise 2 compute the standard deviation of `distance` between children of one sex for
#    `age` in `(8, 11, 14)`.
# 4. Machines: six workers on three machines, three times each. Fit `score ~ Machine + (Machine | Worker)` and look at
#    `re_pca()`. How many dimensions do the workers differ in?
# 5. Simulate $300$ studies of the same subjects and three visits, in which the common slope is zero, but subjects'
#    slopes differ (use `G`). How often does `(1 | Subject)` reject a slope of zero at 5 %, and how often
#    `(Days || Subject)`, both with Satterthwaite's t? How exact are your percentages?
# 6. A new subject was measured on day 0 only: $y = 300$ ms. By hand: what do you predict for day 9, and with what
#    standard error of the new measurement, with $\beta$, $G$ and $\sigma$ taken as known?

# %% [markdown]
# ## Solutions
#
# **1.** The intercept is the mean reaction time at the baseline; the correlation is that of a subject's level at the
# baseline and its slowing per day.

# %%
after = sleep.query("Days >= 2").assign(t=lambda d: d["Days"] - 2)
baseline = lmm.lmer("Reaction ~ t + (t | Subject)", after)
print(baseline.varcorr, baseline.fixef.round(2).to_dict(), sep="\n")

# %% [markdown]
# **2.** Slopes, the residual and the likelihood stay; the intercepts, their variance, the correlation and the effect of
# sex are now those at 11 years.

# %%
growth = lmm.datasets.load("Orthodont").assign(t=lambda d: d["age"] - 11)
raw = lmm.lmer("distance ~ age * Sex + (age | Subject)", growth)
centred = lmm.lmer("distance ~ t * Sex + (t | Subject)", growth)
print(raw.varcorr, centred.varcorr, sep="\n")
print(np.round([raw.loglik, centred.loglik], 4), raw.fixef.round(2).to_list(), centred.fixef.round(2).to_list())

# %% [markdown]
# **3.** With $z = (1, t)$ the variance is $z^\top G z + \sigma^2$. It grows a little.

# %%
C = centred.varcorr["Subject"].to_numpy()
for age in (8, 11, 14):
    z = np.array([1, age - 11])
    print(age, "years:", round(np.sqrt(z @ C @ z + centred.sigma**2), 2), "mm")

# %% [markdown]
# **4.** In two, nearly: two of the three components hold 93 % of the variance.

# %%
machines = lmm.lmer("score ~ Machine + (Machine | Worker)", lmm.datasets.load("Machines"))
print(machines.re_pca())

# %% [markdown]
# **5.** Without random slopes the test rejects a true hypothesis two to three times as often as it should. With them it
# is near its level, within what so many studies can tell.

# %%
rng, studies = np.random.default_rng(5), 300
models = {name: simpler[name] for name in ("(1 | Subject)", "(Days || Subject)")}
rejected = dict.fromkeys(models, 0)
with warnings.catch_warnings():
    warnings.simplefilter("ignore", lmm.LmmpyWarning)
    for _ in range(studies):
        drawn = rng.standard_normal((18, 2)) @ L.T
        response = 250 + drawn[index, 0] + drawn[index, 1] * days + fit.sigma * rng.standard_normal(len(visits))
        for name, model in models.items():
            tested = lmm.contest(model.refit(response), {"Days": 1}, joint=False)
            rejected[name] += tested["Pr(>|t|)"].iloc[0] < 0.05
shares = pd.Series(rejected) / studies
table = pd.DataFrame({"rejected, %": 100 * shares, "Monte Carlo SE": 100 * np.sqrt(shares * (1 - shares) / studies)})
print(table.round(1))

# %% [markdown]
# **6.** With $z_0 = (1, 0)$ and $z_9 = (1, 9)$: the covariance of both measurements over the variance of the first
# moves the prediction, and the standard error is that of a new measurement.

# %%
first, last = np.array([1, 0]), np.array([1, 9])
v0, v9, c09 = first @ G @ first + fit.sigma**2, last @ G @ last + fit.sigma**2, first @ G @ last
guess = beta @ last + c09 / v0 * (300 - beta @ first)
print(f"{guess:.0f} ms, standard error {np.sqrt(v9 - c09**2 / v0):.0f} ms")

# %% [markdown]
# ## Further reading
#
# * Barr, Levy, Scheepers & Tily (2013), *Journal of Memory and Language* 68, 255–278: keep the random slopes that a
#   test needs.
# * Bates, Mächler, Bolker & Walker (2015), *Journal of Statistical Software* 67(1): lme4, with these data.
# * Belenky et al. (2003), *Journal of Sleep Research* 12, 1–12: the study.
# * Laird & Ware (1982), *Biometrics* 38, 963–974: random effects for longitudinal data.
# * Matuschek, Kliegl, Vasishth, Baayen & Bates (2017), *Journal of Memory and Language* 94, 305–315: what too rich a
#   random part costs.
# * Robinson (1991), *Statistical Science* 6, 15–32: what BLUP is.
# * Stram & Lee (1994), *Biometrics* 50, 1171–1177: tests of variances.
#
# Before: [2. Crossed and nested effects](02_crossed_and_nested.ipynb). Next:
# [4. What ML, REML and the profiled criterion are](04_likelihood_and_inference.ipynb)
