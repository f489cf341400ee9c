# %% [markdown]
# # 9. Association
#
# Do carriers of an allele differ in a trait? In a sample of strangers this is a linear regression. In families, or
# where people have different ancestries, the trait and the allele are both handed down along the same lines, and a
# regression that ignores this finds associations everywhere. At the end you can test variants in a mixed model by hand
# and by `lmm.qtl.association`, choose the relatedness, read Manhattan and QQ plots, set a threshold, and say what a
# hit means.
#
# Assumed are generalised least squares ([1. From linear to mixed models](01_from_linear_to_mixed.ipynb)), the
# polygenic model ([5. The polygenic model](05_polygenic.ipynb)) and, for the last part, [8.
# Linkage](08_linkage.ipynb).

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.stats import binom, chi2, f, ncx2, norm

import lmmpy as lmm
from lmmpy import plots

plots.use_style()
COLOURS = plots.COLOURS

# %% [markdown]
# ## Copies of an allele
#
# A variant has two alleles. A person's genotype is coded by the number of copies of one of them, $x \in \{0, 1, 2\}$:
# the **additive** coding, in which each copy adds $\beta$ to the trait. The rarer allele's frequency is the MAF. Where
# people mate at random the three genotypes have the frequencies $(1-f)^2$, $2f(1-f)$ and $f^2$, the **Hardy–Weinberg
# equilibrium** (HWE), and $x$ has the variance $2f(1-f)$.
#
# The bundled study of 398 people has 60 SNPs. One of them, `snp7`, was simulated to raise `bmi` by 0.45 a copy.

# %%
family = lmm.datasets.load("family")
pedigree = lmm.datasets.load("family_pedigree")
ped = lmm.Pedigree.from_frame(pedigree)
snps = lmm.datasets.load("family_genotypes").set_index("ID")
effect = 0.45  # of a copy of snp7 on bmi, as it was simulated


def hardy_weinberg(x):
    """p-value of Pearson's test of Hardy-Weinberg equilibrium, for independent people."""
    n, frequency = len(x), np.mean(x) / 2
    expected = n * np.array([(1 - frequency) ** 2, 2 * frequency * (1 - frequency), frequency**2])
    observed = np.bincount(x, minlength=3)
    return chi2.sf(((observed - expected) ** 2 / expected).sum(), 1)


founders = pedigree.loc[pedigree["FA"] == 0, "ID"]
frequency = snps.mean() / 2
table = pd.DataFrame({"0": (snps == 0).sum(), "1": (snps == 1).sum(), "2": (snps == 2).sum()})
table["MAF"] = np.minimum(frequency, 1 - frequency)
table["p HWE, founders"] = [hardy_weinberg(snps.loc[founders, name].to_numpy()) for name in snps]
print(table.iloc[4:9].round(3))
low = (table["p HWE, founders"] < 0.05).sum()
print(f"{len(founders)} of {len(snps)} people are founders; p < 0.05 in {low} of {len(table)} SNPs")

# %% [markdown]
# The test is for people who are not related, hence the founders. Strong deviations are mostly errors of genotyping.

# %% [markdown]
# ## One SNP, by hand
#
# The model is $y = X\beta + x\beta_x + g + e$ with $V = \sigma^2_g A + \sigma^2_e I$. Two thousand or a million
# variants are not fitted one by one: the **null model**, without $x$, is fitted once, and its variances are kept. With
#
# $$P = V^{-1} - V^{-1}X(X^\top V^{-1}X)^{-1}X^\top V^{-1},\qquad U = x^\top P y,\qquad J = x^\top P x$$
#
# generalised least squares gives $\hat\beta_x = U/J$ with variance $1/J$, $J$ being the information. Three tests
# differ in the scale of $V$: the **score** test takes it from the null model, **Wald**'s test from what is left with
# $x$ in the model, and the likelihood ratio compares the two. They need nothing but $U$, $J$ and $y^\top P y$:

# %%
base = lmm.lmer("bmi ~ age + sex + kin(ped)", family)
people = family.dropna(subset=["bmi"])
y = people["bmi"].to_numpy()
X = np.column_stack([np.ones(len(y)), people["age"], people["sex"] == "female"]).astype(float)
A = ped.additive().to_frame(people["ID"]).to_numpy()
vg, ve = base.varcorr.to_frame()["vcov"]


def projection(V, X):
    """P of a covariance and the fixed part."""
    Vi = np.linalg.inv(V)
    return Vi - Vi @ X @ np.linalg.solve(X.T @ Vi @ X, X.T @ Vi)


# %%
P = projection(vg * A + ve * np.eye(len(y)), X)
x = snps.loc[people["ID"], "snp7"].to_numpy(dtype=float)
U, information, r2 = x @ P @ y, x @ P @ x, y @ P @ y  # r2 = n - p at the REML estimates
n, p = X.shape
beta, left = U / information, r2 - U**2 / information  # left: r2 with the SNP in the model
by_hand = {
    "score": [beta, np.sqrt(r2 / (n - p) / information), U**2 / information / (r2 / (n - p))],
    "wald": [beta, np.sqrt(left / (n - p - 1) / information), U**2 / information / (left / (n - p - 1))],
    "lrt": [beta, np.sqrt(left / n / information), n * np.log(r2 / left)],
}
hand = pd.DataFrame(by_hand, index=["beta", "std_error", "statistic"]).T
hand["p_value"] = [f.sf(hand["statistic"].iloc[i], 1, n - p - 1) for i in (0, 1)] + [
    chi2.sf(hand["statistic"].iloc[2], 1)
]
print(hand.round(4))

# %%
parts = [lmm.qtl.association(base, snps, test).table.query("variant == 'snp7'") for test in ("score", "wald", "lrt")]
tests = pd.concat(parts).set_index(pd.Index(["score", "wald", "lrt"]))
print(tests[["beta", "std_error", "statistic", "p_value"]].round(4))

# %% [markdown]
# The numbers agree. The standard errors differ by the scale of $V$ only. And ordinary least squares, which takes
# relatives for strangers? Its own standard error presumes independent people; under the covariance $V$ of the mixed
# model that of the same estimate is $\sqrt{c^\top V c}/c^\top c$, with $c$ what is left of $x$ after age and sex.

# %%
alone = lmm.gls("bmi ~ age + sex", family)
ols = lmm.qtl.association(alone, snps, id="ID", test="wald").table.set_index("variant").loc["snp7"]
mixed = tests.loc["wald"]
both = pd.DataFrame({"regression": ols, "mixed model": mixed}).loc[["beta", "std_error", "p_value"]]
print(both.astype(float).round(4))
c = x - X @ np.linalg.lstsq(X, x)[0]
honest = np.sqrt(c @ (vg * A + ve * np.eye(n)) @ c) / (c @ c)
print(f"standard error of the regression under V: {honest:.4f}")

# %% [markdown]
# The p-value of the regression is the smaller one, and cannot be trusted; its true standard error is larger than what
# it says, and larger than that of the mixed model, whose estimate is the more precise one. (That the regression comes
# nearer to the simulated effect of `snp7` in this study is chance.)

# %%
fig, ax = plt.subplots(figsize=(5.2, 3.4))
residual = y - X @ base.fixef.to_numpy()
jitter = np.random.default_rng(1).uniform(-0.15, 0.15, len(x))
ax.plot(x + jitter, residual, ".", color=COLOURS["grey"], alpha=0.6)
means = [residual[x == copies].mean() for copies in (0, 1, 2)]
ax.plot([0, 1, 2], means, "D", color=COLOURS["blue"], label="means")
ax.plot([0, 2], residual.mean() + beta * (np.array([0, 2]) - x.mean()), color=COLOURS["vermilion"], label="GLS slope")
ax.set(xticks=[0, 1, 2], xlabel="Copies of the allele at snp7", ylabel="bmi, less age and sex")
ax.legend()
plt.show()

# %% [markdown]
# ## All SNPs of the study
#
# With a household in the null model, variances estimated anew with each SNP, and all three tests:

# %%
related = lmm.lmer("bmi ~ age + sex + (1 | household) + kin(ped)", family)
tested = lmm.qtl.association(related, snps, test="all", exact=True)
columns = ["variant", "n", "maf", "beta", "std_error", "p_wald", "p_lrt", "p_score"]
print(tested.top(3)[columns].round(4).to_string(index=False))
print(tested.table.query("variant == 'snp7'")[columns].round(4).to_string(index=False, header=False))

# %% [markdown]
# The SNP that acts is not the first. The first of 60 p-values is small by itself: without any effect its expectation
# is 1/61. Was it to be expected that `snp7` is missed? Its test has, about, a $\chi^2_1$ distribution with the
# non-centrality $\lambda = \beta_x^2 J$:

# %%
share = effect**2 * 2 * frequency["snp7"] * (1 - frequency["snp7"]) / (vg + ve)
noncentrality = effect**2 * information
print(f"share of the variance {share:.3f}, expected least p of 60 {1 / 61:.4f}")
for level in (0.05, 0.05 / 60, 5e-8):
    print(f"power at p < {level:.2g}: {ncx2.sf(chi2.isf(level, 1), 1, noncentrality):.4f}")

# %% [markdown]
# With a threshold that 60 tests ask for, it was to be expected; at 0.05 it was bad luck. A study of 400 people can
# find SNPs of some per cent of the variance, at a mild threshold.

# %% [markdown]
# ## Without the kinship
#
# Take a heritable trait and SNPs that do not act on it. 2,000 SNPs are handed down the pedigree; the trait is drawn
# from the polygenic model and knows nothing of them.

# %%
rng = np.random.default_rng(2)
dropped = lmm.qtl.drop_genes(ped, 2000, seed=3).genotypes(rng.uniform(0.1, 0.5, 2000), seed=4)
trait = family.assign(bmi=base.simulate(1, seed=5)["sim_1"].reindex(family.index))
null_ols = lmm.gls("bmi ~ age + sex", trait)
null_mixed = lmm.lmer("bmi ~ age + sex + kin(ped)", trait)
scans = {
    "regression": lmm.qtl.association(null_ols, dropped, id="ID"),
    "mixed model": lmm.qtl.association(null_mixed, dropped),
}
p_values = np.concatenate([scan.table["p_value"] for scan in scans.values()])
ax = plots.qq(p_values, group=np.repeat(list(scans), 2000))
ax.figure.set_size_inches(5, 4)
for name, scan in scans.items():
    often = 100 * (scan.table["p_value"] < 0.001).mean()
    print(f"{name}: p < 0.001 in {often:.2f} % of the SNPs, lambda {scan.lambda_gc:.2f}")
plt.show()

# %% [markdown]
# In a **QQ plot** the observed p-values are drawn against those of as many tests without effects. All SNPs are null
# here; the mixed model keeps to the line, and ordinary regression leaves it from the beginning. The **genomic
# control** $\lambda_{GC}$ is the median of the test statistics over the median of $\chi^2_1$: about 1 where nothing
# acts and the model is right.
#
# Why? The variance of $x^\top y$ is what regression gets wrong. A SNP that is handed down has a kinship of its own:
# the covariance of $x$ is $2f(1-f)A$. With $M$ the projection that takes the mean away, the statistic of a regression
# is too large by a factor of about
#
# $$\lambda_{GC} = \frac{\operatorname{tr}(MAMV)\,(n-1)}{\operatorname{tr}(MA)\operatorname{tr}(MV)},
# \qquad V = h^2A + (1-h^2)I ,$$
#
# and that needs both: a heritable trait, and a SNP that relatives share. Try all three: different $h^2$, a mixed
# model, and SNPs that are dealt out to the same people at random.

# %%
everyone = family["ID"].to_numpy()
A_all = ped.additive().to_frame(everyone).to_numpy()
n_all = len(everyone)
M = np.eye(n_all) - 1 / n_all
root = ped.additive().subset(everyone)
G = dropped.loc[everyone.astype(str)].to_numpy(dtype=float)
shuffled = np.apply_along_axis(rng.permutation, 0, G)
one_fit = lmm.lmer("trait ~ 1 + kin(ped)", family.assign(trait=A_all[0] + np.arange(n_all)))


def lambda_of(G, y):
    """Genomic control of single-SNP regressions on an intercept and each column of G."""
    r = (y - y.mean()) @ (G - G.mean(axis=0)) / (n_all * y.std() * G.std(axis=0))
    return np.median((n_all - 2) * r**2 / (1 - r**2)) / chi2.median(1)


# %%
rows = []
for h2 in (0.2, 0.4, 0.6, 0.8):
    V = h2 * A_all + (1 - h2) * np.eye(n_all)
    theory = np.trace(M @ A_all @ M @ V) * (n_all - 1) / np.trace(M @ A_all) / np.trace(M @ V)
    polygenes = root.root_times(rng.standard_normal((root.rank, 10)))
    traits = np.sqrt(h2) * polygenes + np.sqrt(1 - h2) * rng.standard_normal((n_all, 10))
    fits = {f"{i}": one_fit.refit(traits[:, i]) for i in range(10)}
    mixed_lambda = list(lmm.qtl.association(fits, dropped).lambda_gc.values())
    for i in range(10):
        rows.append([h2, theory, lambda_of(G, traits[:, i]), lambda_of(shuffled, traits[:, i]), mixed_lambda[i]])
columns = ["h2", "theory", "regression", "regression, SNPs shuffled", "mixed model"]
inflation = pd.DataFrame(rows, columns=columns)
print(inflation.groupby("h2").mean().round(3))

# %%
fig, ax = plt.subplots(figsize=(5.6, 3.6))
looks = {
    "regression": ("vermilion", "o", -0.02),
    "regression, SNPs shuffled": ("green", "^", 0.0),
    "mixed model": ("blue", "s", 0.02),
}
for name, (colour, marker, shift) in looks.items():
    ax.plot(inflation["h2"] + shift, inflation[name], marker, color=COLOURS[colour], alpha=0.7, label=name)
ax.plot(inflation["h2"], inflation["theory"], color=COLOURS["vermilion"], linewidth=1, label="theory of regression")
ax.axhline(1, color=COLOURS["grey"], linestyle="--", linewidth=1)
ax.set(xlabel="Heritability of the trait, $h^2$", ylabel="Genomic control, $\\lambda_{GC}$")
ax.legend()
plt.show()

# %% [markdown]
# Each point is one trait. Regression is right for SNPs that have nothing to do with the families, and wrong for those
# that are handed down in them, the more the higher $h^2$. Dividing all statistics by $\lambda_{GC}$ would mend the
# level on the average, at a loss of power; the mixed model mends the cause.

# %% [markdown]
# ## A genome
#
# Now a study with all that makes life difficult: 1,000 people in 250 nuclear families, two populations that differ in
# allele frequencies and also in the trait, variants in **linkage disequilibrium** (LD: neighbours on a haplotype are
# correlated), and many small effects. There are ten chromosomes with 300 variants each, 20 kb apart. Chromosomes 1 to
# 5 have 200 small effects and, apart from them, three larger ones; chromosomes 6 to 10 have none, and show whether the
# level is right.

# %%
rng = np.random.default_rng(10)
n_families, per_chromosome = 250, 300
member = np.tile(np.arange(4), n_families)  # father, mother, two children
first = np.repeat(np.arange(n_families) * 4, 4)
child = member >= 2
sample = pd.DataFrame(
    {"ID": first + member + 1, "FA": np.where(child, first + 1, 0), "MO": np.where(child, first + 2, 0)}
)
sample = sample.assign(SEX=1 + member % 2, MZTWIN=0)
lines = lmm.Pedigree.from_frame(sample)
chromosome = np.repeat(np.arange(1, 11), per_chromosome)
kilobases = 20  # between neighbours
base_pairs = np.tile(1000 * kilobases * np.arange(1, per_chromosome + 1), 10)
n_variants = len(chromosome)
genome = pd.DataFrame({"chromosome": chromosome.astype(str), "position": base_pairs / 1e6})  # 1 cM = 1 Mb
genes = lmm.qtl.drop_genes(lines, genome, seed=11)

# %% [markdown]
# `genes.alleles` says for each person and position which founder haplotype was inherited. What remains is to write
# alleles on the founders' haplotypes: frequencies differ between the populations ($F_{ST} = 0.03$, Balding & Nichols
# 1995), and neighbours within blocks of 15 variants are correlated.

# %%
population_of_family = np.arange(n_families) % 2
of_haplotype = np.repeat(population_of_family, 4)  # two founders with two haplotypes each
F = 0.03
ancestral = np.repeat(rng.uniform(0.15, 0.5, n_variants // 15), 15) + rng.uniform(-0.05, 0.05, n_variants)
frequencies = rng.beta(ancestral * (1 - F) / F, (1 - ancestral) * (1 - F) / F, size=(2, n_variants))
hidden = np.empty((n_variants, genes.n_founder_alleles))
for j in range(n_variants):
    fresh = rng.standard_normal(genes.n_founder_alleles)
    hidden[j] = fresh if j % 15 == 0 else 0.97 * hidden[j - 1] + np.sqrt(1 - 0.97**2) * fresh
haplotypes = hidden < norm.ppf(np.clip(frequencies, 0.02, 0.98))[of_haplotype].T
copies = np.stack([haplotypes[j][genes.alleles[j]].sum(axis=1) for j in range(n_variants)], axis=1)

names = [f"rs{j + 1}" for j in range(n_variants)]
genotypes = pd.DataFrame(copies, index=sample["ID"], columns=names)
described = pd.DataFrame({"variant": names, "chromosome": chromosome.astype(str), "position": base_pairs})
source = lmm.qtl.as_genotypes(genotypes, variants=described)
print(source.description)

# %%
corner = np.corrcoef(copies[:, :60].T) ** 2
fig, ax = plt.subplots(figsize=(4.4, 3.6))
picture = ax.imshow(corner, extent=(0, 1.2, 1.2, 0), cmap="cividis", vmin=0, vmax=1)
ax.set(xlabel="Position on chromosome 1 (Mb)", ylabel="Position on chromosome 1 (Mb)")
fig.colorbar(picture, label="$r^2$")
plt.show()

# %% [markdown]
# The blocks of LD are what makes a peak: a variant that does nothing itself tells of its neighbour. Now the trait.

# %%
standard = (copies - copies.mean(axis=0)) / copies.std(axis=0)
large_ones = np.array([157, 700, 1330])  # on chromosomes 1, 3 and 5
causal = [names[j] for j in large_ones]
far = [j for j in range(5 * per_chromosome) if np.abs(large_ones - j).min() > 45]
small = rng.choice(far, 200, replace=False)
population = np.repeat(population_of_family, 4)


def draw_trait(rng):
    """Polygenes 0.3, the three variants 0.08 in all, a difference of 0.6 between the populations, noise 0.5."""
    polygenes = standard[:, small] @ rng.standard_normal(200) * np.sqrt(0.3 / 200)
    large = genotypes[causal].apply(lambda x: (x - x.mean()) / x.std()).to_numpy() @ [0.18, -0.16, 0.14]
    return polygenes + large + 0.6 * population + np.sqrt(0.5) * rng.standard_normal(len(sample))


study = sample.assign(sex=np.where(sample["SEX"] == 1, "male", "female"), height=draw_trait(np.random.default_rng(14)))
print(study[["ID", "FA", "MO", "sex", "height"]].head(4).round(3).to_string(index=False))

# %% [markdown]
# ## Relatedness by pedigree or by genotypes
#
# A pedigree knows the families, but nothing of populations. A **genomic relatedness** (GRM) is computed from the
# genotypes, $K = \frac1m\sum_j z_j z_j^\top$ with $z_j$ the standardised variants: `lmm.qtl.grm`. It is relative to
# the mean of the sample, so that strangers have about 0, and strangers of different populations less.

# %%
K = lmm.qtl.grm(source)
k = K.to_frame(study["ID"]).to_numpy()
expected = lines.additive().to_frame(study["ID"]).to_numpy()
upper = np.triu_indices(len(study), 1)
same = population[upper[0]] == population[upper[1]]
pairs = pd.DataFrame({"A": expected[upper], "K": k[upper], "populations": np.where(same, "same", "different")})
print(pairs.groupby(["A", "populations"])["K"].agg(["count", "mean", "std"]).round(3))

# %%
values, vectors = np.linalg.eigh(k)
study["PC1"] = vectors[:, -1] * np.sign(vectors[:, -1] @ (population - 0.5))  # the sign is arbitrary
fig, (left_ax, right_ax) = plt.subplots(1, 2, figsize=(7, 3))
bins = np.linspace(-0.25, 0.85, 56)
for level, colour in ((0.0, "sky"), (0.5, "vermilion")):
    own = pairs.loc[pairs["A"] == level, "K"]
    left_ax.hist(own, bins=bins, density=True, color=COLOURS[colour], alpha=0.8, label=f"2 x kinship = {level:g}")
left_ax.set(xlabel="Genomic relatedness, $K$", ylabel="Density")
left_ax.set_ylim(0, 11)
left_ax.legend(loc="upper left")
for number, marker, colour in ((0, "o", "blue"), (1, "^", "orange")):
    chosen = population == number
    right_ax.plot(
        study["PC1"][chosen],
        vectors[chosen, -2],
        marker,
        color=COLOURS[colour],
        markersize=3,
        label=f"population {number}",
    )
right_ax.set(xlabel="First principal component", ylabel="Second")
right_ax.legend()
plt.show()

# %% [markdown]
# Relatives vary around what the pedigree expects: siblings truly share more or less, and the variants are a sample of
# the genome. The first eigenvector of $K$, the first **principal component**, separates the populations.
#
# Five null models, and what they make of the genome. The $\lambda_{GC}$ is that of chromosomes 6 to 10, on which there
# is nothing.

# %%
nulls = {
    "regression": lmm.gls("height ~ sex", study),
    "pedigree": lmm.lmer("height ~ sex + kin(lines)", study),
    "pedigree + PC1": lmm.lmer("height ~ sex + PC1 + kin(lines)", study),
    "genomic": lmm.lmer("height ~ sex + kin(ID, K)", study),
}
scans = {name: lmm.qtl.association(null, source, id="ID") for name, null in nulls.items()}
scans["genomic, LOCO"] = lmm.qtl.association(nulls["genomic"], source, loco=True)
empty = chromosome >= 6


def genomic_control(p):
    """The median chi-squared statistic over that without effects."""
    return chi2.isf(np.median(p), 1) / chi2.median(1)


rows = {}
for name, scan in scans.items():
    by_name = scan.table.set_index("variant")["p_value"]
    quiet = by_name.to_numpy()[empty]
    rows[name] = [genomic_control(quiet), 100 * np.mean(quiet < 0.05), *by_name[causal]]
compared = pd.DataFrame(rows, index=["lambda, chr 6-10", "p < 0.05 there, %", *causal]).T
shown = compared.iloc[:, :2].round(2).astype(str).join(compared[causal].map("{:.1e}".format))
print(shown.to_string())

# %%
order = list(scans)
p_values = np.concatenate([scans[name].table["p_value"][empty] for name in order])
marks = dict(zip(order, ["o", "s", "^", "D", "v"], strict=True))
fig, ax = plt.subplots(figsize=(5.0, 4.0))
m = empty.sum()
ideal = -np.log10((np.arange(m) + 0.5) / m)
for (name, marker), colour in zip(marks.items(), ["grey", "orange", "green", "blue", "vermilion"], strict=True):
    observed = -np.log10(np.sort(scans[name].table["p_value"].to_numpy()[empty]))
    ax.plot(ideal, observed, marker, markersize=3.5, color=COLOURS[colour], label=name)
ax.plot([0, ideal[0]], [0, ideal[0]], color="black", linewidth=1, linestyle="--")
ax.set(xlabel="Expected $-\\log_{10} p$", ylabel="Observed $-\\log_{10} p$, chromosomes 6 to 10")
ax.legend()
plt.show()

# %% [markdown]
# Regression is hopeless, as relatives and populations both deceive it. The pedigree takes the families away and not
# the populations. With the principal component as a covariate the empty chromosomes are as they should be, and so they
# are with a genomic relatedness of the other chromosomes. With that of all, tests are too careful; why, is the next
# question.

# %% [markdown]
# ## Leave one chromosome out
#
# Compare `genomic` with `genomic, LOCO` at the three variants in the table above. A genomic relatedness that has the
# variant itself, and its neighbours in LD, competes with it: part of its effect is in $g$ already. This is **proximal
# contamination**, and it costs power. With `loco=True` each chromosome is tested beside a null model whose relatedness
# is made from all the others. The kinship and the populations are in those, too.

# %%
fig, panels = plt.subplots(2, 1, figsize=(7, 4.6), sharex=True)
highest = 1.15 * -np.log10(scans["genomic, LOCO"].table["p_value"].min())
for ax, name in zip(panels, ("genomic", "genomic, LOCO"), strict=True):
    scans[name].manhattan(ax=ax, genome_wide=0.05 / n_variants, suggestive=None)
    at = plots.manhattan_frame(scans[name].table, thin=None).set_index("variant").loc[causal, "x"]
    ax.plot(at, [0.95 * highest] * 3, "v", color=COLOURS["vermilion"])
    ax.set(title=name, ylim=(0, highest))
panels[0].set_xlabel("")
plt.show()

# %% [markdown]
# The triangles are above the three variants, and the line is $0.05/3000$ (Bonferroni; below). Other peaks are of small
# effects.
#
# Is that luck? Six traits, with the same variants: the mean of $\chi^2$ at the three, how often they are found, and
# $\lambda_{GC}$ of the empty chromosomes, each the mean over the traits.

# %%
rng = np.random.default_rng(15)
values = {f"trait {i + 1}": draw_trait(rng) for i in range(6)}
where = ["1", "3", "5", "6", "7", "8", "9", "10"]
rows = {}
for name, model, loco in (
    ("pedigree + PC1", "pedigree + PC1", None),
    ("genomic", "genomic", None),
    ("genomic, LOCO", "genomic", True),
):
    several = {trait: nulls[model].refit(value) for trait, value in values.items()}
    table = lmm.qtl.association(several, source, variants=where, loco=loco).table
    at_causal = table.loc[table["variant"].isin(causal), "p_value"]
    quiet = table[table["chromosome"].astype(int) >= 6].groupby("trait")["p_value"]
    found, control = 100 * np.mean(at_causal < 0.05 / n_variants), quiet.agg(genomic_control)
    rows[name] = [chi2.isf(at_causal, 1).mean(), found, control.mean(), control.sem()]
print(pd.DataFrame(rows, index=["mean chi2", "found, %", "lambda, chr 6-10", "SE"]).T.round(2))

# %% [markdown]
# (SE is the standard error of the mean $\lambda_{GC}$: that of one trait has a large sampling error where variants are
# in LD.) The genomic relatedness of all chromosomes is too careful at variants without effect, and loses power at
# those that have one.

# %% [markdown]
# ## Score, Wald, likelihood ratio; held or exact
#
# The quick tests keep the ratio of the variances of the null model. With `exact=True` it is estimated anew with each
# variant. For a variant that explains a lot, the null model has put its effect into $g$ or $e$, and its $V$ is too
# large; the exact tests are then more significant. Elsewhere there is no difference.

# %%
exact = lmm.qtl.association(nulls["genomic"], source, "all", exact=True)
print(exact.method["height"])
print(exact.top(3)[["variant", "p_score", "p_wald", "p_lrt"]].to_string(index=False, float_format="{:.3g}".format))
fig, ax = plt.subplots(figsize=(4.4, 3.8))
held, anew = (-np.log10(table) for table in (scans["genomic"].table["p_value"], exact.table["p_lrt"]))
ax.plot(held, anew, ".", color=COLOURS["blue"])
ax.plot([0, anew.max()], [0, anew.max()], color=COLOURS["grey"], linestyle="--", linewidth=1)
ax.set(xlabel="Score test, $-\\log_{10} p$", ylabel="Exact likelihood ratio, $-\\log_{10} p$")
plt.show()

# %% [markdown]
# Scan by the default, and look again at what is found with `exact=True`.

# %% [markdown]
# ## How small must p be?
#
# If $m$ tests were independent, $p < 0.05/m$ (Bonferroni) would keep the chance of any false hit below 0.05. Tests of
# variants in LD are not independent, and there are effectively fewer. Simulate: draw 500 traits from the null model,
# and take the least p-value of each scan. All scores at once are one matrix product.

# %%
pc_model = nulls["pedigree + PC1"]
vg2, ve2 = pc_model.varcorr.to_frame()["vcov"]
V = vg2 * expected + ve2 * np.eye(len(study))
fixed = np.column_stack([np.ones(len(study)), study["sex"] == "male", study["PC1"]]).astype(float)
PX = projection(V, fixed) @ copies  # P x for all variants
spread = np.sqrt(np.einsum("ij,ij->j", copies, PX))
draws = np.linalg.cholesky(V) @ np.random.default_rng(16).standard_normal((len(study), 500))
largest = np.abs(PX.T @ draws / spread[:, None]).max(axis=0)  # the largest |z| of each scan
least_p = 2 * norm.sf(largest)
threshold = np.quantile(least_p, 0.05)
effective = np.log(0.95) / np.log(1 - threshold)
low, high = np.sort(least_p)[binom.ppf([0.025, 0.975], 500, 0.05).astype(int)]
print(f"{n_variants} variants: Bonferroni {0.05 / n_variants:.2g}, by simulation {threshold:.2g}", end=" ")
print(f"(95 % interval {low:.2g} to {high:.2g})")
print(f"as many as {effective:.0f} independent tests; 0.05 / 1,000,000 = {0.05 / 1_000_000:.0e}")

# %% [markdown]
# 500 traits do not tell this quantile well enough to set it apart from Bonferroni's, as the interval shows. The usual
# $5\cdot10^{-8}$ is the same reasoning for the whole human genome: its common variants amount to about a million
# independent tests in people of European ancestry. Rare variants, and African ancestry, have more.

# %% [markdown]
# ## A peak
#
# `peaks` has the best variant of each region, `regional` its surroundings, coloured by $r^2$ with it.

# %%
loco = scans["genomic, LOCO"]
leads = loco.peaks(p=threshold)
print(
    leads[["variant", "chromosome", "position", "p_value", "beta", "first", "last", "variants"]].to_string(
        index=False, float_format="{:.3g}".format
    )
)
lead = leads.loc[leads["chromosome"] == "3", "variant"].iloc[0]
r2_with_lead = genotypes.corrwith(genotypes[lead]) ** 2
ax = loco.regional(lead, window=600_000, ld=r2_with_lead.clip(0, 1), genome_wide=threshold)
ax.figure.set_size_inches(6.4, 3.6)
print(f"r2 of the lead variant with the causal one: {r2_with_lead[causal].max():.2f}")

# %% [markdown]
# Of this peak several variants reach the threshold, and those that do nothing themselves do so by LD. Here the lead
# variant is the causal one, which need not be: two variants with $r^2$ near 1 differ by chance only. Leads other than
# the three larger variants stand for small effects, or for sums of such in LD. A second signal of the region is looked
# for with the lead variant as a covariate (exercise 6).
#
# **Winner's curse.** As in linkage, effects of what was found are too large, the more the lower the power. An estimate
# is $\hat\beta \sim N(\beta, 1/J)$, kept if it is significant:

# %%
rng = np.random.default_rng(17)
power, exaggeration = [], []
z_needed = norm.isf(threshold / 2)
for expected_z in np.arange(1.5, 8.1, 0.5):  # beta / standard error
    z = rng.normal(expected_z, 1, 400_000)
    found = z[np.abs(z) > z_needed]
    power.append(100 * len(found) / len(z))
    exaggeration.append(found.mean() / expected_z)
fig, ax = plt.subplots(figsize=(5.0, 3.2))
ax.plot(power, exaggeration, "o-", color=COLOURS["blue"])
ax.axhline(1, color=COLOURS["grey"], linestyle="--", linewidth=1)
ax.set(xlabel="Power (%)", ylabel="Mean estimate / true effect,\nof what was found")
plt.show()

# %% [markdown]
# ## Does the effect depend on something?
#
# With `interaction=` the variant and its product with a covariate are added. `beta` is then the product's effect: the
# difference between the slopes. Let a variant of chromosome 7 act in women only.

# %%
acts = "rs1950"
women = (study["sex"] == "female").to_numpy()
study["stature"] = study["height"] + 0.6 * women * genotypes[acts].to_numpy()
stature = lmm.lmer("stature ~ sex + PC1 + kin(lines)", study)
by_sex = lmm.qtl.association(stature, source, "wald", interaction="sex")
shown = ["variant", "beta_main", "beta", "p_value", "p_joint"]
print(by_sex.top(2)[shown].to_string(index=False, float_format="{:.3g}".format))
overall = lmm.qtl.association(stature, source, "wald").table.set_index("variant").loc[acts]
print(f"{acts} without interaction: beta {overall['beta']:.3f}, p {overall['p_value']:.2g}")

# %%
fig, ax = plt.subplots(figsize=(4.8, 3.2))
for sex, colour, marker, shift in (("female", "vermilion", "o", -0.04), ("male", "blue", "s", 0.04)):
    own = study.loc[study["sex"] == sex, "stature"].groupby(
        genotypes.loc[study.loc[study["sex"] == sex, "ID"], acts].to_numpy()
    )
    ax.errorbar(
        own.mean().index + shift,
        own.mean(),
        1.96 * own.sem(),
        color=COLOURS[colour],
        marker=marker,
        capsize=3,
        label=sex,
    )
ax.set(
    xticks=[0, 1, 2], xlabel=f"Copies of the allele at {acts}", ylabel="Mean stature, 95 % interval\nas of strangers"
)
ax.legend()
plt.show()

# %% [markdown]
# `beta_main` is the effect in the first of the two sexes, in the order of the levels, and `beta` what the other has in
# addition. `p_joint` tests both: it finds variants that act in one sex only, which a test of the mean effect may miss.

# %% [markdown]
# ## From a hit to a locus: linkage and association
#
# Linkage asks whether relatives who share a piece of a chromosome are alike; association, whether carriers of an
# allele are. In one study both can be asked, and then: **does the SNP explain the linkage?** If it is the only variant
# that acts there, the LOD falls to nothing with the SNP as a covariate. If it does not, there is something else.
#
# Two traits of the bundled families, both with a locus at 50 cM of the same chromosome, of 40 % of the variance. In
# the first it is a SNP. In the second each founder's allele has an effect of its own, as where every family has its
# own rare variant.

# %%
rng = np.random.default_rng(21)
along = np.arange(0, 101, 5)
handed = lmm.qtl.drop_genes(ped, along, seed=23)
markers = handed.genotypes(0.3, seed=24, names=[f"snp_{position}" for position in along])
rest = np.sqrt(0.2) * root.root_times(rng.standard_normal((root.rank, 2))) + np.sqrt(0.4) * rng.standard_normal(
    (n_all, 2)
)
snp = markers["snp_50"].to_numpy()
own_effects = (np.sqrt(0.2) * rng.standard_normal(handed.n_founder_alleles))[handed.alleles[10]].sum(axis=1)
both = family[["ID", "age", "sex"]].assign(snp_50=snp)
both["common"] = np.sqrt(0.4) * (snp - snp.mean()) / snp.std() + rest[:, 0]
both["rare"] = own_effects + rest[:, 1]

# %%
rows, curves = [], {}
for trait_name in ("common", "rare"):
    for covariates in ("1", "snp_50"):
        null = lmm.lmer(f"{trait_name} ~ {covariates} + kin(ped)", both, reml=False)
        curves[trait_name, covariates] = lmm.qtl.linkage(null, handed.ibd).lod
    hits = lmm.qtl.association(lmm.lmer(f"{trait_name} ~ 1 + kin(ped)", both), markers, "lrt", exact=True).table
    at_locus = hits.set_index("variant").loc["snp_50", "p_value"]
    lods = [curves[trait_name, covariates].set_index("position").loc[50, "lod"] for covariates in ("1", "snp_50")]
    rows.append([trait_name, at_locus, *lods])
print(
    pd.DataFrame(rows, columns=["trait", "p of the SNP", "LOD", "LOD given the SNP"]).to_string(
        index=False, float_format="{:.3g}".format
    )
)

# %%
fig, axes = plt.subplots(1, 2, figsize=(7, 2.9), sharey=True)
for ax, trait_name, title in zip(axes, ("common", "rare"), ("a SNP", "an allele of each founder"), strict=True):
    for covariates, colour, style, label in (
        ("1", "blue", "-", "LOD"),
        ("snp_50", "vermilion", "--", "LOD given the SNP"),
    ):
        curve = curves[trait_name, covariates]
        ax.plot(curve["position"], curve["lod"], style, color=COLOURS[colour], label=label)
    ax.set(xlabel="Position (cM)", title=title)
axes[0].set_ylabel("LOD")
axes[0].legend()
plt.show()

# %% [markdown]
# Left, the SNP is associated, and the linkage is gone with it in the model. Right, linkage is as strong, the SNP at
# the very place says nothing, and the LOD stays. For the same share of variance association is far more powerful where
# one common allele acts, as it tests a mean; linkage does not care which alleles act.

# %% [markdown]
# ## From the command line
#
# The same scans without Python. With genotypes as PLINK files `study.bed`, `study.bim` and `study.fam`, and traits and
# covariates in a table:
#
# ```sh
# # genomic relatedness, three exact tests, pictures, and a table in GEMMA's columns
# lmmpy assoc "height ~ age + sex" people.csv --bfile study --grm standardized --test all --exact --maf 0.01 \
#   --out height --plot --style gemma
#
# # leave one chromosome out
# lmmpy assoc "height ~ age + sex" people.csv --bfile study --grm standardized --loco --out height
#
# # relatedness by pedigree, an interaction
# lmmpy assoc "height ~ sex + PC1" people.csv --bfile study --pedigree pedigree.csv --interaction sex --out by_sex
# ```
#
# A long scan that was interrupted goes on with `--resume`; `lmmpy assoc --help` has all options.

# %% [markdown]
# ## What to take away
#
# - A variant is a covariate: the copies of an allele. Its test is generalised least squares at the null model's
#   variances: $U = x^\top Py$, $J = x^\top Px$, $\hat\beta = U/J$.
# - Without relatedness, tests in families are inflated: relatives share the genes behind the trait, and the variant,
#   too. Populations do the same.
# - A pedigree does not know of populations: add principal components, or take a genomic relatedness, without the
#   chromosome that is tested.
# - Score tests for the scan, exact ones for the hits.
# - $0.05$ over the effective number of tests; $5\cdot10^{-8}$ for a human genome. $\lambda_{GC}$ is a symptom, no
#   proof.
# - What is found is exaggerated; the lead variant need not be the causal one. Linkage tells whether it explains the
#   region.

# %% [markdown]
# ## Exercises
#
# 1. Test `snp7` as recessive (two copies against fewer) in the bundled study.
# 2. Scan the second trait, `fvii`, beside `bmi`, in one pass over the genotypes.
# 3. One could avoid the mixed model by keeping only the founders, who are not related. How much information $J$ on an
#    effect is lost, on average, in the bundled study?
# 4. Adjust for the population itself instead of the principal component in the simulated genome. Does $\lambda_{GC}$
#    of the empty chromosomes change?
# 5. Rare alleles: simulate a skewed trait without genetic effects, and SNPs with some ten copies of the rarer allele
#    in strangers. How often is $p < 0.001$? And with a normal-score transformation?
# 6. Put the lead variant of the `height` scan into the null model and scan its chromosome again. Is there a second
#    signal?

# %% [markdown]
# ## Solutions
#
# **1.** Any coding will do: it is a column of numbers. The additive one is usual, as it has most of the power for most
# effects.

# %%
recessive = (snps[["snp7"]] == 2).astype(float)
print(
    lmm.qtl.association(base, recessive, "wald")
    .table[["variant", "maf", "beta", "std_error", "p_value"]]
    .round(4)
    .to_string(index=False)
)

# %% [markdown]
# **2.** Each null model has its own people and covariates.

# %%
two = lmm.qtl.association([base, lmm.lmer("fvii ~ age + sex + kin(ped)", family)], snps)
print(two.top(3)[["trait", "variant", "n", "beta", "p_value"]].round(4).to_string(index=False))

# %% [markdown]
# **3.** Related people carry less information than as many strangers, but far more than none.

# %%
where = people["ID"].isin(founders).to_numpy()
g_all = snps.loc[people["ID"]].to_numpy(dtype=float)
PG = P @ g_all
P_few = projection((vg * A + ve * np.eye(len(y)))[np.ix_(where, where)], X[where])
few = np.einsum("ij,ij->j", g_all[where], P_few @ g_all[where])
ratio = few / np.einsum("ij,ij->j", g_all, PG)
print(f"{where.sum()} of {len(where)} people keep {100 * ratio.mean():.0f} % of the information")

# %% [markdown]
# **4.** Hardly: the first principal component is the population, nearly.

# %%
known = lmm.lmer("height ~ sex + population + kin(lines)", study.assign(population=population))
p_known = lmm.qtl.association(known, source).table["p_value"].to_numpy()
by_component = compared.loc["pedigree + PC1", "lambda, chr 6-10"]
print(f"lambda: population {genomic_control(p_known[empty]):.3f}, PC1 {by_component:.3f}")
print(f"correlation of PC1 with the population: {np.corrcoef(study['PC1'], population)[0, 1]:.3f}")

# %% [markdown]
# **5.** With about ten copies a few people decide, and their outlying values make p-values too small. Normal scores
# mend it here.

# %%
rng = np.random.default_rng(31)
strangers = pd.DataFrame({"ID": np.arange(1000), "skewed": np.exp(1.2 * rng.standard_normal(1000))})
strangers["scores"] = lmm.qtl.inormal(strangers["skewed"])
rare = pd.DataFrame(rng.binomial(2, 0.005, (1000, 4000)), index=strangers["ID"]).rename(columns=lambda j: f"rare{j}")
for name in ("skewed", "scores"):
    found = lmm.qtl.association(lmm.gls(f"{name} ~ 1", strangers), rare, id="ID").table["p_value"]
    print(f"{name}: p < 0.001 in {100 * (found < 0.001).mean():.2f} % of the SNPs")

# %% [markdown]
# **6.** Nothing near the lead variant reaches the threshold any more. The best of the chromosome is now elsewhere, in
# a block of LD that has small effects of its own.

# %%
given = lmm.lmer("height ~ sex + lead + kin(ID, K)", study.assign(lead=genotypes[lead].to_numpy()))
again = lmm.qtl.association(given, source, variants="3", loco=True)
print(again.top(2)[["variant", "position", "p_value"]].to_string(index=False, float_format="{:.3g}".format))
place = leads.set_index("variant").loc[lead, "position"]
near = (again.table["position"] - place).abs() < 500_000
print(f"least p within 0.5 Mb of {lead}: {again.table.loc[near, 'p_value'].min():.3f}")
block = names.index(again.top(1)["variant"].iloc[0]) // 15
print("small effects in the block of the best:", [names[j] for j in np.sort(small) if j // 15 == block])

# %% [markdown]
# ## Further reading
#
# - Balding & Nichols (1995), A method for quantifying differentiation between populations at multi-allelic loci and
#   its implications for investigating identity and paternity, *Genetica* 96, 3–12.
# - Devlin & Roeder (1999), Genomic control for association studies, *Biometrics* 55, 997–1004.
# - Kang et al. (2010), Variance component model to account for sample structure in genome-wide association studies,
#   *Nature Genetics* 42, 348–354.
# - Zhou & Stephens (2012), Genome-wide efficient mixed-model analysis for association studies, *Nature Genetics* 44,
#   821–824.
# - Listgarten et al. (2012), Improved linear mixed models for genome-wide association studies, *Nature Methods* 9,
#   525–526.
# - Yang et al. (2014), Advantages and pitfalls in the application of mixed-model association methods, *Nature
#   Genetics* 46, 100–106.
# - Price et al. (2006), Principal components analysis corrects for stratification in genome-wide association studies,
#   *Nature Genetics* 38, 904–909.
# - Pe'er et al. (2008), Estimation of the multiple testing burden for genomewide association studies of nearly all
#   common variants, *Genetic Epidemiology* 32, 381–385.
# - Almasy & Blangero (2004), Exploring positional candidate genes: linkage conditional on measured genotype, *Behavior
#   Genetics* 34, 173–177.
#
# Previous: [8. Linkage](08_linkage.ipynb). Next: [10. Coming from other programs](10_coming_from.ipynb).
