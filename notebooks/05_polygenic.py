# %% [markdown]
# # 5. The polygenic model
#
# Relatives resemble each other. How much of that is inherited, and how sure can we be?
# You will build the relationship matrix of a pedigree by hand, fit the polygenic model to a study of families, test and
# report a heritability, predict breeding values, and see what goes wrong when relatedness or a shared home is ignored.
#
# Assumed: random intercepts and REML, as in [1. From linear models to mixed models](01_from_linear_to_mixed.ipynb) and
# [4. What ML, REML and the profiled criterion are](04_likelihood_and_inference.ipynb).

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

import lmmpy as lmm
from lmmpy import plots
from lmmpy.plots import draw_pedigree

plots.use_style()

# %% [markdown]
# ## A pedigree
#
# A pedigree is a table: one row a person, with the ids of father and mother. Who has no parents in the table is a
# *founder*. The study of this notebook is simulated, comes with the package, and has two traits, `bmi` and `fvii`.

# %%
family = lmm.datasets.load("family")
frame = lmm.datasets.load("family_pedigree")
ped = lmm.Pedigree.from_frame(frame)
print(ped)
print("family numbers:", frame["FAMID"].nunique(), "| connected groups:", ped.families().nunique())
print(family.describe().loc[["count", "mean", "std", "min", "max"], ["bmi", "fvii", "age"]].round(2))

# %%
draw_pedigree(ped, family=1)
plt.gcf().set_size_inches(7, 3.4)
plt.show()

# %% [markdown]
# Squares are men and circles women. A line joins a couple, and a bar the children of one couple. There are 21 family
# numbers but 22 connected groups: one person has married in and has no children in the study, and is related to nobody.
# The families have these sizes and generations:

# %%
sizes = frame.groupby("FAMID").size().value_counts()
print({f"{size} people": int(count) for size, count in sizes.items()})
print(ped.generations.value_counts().sort_index().rename_axis("generation").to_dict())
print({"people": len(frame), "founders": len(ped.founders), "recorded bmi": int(family["bmi"].notna().sum())})

# %% [markdown]
# ## Kinship by hand: the tabular method
#
# The kinship $\Phi_{ij}$ of two people is the probability that an allele drawn from $i$ and an allele drawn from $j$ at
# the same locus are copies of one allele of an ancestor (identical by descent). The **additive relationship** is
# $A = 2\Phi$. It follows from the pedigree, parents first, with two rules:
#
# $$A_{ij} = \tfrac12\,(A_{f(i)\,j} + A_{m(i)\,j}) \quad (j \text{ before } i), \qquad
#   A_{ii} = 1 + \tfrac12 A_{f(i)\,m(i)} = 1 + F_i .$$
#
# An unknown parent contributes 0. $F_i$, half the relationship of the parents, is the **inbreeding** of $i$. The
# example of six animals is Mrode's.

# %%
mrode = lmm.datasets.load("mrode")
parents = mrode[["FA", "MO"]].to_numpy() - 1  # row numbers; -1 is unknown


def tabular(parents):
    n = len(parents)
    A = np.zeros((n + 1, n + 1))  # the last row and column, number -1, are the unknown parent: all zero
    for i, (father, mother) in enumerate(parents):
        A[i, :i] = A[:i, i] = (A[father, :i] + A[mother, :i]) / 2
        A[i, i] = 1 + A[father, mother] / 2
    return A[:n, :n]


A6 = tabular(parents)
print(pd.DataFrame(A6, index=mrode["ID"], columns=mrode["ID"]))

# %%
small = lmm.Pedigree.from_frame(mrode)
print("equal to lmmpy's:", np.allclose(A6, small.additive().to_frame(mrode["ID"])))
print("inbreeding:", small.inbreeding().to_dict())

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(6.6, 2.9), width_ratios=[1, 1.2])
draw_pedigree(small, ax=left)
picture = right.imshow(A6, cmap="Blues", vmin=0, vmax=1.2)
for i in range(6):
    for j in range(6):
        right.text(
            j, i, f"{A6[i, j]:.3g}", ha="center", va="center", fontsize=8, color="white" if A6[i, j] > 0.8 else "black"
        )
right.set(
    xticks=range(6), yticks=range(6), xticklabels=mrode["ID"], yticklabels=mrode["ID"], xlabel="Animal", ylabel="Animal"
)
figure.colorbar(picture, label="Additive relationship", shrink=0.9)
plt.show()

# %% [markdown]
# Animals 5 and 6 are inbred, and have diagonals above 1. The parents of 5 are half sibs: 3 and 4 have animal 1 in
# common. The parents of 6 are 5 and its grandparent 2. Half of the relationship of the parents, in the table, is the
# inbreeding.

# %% [markdown]
# ## The inverse is sparse
#
# What a child inherits is the mean of its parents' values plus a **Mendelian sampling** term, the luck of which allele
# of each parent was passed on:
#
# $$g_i = \tfrac12 g_{f(i)} + \tfrac12 g_{m(i)} + m_i, \qquad
#   \operatorname{var}(m_i) = \sigma_g^2 D_{ii}, \quad
#   D_{ii} = \begin{cases} 1 & \text{no parent known}\\
#   \tfrac34 - \tfrac14 F & \text{one parent known, } F \text{ its inbreeding}\\
#   \tfrac12 - \tfrac14 (F_{f(i)} + F_{m(i)}) & \text{both}\end{cases}$$
#
# With $S$ the matrix that has ½ at the parents of each row, $(I - S)g = m$. All $m_i$ are independent, so $A^{-1} =
# (I - S)^\top D^{-1} (I - S)$. These are Henderson's rules: each child adds nine numbers, at the rows and columns of
# itself and of its parents. No inversion is needed, and $A$ itself is not either.


# %%
def henderson(parents, F):
    n = len(parents)
    inverse = np.zeros((n, n))
    for i, pair in enumerate(parents):
        known = [p for p in pair if p >= 0]
        D = 1 - sum(1 + F[p] for p in known) / 4  # the three cases above in one line
        row = np.zeros(n)
        row[i], row[known] = 1, -0.5
        inverse += np.outer(row, row) / D
    return inverse


A6_inverse = henderson(parents, np.diag(A6) - 1)
print("henderson = inverse of A:", np.allclose(A6_inverse, np.linalg.inv(A6)))
order = small.additive().positions(mrode["ID"])
print("henderson = lmmpy's:", np.allclose(A6_inverse, small.additive().precision.toarray()[np.ix_(order, order)]))

# %%
additive = ped.additive()
A, inverse = additive.dense(), additive.precision.toarray()
figure, axes = plt.subplots(1, 2, figsize=(6.6, 3.5), sharey=True)
for ax, matrix, name in zip(axes, (A, inverse), ("A", "A inverse"), strict=True):
    ax.spy(np.abs(matrix) > 1e-10, markersize=0.9, color=plots.COLOURS["blue"])
    ax.set_title(f"{name}: {np.count_nonzero(np.abs(matrix) > 1e-10):,} entries that are not zero", fontsize=9, pad=20)
    ax.set_xlabel("Person, ancestors first")
axes[0].set_ylabel("Person, ancestors first")
plt.show()

# %% [markdown]
# In $A$ all pairs have an entry of whom one descends from the other, or both from a third. In $A^{-1}$ only parents
# with children and the two parents of a child have one: given the parents, grandparents say nothing more. In a deep
# pedigree $A$ fills up, while $A^{-1}$ keeps at most nine numbers a person. lmmpy fits with the sparse inverse. (Two
# pairs of identical twins share one level a pair, which is why there are fewer levels than people:)

# %%
print(
    {
        "people": len(frame),
        "levels of A": additive.rank,
        "mean entries a row of the inverse": round(additive.precision.nnz / additive.rank, 1),
    }
)

# %% [markdown]
# ## The infinitesimal model: gene dropping
#
# A trait that is the sum of very many small additive effects of unlinked loci has normally distributed breeding
# values $g$ with $\operatorname{var}(g) = \sigma_g^2 A$. To see it, drop genes through the family pedigree: founders
# get alleles at random, and every child one of the two alleles of each parent. Here a trait of 100 loci, in a few
# hundred replicates of the whole pedigree.

# %%
rows = frame[["FA", "MO"]].to_numpy() - 1  # ids are 1, 2, … in this study, parents first
twin_of = {int(pair.index[1]): int(pair.index[0]) for _, pair in frame[frame["MZTWIN"] > 0].groupby("MZTWIN")}


def drop_genes(rng, loci, replicates):
    """The sum of the alleles of all loci, founders' alleles being +1 or -1 with equal chance; variance 1."""
    total = np.zeros((len(rows), replicates))
    for _ in range(loci):
        alleles = np.empty((len(rows), 2, replicates), dtype=np.int8)
        for i, pair in enumerate(rows):
            for side, parent in enumerate(pair):
                new = rng.integers(0, 2, replicates, dtype=np.int8)
                alleles[i, side] = 2 * new - 1 if parent < 0 else np.where(new, alleles[parent, 1], alleles[parent, 0])
            if i in twin_of:
                alleles[i] = alleles[twin_of[i]]
        total += alleles.sum(1)
    return total / np.sqrt(2 * loci)


dropped = drop_genes(np.random.default_rng(1), loci=100, replicates=300)

# %% [markdown]
# The Mendelian sampling form needs no loci at all: mean of the parents, plus a normal deviate of variance ½ when both
# parents are known and not inbred.


# %%
def draw_breeding_values(rng, replicates):
    g = rng.standard_normal((len(rows), replicates))
    for i, (father, mother) in enumerate(rows):
        if father >= 0:
            g[i] = (g[father] + g[mother]) / 2 + np.sqrt(0.5) * g[i]
        if i in twin_of:
            g[i] = g[twin_of[i]]
    return g


drawn = draw_breeding_values(np.random.default_rng(2), 2000)

# %%
A_people = additive.to_frame(frame["ID"]).to_numpy()  # everybody, twins too, in the order of the frame
one, other = np.triu_indices(len(frame), 1)
related = pd.DataFrame({"A": A_people[one, other]})
ways, mc_error = {"gene dropping": dropped, "Mendelian sampling": drawn}, {}
for name, g in ways.items():
    related[name] = (g @ g.T / g.shape[1])[one, other]
    for a in (0.125, 0.25, 0.5, 1):  # the mean of a class in each replicate varies between replicates
        chosen = np.flatnonzero(related["A"] == a)
        of_class = (g[one[chosen]] * g[other[chosen]]).mean(axis=0)
        mc_error[f"{name}, SE", a] = of_class.std() / np.sqrt(len(of_class))
related = related.groupby("A").agg(pairs=("A", "size"), **{n: (n, "mean") for n in ways})
print(related.join(pd.Series(mc_error).unstack(0)[[f"{n}, SE" for n in ways]]).round(3).to_string(na_rep=""))

# %% [markdown]
# Within about two Monte Carlo standard errors (SE) both ways give covariances equal to $A_{ij}$: ⅛ for cousins, ¼ for
# uncles and for grandparents, ½ for sibs and for parent and child, and 1 for identical twins. Now the data: the
# products of the residuals of two people, averaged over the pairs of a class, estimate their correlation. (The two
# pairs of twins are too few for an average, and are left out.)

# %%
data = family.dropna(subset=["bmi"]).reset_index(drop=True)
X = np.column_stack([np.ones(len(data)), data["age"], data["sex"] == "female"])
y = data["bmi"].to_numpy()
K = additive.to_frame(data["ID"]).to_numpy()  # A of the people with a record
residual = y - X @ np.linalg.lstsq(X, y, rcond=None)[0]
residual /= residual.std()
i, j = np.triu_indices(len(data), 1)
famid = frame.set_index("ID")["FAMID"].loc[data["ID"]].to_numpy()
pairs = pd.DataFrame(
    {"A": K[i, j], "product": residual[i] * residual[j], "family": famid[i], "same": famid[i] == famid[j]}
)
pairs = pairs[pairs["same"] & (pairs["A"] < 1)]
observed = pairs.groupby("A")["product"].mean()
of_family = pairs.groupby(["A", "family"])["product"].sum().unstack()
counts = pairs.groupby("A").size()
error = of_family.sub(of_family.mean(axis=1), axis=0).pow(2).sum(axis=1).pow(0.5) / counts
print(pd.DataFrame({"pairs": counts, "correlation": observed, "std_error": error}).round(3))

# %%
figure, ax = plt.subplots(figsize=(6.2, 3.6))
grid = np.array([0, 1])
ax.plot(
    related.index,
    related["gene dropping"],
    "s",
    color=plots.COLOURS["green"],
    label="gene dropping, 100 loci",
    ms=7,
    mfc="none",
)
ax.plot(
    related.index, related["Mendelian sampling"], "x", color=plots.COLOURS["orange"], label="Mendelian sampling", ms=7
)
ax.plot(grid, grid, color=plots.COLOURS["grey"], lw=1, label="$A_{ij}$")
ax.errorbar(
    observed.index,
    observed,
    2 * error,
    fmt="o",
    color=plots.COLOURS["blue"],
    capsize=3,
    label="bmi of the study, ± 2 standard errors",
)
slope = np.polynomial.polynomial.polyfit(pairs["A"], pairs["product"], 1)
line = np.polynomial.polynomial.polyval(grid, slope)
ax.plot(grid, line, "--", color=plots.COLOURS["blue"], lw=1.2, label=f"regression on $A_{{ij}}$, slope {slope[1]:.2f}")
names = {
    0.0: "unrelated",
    0.125: "cousins",
    0.25: "uncle,\ngrandparent",
    0.5: "sibs,\nparent and child",
    1.0: "identical\ntwins",
}
ax.set_xticks(list(names), [f"{a:g}\n{name}" for a, name in names.items()], fontsize=8)
ax.set(xlabel="Additive relationship of the pair", ylabel="Covariance, correlation")
ax.legend()
plt.show()

# %% [markdown]
# The dashed line, the regression of products on $A_{ij}$, has as its slope a first estimate of heritability (Haseman
# and Elston's idea). The bars show how little a single class says. Maximum likelihood weighs all pairs at once.

# %% [markdown]
# ## The likelihood of a heritability
#
# The polygenic model of one record a person is (with $V$ the covariance matrix itself again, not relative to
# $\sigma^2$)
#
# $$y = X\beta + g + e,\quad g \sim N(0, \sigma_g^2 A),\quad e \sim N(0, \sigma_e^2 I),\qquad
# V = \sigma^2_P\,[h^2 A + (1 - h^2) I],\quad h^2 = \frac{\sigma_g^2}{\sigma_g^2 + \sigma_e^2}.$$
#
# For a given $h^2$ everything else has a closed form. The restricted criterion, −2 log-likelihood, is by hand:


# %%
def restricted(h2, y=y, X=X, K=K):
    H = h2 * K + (1 - h2) * np.eye(len(y))
    L = np.linalg.cholesky(H)
    Xw, yw = np.linalg.solve(L, X), np.linalg.solve(L, y)  # whitened: independent, equal variances
    _, R = np.linalg.qr(Xw)
    beta = np.linalg.lstsq(Xw, yw, rcond=None)[0]
    df = len(y) - X.shape[1]
    rss = np.sum((yw - Xw @ beta) ** 2)
    logs = np.log(np.diag(L)).sum() + np.log(np.abs(np.diag(R))).sum()
    return 2 * logs + df * (1 + np.log(2 * np.pi * rss / df))


fit = lmm.lmer("bmi ~ age + sex + kin(ped)", family)
h2 = fit.heritability().iloc[0]
print(f"by hand {restricted(h2['estimate']):.3f}, lmmpy {fit.reml_criterion:.3f}")
print(fit.heritability()[["term", "estimate", "std_error", "conf_low", "conf_high"]].round(4).to_string(index=False))

# %%
grid = np.linspace(0, 0.97, 60)
curve = np.array([restricted(value) for value in grid])
figure, ax = plt.subplots(figsize=(6.2, 3.4))
ax.plot(grid, curve - curve.min())
ax.axhline(stats.chi2.ppf(0.95, 1), color=plots.COLOURS["grey"], ls="--", lw=1)
ax.text(0.02, stats.chi2.ppf(0.95, 1) + 1, "95 % limit", fontsize=9)
ax.axvspan(h2["conf_low"], h2["conf_high"], color=plots.COLOURS["sky"], alpha=0.25, lw=0)
ax.plot(h2["estimate"], 0, "o", color=plots.COLOURS["vermilion"], clip_on=False, zorder=3)
ax.annotate(
    "test of $h^2 = 0$:\nthis height",
    (0, curve[0] - curve.min()),
    (0.1, 75),
    arrowprops={"arrowstyle": "->"},
    fontsize=9,
)
ax.set(xlabel="Heritability of bmi", ylabel="−2 log-likelihood (restricted)\nabove its minimum", ylim=(0, 100))
plt.show()

# %% [markdown]
# The shaded interval of `fit.heritability()` is where the curve is below the line: the profile interval. It is not
# symmetric. The Wald interval, estimate ± 1.96 standard errors, takes the curve for a parabola:

# %%
both = pd.concat([fit.heritability(), fit.heritability(method="wald")], keys=["profile", "wald"]).droplevel(1)
print(both[["estimate", "std_error", "conf_low", "conf_high"]].round(3))

# %% [markdown]
# ## A test on the boundary
#
# $h^2 = 0$ lies at the end of the range. When it is true, the best estimate is 0 about every other time, and the
# likelihood ratio statistic is then 0. Its distribution is a mixture, ½χ²₀ + ½χ²₁ in large samples (Self & Liang
# 1987), and the p-value is half that of χ²₁. To see it we need thousands of fits. The spectral form makes them cheap:
# with $Q$ a basis of all that is orthogonal to $X$, rotate once by the eigenvectors of $Q^\top K Q$. The data are then
# independent with variances $h^2 d_i + 1 - h^2$, and each $h^2$ takes a sum of $n - p$ numbers.

# %%
Q = np.linalg.qr(X, mode="complete")[0][:, X.shape[1] :]  # a basis of what is orthogonal to X
d, U = np.linalg.eigh(Q.T @ K @ Q)
rotate = U.T @ Q.T
candidates = np.r_[0, 0.001, 0.003, np.linspace(0.01, 0.99, 99)]  # finer near the boundary


def criteria(rotated, d=d):
    """The restricted criterion, but for a constant: a row for each candidate of h2, a column for each data set."""
    lam = candidates[:, None] * d + 1 - candidates[:, None]
    return np.log(lam).sum(1)[:, None] + len(d) * np.log((1 / lam) @ rotated**2)


check = criteria(rotate @ y[:, None])[:, 0]
print(f"LRT of bmi {check[0] - check.min():.2f}; lmmpy {h2['chisq']:.2f}, p = {h2['p_value']:.1e}")

# %%
rng = np.random.default_rng(3)
null = criteria(rng.standard_normal((len(d), 20_000)))  # data without any inheritance
lrt = null[0] - null.min(0)
levels = {"naive, χ²₁": stats.chi2.ppf(0.95, 1), "mixture": stats.chi2.ppf(0.90, 1)}
print(f"statistic is 0 in {np.mean(lrt < 1e-9):.3f} of the data sets")
print({name: f"rejects {np.mean(lrt > limit):.4f}" for name, limit in levels.items()})
print("Monte Carlo standard error at 0.05:", round(np.sqrt(0.05 * 0.95 / len(lrt)), 4))

# %%
figure, ax = plt.subplots(figsize=(6.2, 3.4))
bins = np.linspace(0, 8, 33)
ax.hist(
    lrt[lrt > 1e-9],
    bins,
    weights=np.full(np.sum(lrt > 1e-9), 4 / len(lrt)),
    color=plots.COLOURS["sky"],
    label="simulated, above 0",
)
x = np.linspace(0.06, 8, 300)
ax.plot(x, stats.chi2.pdf(x, 1), "--", color=plots.COLOURS["vermilion"], label="χ²₁")
ax.plot(x, stats.chi2.pdf(x, 1) / 2, color=plots.COLOURS["blue"], label="½χ²₀ + ½χ²₁, above 0")
for (name, limit), style in zip(levels.items(), ("--", "-"), strict=True):
    ax.axvline(limit, ls=style, color=plots.COLOURS["grey"], lw=1)
    ax.text(limit + 0.08, 0.62, f"5 % limit,\n{name}", fontsize=8)
ax.set(xlabel="Likelihood ratio statistic of $h^2 = 0$", ylabel="Density", ylim=(0, 0.75))
ax.legend(loc="center right")
plt.show()

# %% [markdown]
# More than half of the statistics are 0, because the sample is not large enough for the limit. The mixture is therefore
# still a little cautious, and the naive χ² much more so. `fit.heritability()` and `lmm.ranova` use the mixture.

# %% [markdown]
# ## A shared home
#
# Sibs share parents *and* a kitchen. A household effect of variance $\sigma_c^2$ separates the two where some
# relatives live apart and some housemates are unrelated:
#
# $$V = \sigma_g^2 A + \sigma_c^2 Z_c Z_c^\top + \sigma_e^2 I .$$
#
# The second trait, `fvii`, was simulated with these variances, so that we can compare with the truth:

# %%
truth = {"kin(ped)": 0.6, "household": 0.2, "Residual": 0.8}
print(
    {
        f"true {name}": round(truth[term] / sum(truth.values()), 3)
        for name, term in [("h2", "kin(ped)"), ("c2", "household")]
    }
)
alone = lmm.lmer("fvii ~ age + sex + kin(ped)", family)
home = lmm.lmer("fvii ~ age + sex + kin(ped) + (1 | household)", family)
total = "(kin(ped) + household + Residual)"
print(home.vpredict(h2=f"kin(ped) / {total}", c2=f"household / {total}", interval="profile").round(3))
print("without household:", alone.heritability()[["estimate", "conf_low", "conf_high"]].round(3).to_dict("records")[0])

# %%
print(lmm.ranova(home))

# %% [markdown]
# Without the household its variance has to go somewhere, and most goes to the genes. A single estimate may be luck; so
# draw studies from the fitted model with the household, and fit both models to each.

# %%
simulated = home.simulate(40, seed=4)
warnings.simplefilter("ignore", lmm.SingularFitWarning)  # some households are estimated as nothing
estimates = []
for name in simulated:
    with_home, without = home.refit(simulated[name]), alone.refit(simulated[name])
    for model, refit in {"with household": with_home, "without household": without}.items():
        variance = refit.varcorr.to_frame().set_index("grp")["vcov"]
        estimates.append({"model": model, "study": name, "h2": variance["kin(ped)"] / variance.sum()})
warnings.simplefilter("default", lmm.SingularFitWarning)
estimates = pd.DataFrame(estimates)
drawn_from = home.heritability(method="wald")["estimate"].iloc[0]
print(estimates.groupby("model")["h2"].agg(["mean", "std"]).round(3).assign(drawn_from=round(drawn_from, 3)))

# %%
figure, ax = plt.subplots(figsize=(6.2, 2.6))
jitter = np.random.default_rng(5).uniform(-0.18, 0.18, 40)
for row, (_, values) in enumerate(estimates.groupby("model")["h2"]):
    ax.plot(values, row + jitter, "os"[row], color=list(plots.COLOURS.values())[row], alpha=0.6, ms=4)
    ax.plot([values.mean()] * 2, [row - 0.3, row + 0.3], color="black")
ax.axvline(drawn_from, ls="--", color=plots.COLOURS["grey"])
ax.text(drawn_from, 1.5, " truth of the simulation", fontsize=9, va="center")
ax.set(
    yticks=[0, 1], yticklabels=["with household", "without"], xlabel="Estimated heritability of fvii", ylim=(-0.5, 1.7)
)
plt.show()

# %% [markdown]
# The model with the household is right on average, within Monte Carlo error (`std` over the root of 40), and its
# estimates are more spread out: the price of telling apart two causes that go together. The model without it is more
# precise about the wrong quantity.
#
# `bmi` was analysed above without the household. With it the estimate changes little here, but the interval reaches
# further down: a part of what looked genetic may be the home. For the sake of simplicity the rest of this notebook
# keeps the model without it.

# %%
bmi_home = lmm.lmer("bmi ~ age + sex + kin(ped) + (1 | household)", family)
compared = pd.concat([fit.heritability(), bmi_home.heritability()], keys=["without household", "with household"])
print(compared.droplevel(1)[["estimate", "conf_low", "conf_high"]].round(3))

# %% [markdown]
# ## In SOLAR's words
#
# `lmm.qtl.polygenic` fits the models without and with genes and household by maximum likelihood, tests the
# covariates, and reports `H2r`, `c2` and `e2` as SOLAR does.

# %%
print(lmm.qtl.polygenic("fvii ~ age + sex", family, ped, household="household", screen=True))

# %% [markdown]
# These are shares of the variance that the covariates leave. What a covariate does to $h^2$ is the subject of
# [6. What h² means](06_what_h2_means.ipynb).

# %% [markdown]
# ## G by Z, or by A
#
# Nothing in the polygenic model needs special software. Take any $L$ with $LL^\top = A$, and let $Z^* = ZL$:
#
# $$\operatorname{var}(Z^* b) = \sigma_g^2 Z L L^\top Z^\top = \sigma_g^2 Z A Z^\top,\quad b \sim N(0, \sigma_g^2 I).$$
#
# Ordinary independent random effects on the columns of $Z^*$ are the polygenic model (Rönnegård & Carlborg 2007). By
# hand, with Henderson's mixed model equations for independent effects, and in the criterion:

# %%
# K is singular, as identical twins have equal rows: the square root by eigenvectors does not mind.
values, vectors = np.linalg.eigh(K)
Z_star = vectors[:, values > 1e-9] * np.sqrt(values[values > 1e-9])
sg2, se2 = fit.varcorr.to_frame()["vcov"]
C = np.hstack([X, Z_star])
penalty = np.diag([0] * X.shape[1] + [se2 / sg2] * Z_star.shape[1])  # independent effects: no A in sight
solution = np.linalg.solve(C.T @ C + penalty, C.T @ y)
beta, g_hat = solution[:3], Z_star @ solution[3:]
print("fixed effects, by hand and lmmpy:", beta.round(4), fit.fixef.to_numpy().round(4))
own = fit.breeding_values().set_index("id")["estimate"].loc[data["ID"]]
print("largest difference of breeding values:", f"{np.abs(g_hat - own.to_numpy()).max():.6f}")
print(f"criterion with Z* in place of A: {restricted(sg2 / (sg2 + se2), K=Z_star @ Z_star.T):.3f}")

# %% [markdown]
# In the package the columns of $Z^*$ may be given in place of the pedigree, as *genotypes*: `from_genotypes(G)` is the
# model of independent effects of the $m$ columns of $G$, with $K = GG^\top/m$. This is also how marker effects and the
# genomic relationship are two views of one model.

# %%
m = Z_star.shape[1]
columns = lmm.Relatedness.from_genotypes(Z_star * np.sqrt(m), labels=data["ID"], id="ID")
by_z = lmm.lmer("bmi ~ age + sex + kin(columns)", data)
print(f"criterion {by_z.reml_criterion:.3f} and {fit.reml_criterion:.3f}")
variances = {"by A": fit.varcorr.to_frame()["vcov"], "by Z*": by_z.varcorr.to_frame()["vcov"]}
print(pd.DataFrame(variances).set_axis(["genetic", "residual"]).round(4).T)

# %% [markdown]
# ## Breeding values, and people without records
#
# The best linear unbiased prediction of $g$, of everybody in the pedigree and not only of those with a record, is
#
# $$\hat g = \sigma_g^2 A_{\cdot r} V^{-1}(y - X\hat\beta), \qquad
# \text{accuracy}_i = \sqrt{1 - \operatorname{PEV}_i / (\sigma_g^2 A_{ii})},\quad
# \operatorname{PEV} = \sigma_g^2 A - \sigma_g^4 A_{\cdot r} P A_{r \cdot},$$
#
# with $A_{\cdot r}$ the columns of those who have records, and $P = V^{-1} - V^{-1}X(X^\top V^{-1}X)^{-1}X^\top
# V^{-1}$. PEV is the variance of the error of prediction, the uncertainty of $\hat\beta$ included, that of the
# variances not.

# %%
V_inverse = np.linalg.inv(sg2 * K + se2 * np.eye(len(y)))
P = V_inverse - V_inverse @ X @ np.linalg.solve(X.T @ V_inverse @ X, X.T @ V_inverse)
A_r = additive.to_frame(frame["ID"])[data["ID"]].to_numpy()
g_all = sg2 * A_r @ P @ y  # P y is V⁻¹(y − Xβ̂)
pev = sg2 * np.diag(A_people) - sg2**2 * np.sum((A_r @ P) * A_r, axis=1)
accuracy = np.sqrt(1 - pev / (sg2 * np.diag(A_people)))
hand = pd.DataFrame({"id": frame["ID"], "by hand": g_all, "hand accuracy": accuracy})
table = fit.breeding_values().merge(hand, on="id")
print(table[~table["recorded"]].head(4).round(3).to_string(index=False))
print(
    "agree:",
    np.allclose(table["estimate"], table["by hand"], atol=1e-5),
    np.allclose(table["accuracy"], table["hand accuracy"], atol=1e-5),
)

# %%
table = table.merge(pd.DataFrame({"id": data["ID"], "left": y - X @ beta}), on="id", how="left")
figure, axes = plt.subplots(1, 2, figsize=(7, 3.3))
axes[0].plot(table["left"], table["estimate"], "o", ms=3, alpha=0.6)
ends = np.array([-5, 4])
axes[0].plot(ends, ends, "--", color=plots.COLOURS["grey"], lw=1, label="no shrinkage")
axes[0].plot(ends, h2["estimate"] * ends, color=plots.COLOURS["vermilion"], lw=1.2, label="own record alone: $h^2$")
axes[0].set(xlabel="bmi less fixed effects", ylabel="Predicted breeding value")
axes[0].legend()
bins = np.linspace(0.58, 0.96, 39)
for recorded, name, colour in ((True, "recorded", "blue"), (False, "not recorded", "orange")):
    kind = {"alpha": 0.6} if recorded else {"hatch": "///", "edgecolor": "black", "lw": 0.5}
    axes[1].hist(
        table.loc[table["recorded"] == recorded, "accuracy"], bins, color=plots.COLOURS[colour], label=name, **kind
    )
axes[1].set(xlabel="Accuracy", ylabel="People")
axes[1].legend(loc="upper left")
plt.show()

# %% [markdown]
# Left: each point lies near the red line, which uses one's own record alone, and is moved from it by what the relatives
# say. Right: who has no record is predicted by relatives alone, less accurately. The accuracy of a person with an own
# record alone would be $\sqrt{h^2}$.
#
# A child not yet born is predicted by the mean of its parents, and no data of today can tell its Mendelian term:

# %%
born = lmm.Pedigree.from_frame(pd.concat([frame, pd.DataFrame({"ID": [399], "FA": [8], "MO": [4]})]))
child = lmm.lmer("bmi ~ age + sex + kin(born)", family).breeding_values().set_index("id").loc[[8, 4, 399]]
print(child.round(3))
print("mean of the parents", round(child["estimate"].iloc[:2].mean(), 3), "| h =", round(np.sqrt(h2["estimate"]), 3))

# %% [markdown]
# ## Relatedness ignored
#
# Suppose we test a covariate that is the same for a whole family, such as the altitude of the village. Relatives are
# not independent observations of it. Draw such a covariate at random, 4,000 times, and test it with a $t$ test from an
# ordinary regression, and from the polygenic model (here with $V$ as estimated without it); the trait stays as it is.
# Beside it: a covariate drawn for each person separately.


# %%
def t_values(z, whiten):
    """t statistics of each column of z beside X, after whitening."""
    Xw, yw, zw = whiten @ X, whiten @ y, whiten @ z
    Q = np.linalg.qr(Xw)[0]
    zw, yw = zw - Q @ (Q.T @ zw), yw - Q @ (Q.T @ yw)
    slope = zw.T @ yw / np.sum(zw**2, axis=0)
    left = yw[:, None] - zw * slope
    return slope / np.sqrt(np.sum(left**2, axis=0) / (len(y) - X.shape[1] - 1) / np.sum(zw**2, axis=0))


rng = np.random.default_rng(6)
family_number = famid - 1
z_family = rng.standard_normal((21, 4000))[family_number]
z_person = rng.standard_normal((len(y), 4000))
ways = {"regression": np.eye(len(y)), "polygenic": np.linalg.inv(np.linalg.cholesky(sg2 * K + se2 * np.eye(len(y))))}
t = {
    (way, kind): t_values(z, W)
    for way, W in ways.items()
    for kind, z in {"family": z_family, "person": z_person}.items()
}
limit = stats.t.ppf(0.975, len(y) - 4)
rejected = {key: {"rejected at 0.05": np.mean(np.abs(v) > limit), "SD of t": v.std()} for key, v in t.items()}
print(pd.DataFrame(rejected).T.rename_axis(["model", "covariate of the"]).round(3))

# %%
figure, ax = plt.subplots(figsize=(6.2, 3.2))
bins = np.linspace(-6, 6, 49)
for way, colour, style in (("regression", "vermilion", "--"), ("polygenic", "blue", "-")):
    ax.hist(
        t[way, "family"], bins, density=True, histtype="step", color=plots.COLOURS[colour], ls=style, lw=1.6, label=way
    )
x = np.linspace(-6, 6, 200)
ax.plot(x, stats.norm.pdf(x), color=plots.COLOURS["grey"], lw=1, label="what it should be")
ax.set(xlabel="$t$ of a family-level covariate without effect", ylabel="Density")
ax.legend()
plt.show()

# %% [markdown]
# The regression finds effects of a family's covariate that are not there, several times as often as it says. Its
# standard error is too small by about the factor in the column "SD of t". The polygenic model keeps its level nearly,
# and a covariate of persons, independent of the pedigree, is tested at nearly the right level by both. The same for one
# covariate by the package:

# %%
altitude = data.assign(altitude=z_family[:, 0])
wrong = lmm.gls("bmi ~ age + sex + altitude", altitude)
right = lmm.lmer("bmi ~ age + sex + altitude + kin(ped)", altitude)
ses = pd.DataFrame({"gls, independent": wrong.se, "lmer, kin(ped)": right.se}).loc[["age", "sexfemale", "altitude"]]
print(ses.assign(ratio=ses.iloc[:, 1] / ses.iloc[:, 0]).round(4))
print(lmm.contest(right, {"altitude": 1}, joint=False).round(3))

# %% [markdown]
# ## What limits precision
#
# What a study says of $h^2$ depends on its relatives through the eigenvalues $d_i$ of $A$ alone (the fixed effects
# aside). With $w_i = (d_i - 1)/(h^2 d_i + 1 - h^2)$ the information matrix of $(h^2, \sigma_P^2)$ gives
#
# $$\operatorname{var}(\hat h^2) \approx \frac{2}{\sum w_i^2 - (\sum w_i)^2 / n}.$$
#
# When all $d_i$ are 1, people are unrelated and there is no information. Near $h^2 = 0$ the information grows with the
# variance of the eigenvalues; at larger $h^2$ a few large eigenvalues count for less than many small differences.


# %%
def expected_error(d, h2):
    w = (d - 1) / (h2 * d + 1 - h2)
    return np.sqrt(2 / (np.sum(w**2) - np.sum(w) ** 2 / len(d)))


def study_of(unit, people=376):
    """Eigenvalues of A for a study of so many people in families of one kind (parts of a family count as parts)."""
    eigenvalues = np.linalg.eigvalsh(unit)
    return np.tile(eigenvalues, people // len(eigenvalues))


sibs = np.full((2, 2), 0.5) + 0.5 * np.eye(2)
nuclear = tabular([[-1, -1], [-1, -1]] + [[0, 1]] * 4)
half_sibs = tabular([[-1, -1]] + [[0, -1]] * 46)[1:, 1:]
designs = {
    "sib pairs": study_of(sibs),
    "parents and 4 children": study_of(nuclear),
    "46 half sibs of one sire": study_of(half_sibs),
    "this study": np.linalg.eigvalsh(K),
}
points = np.linspace(0.02, 0.95, 60)
errors = pd.DataFrame({name: [expected_error(d, at) for at in points] for name, d in designs.items()}, index=points)
print(errors.iloc[[12, 25, 38]].round(3).rename(index=lambda at: f"h2 = {at:.2f}").T)

# %%
figure, ax = plt.subplots(figsize=(6.2, 3.4))
for (name, column), style in zip(errors.items(), ("-", "--", ":", "-."), strict=True):
    ax.plot(points, column, style, label=name)
ax.set(
    xlabel="True heritability",
    ylabel="Expected standard error of $h^2$",
    ylim=(0, None),
    title="About as many people, arranged in families differently",
)
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Half sibs of a few sires are the example: best of all near zero, and worst at a high heritability, where their
# precision is that of the number of sires, here eight. The formula is for large samples. Is it right for this study?
# Draw 2,000 traits with a heritability of 0.5 and estimate each with the spectral form above:

# %%
rng = np.random.default_rng(7)
lam = 0.5 * d + 0.5
best = candidates[criteria(np.sqrt(lam)[:, None] * rng.standard_normal((len(d), 2000))).argmin(0)]
print(f"mean {best.mean():.3f}, SD {best.std():.3f}, expected {expected_error(d, 0.5):.3f}")
print("95 % of the studies:", np.quantile(best, [0.025, 0.975]).round(2))

# %% [markdown]
# A study of this size estimates a heritability to about ± 0.2. Standard errors fall with the square root of the
# number of families: to halve them takes four times as many. At the same number of people families of six are better
# than sib pairs, and what counts beside their size is how well household and genes are separated, as seen above.

# %% [markdown]
# ## What to take away
#
# - $A = 2\Phi$ follows from the pedigree by two rules; $A^{-1}$ follows from it directly and is sparse, because a child
#   depends on its parents and on nothing further back.
# - `kin(ped)` in a formula is a random intercept with covariance $\sigma_g^2 A$: the same model as independent
#   effects on $Z^* = ZL$.
# - Report $h^2$ with its profile interval, say what the fixed effects are, and test $h^2 = 0$ by the mixture.
# - What relatives share besides genes must be in the model, or it is counted as heritability.
# - Breeding values are predicted for all in the pedigree; accuracy says how well.
# - Relatedness ignored makes standard errors of what varies between families too small.
# - A few hundred people tell a heritability roughly: show the interval, not the estimate alone.

# %% [markdown]
# ## Exercises
#
# 1. What is the relationship of the children of two full sibs who marry two full sibs of another family (double first
#    cousins)? Use `tabular`.
# 2. What is the inbreeding of a child of full sibs, and of the child of two such children of one couple?
# 3. Leave `age` and `sex` out of the model of `bmi`. What happens to $h^2$, and why can the REML likelihoods not be
#    compared?
# 4. Is there dominance in `fvii`? Add `kin(ped.dominance())` and test it. Do you believe the result?
# 5. How many families like these would give a standard error of `0.04` at a heritability of `0.4`?
# 6. Give `bmi` a genetic effect for each sex, `(0 + sex | kin(ped))`, and compare by `lmm.anova` with the model of one.

# %% [markdown]
# ## Solutions
#
# **1.** Twice the relationship of ordinary cousins: they share both pairs of grandparents.

# %%
double = [[-1, -1]] * 4 + [[0, 1], [0, 1], [2, 3], [2, 3], [4, 6], [5, 7]]
print("double first cousins:", tabular(double)[8, 9])

# %% [markdown]
# **2.** Half the relationship of the parents, each time.

# %%
line = [[-1, -1], [-1, -1], [0, 1], [0, 1], [2, 3], [2, 3], [4, 5]]
print("F of rows 4 to 6:", (np.diag(tabular(line)) - 1)[4:])

# %% [markdown]
# **3.** The denominator now contains the variance due to age and sex. Age goes with generation, so that it makes sibs
# alike and parents and children different, which is not what $A$ says. REML likelihoods are of different contrasts of
# the data when $X$ differs.

# %%
bare = lmm.lmer("bmi ~ 1 + kin(ped)", family)
print(
    pd.concat([bare.heritability(), fit.heritability()], keys=["mean only", "age + sex"])
    .droplevel(1)
    .iloc[:, 1:5]
    .round(3)
)

# %% [markdown]
# **4.** The data were simulated without dominance, and yet the test is significant at 5 %, even with the household.
# Look at the residual variance, which is at least the error of measurement: nearly nothing is left of it. Identical
# twins share genes, dominance and home; only the residual separates them, and by chance both pairs are nearly equal.
# The likelihood is highest where there is hardly a residual, and dominance takes its place. Without one twin of each
# pair nothing is left of it: be wary of a component that rests on so few.

# %%
model = "fvii ~ age + sex + kin(ped) + kin(ped.dominance()) + (1 | household)"
dominance = lmm.lmer(model, family)
print(dominance.varcorr)
print(lmm.ranova(dominance))
print(family.loc[frame["MZTWIN"] > 0, ["ID", "fvii"]].round(2).to_string(index=False))

# %% tags=["warns"]
second_twins = frame.loc[list(twin_of), "ID"]
without_twins = lmm.lmer(model, family[~family["ID"].isin(second_twins)])

# %%
print(without_twins.varcorr)

# %% [markdown]
# **5.** Standard errors fall with the square root of the number of families.

# %%
se_now = expected_error(d, 0.4)
print(f"{se_now:.3f} with 21 families; {np.ceil(21 * (se_now / 0.04) ** 2):.0f} families for 0.04")

# %% [markdown]
# **6.** Two genetic variances and a correlation in place of one variance. The correlation is estimated as 1, hence
# the warning: no sign that other genes act in the other sex. The plain p-value of `anova` is shown; a correlation of
# 1 is on the boundary, so that it is too large, and here far from small either way. The residual variances are left
# equal here; [7. Two traits](07_two_traits.ipynb) has the full model of sexes.

# %% tags=["warns"]
by_sex = lmm.lmer("bmi ~ age + sex + (0 + sex | kin(ped))", family)

# %%
print(by_sex.varcorr)
print(lmm.anova(fit, by_sex, refit=False))

# %% [markdown]
# ## Further reading
#
# - Henderson, C. R. (1976). A simple method for computing the inverse of a numerator relationship matrix used in
#   prediction of breeding values. *Biometrics* 32, 69–83.
# - Self, S. G. & Liang, K.-Y. (1987). Asymptotic properties of maximum likelihood estimators and likelihood ratio tests
#   under nonstandard conditions. *J. Am. Stat. Assoc.* 82, 605–610.
# - Haseman, J. K. & Elston, R. C. (1972). The investigation of linkage between a quantitative trait and a marker locus.
#   *Behav. Genet.* 2, 3–19.
# - Almasy, L. & Blangero, J. (1998). Multipoint quantitative-trait linkage analysis in general pedigrees. *Am. J. Hum.
#   Genet.* 62, 1198–1211.
# - Lynch, M. & Walsh, B. (1998). *Genetics and Analysis of Quantitative Traits.* Sinauer.
# - Mrode, R. A. (2005). *Linear Models for the Prediction of Animal Breeding Values*, 2nd ed. CABI.
# - Rönnegård, L. & Carlborg, Ö. (2007). Separation of base allele and sampling term effects gives new insights in
#   variance component QTL analysis. *BMC Genetics* 8, 1.
# - Visscher, P. M. & Goddard, M. E. (2015). A general unified framework to assess the sampling variance of heritability
#   estimates using pedigree or marker-based relationships. *Genetics* 199, 223–232.
#
# Previous: [4. What ML, REML and the profiled criterion are](04_likelihood_and_inference.ipynb). Next:
# [6. What h² means](06_what_h2_means.ipynb).
