# %% [markdown]
# # 8. Linkage
#
# Which region of the genome holds a gene that moves a quantitative trait? Linkage analysis answers with families:
# relatives who share a piece of a chromosome by descent should be alike in the trait, if a locus in that piece acts on
# it. At the end you can fit the variance-components model of linkage by hand and by `lmm.qtl.linkage`, read a LOD
# curve, say how high a LOD must be, see when LODs cannot be trusted, and tell beforehand what a study can find.
#
# Assumed are the polygenic model ([5. The polygenic model](05_polygenic.ipynb)) and likelihood-ratio tests of a
# variance ([4. Likelihood and inference](04_likelihood_and_inference.ipynb)).

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown
from scipy.optimize import minimize, minimize_scalar
from scipy.stats import chi2, norm

import lmmpy as lmm
from lmmpy import plots
from lmmpy.plots import draw_pedigree

plots.use_style()
COLOURS = plots.COLOURS

# %% [markdown]
# ## Alike in state, or by descent
#
# Two alleles are identical **in state** (IBS) when they read the same. They are identical **by descent** (IBD) when
# they are copies of one allele of a common ancestor. Of two siblings one allele of the father and one of the mother is
# handed to each, so that they share 0, 1 or 2 alleles by descent at any position.
#
# `lmm.qtl.drop_genes` simulates this: every founder gets two alleles with numbers of their own, and each child draws
# one of each parent's. With numbered alleles descent is seen directly. Here is a family of two parents and two
# children, at five unlinked loci; `state` is what a marker with two alleles would show.

# %%
four = pd.DataFrame(
    {
        "ID": ["father", "mother", "ann", "ben"],
        "FA": ["0", "0", "father", "father"],
        "MO": ["0", "0", "mother", "mother"],
    }
)
nuclear = lmm.Pedigree.from_frame(four.assign(SEX=[1, 2, 2, 1], MZTWIN=0))
genes = lmm.qtl.drop_genes(nuclear, 5, seed=1)  # five unlinked loci
state = genes.genotypes(0.3, seed=2)  # copies of an allele of frequency 0.3
origin = [[f"{a}|{b}" for a, b in person] for person in genes.alleles.transpose(1, 0, 2)]
by_descent = pd.DataFrame(origin, index=genes.people, columns=state.columns)
print(pd.concat({"descent": by_descent, "state": state}, axis=1).T.to_string())

# %% [markdown]
# `0|2` is: the allele 0 from the father, the allele 2 from the mother. Look for a locus at which Ann and Ben have the
# same genotype, but not the same numbers.
#
# How often is that so? The number of alleles that two siblings share by descent, against the difference of their
# genotypes, at many such loci:

# %%
many = lmm.qtl.drop_genes(nuclear, 20_000, seed=3)
ann, ben = many.alleles[:, 2], many.alleles[:, 3]  # shape (loci, 2): from father, from mother
ibd_of_sibs = (ann == ben).sum(axis=1)
copies = many.genotypes(0.3, seed=4)
difference = (copies.loc["ann"] - copies.loc["ben"]).abs().to_numpy()
table = pd.crosstab(ibd_of_sibs, difference, normalize="index")
table.index.name, table.columns.name = "shared by descent", "difference of genotypes"
print(table.round(3))

# %% [markdown]
# Siblings who share both alleles have the same genotype. Those who share none often have the same genotype, too:
# unrelated people do. Linkage needs the rows, and a marker shows the columns. In practice the sharing is estimated
# from many markers (`lmm.qtl.marker_ibd` for single ones; Merlin and others for several). From here on it is taken as
# known.

# %% [markdown]
# ## How much do siblings share?
#
# Let $\pi$ be half the number of alleles that two people share by descent at a position. For siblings it is 0, ½ or 1
# with probabilities ¼, ½, ¼. Its mean, ½, is twice the kinship: what notebook 5 put into $A$. Other relatives:


# %%
def three_generations():
    """Grandparents, two children who marry, and two grandchildren of each: one family."""
    rows = [("gf", "0", "0"), ("gm", "0", "0"), ("a", "gf", "gm"), ("b", "gf", "gm"), ("x", "0", "0"), ("y", "0", "0")]
    rows += [("a1", "x", "a"), ("a2", "x", "a"), ("b1", "b", "y"), ("b2", "b", "y")]
    frame = pd.DataFrame(rows, columns=["ID", "FA", "MO"])
    return frame.assign(SEX=[1, 2, 2, 1, 1, 2, 1, 2, 1, 2], MZTWIN=0)


small = lmm.Pedigree.from_frame(three_generations())
dropped = lmm.qtl.drop_genes(small, 20_000, seed=5)
place = {name: i for i, name in enumerate(dropped.people)}


def sharing(one, other):
    """Half the number of alleles shared by descent, at each locus; nobody is inbred here."""
    first, second = dropped.alleles[:, place[one]], dropped.alleles[:, place[other]]
    return (first[:, :, None] == second[:, None, :]).sum(axis=(1, 2)) / 2


# %%
A = small.additive().to_frame(dropped.people)
kinds = {"parent, child": ("a", "a1"), "siblings": ("a1", "a2"), "grandparent, grandchild": ("gf", "a1")}
kinds |= {"aunt, nephew": ("a", "b1"), "first cousins": ("a1", "b1")}
shares = {kind: sharing(*pair) for kind, pair in kinds.items()}
summary = pd.DataFrame(
    {kind: [(pi == level).mean() for level in (0, 0.5, 1)] + [pi.mean(), pi.std()] for kind, pi in shares.items()},
    index=["share 0", "share 1", "share 2", "mean of pi", "sd of pi"],
).T
summary.insert(4, "2 x kinship", [A.loc[pair] for pair in kinds.values()])
print(summary.round(3).to_string())

# %%
fig, axes = plt.subplots(1, 4, figsize=(7, 2.3), sharey=True)
for ax, kind in zip(axes, ["parent, child", "siblings", "grandparent, grandchild", "first cousins"], strict=True):
    ax.bar([0, 1, 2], summary.loc[kind, ["share 0", "share 1", "share 2"]], color=COLOURS["blue"], width=0.6)
    ax.axvline(2 * summary.loc[kind, "2 x kinship"], color=COLOURS["vermilion"], linestyle="--")
    ax.set_title(kind.replace("grandparent, ", "grandparent,\n"), fontsize=9)
    ax.set_xticks([0, 1, 2])
axes[0].set_ylabel("Proportion of loci")
axes[1].annotate("expected", (1.12, 0.75), color=COLOURS["vermilion"], fontsize=8)
fig.supxlabel("Alleles shared by descent", fontsize=10)
plt.show()

# %% [markdown]
# The mean is the same as twice the kinship. **What varies around it is the signal of linkage.** A parent and a child
# always share one allele, so that such pairs say nothing. Siblings vary most.
#
# Along a chromosome sharing changes where a parent's two copies recombined. Three pairs of siblings, on a chromosome
# of 100 cM:

# %%
along = np.arange(0, 101)
fig, axes = plt.subplots(3, 1, figsize=(6.4, 3.0), sharex=True, sharey=True)
for number, ax in enumerate(axes):
    pair = lmm.qtl.drop_genes(nuclear, along, seed=10 + number).alleles[:, 2:]
    ax.step(along, (pair[:, 0] == pair[:, 1]).sum(axis=1), where="mid", color=COLOURS["blue"])
    ax.axhline(1, color=COLOURS["grey"], linewidth=0.8, linestyle="--")
    ax.set(yticks=[0, 1, 2], ylim=(-0.2, 2.2))
    ax.set_title(f"pair {number + 1}", fontsize=9)
axes[1].set_ylabel("Alleles shared by descent")
axes[2].set_xlabel("Position (cM)")
plt.show()

# %% [markdown]
# Pieces are long: neighbouring positions say nearly the same. Hence a scan every 5 or 10 cM suffices, and hence
# linkage finds regions and not genes.

# %% [markdown]
# ## The model
#
# Let $Q_x$ be the matrix of the $\pi$ of all pairs at a position $x$, with 1 on its diagonal (nobody is inbred). The
# trait is
#
# $$y = X\beta + q + g + e,\qquad V = \sigma^2_q Q_x + \sigma^2_g A + \sigma^2_e I .$$
#
# $q$ is the effect of a locus at $x$, $g$ that of all other genes, with $A$ twice the kinship, and $e$ the rest. Why
# $Q_x$? If each founder allele has an effect of its own with variance $\sigma^2_q/2$, a person's $q$ is the sum of two
# of them, and two people's covariance is $\sigma^2_q$ times what they share. The shares of the variance are
# $h^2_q = \sigma^2_q/\sigma^2$ and $h^2 = \sigma^2_g/\sigma^2$, with $\sigma^2$ the sum of all three.
#
# The test compares two log-likelihoods, $\ell_1$ of this model and $\ell_0$ of the polygenic one ($\sigma^2_q = 0$).
# Geneticists write it as a logarithm to the base 10, the LOD score:
#
# $$\mathrm{LOD} = \frac{\ell_1 - \ell_0}{\ln 10}.$$
#
# The bundled study has 398 people in 21 families, and the true sharing every 5 cM along one chromosome. A locus at 40
# cM acts on `bmi`; here is the first family.

# %%
family = lmm.datasets.load("family")
pedigree = lmm.datasets.load("family_pedigree")
ped = lmm.Pedigree.from_frame(pedigree)
ibd = lmm.datasets.load("family_ibd")
print(lmm.datasets.describe("family_ibd"))
print(f"{len(family)} people in {pedigree['FAMID'].nunique()} families")
ax = draw_pedigree(ped, 1)
ax.figure.set_size_inches(7, 2.8)

# %% [markdown]
# The likelihood by hand. For given shares the covariance is $\sigma^2 R$ with
# $R = h^2_q Q + h^2 A + (1 - h^2_q - h^2) I$; then $\hat\beta$ is generalised least squares,
# $\hat\sigma^2 = r^\top R^{-1} r/n$ with $r = y - X\hat\beta$, and $-2\ell = n[1 + \log(2\pi\hat\sigma^2)] + \log|R|$.
# Two numbers are left to search for.

# %%
people = family.dropna(subset=["bmi"])
ids, y = people["ID"].tolist(), people["bmi"].to_numpy()
X = np.column_stack([np.ones(len(y)), people["age"], people["sex"] == "female"]).astype(float)
related = ped.additive().to_frame(ids).to_numpy()
at_40 = ibd[ibd["position"] == 40].pivot(index="id1", columns="id2", values="ibd")
at_40 = at_40.reindex(index=ids, columns=ids).fillna(0).to_numpy()
shared = np.maximum(at_40, at_40.T)  # the table has one triangle


def loglik(h2q, h2):
    """ML log-likelihood of the shares of the locus and of the other genes; the rest is e2."""
    e2 = 1 - h2q - h2
    if min(h2q, h2, e2) < 0 or e2 < 1e-3:
        return -np.inf
    L = np.linalg.cholesky(h2q * shared + h2 * related + e2 * np.eye(len(y)))
    Xw, yw = np.linalg.solve(L, X), np.linalg.solve(L, y)
    r = yw - Xw @ np.linalg.lstsq(Xw, yw)[0]
    return -0.5 * len(y) * (1 + np.log(2 * np.pi * r @ r / len(y))) - np.log(L.diagonal()).sum()


# %%
null_best = minimize_scalar(lambda h2: -loglik(0, h2), bounds=(0, 0.99), method="bounded")
full_best = minimize(lambda p: -loglik(*p), [0.2, 0.4], method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-7})
by_hand = {"l0": -null_best.fun, "l1": -full_best.fun, "lod": (null_best.fun - full_best.fun) / np.log(10)}
by_hand |= {"h2q": full_best.x[0], "h2": full_best.x[1]}

null = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
scan = lmm.qtl.linkage(null, ibd)
row = scan.lod.set_index("position").loc[40]
by_lmmpy = {"l0": null.fit.loglik, "l1": row["loglik"], "lod": row["lod"], "h2q": row["h2q"], "h2": row["h2"]}
print(pd.DataFrame({"by hand": by_hand, "lmmpy": by_lmmpy}).round(3))

# %% [markdown]
# The two agree. `qtl.polygenic` fits by maximum likelihood, as is usual for LODs. A restricted likelihood would do as
# well, as the fixed part is the same in both models; the numbers would differ a little.
#
# The picture below has the likelihood of all shares, as a drop from its maximum in units of LOD. The polygenic model
# is the left edge: the LOD is the height that is lost by going there.

# %%
grid_q, grid_g = np.linspace(0, 0.8, 21), np.linspace(0, 0.95, 25)
surface = np.array([[loglik(q, g) for q in grid_q] for g in grid_g])
drop = (by_hand["l1"] - surface) / np.log(10)
fig, ax = plt.subplots(figsize=(5.2, 3.8))
shown = np.where(np.isfinite(drop), drop, np.nan)
lines = ax.contour(grid_q, grid_g, shown, [0.5, 1, 2, 3, 6, 10], colors=COLOURS["blue"], linewidths=1)
label_at = [(0.25, 0.45), (0.235, 0.37), (0.19, 0.36), (0.155, 0.35), (0.1, 0.27), (0.075, 0.17)]
ax.clabel(lines, fmt="%.3g", fontsize=8, manual=label_at)
ax.contour(grid_q, grid_g, shown, [by_hand["lod"]], colors=COLOURS["vermilion"], linestyles="--")
ax.plot(by_hand["h2q"], by_hand["h2"], "o", color=COLOURS["vermilion"])
ax.plot(0, null_best.x, "s", color=COLOURS["vermilion"], clip_on=False)
ax.annotate("with the locus", (0.43, 0.75), fontsize=9)
ax.annotate(
    "", (by_hand["h2q"], by_hand["h2"]), (0.45, 0.74), arrowprops={"arrowstyle": "->", "color": COLOURS["grey"]}
)
ax.annotate("polygenic", (0.12, 0.92), fontsize=9)
ax.annotate("", (0.005, null_best.x), (0.12, 0.92), arrowprops={"arrowstyle": "->", "color": COLOURS["grey"]})
ax.set(xlabel="Share of the locus, $h^2_q$", ylabel="Share of the other genes, $h^2$")
plt.show()

# %% [markdown]
# The ridge runs downwards: the sum $h^2_q + h^2$ is known better than how it divides. $Q_x$ and $A$ are alike, as $A$
# is the mean of all $Q_x$.

# %% [markdown]
# ## A scan along the chromosome
#
# `lmm.qtl.linkage` did that at all positions. The dashed line is the traditional threshold; the bar below is the
# **1-LOD support interval**, the positions at which the LOD is not more than 1 below its maximum.

# %%
print(scan)
ax = scan.plot(drop=1)
ax.axvline(40, color=COLOURS["vermilion"], linestyle=":", linewidth=1.2)
ax.annotate("the locus", (41, 4.3), fontsize=8, color=COLOURS["vermilion"])
ax.figure.set_size_inches(6.4, 3.2)

# %% [markdown]
# The locus is found where it is. How right is the estimated share, `h2q`? The trait was simulated with a variance of
# 0.8 for the locus, 0.9 for the other genes, 0.3 for households and 0.7 for the rest, and a SNP elsewhere:

# %%
simulated = {"locus": 0.8, "other genes": 0.9, "households": 0.3, "rest": 0.7}
truth = simulated["locus"] / sum(simulated.values())
print(f"share of the locus: {truth:.3f} as simulated (without the SNP), {row['h2q']:.3f} estimated")
at_peak = scan.fit_at(40)  # an ordinary fit, with confint, ranef, vpredict, ...
print(at_peak.varcorr)
print(at_peak.vpredict(h2q="kin(ID, ibd_1_40) / (kin(ID, ibd_1_40) + kin(ID, ped) + Residual)").round(3))

# %% [markdown]
# The interval of the share is wide. We come back to estimates at peaks.

# %% [markdown]
# ## Families of your own
#
# To learn what linkage can do, simulate. The study below has 100 nuclear families with four children each.
# `drop_genes` hands down two chromosomes of 100 cM; a locus on each acts on the trait: on chromosome 1 at 30 cM with a
# share of 0.35, on chromosome 2 at 70 cM with a share of 0.3. Other genes have 0.15.


# %%
def nuclear_families(n, children):
    """Pedigree of n families: two parents and some children each; ids from 1."""
    size = 2 + children
    start = np.repeat(np.arange(n) * size, size)
    member = np.tile(np.arange(size), n)
    child = member >= 2
    frame = pd.DataFrame({"ID": start + member + 1, "FA": np.where(child, start + 1, 0)})
    return frame.assign(MO=np.where(child, start + 2, 0), SEX=1 + member % 2, MZTWIN=0)


def locus_effects(genes, locus, share, rng):
    """The effects q: each founder allele has one of its own, of variance share/2."""
    of_allele = np.sqrt(share / 2) * rng.standard_normal(genes.n_founder_alleles)
    return of_allele[genes.alleles[locus]].sum(axis=1)


# %%
rng = np.random.default_rng(8)
sibships = lmm.Pedigree.from_frame(nuclear_families(100, 4))
steps = np.arange(0, 101, 5)
map_5cm = pd.DataFrame({"chromosome": np.repeat(["1", "2"], len(steps)), "position": np.tile(steps, 2)})
passed_on = lmm.qtl.drop_genes(sibships, map_5cm, seed=80)
chromosome, position = map_5cm["chromosome"], map_5cm["position"]
first = int(np.flatnonzero((chromosome == "1") & (position == 30))[0])
second = int(np.flatnonzero((chromosome == "2") & (position == 70))[0])
kinship = sibships.additive().to_frame(passed_on.people).to_numpy()
g = np.sqrt(0.15) * np.linalg.cholesky(kinship) @ rng.standard_normal(len(kinship))
q = locus_effects(passed_on, first, 0.35, rng) + locus_effects(passed_on, second, 0.3, rng)
trait = q + g + np.sqrt(0.2) * rng.standard_normal(len(kinship))
study = pd.DataFrame({"ID": [int(name) for name in passed_on.people], "trait": trait})

# %%
own_null = lmm.qtl.polygenic("trait ~ 1", study, sibships)
own = lmm.qtl.linkage(own_null, passed_on.ibd)
print(own.peaks(lod=2)[["chromosome", "position", "lod", "low", "high", "h2q"]].round(2).to_string(index=False))
axes = own.plot(each=True, drop=1, lod=2)
for ax, at in zip(axes, (30, 70), strict=True):
    ax.axvline(at, color=COLOURS["vermilion"], linestyle=":", linewidth=1.2)
axes[0].annotate("locus", (31, 0.1), fontsize=8, color=COLOURS["vermilion"])
axes[0].figure.set_size_inches(7, 2.7)

# %% [markdown]
# The dotted lines are the loci. **A second pass** puts the best locus into the null model, and scans again: what it
# explains is no longer noise for the others, and what it has caused at other positions of its chromosome goes away.

# %%
both = lmm.qtl.linkage(own_null, passed_on.ibd, passes=3, thresholds=[3, 2, 2])
for own_pass in both.passes:
    best = own_pass.lod.loc[own_pass.lod["lod"].idxmax()]
    print(f"{own_pass.null.formula}\n   best: {best['chromosome']}:{best['position']:g} cM, LOD {best['lod']:.2f}")
axes = both.plot(each=True)
for ax in axes:
    for line, style in zip(ax.lines, ["-", "--", ":"], strict=False):  # the passes
        line.set_linestyle(style)
    ax.legend()
axes[0].figure.set_size_inches(7, 2.7)

# %% [markdown]
# Follow chromosome 1 and chromosome 2 from pass to pass: the locus that has joined the null model has no LOD any more,
# and the other one keeps, or raises, its own.

# %% [markdown]
# ## LODs where there is nothing
#
# Without linkage $\sigma^2_q = 0$ is on the boundary of what is possible. With many families the likelihood ratio
# $2(\ell_1-\ell_0) = 2\ln 10\cdot \mathrm{LOD}$ is then zero half of the time, and $\chi^2_1$ otherwise:
#
# $$2\ln 10\cdot\mathrm{LOD} \sim \tfrac12\chi^2_0 + \tfrac12\chi^2_1,\qquad
# p = \tfrac12 P(\chi^2_1 \ge 2 \ln 10\cdot\mathrm{LOD}).$$
#
# Is that so in the families of the bundled study? `fit.simulate` draws traits of the polygenic model, and
# `lmm.qtl.unlinked` loci that know nothing of them.

# %%
base = lmm.lmer("bmi ~ age + sex + kin(ped)", family, reml=False)
draws = base.simulate(100, seed=21)
null_lods = []
for number, name in enumerate(draws):
    elsewhere = lmm.qtl.unlinked(ped, 40, seed=100 + number)
    null_lods.append(lmm.qtl.linkage(base.refit(draws[name]), elsewhere).lod["lod"].to_numpy())
null_lods = np.array(null_lods)  # a row a trait, a column a locus

# %%
rows = []
for lod in (0.588, 1.175, 2.07):
    reached = (null_lods >= lod).mean(axis=1)  # by trait: loci of one trait are not independent
    expected = 0.5 * chi2.sf(2 * np.log(10) * lod, 1)
    rows.append([lod, 100 * expected, 100 * reached.mean(), 100 * reached.std(ddof=1) / np.sqrt(len(reached))])
print(f"zero: {np.mean(null_lods < 1e-6):.3f} of {null_lods.size} LODs (expected 0.5)")
print(pd.DataFrame(rows, columns=["LOD", "expected %", "observed %", "standard error"]).round(2).to_string(index=False))

# %%
statistic = np.sort(2 * np.log(10) * null_lods.ravel())
m = len(statistic)
uniform = (np.arange(m) + 0.5) / m
mixture = chi2.ppf(np.clip(2 * uniform - 1, 0, None), 1)  # quantiles of the mixture
fig, (left, right) = plt.subplots(1, 2, figsize=(7, 3.1))
left.hist(
    statistic[statistic > 1e-6], bins=np.arange(0, 12.1, 0.5), density=True, color=COLOURS["sky"], edgecolor="white"
)
x = np.linspace(0.06, 12, 400)
left.plot(x, chi2.pdf(x, 1), color=COLOURS["vermilion"], linestyle="--", label="$\\chi^2_1$")
left.set(xlabel="$2\\ln 10\\cdot$LOD, where not zero", ylabel="Density", ylim=(0, 1.4))
left.legend()
right.plot(mixture, statistic, ".", color=COLOURS["blue"], markersize=4)
right.plot([0, mixture[-1]], [0, mixture[-1]], color=COLOURS["grey"], linestyle="--", linewidth=1)
right.set(xlabel="Quantile of ½χ²₀ + ½χ²₁", ylabel="Observed $2\\ln 10\\cdot$LOD")
plt.show()

# %% [markdown]
# The mixture holds, within the standard errors of the simulation. Taking the whole $\chi^2_1$ would double each
# p-value.

# %% [markdown]
# ## How high must a LOD be?
#
# The p-value of a LOD at one position:

# %%
lods = np.array([0.588, 1.0, 1.175, 2.0, 2.07, 3.0, 3.3])
pointwise = pd.DataFrame({"LOD": lods, "pointwise p": 0.5 * chi2.sf(2 * np.log(10) * lods, 1)})
print(pointwise.to_string(index=False, float_format="{:.3g}".format))

# %% [markdown]
# A scan asks at many positions, though, and takes the best. How high is the maximum along a chromosome without any
# locus? Hold one trait as it is, and hand down 400 chromosomes of 100 cM that have nothing to do with it.

# %%
at = np.arange(0, 101, 10)
chromosomes = pd.DataFrame(
    {"chromosome": np.repeat(np.arange(1, 401).astype(str), len(at)), "position": np.tile(at, 400)}
)
nothing = lmm.qtl.drop_genes(ped, chromosomes, seed=31)
trait_of_none = base.refit(draws["sim_1"])
unlinked_scan = lmm.qtl.linkage(trait_of_none, nothing.ibd)
maxima = unlinked_scan.lod.groupby("chromosome")["lod"].max()

rows = []
for lod in (0.588, 1.0, 1.5):
    alone, highest = 0.5 * chi2.sf(2 * np.log(10) * lod, 1), (maxima >= lod).mean()
    rows.append([lod, alone, highest, np.log(1 - highest) / np.log(1 - alone)])
effective = pd.DataFrame(rows, columns=["LOD", "pointwise p", "p of the chromosome", "independent tests"])
print(effective.round(3).to_string(index=False))

# %% [markdown]
# The last column is the number of independent positions, $k$, for which $1 - (1-p)^k$ is what is seen: fewer than the
# positions that were tested, as neighbours say nearly the same. It grows with the LOD, and has a sampling error. A
# genome of 35 such chromosomes has 35 times as many:

# %%
k = effective["independent tests"].iloc[1]
p_needed = 1 - 0.95 ** (1 / (35 * k))  # genome-wide 0.05
lod_needed = chi2.isf(2 * p_needed, 1) / (2 * np.log(10))
at_most = chi2.isf(2 * (1 - 0.95 ** (1 / (35 * len(at)))), 1) / (2 * np.log(10))  # if all positions were independent
one_chromosome = maxima.quantile(0.95)
fig, ax = plt.subplots(figsize=(5.6, 3.0))
ax.hist(maxima, bins=np.arange(0, 4.1, 0.2), color=COLOURS["sky"], edgecolor="white")
for level, text, style in ((one_chromosome, "5 % of\na chromosome", "--"), (lod_needed, "5 % of\na genome", ":")):
    ax.axvline(level, color=COLOURS["vermilion"], linestyle=style)
    ax.annotate(text, (level + 0.04, 60), fontsize=8, color=COLOURS["vermilion"])
ax.set(xlabel="Highest LOD of a chromosome without a locus", ylabel="Chromosomes")
Markdown(
    f"A chromosome needs a LOD of about {one_chromosome:.1f}, a genome of 35 such chromosomes one of about "
    f"{lod_needed:.1f}, and of at most {at_most:.1f}, for an error of 5 % in all. A map without gaps has more "
    "independent positions: Lander & Kruglyak (1995) come to 3.6 for allele sharing of pairs of siblings and 3.3 for "
    "classical LODs, and 3 is the tradition since Morton (1955)."
)

# %% [markdown]
# With your own pedigree and map you can simulate the threshold in the same way: it is one call of `drop_genes` and one
# of `linkage`.

# %% [markdown]
# ## A heavy tail makes LODs too large
#
# A likelihood of variances looks at squares, and the sampling error of squares is large where the trait has outliers.
# Take traits that are not normal: $\exp(0.8 z)$, with $z$ a heritable normal trait, $h^2 = 0.5$. Nothing is linked.
# `lmm.qtl.lod_adjust` drops genes for each trait and compares what it finds with the mixture; `lmm.qtl.inormal`
# replaces the values by normal scores.

# %%
half = lmm.lmer("bmi ~ 1 + kin(ped)", family, reml=False, varcomp={"kin(ped)": 1, "Residual": 1})
normal = half.simulate(6, seed=41)
skewed = np.exp(0.8 * (normal - normal.mean()) / normal.std())
loci = lmm.qtl.unlinked(ped, 200, seed=42)
heavy = lmm.lmer("bmi ~ 1 + kin(ped)", family, reml=False)
print(f"excess kurtosis of the traits: {skewed.kurtosis().round(1).tolist()}")

kinds = {"as it is": [], "lod_adjust": [], "inormal": []}
for number, name in enumerate(skewed):
    fit = heavy.refit(skewed[name])
    kinds["as it is"].append(lmm.qtl.linkage(fit, loci).lod["lod"])
    adjustment = lmm.qtl.lod_adjust(fit, ped, n=200, seed=50 + number)
    kinds["lod_adjust"].append(adjustment.multiplier * kinds["as it is"][-1])
    kinds["inormal"].append(lmm.qtl.linkage(heavy.refit(lmm.qtl.inormal(skewed[name])), loci).lod["lod"])

# %%
pooled = {kind: np.sort(np.concatenate(values)) for kind, values in kinds.items()}
inflation = pd.DataFrame(
    {kind: [100 * np.mean(values >= lod) for lod in (0.588, 1.175, 2.07)] for kind, values in pooled.items()},
    index=pd.Index(["0.588 (5 %)", "1.175 (1 %)", "2.070 (0.1 %)"], name="LOD reached by, %"),
)
print(inflation.round(2))

# %%
fig, ax = plt.subplots(figsize=(5.0, 3.4))
n_lods = len(pooled["as it is"])
expected = chi2.ppf(np.clip(2 * (np.arange(n_lods) + 0.5) / n_lods - 1, 0, None), 1) / (2 * np.log(10))
for (kind, values), (name, marker) in zip(
    pooled.items(), [("vermilion", "o"), ("blue", "s"), ("green", "^")], strict=True
):
    ax.plot(expected, values, marker, color=COLOURS[name], markersize=3.5, label=kind)
ax.plot([0, expected[-1]], [0, expected[-1]], color=COLOURS["grey"], linestyle="--", linewidth=1)
ax.set(xlabel="LOD of the mixture", ylabel="LOD of skewed traits without a locus")
ax.legend()
plt.show()

# %% [markdown]
# As they are, LODs lie above the line: too many are high. Both remedies bring them down. (The last row of the table
# counts one or two LODs, and tells nothing.) Normal scores are the first choice where the scale of the trait has no
# meaning of its own; `lod_adjust` leaves the trait as it is. `qtl.polygenic` warns of such a trait:

# %% tags=["warns"]
long_tail = family.assign(trait=skewed.iloc[:, 0])
warned = lmm.qtl.polygenic("trait ~ 1", long_tail, ped)

# %% [markdown]
# ## What belongs in the null model
#
# Everything of the polygenic analysis: covariates, households, a known SNP. What explains the trait but not by this
# locus makes the residual smaller and the LOD, on the average, larger. What people of a family share for other
# reasons, and the model does not know, could pass for the locus.

# %%
nulls = {
    "no covariates": lmm.qtl.polygenic("bmi ~ 1", family, ped),
    "age + sex": null,
    "age + sex + household": lmm.qtl.polygenic("bmi ~ age + sex", family, ped, household="household"),
    "age + sex + snp7": lmm.qtl.polygenic("bmi ~ age + sex + snp7", family, ped),
    "age + sex, normal scores": lmm.qtl.polygenic("bmi ~ age + sex", family, ped, transform="inormal"),
}
rows = {name: lmm.qtl.linkage(model, ibd).best[["position", "lod", "h2q"]] for name, model in nulls.items()}
print(pd.DataFrame(rows).T.astype(float).round(3))

# %% [markdown]
# Here the locus is found by all of them. Age and sex, which act on `bmi`, raise the LOD. `snp7`, which does, too, does
# not: what is true on the average need not be so in one study. Do not choose the null model by the LOD that it gives;
# that is decided by the polygenic analysis, before the scan.

# %% [markdown]
# ## Estimates at a peak are too large
#
# A peak is where the LOD is highest, and reported are peaks that reach a threshold. Both choose positive errors: the
# **winner's curse**. In 120 simulated studies of the 398 people a locus at 50 cM has 20 % of the variance, and other
# genes 30 %.

# %%
rng = np.random.default_rng(61)
everyone = lmm.lmer("trait ~ 1 + kin(ped)", family.assign(trait=np.arange(398.0)), reml=False)
additive = ped.additive().subset(family["ID"])


def one_study(share, positions, locus):
    """A trait with a locus of this share (polygenes 0.5 less that), and its scan."""
    genes = lmm.qtl.drop_genes(ped, positions, seed=rng)
    polygenes = additive.root_times(rng.standard_normal((additive.rank, 1)))[:, 0]
    noise = rng.standard_normal(len(family))
    values = locus_effects(genes, locus, share, rng) + np.sqrt(0.5 - share) * polygenes + np.sqrt(0.5) * noise
    return lmm.qtl.linkage(everyone.refit(values), genes.ibd)


# %%
studies = []
for _ in range(120):
    found = one_study(0.2, at, 5)
    peak, there = found.best, found.lod.iloc[5]
    covered = found.peaks(lod=0).eval("low <= 50 <= high").any()
    studies.append([peak["lod"], peak["h2q"], there["lod"], there["h2q"], covered])
studies = pd.DataFrame(studies, columns=["lod", "h2q", "lod_there", "h2q_there", "covered"]).astype(float)
selected = {f"LOD of {lod}": studies[studies["lod"] >= lod] for lod in (0, 1, 2, 3)}
summary = {name: [len(part), part["h2q"].mean(), part["covered"].mean()] for name, part in selected.items()}
print(f"at the true place, whatever the LOD: mean h2q {studies['h2q_there'].mean():.3f}")
print(pd.DataFrame(summary, index=["studies", "mean h2q at the peak", "1-LOD interval has the locus"]).T.round(3))
print(f"smallest h2q with a LOD of 3 or more: {selected['LOD of 3']['h2q'].min():.3f}")

# %%
fig, ax = plt.subplots(figsize=(5.4, 3.4))
ax.plot(studies["lod"], studies["h2q"], "o", color=COLOURS["blue"], markersize=4, alpha=0.7)
ax.axhline(0.2, color=COLOURS["vermilion"], linestyle="--")
ax.annotate("true share", (4.9, 0.21), color=COLOURS["vermilion"], fontsize=9)
ax.axvline(3, color=COLOURS["grey"], linestyle=":")
ax.set(xlabel="Highest LOD of the chromosome", ylabel="Estimated share at the peak, $h^2_q$")
plt.show()

# %% [markdown]
# Without selection the estimate at the true place is right in the mean. Those of studies that reach the threshold are
# too large: to reach it, they had to be. Do not take the share at a published peak for the truth, and do not plan a
# replication by it. The last column of the table is how often the support interval holds the locus: of all studies
# less often than 95 %. Those with a high LOD are too few to tell theirs.

# %% [markdown]
# ## What a study can find
#
# The expected LOD can be computed without simulation. Let $V$ be the true covariance, and $V_0$ the covariance without
# a locus that is nearest to it. The likelihood ratio then behaves about like $\max(0, Z)^2$ with $Z \sim
# N(\sqrt\lambda, 1)$ and
#
# $$\lambda = \min_{V_0}\big[\operatorname{tr}(V_0^{-1}V) - n + \log|V_0| - \log|V|\big].$$
#
# $\lambda$ grows in proportion to the number of families.

# %%
loci = lmm.qtl.unlinked(ped, 5, seed=71)
everybody = ped.additive().to_frame(family["ID"]).to_numpy()
Q_all = [loci.relatedness(i).to_frame(family["ID"]).to_numpy() for i in range(5)]


def noncentrality(Q, A, share, h2=0.5):
    """Lambda of a locus with this share, when all genes together have h2; V0 = s2 R, s2 is profiled out."""
    n = len(A)
    V = share * Q + (h2 - share) * A + (1 - h2) * np.eye(n)

    def loss(h):
        R = h * A + (1 - h) * np.eye(n)
        return n * np.log(np.trace(np.linalg.solve(R, V)) / n) + np.linalg.slogdet(R)[1] - np.linalg.slogdet(V)[1]

    return minimize_scalar(loss, bounds=(0.01, 0.95), method="bounded", options={"xatol": 1e-3}).fun


# %%
shares = np.array([0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5])
lam = np.array([np.mean([noncentrality(Q, everybody, share) for Q in Q_all]) for share in shares])
threshold = 2 * np.log(10) * 3
fig, ax = plt.subplots(figsize=(6.0, 3.5))
for times, name, marker in ((1, "blue", "o"), (2, "orange", "s"), (5, "green", "^"), (20, "purple", "D")):
    power = norm.sf(np.sqrt(threshold) - np.sqrt(times * lam))
    ax.plot(shares, 100 * power, marker=marker, color=COLOURS[name], label=f"{398 * times:,} people")
ax.set(xlabel="Share of the locus, $h^2_q$", ylabel="Studies with LOD ≥ 3 at the locus (%)", ylim=(-3, 103))
ax.legend()
power = 100 * norm.sf(np.sqrt(threshold) - np.sqrt(lam))
print(pd.DataFrame({"share": shares, "lambda": lam, "power, %": power}).round(2).to_string(index=False))

# %% [markdown]
# And by simulation, at the true place only, in 60 studies for each share, with standard errors:

# %%
simulated = {share: np.array([one_study(share, [0], 0).lod["lod"].iloc[0] for _ in range(60)]) for share in (0.2, 0.3)}
for share, values in simulated.items():
    z = np.sqrt(lam[shares == share][0])
    mean = (z**2 * norm.cdf(z) + z * norm.pdf(z) + norm.cdf(z)) / (2 * np.log(10))  # of max(0, Z)²
    found = np.mean(values >= 3)
    error = 100 * np.sqrt(found * (1 - found) / 60)
    print(
        f"share {share}: mean LOD {values.mean():.2f} ± {values.std() / 60**0.5:.2f} (theory {mean:.2f}), LOD ≥ 3 in "
        f"{100 * found:.0f} ± {error:.0f} % (theory {power[shares == share][0]:.0f} %)"
    )

# %% [markdown]
# **Linkage finds large loci.** With 398 people a locus of 30 % of the variance reaches a LOD of 3 in somewhat less
# than half of the studies, and one of 10 % hardly ever. Most loci of most traits have less than 1 %: what linkage
# cannot see, association can ([9. Association](09_association.ipynb)). Linkage has its place for rare variants of
# large effect, of which each family has its own: descent does not care that the alleles differ.

# %% [markdown]
# ## What to take away
#
# - Sharing by descent has the mean 2 × kinship. What varies around it, position by position, is the information of
#   linkage.
# - $V = \sigma^2_q Q_x + \sigma^2_g A + \sigma^2_e I$; LOD = $(\ell_1-\ell_0)/\ln 10$; reference ½χ²₀ + ½χ²₁.
# - A p-value of a scan is pointwise. Simulate the maximum for your families and your map, or take a threshold that
#   others have computed.
# - Heavy tails make LODs too large: `inormal` the trait, or `lod_adjust`.
# - Estimates at peaks are too large. Support intervals are wide.
# - Compute the power before you scan.

# %% [markdown]
# ## Exercises
#
# 1. By hand: what are the mean and the variance of $\pi$ of siblings, and of half-siblings? Check with `drop_genes`.
# 2. Scan `fvii` of the bundled study. Is there a locus for it on this chromosome?
# 3. Fit the null model of the bundled study by REML (`lmm.lmer`) and scan again. How much do the LODs change?
# 4. A parent and a child always share one allele, and parents share nothing with each other. In the study of 100
#    families leave out the parents' trait. Do the LODs at the two loci stay as they are?
# 5. Compute $\lambda$ per 100 people of sibships of two, three and four children, with and without their parents'
#    trait, for the locus of the winner's curse above. Which families are worth most?
# 6. Move the 1-LOD interval to a 2-LOD interval (`peaks(drop=2)`) in the bundled study. What is its length, and why
#    would you want it?

# %% [markdown]
# ## Solutions
#
# **1.** Siblings: mean ½, variance ¼·¼ + ¼·¼ = ⅛. Half-siblings share one allele with probability ½ and never two:
# mean ¼, variance ¹⁄₁₆.

# %%
rows = [("f", "0", "0"), ("m1", "0", "0"), ("m2", "0", "0"), ("c1", "f", "m1"), ("c2", "f", "m2")]
half_sibs = pd.DataFrame(rows, columns=["ID", "FA", "MO"]).assign(SEX=[1, 2, 2, 1, 1], MZTWIN=0)
c1, c2 = lmm.qtl.drop_genes(lmm.Pedigree.from_frame(half_sibs), 20_000, seed=90).alleles[:, 3:].transpose(1, 0, 2)
pi = (c1[:, 0] == c2[:, 0]) / 2  # they share the father only
print(f"half-siblings: mean {pi.mean():.3f}, variance {pi.var():.4f}; siblings: variance {(ibd_of_sibs / 2).var():.4f}")

# %% [markdown]
# **2.** No LOD comes near a threshold; `fvii` was simulated without this locus.

# %%
fvii = lmm.qtl.linkage(lmm.qtl.polygenic("fvii ~ age + sex", family, ped), scan.settings.ibd)
print(fvii.best[["position", "lod", "p_value"]].astype(float).round(3).to_dict())

# %% [markdown]
# **3.** A little. Both models have the same fixed part, so that restricted likelihoods can be compared.

# %%
restricted = lmm.qtl.linkage(lmm.lmer("bmi ~ age + sex + kin(ped)", family), ibd)
print(f"ML {scan.best['lod']:.3f}, REML {restricted.best['lod']:.3f}")

# %% [markdown]
# **4.** They fall. The parents' sharing says nothing, but their trait does: it tells part of the children's genetic
# values, and what it leaves of the differences between children is clearer for it. The expected fall, by
# $\lambda/(2\ln 10)$, is smaller than that of this one study.

# %%
children = study[(study["ID"] - 1) % 6 >= 2]
fewer = lmm.qtl.linkage(lmm.qtl.polygenic("trait ~ 1", children, sibships), passed_on.ibd)
print(pd.DataFrame({"all": own.lod["lod"], "children only": fewer.lod["lod"]}).iloc[[first, second]].round(2))

Q = passed_on.ibd.relatedness(first).to_frame(passed_on.people).to_numpy()
young = np.flatnonzero((study["ID"] - 1) % 6 >= 2)
lam_all = noncentrality(Q, kinship, 0.35, h2=0.8)
lam_children = noncentrality(Q[np.ix_(young, young)], kinship[np.ix_(young, young)], 0.35, h2=0.8)
print(
    f"expected on chromosome 1: {lam_all / (2 * np.log(10)):.2f}, children only {lam_children / (2 * np.log(10)):.2f}"
)

# %% [markdown]
# **5.** Large sibships are worth more than their number of people, as the number of pairs grows with its square.
# Parents raise the $\lambda$ of a family, but by less than as many further children would: per 100 people it is lower
# with them.


# %%
def per_hundred(children, parents):
    """Lambda per 100 people with a trait, in nuclear families."""
    sibship = lmm.Pedigree.from_frame(nuclear_families(100, children))
    names = [name for name in sibship.ids if parents or (int(name) - 1) % (children + 2) >= 2]
    Q = lmm.qtl.unlinked(sibship, 1, seed=95).relatedness(0).to_frame(names).to_numpy()
    return 100 * noncentrality(Q, sibship.additive().to_frame(names).to_numpy(), 0.2) / len(names)


lam_of = {n: [per_hundred(n, False), per_hundred(n, True)] for n in (2, 3, 4)}
print(pd.DataFrame(lam_of, index=["children only", "with parents"]).rename_axis(columns="children").round(2))

# %% [markdown]
# **6.** The longer interval holds the locus more often.

# %%
for drop in (1, 2):
    peak = scan.peaks(drop=drop).iloc[0]
    print(f"{drop}-LOD interval: {peak['low']:.1f} to {peak['high']:.1f} cM, {peak['high'] - peak['low']:.1f} cM")

# %% [markdown]
# ## Further reading
#
# - Almasy & Blangero (1998), Multipoint quantitative-trait linkage analysis in general pedigrees, *American Journal of
#   Human Genetics* 62, 1198–1211.
# - Amos (1994), Robust variance-components approach for assessing genetic linkage in pedigrees, *American Journal of
#   Human Genetics* 54, 535–543.
# - Self & Liang (1987), Asymptotic properties of maximum likelihood estimators and likelihood ratio tests under
#   nonstandard conditions, *Journal of the American Statistical Association* 82, 605–610.
# - Morton (1955), Sequential tests for the detection of linkage, *American Journal of Human Genetics* 7, 277–318.
# - Lander & Kruglyak (1995), Genetic dissection of complex traits: guidelines for interpreting and reporting linkage
#   results, *Nature Genetics* 11, 241–247.
# - Allison et al. (1999), Testing the robustness of the likelihood-ratio test in a variance-component
#   quantitative-trait loci-mapping procedure, *American Journal of Human Genetics* 65, 531–544.
# - Blangero, Williams & Almasy (2000), Robust LOD scores for variance component-based linkage analysis, *Genetic
#   Epidemiology* 19 (Suppl. 1), S8–S14.
# - Göring, Terwilliger & Blangero (2001), Large upward bias in estimation of locus-specific effects from genomewide
#   scans, *American Journal of Human Genetics* 69, 1357–1369.
# - Williams & Blangero (1999), Power of variance component linkage analysis to detect quantitative trait loci, *Annals
#   of Human Genetics* 63, 545–563.
#
# Previous: [7. Two traits](07_two_traits.ipynb). Next: [9. Association](09_association.ipynb).
