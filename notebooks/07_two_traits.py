# %% [markdown]
# # 7. Two traits
#
# Two traits of one person can go together because the same genes act on both, because the same environment does, or
# in part by each; and the two parts can cancel out. At the end of this notebook you can write down the covariance of
# two traits in families, fit it, test genetic and environmental correlations, say what they mean and what they do
# not, and use one trait to learn about the other. Variances of the same trait in two sexes or two environments are
# the same model.
#
# The polygenic model of one trait is assumed ([5. The polygenic model](05_polygenic.ipynb)), and what a
# likelihood-ratio test at a boundary is ([4. Likelihood and inference](04_likelihood_and_inference.ipynb)).

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

import lmmpy as lmm
from lmmpy import plots

plots.use_style()
BLUE, ORANGE, GREEN, RED, GREY = (plots.COLOURS[name] for name in ("blue", "orange", "green", "vermilion", "grey"))

# %% [markdown]
# ## One covariance for two traits
#
# Trait $t$ of person $i$ is $y_{ti} = \mu_t + g_{ti} + e_{ti}$: a mean, a genetic effect, and the rest, here called
# environment. For one trait $\mathrm{Cov}(g) = \sigma_g^2 A$, with $A$ the additive relatedness. For two traits the
# variance becomes a $2 \times 2$ matrix: $C$ for the genetic effects, $E$ for the environments of one person,
#
# $$ \mathrm{Cov}(g_{si}, g_{tj}) = C_{st} A_{ij}, \qquad \mathrm{Cov}(e_{si}, e_{tj}) = E_{st} I_{ij} . $$
#
# With the values of the first trait above those of the second, $\mathrm{vec}(y) = (y_1^\top, y_2^\top)^\top$, this is
#
# $$ \mathrm{Cov}(\mathrm{vec}\, g) = C \otimes A, \qquad \mathrm{Cov}(\mathrm{vec}\, e) = E \otimes I, \qquad
#    V = C \otimes A + E \otimes I . $$
#
# The **genetic correlation** is $\rho_g = C_{12} / \sqrt{C_{11} C_{22}}$, the **environmental correlation** $\rho_e =
# E_{12} / \sqrt{E_{11} E_{22}}$. Here the genes push both traits the same way, and the environment pushes them apart:

# %%
C = np.array([[0.5, 0.3], [0.3, 0.5]])
E = np.array([[0.5, -0.3], [-0.3, 0.5]])
A_trio = np.array([[1, 0, 0.5], [0, 1, 0.5], [0.5, 0.5, 1]])  # father, mother, child
V_trio = np.kron(C, A_trio) + np.kron(E, np.eye(3))

# %%
people_of = ["father", "mother", "child"]
labels = [f"trait {t}, {who}" for t in (1, 2) for who in people_of]
fig, ax = plt.subplots(figsize=(5.2, 4.4))
image = ax.imshow(V_trio, cmap="Blues", vmin=0, vmax=1)
for (i, j), value in np.ndenumerate(V_trio):
    ax.text(j, i, f"{value + 0:.2f}", ha="center", va="center", color="white" if value > 0.6 else "black", size=9)
ax.set_xticks(range(6), labels, rotation=40, ha="right")
ax.set_yticks(range(6), labels)
ax.spines[:].set_visible(False)
fig.colorbar(image, ax=ax, label="Covariance", shrink=0.8)
ax.axhline(2.5, color="black", lw=1)
ax.axvline(2.5, color="black", lw=1)
plt.show()

# %% [markdown]
# Read the block at the top right, trait 1 of one against trait 2 of another. Its diagonal, two traits of one person,
# is zero: there $C_{12}$ and $E_{12}$ are added, and cancel. A parent and a child share genes and no environment:
# there stands $\tfrac{1}{2} C_{12}$ alone. **What relatives share tells the two apart; people without relatives
# cannot.**

# %% [markdown]
# ## Simulating it
#
# Families of three generations: a couple, three children, their spouses, and two grandchildren from each. If
# $A = LL^\top$ and $C = MM^\top$, and the $n \times 2$ matrix $U$ has independent standard normal entries, then
# $LUM^\top$ has the covariance $C \otimes A$. So two Cholesky factors are enough, and $V$ is not needed.


# %%
def draw_families(number, rng):
    """A frame of families of 14: a couple, three children, their spouses, six grandchildren."""
    rows = []

    def person(father, mother, sex):
        rows.append((len(rows) + 1, father, mother, sex))
        return len(rows)

    for _ in range(number):
        couple = person(0, 0, 1), person(0, 0, 2)
        for _ in range(3):
            sex = int(rng.integers(1, 3))
            child, spouse = person(*couple, sex), person(0, 0, 3 - sex)
            parents = (child, spouse) if sex == 1 else (spouse, child)
            for _ in range(2):
                person(*parents, int(rng.integers(1, 3)))
    return pd.DataFrame(rows, columns=["ID", "FA", "MO", "SEX"])


# %%
rng = np.random.default_rng(7)
families = draw_families(60, rng)
pedigree = lmm.Pedigree.from_frame(families)
A = pedigree.additive().to_frame(families["ID"]).to_numpy()
L, n = np.linalg.cholesky(A), len(families)


def two_traits(C, E, rng):
    """Genetic effects and environments of two traits, each n × 2."""
    g = L @ rng.standard_normal((n, 2)) @ np.linalg.cholesky(C).T
    e = rng.standard_normal((n, 2)) @ np.linalg.cholesky(E).T
    return g, e


g, e = two_traits(C, E, rng)
study = families.assign(y1=g[:, 0] + e[:, 0], y2=g[:, 1] + e[:, 1])
print(n, "people")

# %%
fig, axes = plt.subplots(1, 3, figsize=(7, 2.7), sharex=True, sharey=True)
panels = {"Genetic effects": g, "Environments": e, "What is observed": g + e}
for ax, (title, values), colour in zip(axes, panels.items(), (BLUE, ORANGE, GREY), strict=True):
    ax.plot(*values.T, "o", color=colour, ms=2.5, alpha=0.6)
    ax.set_title(f"{title}: r = {np.corrcoef(values.T)[0, 1]:.2f}".replace("-", "−"), size=9)
    ax.set_xlabel("Trait 1 (phenotypic SD)")
axes[0].set_ylabel("Trait 2 (phenotypic SD)")
plt.show()

# %% [markdown]
# The two left panels are known only to who simulates. The right one is the study, and a study of unrelated people
# would end here: no correlation, nothing in common. That would be wrong.

# %% [markdown]
# ## Relatives reveal the genetic correlation
#
# Between two people the environments are independent in this model, so that for $i \ne j$
#
# $$ \mathrm{Cov}(y_{1i}, y_{2j}) = C_{12} A_{ij}. $$
#
# We average the products $y_{1i} y_{2j}$ (about their means) over all pairs of a kind. Pairs within a family are not
# independent, families are; all of ours have the same shape, so the standard error is that of a mean of families.

# %%
products = np.outer(study["y1"] - study["y1"].mean(), study["y2"] - study["y2"].mean())
family_of = pedigree.families().to_numpy()
same_family = family_of[:, None] == family_of[None, :]
oneself = np.eye(n, dtype=bool)


def by_family(pairs):
    """The mean product of these pairs in each family."""
    i, j = np.nonzero(pairs & same_family)
    return pd.Series(products[i, j]).groupby(family_of[i]).mean()


kinds = {
    "unrelated (married in)": (A == 0, 0),
    "cousins": (A == 0.125, 0.125),
    "grandparents, uncles, aunts": (A == 0.25, 0.25),
    "parents, sibs": ((A == 0.5) & ~oneself, 0.5),
    "oneself": (oneself, 1),
}
rows = []
for kind, (pairs, a) in kinds.items():
    means = by_family(pairs)
    rows.append((kind, a, means.mean(), means.std() / np.sqrt(len(means)), C[0, 1] * a + E[0, 1] * (a == 1)))
classes = pd.DataFrame(rows, columns=["pair", "A", "covariance", "std_error", "truth"])
classes.round(3)

# %%
fig, ax = plt.subplots(figsize=(6, 3.6))
ax.plot([0, 1], [0, C[0, 1]], "--", color=BLUE, label="$C_{12}A_{ij}$")
own = classes["A"] == 1
for rows, colour, marker, label in (
    (classes[~own], BLUE, "o", "two people"),
    (classes[own], ORANGE, "s", "both traits of one person"),
):
    ax.errorbar(
        rows["A"], rows["covariance"], 1.96 * rows["std_error"], fmt=marker, color=colour, capsize=3, label=label
    )
ax.annotate("", (1, 0.02), (1, C[0, 1]), arrowprops={"arrowstyle": "->", "color": GREY})
ax.text(0.98, C[0, 1] / 2, "$E_{12}$", ha="right", va="center")
ax.axhline(0, color=GREY, lw=0.8)
ax.set(xlabel="Relatedness $A_{ij}$ of the pair", ylabel="Cov(trait 1 of i, trait 2 of j)", xlim=(-0.05, 1.08))
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# The cross-trait covariance of two people rises with their relatedness. The line through the origin has the slope
# $C_{12}$; how far a person's own two traits lie from the end of that line is $E_{12}$. (Bars are 95 % intervals.) A
# regression of products on $A_{ij}$ is a method of moments for $C_{12}$. It is nearly unbiased (the means are
# estimated), and less precise than the likelihood, which knows how the products covary.

# %%
pairs = same_family & ~oneself
C12 = (A[pairs] @ products[pairs]) / (A[pairs] @ A[pairs])
E12 = products[oneself].mean() - C12
pd.Series({"C12, moments": C12, "E12, moments": E12, "C12, true": C[0, 1], "E12, true": E[0, 1]}).round(3)

# %% [markdown]
# ## The likelihood, by hand and by `lmer`
#
# In `lmer` the responses stand in `cbind()`. Fixed effects are by trait; `kin(pedigree)` has an effect for each
# trait, with $C$ between them; the residual has $E$.

# %%
both = lmm.lmer("cbind(y1, y2) ~ 1 + kin(pedigree)", study, reml=False)
print(both)

# %% [markdown]
# The two correlations are close to what we put in. The log-likelihood is that of a normal
# vector of $2n$ values with the covariance $V$, and $\beta$ by generalised least squares,
#
# $$ \ell = -\tfrac{1}{2}\left( 2n \log 2\pi + \log|V| + r^\top V^{-1} r \right),
# \quad r = \mathrm{vec}(y) - X\hat\beta . $$

# %%
C_hat = both.varcorr["kin(pedigree)"].to_numpy()
E_hat = both.varcorr["Residual"].to_numpy()
V = np.kron(C_hat, A) + np.kron(E_hat, np.eye(n))
X = np.kron(np.eye(2), np.ones((n, 1)))  # an intercept for each trait
y = study[["y1", "y2"]].to_numpy().T.ravel()

F = np.linalg.cholesky(V)
FX, Fy = np.linalg.solve(F, X), np.linalg.solve(F, y)
beta, *_ = np.linalg.lstsq(FX, Fy)
by_hand = -0.5 * (2 * n * np.log(2 * np.pi) + 2 * np.log(F.diagonal()).sum() + ((Fy - FX @ beta) ** 2).sum())
print(f"by hand {by_hand:.4f}, by lmer {both.loglik:.4f}")
print(beta.round(4), both.fixef.to_numpy().round(4))

# %% [markdown]
# ## A family study
#
# `family` comes with lmmpy: 398 simulated people in 21 families, with body mass index (`bmi`) and the clotting factor
# VII (`fvii`), each missing in some. They were drawn with a positive genetic and a positive environmental covariance,
# and with an effect of the household, which this model leaves out (an exercise brings it back).

# %%
family = lmm.datasets.load("family")
ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
fit = lmm.lmer("cbind(bmi, fvii) ~ age + sex + kin(ped)", family)
print(len(family), "people in", lmm.datasets.load("family_pedigree")["FAMID"].nunique(), "families")
print(fit.summary())

# %% [markdown]
# `fit.varcorr` has the two matrices. Heritabilities are on their diagonals, correlations beside them; what one sees
# without a pedigree is their sum, $P = C + E$, and its correlation $\rho_p$.

# %%
C_hat, E_hat = (fit.varcorr[term] for term in ("kin(ped)", "Residual"))
P_hat = C_hat + E_hat
h2 = np.diag(C_hat) / np.diag(P_hat)
rho_g, rho_e, rho_p = (M.iloc[0, 1] / np.sqrt(M.iloc[0, 0] * M.iloc[1, 1]) for M in (C_hat, E_hat, P_hat))
pd.Series({"h2[bmi]": h2[0], "h2[fvii]": h2[1], "rho_g": rho_g, "rho_e": rho_e, "rho_p": rho_p}).round(3)

# %%
fit.correlations().round(3)

# %% [markdown]
# The intervals of `fit.correlations()` are profile-likelihood intervals. Those of the genetic and of the
# environmental correlation are much wider than that of the phenotypic one: they are correlations of what nobody has
# measured.

# %% [markdown]
# ## What the phenotypic correlation is made of
#
# Divide $P_{12} = C_{12} + E_{12}$ by $\sqrt{P_{11} P_{22}}$, and
#
# $$ \rho_p = \rho_g \sqrt{h_1^2 h_2^2} + \rho_e \sqrt{(1 - h_1^2)(1 - h_2^2)} . $$
#
# Genetic correlation counts as far as both traits are heritable, environmental correlation as far as they are not.
# The first term is called the coheritability.

# %%
genetic = rho_g * np.sqrt(h2[0] * h2[1])
environmental = rho_e * np.sqrt((1 - h2[0]) * (1 - h2[1]))
print(f"{genetic:.4f} + {environmental:.4f} = {genetic + environmental:.4f}; rho_p is {rho_p:.4f}")

# %%
sim_C, sim_E = (both.varcorr[term].to_numpy() for term in ("kin(pedigree)", "Residual"))
scale = np.sqrt(np.prod(np.diag(sim_C + sim_E)))
parts = {"simulated study": (sim_C[0, 1] / scale, sim_E[0, 1] / scale), "family study": (genetic, environmental)}
fig, ax = plt.subplots(figsize=(6.5, 2.3))
for row, (g_part, e_part) in enumerate(parts.values()):
    ax.barh(row, g_part, color=BLUE, height=0.5, label="genetic" if row == 0 else None)
    start = g_part if g_part * e_part > 0 else 0  # parts of one sign are stacked
    ax.barh(row, e_part, left=start, color=ORANGE, height=0.5, hatch="//", label="environmental" if row == 0 else None)
    ax.plot(
        g_part + e_part, row, "D", color="black", ms=7, mec="white", label="phenotypic: their sum" if row == 0 else None
    )
ax.axvline(0, color="black", lw=0.8)
ax.set_yticks(range(2), list(parts))
ax.set(xlabel="Contribution to the phenotypic correlation", ylim=(-0.5, 1.6), xlim=(-0.4, 0.65))
ax.legend(loc="center left", bbox_to_anchor=(1, 0.5))
plt.show()

# %% [markdown]
# In the family study both parts point the same way, and most of $\rho_p$ is genetic. In the simulated one they cancel
# out. A phenotypic correlation near zero does not say that nothing is shared; a high one does not say by what.
#
# `fit.vpredict` computes any function of variances and covariances by name, with its standard error by the delta
# method:

# %%
cov_g, cov_e = "kin(ped).fvii.bmi", "Residual.fvii.bmi"
total = "sqrt((kin(ped).bmi + Residual.bmi) * (kin(ped).fvii + Residual.fvii))"
fit.vpredict(
    rho_p=f"({cov_g} + {cov_e}) / {total}",
    coheritability=f"{cov_g} / {total}",
    genetic_share=f"{cov_g} / ({cov_g} + {cov_e})",
).round(3)

# %% [markdown]
# ## Tests: is it zero, is it one?
#
# Two hypotheses are asked of a genetic correlation. $\rho_g = 0$: no genetic covariance of the traits. It lies inside
# the range of the parameter, and twice the difference of the log-likelihoods is $\chi^2_1$. $|\rho_g| = 1$: the
# genetic effects on one trait are proportional to those on the other. That is the end of the range, and the reference
# is the mixture $\tfrac12 \chi^2_0 + \tfrac12 \chi^2_1$.
#
# `fit.constrain` fits the model again with a parameter held. We compare fits by maximum likelihood, as SOLAR does.

# %%
ml = fit.refit_ml()
rho = "cor_fvii.bmi|kin(ped)"
none = ml.constrain({rho: 0})
one = ml.constrain({rho: 1})
print(lmm.anova(none, ml))
print(lmm.anova(one, ml))

# %% [markdown]
# The line above each table names the reference of `Pr(mixture)`, the p-value to use. Both hypotheses are rejected
# here. By hand:

# %%
lrt_0, lrt_1 = (2 * (ml.loglik - held.loglik) for held in (none, one))
print(f"rho_g = 0: {lrt_0:.2f}, p = {stats.chi2.sf(lrt_0, 1):.2g}")
print(f"rho_g = 1: {lrt_1:.2f}, p = {stats.chi2.sf(lrt_1, 1) / 2:.2g}")

# %% [markdown]
# Where does the half come from? Say the truth is $\rho_g = 1$. An estimate that could go anywhere would fall above 1
# in about half of all studies. It must not, and is held at 1; then both fits are the same and the statistic is
# exactly zero. In large samples the estimate that is free is about normal, so a normal $z$ shows the whole thing:

# %%
z = np.random.default_rng(1).standard_normal(100_000)
statistic = np.where(z > 0, 0, z**2)  # above the end of the range the two fits are the same
cut_mixture, cut_naive = stats.chi2.isf([0.10, 0.05], 1)
print(f"zero in {np.mean(statistic == 0):.3f} of the studies")
print(f"above {cut_mixture:.2f} in {np.mean(statistic > cut_mixture):.3f}, above {cut_naive:.2f} in", end=" ")
print(f"{np.mean(statistic > cut_naive):.3f}")

# %% [markdown]
# The usual $\chi^2_1$ limit rejects half as often as it says. The mixture's limit keeps 5 %. That is for large
# samples: in a study of this size the statistic is zero in more than half of the studies, and even the mixture is a
# little cautious ([what two traits of people in families can tell](../docs/explanation/recovery.md)).
#
# `lmm.qtl.bivariate` does all of this in one call, in the words of SOLAR; $|\rho_g| = 1$ is tested against the better
# of $+1$ and $-1$.

# %%
pair = lmm.qtl.bivariate(["bmi", "fvii"], "age + sex", family, ped)
pair.estimates.round(3)

# %%
pair.tests.assign(chisq=pair.tests["chisq"].round(2), p_value=pair.tests["p_value"].map("{:.2g}".format))

# %% [markdown]
# ## The whole profile
#
# A test compares two points. The **profile** of $\rho_g$ shows all: hold it at each of many values, maximise over
# everything else, and draw how much log-likelihood is lost. Where twice the loss stays below the 95 % quantile of
# $\chi^2_1$ lies the profile interval.

# %%
at = np.linspace(-0.2, 1, 19)
lost = np.array([2 * (ml.loglik - ml.constrain({rho: value}).loglik) for value in at])
low, high = ml.confint(rho).iloc[0]
limit = stats.chi2.isf(0.05, 1)
estimate = pair.estimates.set_index("parameter").loc["rho_g"]
print(f"profile {low:.3f} to {high:.3f}; Wald {estimate['conf_low']:.3f} to {estimate['conf_high']:.3f}")

# %%
grid = np.linspace(-0.2, 1, 200)
wald = ((grid - estimate["estimate"]) / estimate["std_error"]) ** 2
fig, ax = plt.subplots(figsize=(6, 3.6))
ax.plot(at, lost, "o-", color=BLUE, ms=3, label="profile, by constrained fits")
ax.plot(grid, wald, ":", color=GREY, label="Wald: a parabola")
ax.axhline(limit, color=RED, ls="--", lw=1)
ax.text(-0.19, limit + 0.6, "95 % limit", color=RED, size=9)
ax.vlines([low, high], 0, limit, color=RED, lw=1)
for value, lrt in ((0, lrt_0), (1, lrt_1)):
    ax.plot(value, lrt, "s", color=ORANGE, ms=8, zorder=3, label="the two tests" if value == 0 else None)
ax.set(xlabel=r"Genetic correlation $\rho_g$", ylabel="Twice the log-likelihood lost", ylim=(-0.5, 31))
ax.legend(loc="upper center")
plt.show()

# %% [markdown]
# The heights of the two squares are the statistics of the two tests. The profile rises steeply towards one: it knows
# that the range ends there, the parabola of Wald's interval does not. Prefer the profile near the ends.

# %% [markdown]
# ## What a genetic correlation says, and what it does not
#
# $\rho_g$ is a correlation of breeding values in a population: of sums over all loci, $g_t = \sum_k a_{tk} x_k$, with
# $x_k$ the copies of an allele at locus $k$ and $a_{tk}$ its effect on trait $t$. Four ways to make such sums, each
# in 2,000 people and at 200 loci:

# %%
rng = np.random.default_rng(3)
people, loci = 2000, 200
x = rng.binomial(2, 0.5, (people, loci)) - 1.0  # linkage equilibrium: loci are independent
effects = rng.standard_normal(loci)
half = np.arange(loci) < loci // 2

# Pairs of neighbouring loci in linkage disequilibrium: on most chromosomes the partner's allele is the same.
strands = rng.binomial(1, 0.5, (2, people, loci))
partners = np.where(rng.random((2, people, loci)) < 0.85, strands, 1 - strands)
x_ld, partner = strands.sum(0) - 1.0, partners.sum(0) - 1.0

ways = {
    "the same loci,\nsame directions": (x @ effects, x @ (effects + 0.5 * rng.standard_normal(loci))),
    "the same loci,\nany directions": (x @ effects, x @ rng.standard_normal(loci)),
    "different loci,\nequilibrium": (x @ (effects * half), x @ (effects * ~half)),
    "different loci,\ndisequilibrium": (x_ld @ effects, partner @ effects),
}
pd.Series({way.replace("\n", " "): np.corrcoef(*values)[0, 1] for way, values in ways.items()}, name="rho_g").round(2)

# %%
fig, axes = plt.subplots(1, 4, figsize=(7.2, 2.5))
for ax, (way, values) in zip(axes, ways.items(), strict=True):
    one_g, other_g = (v / v.std() for v in values)
    ax.plot(one_g[:500], other_g[:500], "o", ms=1.8, alpha=0.6, color=BLUE if "same loci" in way else ORANGE)
    ax.set_title(f"{way}\nρ = {np.corrcoef(*values)[0, 1]:.2f}", size=8.5)
    ax.set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), xticks=[-2, 0, 2], yticks=[-2, 0, 2], xlabel="$g_1$ (SD)")
axes[0].set_ylabel("$g_2$ (SD)")
plt.show()

# %% [markdown]
# - **Every locus may act on both traits while $\rho_g$ is zero** (second panel): the directions cancel out. $\rho_g =
#   0$ is not "no pleiotropy".
# - **No locus may act on both while $\rho_g$ is high** (fourth panel): neighbouring loci are inherited together.
#   Distant loci are associated, too, for some generations after populations have mixed, and where mates are chosen by
#   these traits. $\rho_g \ne 0$ is evidence for pleiotropy, and not proof.
# - $|\rho_g| < 1$ says that the genetic effects on the two traits are not proportional. It does not say whether some
#   loci act on one trait only, nor how many.
# - $|\rho_g| = 1$, not rejected, is often but a small study, or a trait with little heritability: then $\rho_g$ is
#   hardly determined, and often estimated as ±1. Test heritabilities first.

# %% [markdown]
# ## Causation
#
# If trait 1 causes trait 2, $y_2 = b\,y_1 + \text{own}$, and what is trait 2's own is independent of trait 1, all that
# makes trait 1 comes along: $C_{12} = b\,C_{11}$ and $E_{12} = b\,E_{11}$. A genetic correlation follows, though no
# gene acts on trait 2 but through trait 1 or its own way. But there is something to test: the regressions of trait 2
# on trait 1 must be the same for genes and environments.

# %%
rng = np.random.default_rng(8)
g, e = two_traits(np.diag([0.5, 0.3]), np.diag([0.5, 0.3]), rng)  # two traits that share nothing
caused = families.assign(y1=g[:, 0] + e[:, 0])
caused["y2"] = 0.6 * caused["y1"] + g[:, 1] + e[:, 1]
causal = lmm.lmer("cbind(y1, y2) ~ 1 + kin(pedigree)", caused)
print(causal.varcorr)


# %%
def regressions(fit, one, other, kin):
    """Of the second trait on the first, for genes and environment, and their difference."""
    b_g = f"{kin}.{other}.{one} / {kin}.{one}"
    b_e = f"Residual.{other}.{one} / Residual.{one}"
    return fit.vpredict(b_g=b_g, b_e=b_e, difference=f"{b_g} - {b_e}").round(3)


pd.concat(
    {
        "trait 1 causes 2": regressions(causal, "y1", "y2", "kin(pedigree)"),
        "first simulation": regressions(both, "y1", "y2", "kin(pedigree)"),
        "bmi, fvii": regressions(fit, "bmi", "fvii", "kin(ped)"),
    }
)

# %% [markdown]
# Where trait 1 causes trait 2 both regressions are near the $b = 0.6$ of the simulation. In the first simulation they
# have opposite signs: no effect of one trait on the other alone could make such data. In the family study they do not
# differ clearly, which agrees with causation, and with much else: equal regressions are implied by causation without
# any other link, and do not imply it. Errors of measurement in trait 1 count as environment, and break the equality
# even where causation holds.

# %% [markdown]
# ## Who has one trait only
#
# A row needs one of the traits. Its part of the likelihood is then that of the values there are: rows and columns of
# the missing ones are left out of $V$, nothing is filled in. What do people with one trait add? In the family study
# few values are missing. In the simulated one let trait 2 be measured in a random third:

# %%
complete_family = lmm.lmer("cbind(bmi, fvii) ~ age + sex + kin(ped)", family.dropna(subset=["bmi", "fvii"]))
rng = np.random.default_rng(4)
third = study.assign(y2=study["y2"].where(rng.random(n) < 1 / 3))
all_rows = lmm.lmer("cbind(y1, y2) ~ 1 + kin(pedigree)", third)
complete = lmm.lmer("cbind(y1, y2) ~ 1 + kin(pedigree)", third.dropna())


def errors(every, complete, kin):
    """Standard errors of heritabilities and correlations from all rows, and from the complete ones."""
    table = {}
    for name, fitted in (("all rows", every), ("complete", complete)):
        h2 = fitted.heritability().set_index("trait")["std_error"].add_prefix("h2 ")
        r = (
            fitted.correlations(method="wald")
            .set_index("term")["std_error"]
            .rename({kin: "rho_g", "Residual": "rho_e", "phenotypic": "rho_p"})
        )
        table[name] = pd.concat([h2, r])
    return pd.DataFrame(table).assign(ratio=lambda t: t["all rows"] / t["complete"]).round(3)


print("family study:", fit.nobs, "values against", complete_family.nobs)
print(errors(fit, complete_family, "kin(ped)"))
print("a third with trait 2:", all_rows.nobs, "values against", complete.nobs)
print(errors(all_rows, complete, "kin(pedigree)"))

# %% [markdown]
# Complete cases throw away most of what is known of trait 1, and with it relatives: an uncle's trait 1 tells about a
# nephew's trait 2. The heritability of trait 1 and $\rho_g$ gain most; $\rho_p$, which the complete cases tell
# directly, gains nothing. (Each standard error is itself an estimate.)

# %% [markdown]
# ## When trait 2 was measured because of trait 1
#
# Worse than lost precision is selection. Say the dear measurement, trait 2, is made only in people whose trait 1 is
# above the median. The traits now have $\rho_g = 0.6$ and $\rho_e = 0.4$; the mean of trait 2 is 0 and its $h^2$ is
# 0.5. Three analyses of 40 such studies: trait 2 alone, both traits of complete cases, both traits of everybody.

# %%
C_plus, E_plus = np.array([[0.5, 0.3], [0.3, 0.5]]), np.array([[0.5, 0.2], [0.2, 0.5]])


def analyses(data):
    """Mean, h² and (of two traits) ρ_g, by three analyses."""
    seen = data.dropna()
    alone = lmm.lmer("y2 ~ 1 + kin(pedigree)", seen)
    yield "trait 2 alone", alone.fixef.iloc[0], alone.varcorr.to_frame()["vcov"].iloc[0], alone.sigma**2, np.nan
    for name, rows in (("both, complete", seen), ("both, all", data)):
        fitted = lmm.lmer("cbind(y1, y2) ~ 1 + kin(pedigree)", rows)
        G = fitted.varcorr["kin(pedigree)"]
        rho = G.iloc[0, 1] / np.sqrt(G.iloc[0, 0] * G.iloc[1, 1])
        yield name, fitted.fixef["y2:(Intercept)"], G.iloc[1, 1], fitted.varcorr["Residual"].iloc[1, 1], rho


def selected_studies(select, number, seed):
    """Estimates of many studies, in which trait 2 is seen where `select(y1, y2)` says so."""
    rng, rows = np.random.default_rng(seed), []
    for _ in range(number):
        g, e = two_traits(C_plus, E_plus, rng)
        data = families.assign(y1=(g + e)[:, 0], y2=(g + e)[:, 1])
        data["y2"] = data["y2"].where(select(data["y1"], data["y2"]))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", lmm.LmmpyWarning)  # some of the fits are at a boundary
            rows += [(name, mean, vg / (vg + ve), rho) for name, mean, vg, ve, rho in analyses(data)]
    return pd.DataFrame(rows, columns=["analysis", "mean", "h2", "rho_g"])


by_trait_1 = selected_studies(lambda y1, y2: y1 > y1.median(), 40, seed=5)
by_trait_1.groupby("analysis", sort=False).mean().round(2)

# %%
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.5), sharey=True)
names = by_trait_1["analysis"].unique()
for ax, (what, truth, label) in zip(
    axes,
    (("mean", 0, "Mean of trait 2 (SD)"), ("h2", 0.5, "$h^2$ of trait 2"), ("rho_g", 0.6, r"$\rho_g$")),
    strict=True,
):
    for row, name in enumerate(names):
        values = by_trait_1.loc[by_trait_1["analysis"] == name, what]
        jitter = np.linspace(-0.18, 0.18, len(values))
        ax.plot(values, row + jitter, "o", color=(RED, ORANGE, BLUE)[row], ms=2.5, alpha=0.6)
        ax.plot(values.mean(), row, "D", color="black", ms=6, mec="white")
    ax.axvline(truth, color=GREY, ls="--", lw=1)
    ax.set_xlabel(label)
axes[0].set_yticks(range(3), names)
axes[0].invert_yaxis()
plt.show()

# %% [markdown]
# Each dot is a study, a diamond their mean, the dashed line the truth. Trait 2 alone has the wrong mean, and so have
# both traits of the complete cases; heritability and $\rho_g$ of the complete cases suffer too. Both traits of
# everybody come close to the truth. The reason: given what was seen of trait 1, whether trait 2 was measured does not
# depend on its value (**missing at random**), and the likelihood of all that was seen is valid. It needs trait 1 of
# those without trait 2, and a model that is true of both traits. Where trait 2 itself decides whether it is seen, no
# such rescue exists (an exercise).

# %% [markdown]
# ## The same trait in two sexes
#
# Is the heritability of a trait the same in men and women, and do the same genes act? A man's value and a woman's
# value are **two traits, of which everybody has one**. Genetic variances $\sigma^2_{g,m}$, $\sigma^2_{g,f}$ and a
# genetic correlation $\rho_{mf}$ between the sexes come from $C \otimes A$; brothers and sisters tell $\rho_{mf}$.
# Nobody has both values, so there is no environmental correlation.
#
# We simulate a trait with a higher genetic variance in men, and $\rho_{mf} = 0.5$; the environments are alike.

# %%
rng = np.random.default_rng(21)
more = draw_families(150, rng)
more_ped = lmm.Pedigree.from_frame(more)
root = np.linalg.cholesky(more_ped.additive().to_frame(more["ID"]).to_numpy())
C_sexes = np.array([[1.0, 0.5 * np.sqrt(1.0 * 0.5)], [0.5 * np.sqrt(1.0 * 0.5), 0.5]])
as_man, as_woman = (root @ rng.standard_normal((len(more), 2)) @ np.linalg.cholesky(C_sexes).T).T
male = more["SEX"] == 1
more["sex"] = np.where(male, "male", "female")
more["y"] = np.where(male, as_man + 0.5, as_woman) + np.sqrt(0.5) * rng.standard_normal(len(more))
sexes = lmm.qtl.sex_specific("y ~ sex", more, more_ped)
sexes.estimates.round(3)

# %%
sexes.tests.assign(chisq=sexes.tests["chisq"].round(2), p_value=sexes.tests["p_value"].map("{:.2g}".format))

# %% [markdown]
# Look at what differs. The genetic standard deviations do, the residual ones do not clearly; the genetic correlation
# of the sexes is neither 1 nor 0. Test variances, not only $h^2$: heritabilities differ as well when the environments
# differ and the genes do not. `no difference` tests the three equalities together. One of them is at the end of its
# range, hence its reference $\tfrac12\chi^2_2 + \tfrac12\chi^2_3$.
#
# With two columns, one for each sex, the bivariate model gives the same likelihood:

# %%
columns = more.assign(man=more["y"].where(male), woman=more["y"].where(~male))
split = lmm.lmer("cbind(man, woman) ~ 1 + kin(more_ped)", columns, residual="diag", reml=False)
print(f"{split.loglik:.5f} as two traits, {sexes.loglik:.5f} as two sexes")
print(split.varcorr)
try:
    lmm.lmer("cbind(man, woman) ~ 1 + kin(more_ped)", columns)
except lmm.LmmpyError as error:
    print(error)

# %% [markdown]
# The error says what the model cannot know: two residuals that nobody has both of have no correlation to estimate. In
# the family study nothing of this was simulated, and nothing is found:

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore", lmm.LmmpyWarning)  # rho_g is estimated as 1, which is the truth here
    plain = lmm.qtl.sex_specific("bmi ~ age + sex", family, ped)
print(plain.tests.round(3))

# %% [markdown]
# ## Genotype by environment
#
# Replace "sex" by "treatment", "field" or "decade": the genetic effects of a trait in two environments are two
# correlated traits (Falconer 1952). **Genotype by environment interaction** has two forms, and both are in $C$. With
# unequal variances and correlation one, genetic differences are larger in one environment, and ranks stay. With a
# correlation below one, ranks change. Each line below is one genotype, in two environments:

# %%
rng = np.random.default_rng(12)
normal = rng.standard_normal((25, 2))
forms = {
    "no interaction": (0.7, 0.7, 1),
    "unequal variances, ρ = 1": (0.4, 1.0, 1),
    "equal variances, ρ = 0.3": (0.7, 0.7, 0.3),
}
fig, axes = plt.subplots(1, 3, figsize=(7.2, 2.6), sharey=True)
for ax, (form, (sd_1, sd_2, r)) in zip(axes, forms.items(), strict=True):
    first, second = sd_1 * normal[:, 0], sd_2 * (r * normal[:, 0] + np.sqrt(1 - r**2) * normal[:, 1])
    ax.plot([0, 1], [first, second], "-", color=BLUE, lw=0.9, alpha=0.7)
    ax.set_xticks([0, 1], ["1", "2"])
    ax.set_xlabel("Environment")
    ax.set_title(form, size=9)
    ax.set_xlim(-0.2, 1.2)
axes[0].set_ylabel("Genetic effect")
plt.show()

# %% [markdown]
# `lmm.qtl.sex_specific(..., sex="treatment")` takes any column of two values, `(0 + field | kin(ped))` with
# `residual="varident(field)"` a factor of more levels, and `lmm.qtl.gene_by_environment` an environment that is a
# number, such as age.

# %% [markdown]
# ## How precise is a genetic correlation?
#
# We draw 200 new studies from the fit of the family study, fit each, and look at the spread of the estimates. All of
# them have the same true values, those of the fit.


# %%
def three(fitted):
    """The three correlations of a fit."""
    G, R = (fitted.varcorr[term].to_numpy() for term in ("kin(ped)", "Residual"))
    return pd.Series({k: M[0, 1] / np.sqrt(M[0, 0] * M[1, 1]) for k, M in (("g", G), ("e", R), ("p", G + R))})


drawn = fit.simulate(200, seed=6)
again = pd.DataFrame([three(fit.refit(drawn[name])) for name in drawn])
spread = pd.DataFrame({"truth": three(fit), "SD": again.std()}).join(again.quantile([0.025, 0.975]).T)
spread.round(3)

# %%
fig, ax = plt.subplots(figsize=(6.2, 3))
bins = np.arange(-0.2, 1.05, 0.05)
for letter, colour, style in (("p", GREY, ":"), ("e", ORANGE, "--"), ("g", BLUE, "-")):
    ax.hist(again[letter], bins, histtype="step", lw=1.8, color=colour, ls=style, label=rf"$\hat\rho_{letter}$")
    ax.axvline(spread.loc[letter, "truth"], color=colour, ls=style, lw=0.9)
ax.set(xlabel="Estimated correlation", ylabel="Studies of 200")
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# Phenotypic correlations are estimated well, genetic ones are not: the standard deviation of $\hat\rho_g$ is about
# twice that of $\hat\rho_p$. Standard errors go down with the square root of the number of families, so that half of
# an error costs four times the people:

# %%
rng, rows = np.random.default_rng(9), []
for number in (15, 60, 240):
    some = draw_families(number, rng)
    some_ped = lmm.Pedigree.from_frame(some)
    K = np.linalg.cholesky(some_ped.additive().to_frame(some["ID"]).to_numpy())
    m = len(some)
    values = K @ rng.standard_normal((m, 2)) @ np.linalg.cholesky(C_plus).T
    values += rng.standard_normal((m, 2)) @ np.linalg.cholesky(E_plus).T
    fitted = lmm.lmer("cbind(y1, y2) ~ 1 + kin(some_ped)", some.assign(y1=values[:, 0], y2=values[:, 1]))
    rows.append((number, m, *fitted.correlations(method="wald")["std_error"]))
pd.DataFrame(rows, columns=["families", "people", "SE rho_g", "SE rho_e", "SE rho_p"]).round(3)

# %% [markdown]
# Simulated studies of this size in other settings, with coverage of intervals and levels of tests, are in [what two
# traits of people in families can tell](../docs/explanation/recovery.md). There, a genetic correlation that is not
# significant says little, and one that is estimated as ±1 may come from a trait that is hardly heritable.

# %% [markdown]
# ## Breeding values borrow from the other trait
#
# The BLUP of a genetic effect uses all that is correlated with it. With two traits that is the other trait, too: of
# the person, and of relatives. Let a third have trait 2. We predict $g_2$ of everybody by trait 2 alone, and by both
# traits, and compare with the truth, which a simulation has. The variances are given (`varcomp=`), so that nothing
# but the data differs; the table averages over 20 studies.

# %%
given_2 = {"kin(pedigree)": C_plus[1, 1], "Residual": E_plus[1, 1]}
given = {"kin(pedigree)": C_plus, "Residual": E_plus}


def predicted(data):
    """Predictions of the genetic effects on trait 2, by trait 2 and by both traits, in the order of `data`."""
    alone = lmm.lmer("y2 ~ 1 + kin(pedigree)", data, varcomp=given_2).breeding_values()
    joint = lmm.lmer("cbind(y1, y2) ~ 1 + kin(pedigree)", data, varcomp=given).breeding_values()
    joint = joint[joint["trait"] == "y2"]
    return {name: t.set_index("id").loc[data["ID"]] for name, t in (("trait 2", alone), ("both traits", joint))}


# %%
rng, rows = np.random.default_rng(14), []
for _ in range(20):
    g, e = two_traits(C_plus, E_plus, rng)
    y1, y2 = (g + e).T
    has_2 = rng.random(n) < 1 / 3
    blup = predicted(families.assign(y1=y1, y2=np.where(has_2, y2, np.nan)))
    for who, chosen in (("measured", has_2), ("missing", ~has_2)):
        for name, table in blup.items():
            r = np.corrcoef(table["estimate"][chosen], g[chosen, 1])[0, 1]
            rows.append((who, name, r, table["accuracy"][chosen].mean()))
accuracies = pd.DataFrame(rows, columns=["trait 2 is", "predicted by", "correlation with truth", "mean accuracy"])
accuracies.groupby(["trait 2 is", "predicted by"], sort=False).mean().round(2)

# %%
fig, ax = plt.subplots(figsize=(4.6, 4.2))
for chosen, colour, marker, label in ((~has_2, ORANGE, "s", "trait 2 missing"), (has_2, BLUE, "o", "trait 2 measured")):
    one_trait, two = (table["accuracy"][chosen] for table in blup.values())
    ax.plot(one_trait, two, marker, color=colour, ms=3.5, alpha=0.6, label=label)
ax.plot([0, 0.9], [0, 0.9], color=GREY, lw=1)
ax.set(xlabel="Accuracy from trait 2 alone", ylabel="Accuracy from both traits", xlim=(-0.02, 0.9), ylim=(0, 0.9))
ax.set_aspect("equal")
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# Accuracy is the correlation of a predicted with the true genetic effect; lmmpy computes it from the model. The
# correlation with the truth, over all people of a kind, is close to the mean of the accuracies. No point lies below
# the line. Those gain most who have no record of trait 2 and few relatives with one: their own trait 1 stands in for
# it. This is how animal breeders select for what is dear to measure, by what is cheap.

# %% [markdown]
# ## What to take away
#
# - Two traits in families have the covariance $C \otimes A + E \otimes I$. Traits of one person show $C_{12} +
#   E_{12}$; traits of two relatives show $A_{ij} C_{12}$. That tells genes from environment.
# - $\rho_p = \rho_g \sqrt{h_1^2 h_2^2} + \rho_e \sqrt{(1-h_1^2)(1-h_2^2)}$ can be near zero while both parts are
#   large.
# - $\rho_g = 0$ is tested by $\chi^2_1$, $|\rho_g| = 1$ by $\tfrac12\chi^2_0 + \tfrac12\chi^2_1$; give profile
#   intervals.
# - $\rho_g \ne 0$ may be pleiotropy, linkage disequilibrium or causation; $\rho_g = 0$ may be pleiotropy that cancels
#   out.
# - People with one trait belong in the analysis. If trait 2 was measured because of trait 1, they repair the
#   selection.
# - The two sexes, or two environments, are two traits of which everybody has one.
# - Genetic correlations need many relatives. State the interval, and test heritabilities first.

# %% [markdown]
# ## Exercises
#
# 1. Traits have $h_1^2 = 0.6$ and $h_2^2 = 0.3$, and $\rho_g = 0.5$. For which $\rho_e$ is $\rho_p = 0$?
# 2. You know $h_1^2 = h_2^2 = 0.4$ and $\rho_p = 0.5$ from the literature. Which values of $\rho_g$ are possible?
# 3. Test in the family study whether the genetic and the environmental correlation are equal.
# 4. Add the household to the model of the family study: `(1 | household)`. What becomes of $\rho_g$ and $\rho_e$? Is
#    the household needed?
# 5. Repeat the selected studies with trait 2 missing where trait 2 itself is below its median. What does the
#    model of both traits give?
# 6. With $A = Q D Q^\top$, show that $V$ becomes $n$ blocks of $2 \times 2$ when $Q^\top$ is applied to each trait,
#    and compute the log-likelihood of the first simulated study from the blocks.

# %% [markdown]
# ## Solutions
#
# **1.** Set the sum to zero and solve for $\rho_e$.

# %%
h2_1, h2_2, rho_g = 0.6, 0.3, 0.5
print(round(-rho_g * np.sqrt(h2_1 * h2_2) / np.sqrt((1 - h2_1) * (1 - h2_2)), 3))

# %% [markdown]
# **2.** $\rho_e$ is between −1 and 1, which leaves a range for $\rho_g$; its upper end is beyond 1 here, so that the
# bound is 1. The phenotypic correlation alone says little.

# %%
h2, rho_p = 0.4, 0.5
ends = [(rho_p - rho_e * (1 - h2)) / h2 for rho_e in (1, -1)]
print(np.clip(ends, -1, 1).round(3), "from", np.round(ends, 3))

# %% [markdown]
# **3.** A constraint may name another parameter. Both are inside their range, so the reference is $\chi^2_1$.
# Equality is not rejected.

# %%
print(lmm.anova(ml.constrain({rho: "cor_fvii.bmi|Residual"}), ml))

# %% [markdown]
# **4.** The household takes from the genes: people of one household are mostly relatives, and the two are hard to tell
# apart in a study of this size. Its two effects are estimated as perfectly correlated (a singular fit), and $\rho_g$
# falls a little, while $\rho_e$ hardly changes. `lmm.ranova` tests the term with all its three parameters, two
# variances and a correlation. There is no mixture in closed form for that; the naive p-value is too large, and far
# from small here. That is no proof that there is no household: the study was simulated with one.

# %%
with warnings.catch_warnings():
    warnings.simplefilter("ignore", lmm.LmmpyWarning)
    housed = lmm.lmer("cbind(bmi, fvii) ~ age + sex + (1 | household) + kin(ped)", family)
    print(housed.varcorr)
    print(lmm.ranova(housed))

# %% [markdown]
# **5.** All three analyses have the wrong mean: the values that are missing are missing for what they are (not at
# random), and nothing that was seen says so.

# %%
by_trait_2 = selected_studies(lambda y1, y2: y2 > y2.median(), 15, seed=5)
by_trait_2.groupby("analysis", sort=False).mean().round(2)

# %% [markdown]
# **6.** $(I \otimes Q^\top) V (I \otimes Q) = C \otimes D + E \otimes I$, in which the two traits of position $k$
# covary by $d_k C + E$ and positions are independent. So the log-likelihood is a sum over $n$ small blocks. Programs
# for two traits use this where all traits are measured in everybody.

# %%
d, Q = np.linalg.eigh(A)
turned = Q.T @ study[["y1", "y2"]].to_numpy()
ones = Q.T @ np.ones(n)
blocks = d[:, None, None] * sim_C + sim_E
inverse = np.linalg.inv(blocks)
means = np.linalg.solve(np.einsum("k,kst->st", ones**2, inverse), np.einsum("k,kst,kt->s", ones, inverse, turned))
r = turned - ones[:, None] * means
total = 2 * n * np.log(2 * np.pi) + np.linalg.slogdet(blocks)[1].sum() + np.einsum("ks,kst,kt->", r, inverse, r)
print(f"{-total / 2:.4f} by blocks, {both.loglik:.4f} by lmer")

# %% [markdown]
# ## Further reading
#
# - Falconer (1952), The problem of environment and selection, *American Naturalist*: one trait in two environments as
#   two.
# - Falconer & Mackay (1996), *Introduction to Quantitative Genetics*: correlated characters, and genotype by
#   environment.
# - Almasy, Dyer & Blangero (1997), *Genetic Epidemiology*: two traits in pedigrees, and pleiotropy against coincident
#   linkage.
# - Towne, Siervogel & Blangero (1997), *Genetic Epidemiology*: genotype by sex interaction.
# - Self & Liang (1987), *Journal of the American Statistical Association*: likelihood-ratio tests at a boundary.
# - Little & Rubin (2019), *Statistical Analysis with Missing Data*.
# - [Several traits at once](../docs/how-to/traits.md): all that lmmpy does with several traits, and translations from
#   SOLAR, ASReml and MCMCglmm.
#
# [6. What h² means](06_what_h2_means.ipynb) · [8. Linkage](08_linkage.ipynb)
