# %% [markdown]
# # 2. Crossed and nested effects
#
# Records are often grouped in two ways at once. Each level of one factor may meet each level of the other (*crossed*),
# or belong to one of them only (*nested*). How does one write either, and how does one read the fit? At the end you can
# read a summary line by line, turn variances into shares and correlations, judge a fit by its residuals, predict for
# old and new groups, test a variance, and notice a grouping that was written wrongly.
#
# Notebook 1 is assumed: $y = X\beta + Zb + e$, $V = ZGZ^\top + R$, BLUP.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy import stats

import lmmpy as lmm
from lmmpy import plots

plots.use_style()
BLUE, ORANGE, GREEN, GREY = (plots.COLOURS[name] for name in ("blue", "orange", "green", "grey"))

# %% [markdown]
# ## Crossed: penicillin on plates
#
# Six samples of penicillin were assayed on each of 24 plates. The record is the diameter of the zone in which bacteria
# did not grow.

# %%
penicillin = lmm.datasets.load("Penicillin")
table = penicillin.pivot(index="sample", columns="plate", values="diameter")
print(f"{len(penicillin)} records; plates and samples: {table.shape[1]} and {table.shape[0]}")
table.iloc[:, :12].astype(int)

# %% [markdown]
# Every sample meets every plate: the factors are crossed, and here completely, with one record in each cell.

# %%
fig, ax = plt.subplots(figsize=(6.8, 3.6))
order = table.mean().sort_values().index
colours = list(plots.COLOURS.values())
for name, colour, marker in zip(table.index, colours, "os^DvP", strict=False):
    ax.plot(range(24), table.loc[name, order], color=colour, marker=marker, lw=0.8, ms=4, label=name)
ax.set_xticks(range(24), order)
ax.set(xlabel="Plate, by mean diameter", ylabel="Diameter of the zone (mm)", ylim=(17.5, 29.5))
ax.legend(title="Sample", ncols=6, loc="upper left", columnspacing=1.2)
plt.show()

# %% [markdown]
# Two patterns are seen. Samples keep their order on nearly all plates: A and C are high, F is low. And all six rise
# together from plates on the left to plates on the right.
#
# Neither these plates nor these samples are of interest for themselves. They stand for others of their kind, and one
# asks how much each kind varies. So both effects are random:
#
# $$ y_{ij} = \mu + p_i + s_j + e_{ij}, \qquad p_i \sim N(0, \sigma_p^2), \quad s_j \sim N(0, \sigma_s^2), \quad
# e_{ij} \sim N(0, \sigma^2). $$
#
# $\sigma^2$ is the residual variance, which notebook 1 calls $\sigma_e^2$. In a formula each term stands in its own
# parentheses: `diameter ~ 1 + (1 | plate) + (1 | sample)`.

# %% [markdown]
# ## What Z looks like
#
# $Z$ has a column for each plate and for each sample, and each row has two ones. `lmm.lformula` builds it without a
# fit.

# %%
design = lmm.lformula("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin)
print(design)
plate, sample = (term.Z.toarray() for term in design.random)
fig, ax = plt.subplots(figsize=(6.8, 2.6))
ax.imshow(np.hstack([plate, sample]).T, cmap="Greys", aspect="auto", interpolation="nearest")
ax.axhline(23.5, color=ORANGE, lw=1)
ax.set_yticks([11.5, 26.5], ["24 plates", "6 samples"])
ax.set(xlabel="Record", title=r"$Z^T$: which effects act on which record")
plt.show()

# %% [markdown]
# $ZZ^\top$ has a one where two records share a level. For the first four plates:

# %%
first = slice(0, 24)
shared = [plate[first] @ plate[first].T, sample[first] @ sample[first].T]
fig, axes = plt.subplots(1, 3, figsize=(6.8, 2.7), sharey=True)
names = ["same plate", "same sample", "both terms"]
for ax, matrix, name in zip(axes, [*shared, shared[0] + 2 * shared[1]], names, strict=True):
    ax.imshow(matrix, cmap="Blues", vmin=0, vmax=3)
    ax.set(title=name, xlabel="Record")
axes[0].set_ylabel("Record")
plt.show()

# %% [markdown]
# Records of a plate are neighbours and make squares; records of a sample are six rows apart and make stripes (darker in
# the third picture, where a record meets itself in the darkest shade). The sum
# is block-diagonal in no order of the records: plates are linked through samples, and samples through plates. So the
# likelihood does not fall apart into independent groups, as it does with one factor or with nested ones.

# %% [markdown]
# ## Variances by hand
#
# In complete and balanced data the variances can be had from an analysis of variance. With $a$ plates and $b$ samples
# the mean squares have the expectations
#
# $$ \mathrm{E}(MS_p) = b\sigma_p^2 + \sigma^2, \qquad \mathrm{E}(MS_s) = a\sigma_s^2 + \sigma^2, \qquad
# \mathrm{E}(MS_e) = \sigma^2. $$
#
# Set them equal to what is observed, and solve.

# %%
y = table.to_numpy()  # samples by plates
b, a = y.shape
mean, of_plate, of_sample = y.mean(), y.mean(axis=0), y.mean(axis=1)
ms_plate = b * ((of_plate - mean) ** 2).sum() / (a - 1)
ms_sample = a * ((of_sample - mean) ** 2).sum() / (b - 1)
rest = y - of_plate - of_sample[:, None] + mean
ms_error = (rest**2).sum() / ((a - 1) * (b - 1))
by_hand = {"plate": (ms_plate - ms_error) / b, "sample": (ms_sample - ms_error) / a, "Residual": ms_error}

fit = lmm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", penicillin)
by_reml = fit.varcorr.to_frame().set_index("grp")["vcov"]
pd.DataFrame({"by hand": by_hand, "REML": by_reml}).loc[by_reml.index].round(5)

# %% [markdown]
# In balanced data, and as long as no estimate is negative, REML gives what the analysis of variance gives. REML needs
# neither condition, which is why it took over.

# %% [markdown]
# ## The summary, line by line

# %%
print(fit.summary())

# %% [markdown]
# - **REML criterion**: minus twice the restricted log-likelihood at its maximum. Its value means little alone;
#   differences between models with the same fixed part do.
# - **Scaled residuals**: quartiles and extremes of the residuals over $\hat\sigma$. The median should be near zero, and
#   the extremes within about $\pm 3$ in a sample of this size.
# - **Random effects**: for each term its variance and, to be read in units of the response, its standard deviation.
#   Std.Dev. is the root of the variance, *not* a standard error of it.
# - **Number of obs, groups**: how many levels each factor has. Read this line each time. A wrong grouping shows here
#   first.
# - **Fixed effects**: estimate, standard error, and their ratio $t$. There are no degrees of freedom in the plain
#   table; notebook 4 says which to ask for.
#
# The standard error of the mean can be checked by hand: each variance is divided by the number of its effects.

# %%
parts = by_reml / [24, 6, 144]
print("variance of the mean by source:", parts.round(4).to_dict())
print("std. error by hand:", np.sqrt(parts.sum()).round(4), " of the fit:", fit.se.iloc[0].round(4))
ordinary = lmm.gls("diameter ~ 1", penicillin)
print("std. error if records were independent:", ordinary.se.iloc[0].round(4))

# %% [markdown]
# Nearly all of the uncertainty comes from the samples, of which there are six. More plates would hardly help. A
# regression that ignores the groups claims a precision that it does not have.

# %% [markdown]
# ## Shares of the variance, and correlations
#
# The variance of a record is the sum $\sigma_p^2 + \sigma_s^2 + \sigma^2$. The share of a term in it is at the same
# time the correlation of two records that share only that effect, the **intraclass correlation**: two samples on one
# plate correlate by the share of plates, a sample on two plates by that of samples. `fit.vpredict` computes functions
# of the variances, by the names that they have in the summary.

# %%
total = "(plate + sample + Residual)"
shares = {"plate": f"plate / {total}", "sample": f"sample / {total}", "residual": f"Residual / {total}"}
fit.vpredict(shares).round(3)

# %% [markdown]
# The default interval is the estimate ± 1.96 standard errors. Here it leaves the range of a share, below 0 for plates
# and for the residual, and above 1 for samples. Intervals from the profile of the likelihood cannot:

# %%
fit.vpredict(shares, interval="profile").round(3)

# %%
shown = fit.vpredict(shares, interval="profile")
fig, ax = plt.subplots(figsize=(5.4, 2.2))
errors = [shown["estimate"] - shown["conf_low"], shown["conf_high"] - shown["estimate"]]
ax.errorbar(shown["estimate"], shown.index, xerr=errors, fmt="o", color=BLUE, capsize=3)
ax.set(xlabel="Share of the variance, with 95 % profile interval", xlim=(0, 1), ylim=(2.5, -0.5))
plt.show()

# %% [markdown]
# Intervals for standard deviations come from `fit.confint`, which profiles the ML likelihood, as R's lme4 does. With
# few levels ML takes too small a variance, so that REML's profile is the better one; `fit.vpredict` gives it for the
# variances, whose roots are taken here.

# %%
variances = {"plate": "plate", "sample": "sample", "sigma": "Residual"}
by_ml = fit.confint("theta_").set_axis(variances, axis=0)
limits = fit.vpredict(variances, interval="profile")[["estimate", "conf_low", "conf_high"]]
pd.concat({"ML profile": by_ml, "REML profile": np.sqrt(limits)}, axis=1).round(2)

# %% [markdown]
# The upper limits of the samples' standard deviation are about twice the estimate: six levels say little about a
# variance. The intervals are not symmetric, and should not be.

# %%
ax = fit.plot.profile("sd_(Intercept)|sample")
ax.set_xlabel("SD of samples (mm)")
plt.show()

# %% [markdown]
# The profile shows why. $\zeta$ is the signed root of the rise in the deviance; of a quadratic log-likelihood it would
# be a straight line. The vertical lines stand at the limits of three intervals. The curve is steep to the left (a small
# SD is soon excluded) and flat to the right (a large one hardly).

# %% [markdown]
# ## Shrinkage
#
# The predicted effect of a plate is not the deviation of its mean from the general mean. It is drawn towards zero. For
# one grouping factor, with $n_i$ records in group $i$, BLUP is
#
# $$ \hat b_i = \frac{n_i\sigma_b^2}{n_i\sigma_b^2 + \sigma^2}\,(\bar y_i - \hat\mu). $$
#
# The factor tends to 1 with many records, or a large variance between groups, and to 0 with few records or a small one.
# `Dyestuff` has five records of each of six batches.

# %%
dyestuff = lmm.datasets.load("Dyestuff")
dye = lmm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff)
variance = dye.varcorr.to_frame().set_index("grp")["vcov"]
factor = 5 * variance["Batch"] / (5 * variance["Batch"] + variance["Residual"])
deviation = dyestuff.groupby("Batch", observed=True)["Yield"].mean() - dye.fixef["(Intercept)"]
print("factor:", factor.round(3))
compared = {"deviation": deviation, "by hand": factor * deviation, "fit.ranef": dye.ranef()["Batch"]["(Intercept)"]}
pd.DataFrame(compared).round(2)

# %%
ax = dye.plot.shrinkage()
ax.set_xlabel("Yield (g of standard colour)")
plt.show()

# %% [markdown]
# All batches move by the same factor, since all have five records. Take four of the five records away from batches B
# and E, with the variances as they were:

# %%
kept = dyestuff[~dyestuff["Batch"].isin(["B", "E"]) | ~dyestuff["Batch"].duplicated()]
fewer = lmm.lmer("Yield ~ 1 + (1 | Batch)", kept, varcomp=variance.to_dict())
count = kept["Batch"].value_counts().sort_index()
factors = count * variance["Batch"] / (count * variance["Batch"] + variance["Residual"])
off = kept.groupby("Batch", observed=True)["Yield"].mean() - fewer.fixef["(Intercept)"]
columns = {"records": count, "factor": factors, "by hand": factors * off}
pd.DataFrame(columns).assign(ranef=fewer.ranef()["Batch"]["(Intercept)"]).round(3)

# %% [markdown]
# The two batches with one record are shrunk the most. That is the point of the method: a high mean of one record is
# weaker evidence of a good batch than the same mean of five.
#
# With crossed factors in balanced data each term has its own factor; for plates it is
# $6\sigma_p^2/(6\sigma_p^2 + \sigma^2)$, with six records to a plate.

# %%
factor_plate = 6 * by_reml["plate"] / (6 * by_reml["plate"] + by_reml["Residual"])
plates = fit.ranef()["plate"]["(Intercept)"]
print("factor of plates:", factor_plate.round(3))
print("as by hand:", np.allclose(plates, factor_plate * (of_plate - mean)))

# %%
axes = fit.plot.caterpillar()
for ax, what in zip(axes, ["Plate", "Sample"], strict=True):
    ax.set(xlabel="Predicted effect (mm)", ylabel=what)

# %% [markdown]
# This is called a caterpillar plot. Each bar is a 95 % interval of an effect, with the estimated variances and mean
# taken as known. The effects of samples are then known more exactly than those of plates, because a sample has a record
# on each plate, and a plate has only six. Do not compare two plates by whether their bars overlap: the bars are for one
# effect at a time.

# %% [markdown]
# ## Is the model right? Diagnostics
#
# The model says: errors normal, with one variance, independent of everything; random effects normal. `fit.check()` goes
# through what data can say about it.

# %%
print(fit.check())

# %%
fig, axes = plt.subplots(2, 2, figsize=(6.8, 5.4))
fit.plot.residuals(ax=axes[0, 0])
fit.plot.scale_location(ax=axes[0, 1])
fit.plot.qq(ax=axes[1, 0])
fit.plot.qq_ranef("plate", ax=axes[1, 1])
axes[0, 0].set(xlabel="Fitted diameter (mm)", ylabel="Residual (mm)")
axes[0, 1].set(xlabel="Fitted diameter (mm)", ylabel="Root of |residual|")
axes[1, 0].set_ylabel("Standardised residual")
axes[1, 1].set_ylabel("Plate effect / its SD")
plt.show()

# %% [markdown]
# What to look for, panel by panel:
#
# - Residuals against fitted values: a level band. A bend means that the fixed part lacks something, a funnel that the
#   variance changes with the mean. (The slanting rows of points are there because diameters are whole millimetres.)
# - Root of the absolute residuals: a level line, if the variance is constant.
# - Quantiles of residuals, and of the effects of plates: near the line, within the band.
#
# Nothing is amiss here. One record typed wrongly, by four millimetres, looks so:

# %%
mistyped = penicillin.copy()
mistyped.loc[40, "diameter"] += 4
wrong = lmm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", mistyped)
found = [finding for finding in wrong.check().findings if finding.verdict != "ok"]
print(*[f"{finding.verdict}: {finding.check}, {finding.found}" for finding in found], sep="\n")
fig, axes = plt.subplots(1, 2, figsize=(6.8, 3.0))
wrong.plot.residuals(ax=axes[0]).set(xlabel="Fitted diameter (mm)", ylabel="Residual (mm)")
wrong.plot.qq(ax=axes[1]).set_ylabel("Standardised residual")
print(wrong.residuals(scaled=True).abs().nlargest(2).round(1).to_dict())
print("sigma:", round(fit.sigma, 3), "became", round(wrong.sigma, 3))

# %% [markdown]
# ## Nested: casks in batches
#
# Ten batches of a chemical paste were delivered in casks. Three casks of each batch were sampled, and each sample was
# assayed twice.

# %%
pastes = lmm.datasets.load("Pastes")
print(pastes.head(6).to_string())
pd.crosstab(pastes["cask"], pastes["batch"])

# %% [markdown]
# The table looks crossed: label `a` occurs in every batch. But cask a of batch A and cask a of batch B are different
# casks, which were lettered afresh in each batch. The label is meant within its batch (*implicit* nesting). The column
# `sample` has a label of its own for each cask, `A:a`, `A:b`, … (*explicit* nesting). No table and no software can tell
# whether two equal labels are one thing; one must know how the data were collected.

# %%
pd.crosstab(pastes["sample"], pastes["batch"]).iloc[:7, :5]

# %%
fig, ax = plt.subplots(figsize=(6.8, 3.3))
batches = pastes.groupby("batch", observed=True)["strength"].mean().sort_values().index
for k, batch in enumerate(batches):
    for shift, cask, colour, marker in zip([-0.22, 0, 0.22], "abc", [BLUE, ORANGE, GREEN], "o^s", strict=True):
        own = pastes.loc[pastes["sample"] == f"{batch}:{cask}", "strength"]
        ax.plot([k + shift] * 2, own, color=colour, marker=marker, ms=4, lw=1, label=f"cask {cask}" if k == 0 else None)
ax.set_xticks(range(10), batches)
ax.set(xlabel="Batch, by mean strength", ylabel="Strength of the paste", ylim=(53, 69))
ax.legend(ncols=3, loc="upper left")
plt.show()

# %% [markdown]
# The two assays of a sample (joined) lie close together. Casks of one batch differ much. Batches differ, too, but it is
# not evident that they do so more than their casks make them. And there is no sense in which all casks `a` are alike.

# %% [markdown]
# ## Three spellings of one model
#
# $$ y_{ijk} = \mu + b_i + c_{ij} + e_{ijk} $$
#
# with random batches $b_i$ and random casks $c_{ij}$ within them. `a/b` stands for `a + a:b`, and `a:b` for all
# combinations that occur.

# %%
spellings = ["(1 | batch/cask)", "(1 | batch) + (1 | batch:cask)", "(1 | batch) + (1 | sample)"]
fits = [lmm.lmer(f"strength ~ 1 + {random}", pastes) for random in spellings]
for random, other in zip(spellings, fits, strict=True):
    print(f"{random:32}", other.ngroups, round(other.reml_criterion, 4))
nested = fits[0]

# %% [markdown]
# With explicit labels, `(1 | batch) + (1 | sample)` is the same model, although it is written as crossed factors are.
# So crossed or nested is a property of the data and their labels, not of the formula. With implicit labels, the slash
# is needed.

# %%
print(nested.summary())

# %% [markdown]
# The cask accounts for most of the variance, the assay for little. Correlations follow from what two records share:
#
# - two assays of one cask share batch and cask;
# - assays of two casks of one batch share the batch.

# %%
total = "(batch + `cask:batch` + Residual)"
correlations = {"same cask": f"(batch + `cask:batch`) / {total}", "same batch": f"batch / {total}"}
nested.vpredict(correlations, interval="profile").round(3)

# %% [markdown]
# ## What goes wrong on purpose: labels that repeat
#
# Forget that labels repeat, and write `(1 | batch) + (1 | cask)`, or only `(1 | cask)`. There is no error: both are
# models, of other data than these.

# %% tags=["warns"]
crossed = lmm.lmer("strength ~ 1 + (1 | batch) + (1 | cask)", pastes)
alone = lmm.lmer("strength ~ 1 + (1 | cask)", pastes)

# %%
rows = {}
for name, one in {"batch/cask": nested, "batch + cask": crossed, "cask": alone}.items():
    variances = one.varcorr.to_frame().set_index("grp")["vcov"].rename({"cask:batch": "cask"})
    groups = ", ".join(f"{count} {group}" for group, count in one.ngroups.items())
    rows[name] = {**variances.round(2), "criterion": round(one.reml_criterion, 1), "groups": groups}
pd.DataFrame(rows).T.reindex(columns=["batch", "cask", "Residual", "criterion", "groups"])

# %% [markdown]
# What the model takes for a cask is now the letter. The pictures of $ZZ^\top$ for the first three batches show which
# records it believes to be related:

# %%
first = pastes.iloc[:18]
fig, axes = plt.subplots(1, 3, figsize=(6.8, 2.7), sharey=True)
names = {"batch": "same batch", "sample": "same cask", "cask": "same letter"}
for ax, (column, name) in zip(axes, names.items(), strict=True):
    value = first[column].to_numpy()
    ax.imshow(value[:, None] == value[None, :], cmap="Blues", vmin=0, vmax=1.5)
    ax.set(title=name, xlabel="Record")
axes[0].set_ylabel("Record")
plt.show()

# %% [markdown]
# How does one see the mistake in a fit?
#
# 1. **The number of groups.** The summary says three casks where there are 30.
# 2. **The variances.** The differences between casks have gone into the residual, which is more than ten times what it
#    was; the variance of the letters is nearly zero. The criterion is far worse.
# 3. **The residuals.** The two assays of a cask have residuals that go together:

# %%
fig, axes = plt.subplots(1, 2, figsize=(6.8, 3.3), sharex=True, sharey=True)
for ax, one, name in zip(axes, [crossed, nested], ["(1 | batch) + (1 | cask)", "(1 | batch/cask)"], strict=True):
    pairs = one.residuals().to_numpy().reshape(30, 2)  # the two assays of a cask follow each other
    ax.plot(*pairs.T, "o", color=BLUE, alpha=0.7)
    ax.axline((0, 0), slope=1, color=GREY, lw=1)
    ax.set(title=name, xlabel="Residual of the first assay")
    print(f"{name}: correlation {np.corrcoef(pairs.T)[0, 1]:.2f}")
axes[0].set_ylabel("Residual of the second assay")
plt.show()

# %% [markdown]
# Residuals of one group should not go together. In the right model they do the opposite: the effect of a cask has been
# fitted to two assays, which leaves one residual above and one below it. `fit.check()` does not help here: it knows the
# groups of the formula only, not those that were left out.

# %%
print(crossed.check().to_frame()["verdict"].value_counts().to_dict())
print(f"casks: {crossed.ngroups['cask']}, and {nested.ngroups['cask:batch']} in the right model")
print("residual variance:", round(crossed.sigma**2, 2), "and", round(nested.sigma**2, 2))

# %% [markdown]
# ## What goes wrong on purpose: fixed instead of random
#
# What is the mean strength of the paste, and how well is it known? Three answers: records independent; casks as fixed
# effects; batches and casks random.

# %%
independent = lmm.gls("strength ~ 1", pastes)
fixed = lmm.gls("strength ~ sample", pastes, contrasts="sum")
answers = {"independent": independent, "casks fixed": fixed, "random": nested}
pd.DataFrame({name: {"mean": one.fixef.iloc[0], "std. error": one.se.iloc[0]} for name, one in answers.items()}).round(
    3
)

# %% [markdown]
# The estimates agree, since the data are balanced. The standard errors do not, because they answer different questions.
# With fixed casks it is the mean of *these* 30 casks, on which only the assay is uncertain. With random ones it is the
# mean of *all* casks that the works will deliver, and these 30 are a sample of it. To take all records as independent
# answers neither question: it counts two assays of a cask as two casks. A model with fixed casks cannot speak of
# others:

# %%
print("casks:", pastes["sample"].nunique())
try:
    fixed.predict({"sample": ["K:a"]})
except lmm.LmmpyError as error:
    print(error)

# %% [markdown]
# Fixed or random is thus a matter of what is asked. *Random*: the levels are a sample of a population, there are enough
# of them to estimate a variance (six are few, as the interval for samples of penicillin showed), and one wants the
# population or predictions for its members. *Fixed*: the levels are all there are, or the ones of interest, as two
# sexes, or three diets.

# %% [markdown]
# ## Is batch needed?
#
# The variance of batches is small. Could it be zero? `lmm.ranova` takes away each random term and compares the
# likelihoods by $\mathrm{LRT} = 2(\ell_1 - \ell_0)$.

# %%
print(lmm.ranova(nested))

# %% [markdown]
# A variance cannot be negative. If the true one is zero, then in about half of all samples the estimate is zero and the
# statistic too; so its distribution is not $\chi^2_1$ but, in large samples, the mixture
# $\tfrac12\chi^2_0 + \tfrac12\chi^2_1$. Here that halves the p-value (`Pr(mixture)`).
#
# In balanced data this can be looked at exactly. If there is no variance between batches, the mean squares of batches
# and of casks have the same expectation, and their ratio has an $F$ distribution with 9 and 20 degrees of freedom. The
# likelihood ratio is a function of it: with $r = MS_b/MS_c$, and $\mathrm{LRT} = 0$ where $r \le 1$
# (as long as the variance of casks is not estimated as zero),
#
# $$ \mathrm{LRT} = 29\log\frac{9r + 20}{29} - 9\log r. $$

# %%
strength = pastes["strength"].to_numpy().reshape(10, 3, 2)  # batch, cask, assay
cask_mean, batch_mean = strength.mean(axis=2), strength.mean(axis=(1, 2))
ms_batch = 6 * ((batch_mean - strength.mean()) ** 2).sum() / 9
ms_cask = 2 * ((cask_mean - batch_mean[:, None]) ** 2).sum() / 20
ratio = ms_batch / ms_cask


def lrt_of(r):
    """Zero where batches vary no more than their casks make them."""
    return np.where(r > 1, 29 * np.log((9 * r + 20) / 29) - 9 * np.log(r), 0.0)


print("LRT by hand:", lrt_of(ratio).round(4))
print("p by the F test:", stats.f.sf(ratio, 9, 20).round(4))

# %%
rng = np.random.default_rng(1)
null = lrt_of((rng.chisquare(9, 100_000) / 9) / (rng.chisquare(20, 100_000) / 20))
print("share of zeros:", np.mean(null == 0).round(2))
fig, ax = plt.subplots(figsize=(5.8, 3.3))
x = np.linspace(0.02, 6, 300)
ax.plot(x, [np.mean(null >= value) for value in x], color="black", label="exact, simulated")
ax.plot(x, 0.5 * stats.chi2.sf(x, 1), color=BLUE, ls="--", label=r"mixture $\frac{1}{2}\chi^2_0 + \frac{1}{2}\chi^2_1$")
ax.plot(x, stats.chi2.sf(x, 1), color=ORANGE, ls=":", lw=2.2, label=r"$\chi^2_1$")
ax.axvline(lrt_of(ratio), color=GREY, lw=1)
ax.annotate("observed", (lrt_of(ratio), 0.75), xytext=(5, 0), textcoords="offset points", fontsize=9)
ax.set(xlabel="Likelihood ratio statistic", ylabel="Probability of as much or more", ylim=(0, 1))
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# The mixture is close to the truth, $\chi^2_1$ is far off: it gives p-values of about twice the right size. With ten
# batches a little more than half of the statistics are zero, so that the mixture, too, errs on the safe side.
#
# In unbalanced data the ratio of mean squares has no $F$ distribution. The parametric bootstrap needs no balance: it
# simulates from the smaller model, fits both to each draw, and counts:

# %%
without = lmm.lmer("strength ~ 1 + (1 | sample)", pastes)
print(lmm.parametric_bootstrap_lrt(without, fits[2], n=99, seed=1))

# %% [markdown]
# All tests say the same: the data do not show that batches vary beyond their casks. That is not to say that they do
# not. Its standard deviation may be anything between the limits below, and the upper one is larger than the estimate
# for casks:

# %%
variances = {"batches": "batch", "casks": "`cask:batch`"}
np.sqrt(nested.vpredict(variances, interval="profile")[["estimate", "conf_low", "conf_high"]]).round(2)

# %% [markdown]
# So keep the batch in the model. It is part of the design: casks of one batch were made together. To leave it out
# because it is not significant takes 30 casks for independent, and the standard error of the mean becomes smaller than
# is warranted:

# %%
print("std. error of the mean with batches:", nested.se.iloc[0].round(3), " without:", without.se.iloc[0].round(3))
print("casks:", without.ngroups["sample"])

# %% [markdown]
# ## Prediction for old and new groups
#
# What will another assay give: of cask a in batch A; of a new cask of batch A; of a cask of a new batch? A level that
# was not seen has a predicted effect of zero, and its whole variance goes into the uncertainty. It must be allowed
# explicitly, lest a typing error makes a new batch.

# %%
asked = pd.DataFrame({"batch": ["A", "A", "new"], "cask": ["a", "new", "new"]})
try:
    nested.predict(asked)
except lmm.LmmpyError as error:
    print(error)
predicted = nested.predict(asked, allow_new_levels=True, interval="prediction")
predicted.set_axis(["known cask", "new cask, known batch", "new batch"]).round(2)

# %%
parts = nested.varcorr.to_frame().set_index("grp")["vcov"]
width = predicted["conf_high"] - predicted["conf_low"]
by_hand = 2 * 1.96 * np.sqrt(parts.sum() + nested.se.iloc[0] ** 2)
fig, ax = plt.subplots(figsize=(6.2, 2.2))
half = width / 2
ax.errorbar(predicted["prediction"], range(3), xerr=half, fmt="o", color=BLUE, capsize=3)
ax.axvline(nested.fixef.iloc[0], color=GREY, lw=1)
ax.set_yticks(range(3), ["known cask", "new cask of batch A", "cask of a new batch"])
ax.set(xlabel="Strength of one more assay, with 95 % interval", ylim=(2.6, -0.6))
Markdown(f"Width for a new batch: {width.iloc[2]:.2f} by the fit, {by_hand:.2f} by hand.")

# %% [markdown]
# The prediction moves towards the mean (grey line), and the interval widens, as less is known of the group. The column
# `std_error` is that of the mean of a cask; the interval adds the residual variance, as it is for one assay. By hand,
# the variance for a new batch is $\sigma_b^2 + \sigma_c^2 + \sigma^2$ and that of the estimated mean. These intervals
# take the estimated variances for true ones. `re_form="none"` predicts the mean of the population without any effects:

# %%
nested.predict(asked, re_form="none", interval="confidence").round(2).drop_duplicates()

# %% [markdown]
# ## What to take away
#
# - Crossed: each level of one factor meets many of the other. Nested: it belongs to one. Write `(1 | a) + (1 | b)` and
#   `(1 | a/b)`; with labels that do not repeat both give nested effects.
# - Look at the number of groups in each summary.
# - Variances are read as standard deviations in units of the response, as shares of the total, and as correlations of
#   records that share a group.
# - Predicted effects are shrunk; the factor is $n\sigma_b^2/(n\sigma_b^2 + \sigma^2)$ in the simplest case.
# - Diagnostics test the model that was written, not the groups that were forgotten.
# - Fixed or random depends on the population that is meant; standard errors depend on it as well.
# - The test of a variance lies on the boundary: `Pr(mixture)`, or the bootstrap. What belongs to the design stays in
#   the model whatever the test says.

# %% [markdown]
# ## Exercises
#
# 1. *(easy)* Penicillin: what would the standard error of the mean be with `12` plates and `12` samples, which takes as
#    many records as `24` plates with `6`? Use the estimated variances.
# 2. *(easy)* Pastes: find the three variances from the mean squares of batches, of casks within batches, and of assays,
#    and compare them with REML.
# 3. *(medium)* `Oats` is a split-plot experiment: each of six blocks has three plots, one for each variety, and each
#    plot has four strips with different nitrogen. Fit `yield ~ nitro + Variety` with random blocks and plots, and with
#    random blocks alone. How many plots are there, and what happens to the standard errors of varieties and of
#    nitrogen?
# 4. *(medium)* `Dyestuff2` is made so that the mean squares of batches are smaller than those within. What does the
#    analysis of variance say about the variance of batches, what does REML say, and what become the predicted effects?
# 5. *(harder)* In `Machines` each of six workers used each of three machines three times. Let machines be fixed. Is `(1
#    | Worker)` enough, or do workers differ in how they get on with single machines, `(1 | Worker/Machine)`? Test it,
#    and look at the residuals of the smaller model by worker and machine.

# %% [markdown]
# ## Solutions
#
# **1.** Samples are the bottleneck, so that more of them are worth fewer plates.

# %%
for n_plates, n_samples in [(24, 6), (12, 12)]:
    print(n_plates, n_samples, np.sqrt((by_reml / [n_plates, n_samples, n_plates * n_samples]).sum()).round(3))

# %% [markdown]
# **2.** $\mathrm{E}(MS_b) = 6\sigma_b^2 + 2\sigma_c^2 + \sigma^2$ and $\mathrm{E}(MS_c) = 2\sigma_c^2 + \sigma^2$.

# %%
ms_assay = ((strength - cask_mean[:, :, None]) ** 2).sum() / 30
moments = {"cask:batch": (ms_cask - ms_assay) / 2, "batch": (ms_batch - ms_cask) / 6, "Residual": ms_assay}
pd.DataFrame({"mean squares": moments, "REML": parts}).round(4)

# %% [markdown]
# **3.** Block and variety together name a plot, so plots are the levels of `Block:Variety`: there are 18. Varieties are
# compared between plots. Without plots four strips of one plot count as four plots: the standard errors of varieties
# are too small. Nitrogen is compared within plots, and its standard error is then too large.

# %%
oats = lmm.datasets.load("Oats")
for random in ["(1 | Block/Variety)", "(1 | Block)"]:
    one = lmm.lmer(f"yield ~ nitro + Variety + {random}", oats)
    print(random, one.ngroups, "criterion", round(one.reml_criterion, 1))
    print(one.se.iloc[1:].round(2).to_dict())

# %% [markdown]
# **4.** The analysis of variance gives a negative variance, which is impossible; REML gives zero, with a warning that
# the fit is singular, and all effects are predicted by zero.

# %% tags=["warns"]
dyestuff2 = lmm.datasets.load("Dyestuff2")
groups = dyestuff2.groupby("Batch", observed=True)["Yield"]
print("by mean squares:", (groups.mean().var() - groups.var().mean() / 5).round(3))
zero = lmm.lmer("Yield ~ 1 + (1 | Batch)", dyestuff2)
print("REML:", zero.theta.to_dict(), " largest effect:", zero.ranef()["Batch"]["(Intercept)"].abs().max())

# %% [markdown]
# **5.** Worker by machine is needed. In the smaller model the three records of a worker on a machine mostly lie on one
# side of zero.

# %%
machines = lmm.datasets.load("Machines")
print(lmm.ranova(lmm.lmer("score ~ Machine + (1 | Worker/Machine)", machines)))
small = lmm.lmer("score ~ Machine + (1 | Worker)", machines)
machines.assign(residual=small.residuals()).groupby(["Worker", "Machine"], observed=True)["residual"].agg(
    ["min", "max"]
).unstack().round(1)

# %% [markdown]
# ## Further reading
#
# - Bates, Mächler, Bolker & Walker (2015), Fitting linear mixed-effects models using lme4, *Journal of Statistical
#   Software*.
# - Pinheiro & Bates (2000), *Mixed-Effects Models in S and S-PLUS*, Springer.
# - Stram & Lee (1994), Variance components testing in the longitudinal mixed effects model, *Biometrics*.
# - Davies & Goldsmith, editors (1972), *Statistical Methods in Research and Production*, 4th edition, Oliver & Boyd:
#   the source of `Dyestuff`, `Pastes` and `Penicillin`.
#
# Before: [1. From linear models to mixed models](01_from_linear_to_mixed.ipynb). Next:
# [3. Random slopes](03_random_slopes.ipynb)
