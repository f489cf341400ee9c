# %% [markdown]
# # 6. What h² means
#
# A heritability is a ratio, and every fixed effect that enters a model changes its denominator, some its numerator.
# Wilson (2008) showed it with a table of the horn length of unicorns. Here is a replica with a herd of our own, in
# which the truth is known. You will be able to say what a given $h^2$ conditions on, add the variance of the fixed
# effects to the denominator, and choose the $h^2$ that predicts a response to selection.
#
# Assumed: the polygenic model, as in [5. The polygenic model](05_polygenic.ipynb).

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import Markdown

import lmmpy as lmm
from lmmpy import plots

plots.use_style()

# %% [markdown]
# ## Which variance is V_P?
#
# The textbook has $h^2 = V_A / V_P$, the additive genetic variance over the variance of the phenotype. A mixed model
# has
#
# $$y = X\beta + Zg + e, \qquad g \sim N(0, V_A A), \qquad e \sim N(0, V_R I),$$
#
# and software reports $V_A / (V_A + V_R)$. But the variance of the data has a third part, that of the fixed effects:
#
# $$\operatorname{var}(y) \approx V_A + V_R + V_F, \qquad V_F = \operatorname{var}_i(x_i^\top \beta).$$
#
# The reported $h^2$ is that of the trait *given* the fixed effects: among animals of one age and sex, say. This is
# neither right nor wrong, but it is another quantity for each model.

# %% [markdown]
# ## A herd of unicorns
#
# Each unicorn has one record of its horn (cm), at an age of 1 to 8 years. Males have longer horns, and they grow
# faster. Weight (kg) grows as well, is heritable, and acts on the horn: a heavier unicorn grows a longer one.
#
# $$\begin{aligned}
# \text{weight} &= m_w(\text{age}, \text{sex}) + a_w + e_w,\\
# \text{horn} &= m_h(\text{age}, \text{sex}) + b\,\text{weight} + a_h + e_h .
# \end{aligned}$$
#
# The breeding value for horn length is $g = a_h + b\,a_w$: genes that act on the horn directly, and genes that act by
# way of weight.

# %%
TRUE = {"a_h": 4.0, "e_h": 9.0, "a_w": 600.0, "e_w": 300.0}  # variances
b = 0.1  # cm of horn per kg


def mean_weight(age, male):
    return 350 + 6 * (age - 4.5) + 30 * (male - 0.5)


def mean_horn_direct(age, male):
    return 5 + 1.2 * (age - 4.5) + 4 * (male - 0.5) + 1.4 * (age - 4.5) * (male - 0.5)


V_A, V_E = TRUE["a_h"] + b**2 * TRUE["a_w"], TRUE["e_h"] + b**2 * TRUE["e_w"]
print(f"V_A of horn: {V_A:.0f} = {TRUE['a_h']:.0f} direct + {b**2 * TRUE['a_w']:.0f} through weight")
print(f"V_E of horn: {V_E:.0f} = {TRUE['e_h']:.0f} direct + {b**2 * TRUE['e_w']:.0f} through weight")

# %% [markdown]
# The pedigree: founders, then four generations, each from 60 sires with three dams a sire and four foals a dam.
# Breeding values are dropped down it: the mean of the parents, and a Mendelian term. Its variance is $\tfrac12 -
# \tfrac14(F_f + F_m)$ times $V_A$, with $F_f$ and $F_m$ the inbreeding coefficients of father and mother.


# %%
def draw_pedigree_table(rng, generations=4, sires=60, dams=180, foals=4):
    table = [(i, 0, 0, 1 if i <= sires else 2) for i in range(1, sires + dams + 1)]
    parents = table
    for _ in range(generations):
        males = rng.permutation([row[0] for row in parents if row[3] == 1])[:sires]
        females = rng.permutation([row[0] for row in parents if row[3] == 2])[:dams]
        new = []
        for number, dam in enumerate(females):
            for _ in range(foals):
                new.append((len(table) + len(new) + 1, males[number % sires], dam, int(rng.integers(1, 3))))
        table, parents = table + new, new
    return pd.DataFrame(table, columns=["ID", "FA", "MO", "SEX"])


rng = np.random.default_rng(2008)
frame = draw_pedigree_table(rng)
ped = lmm.Pedigree.from_frame(frame)
print(ped)
print("mean inbreeding of the last generation:", round(ped.inbreeding().iloc[-720:].mean(), 4))

# %%
F = np.append(ped.inbreeding().loc[frame["ID"].astype(str)].to_numpy(), -1)  # the last, -1, stands for "unknown"
rows = frame[["FA", "MO"]].to_numpy() - 1
mendelian = np.sqrt(1 - (1 + F[rows]).sum(1) / 4)  # an unknown parent takes nothing away: 1 + F is 0


def drop(rng, variance):
    """Breeding values of everybody, of the variance given in the founders."""
    g = np.append(mendelian * rng.standard_normal(len(rows)), 0.0)
    for i, (father, mother) in enumerate(rows):
        g[i] += (g[father] + g[mother]) / 2
    return np.sqrt(variance) * g[:-1]


def draw_herd(rng, age=None):
    male = (frame["SEX"] == 1).to_numpy().astype(float)
    age = rng.integers(1, 9, len(frame)) if age is None else age
    a_h, a_w = drop(rng, TRUE["a_h"]), drop(rng, TRUE["a_w"])
    e_h, e_w = (np.sqrt(TRUE[name]) * rng.standard_normal(len(frame)) for name in ("e_h", "e_w"))
    weight = mean_weight(age, male) + a_w + e_w
    horn = mean_horn_direct(age, male) + b * weight + a_h + e_h
    sex = np.where(male == 1, "male", "female")
    return pd.DataFrame({"ID": frame["ID"], "age": age, "sex": sex, "weight": weight, "horn": horn})


herd = draw_herd(rng)
print(herd.groupby("sex")[["horn", "weight"]].agg(["count", "mean", "std"]).round(1))

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 3.3), sharey=True)
shift = {"female": -0.15, "male": 0.15}
for (sex, group), colour, marker in zip(herd.groupby("sex"), ("orange", "blue"), "os", strict=True):
    style = {"marker": marker, "ls": "", "ms": 2, "alpha": 0.35, "color": plots.COLOURS[colour]}
    axes[0].plot(group["age"] + shift[sex], group["horn"], **style)
    means = group.groupby("age")["horn"].mean()
    axes[0].plot(means.index, means, marker=marker, color=plots.COLOURS[colour], label=sex, mec="white")
    axes[1].plot(group["weight"], group["horn"], **style)
axes[0].set(xlabel="Age (years)", ylabel="Horn length (cm)")
axes[0].legend()
axes[1].set(xlabel="Weight (kg)")
plt.show()

# %% [markdown]
# ## Six models
#
# Three sets of fixed effects, each without and with weight.

# %%
FIXED = {"mean": "1", "age + sex": "age + sex", "age × sex": "age * sex"}
formulas = {name: f"horn ~ {fixed} + kin(ped)" for name, fixed in FIXED.items()}
formulas |= {f"{name}, weight": f"horn ~ {fixed} + weight + kin(ped)" for name, fixed in FIXED.items()}
fits = {name: lmm.lmer(formula, herd) for name, formula in formulas.items()}


def components(fit):
    variance = fit.varcorr.to_frame().set_index("grp")["vcov"]
    V_A, V_R = variance["kin(ped)"], variance["Residual"]
    return {"V_A": V_A, "V_R": V_R, "V_P": V_A + V_R, "h2": V_A / (V_A + V_R)}


estimated = pd.DataFrame({name: components(fit) for name, fit in fits.items()}).T
estimated["se of h2"] = [fit.heritability(method="wald")["std_error"].iloc[0] for fit in fits.values()]
print(estimated.round(3))
print(f"variance of the data: {herd['horn'].var():.2f}")

# %% [markdown]
# One herd, one trait, six heritabilities. Is one of them right? All six are, for what they condition on. The truth
# follows from the simulation: with a coefficient $\beta_w$ of weight in the model (0 where it has none), what is left
# of the horn is
#
# $$(a_h + (b - \beta_w)\, a_w) + (e_h + (b - \beta_w)\, e_w) + \text{what it lacks of } m(\text{age}, \text{sex}).$$
#
# The variance of the first bracket is the $V_A$ of the model, that of the rest its $V_R$.


# %%
def truth(fit, herd):
    """V_A, V_R and h2 of what this model leaves, from the known parts."""
    age, male = herd["age"], (herd["sex"] == "male").astype(float)
    slope = fit.fixef.get("weight", 0.0)
    expected = mean_horn_direct(age, male) + b * mean_weight(age, male)
    explained = fit.predict(herd.assign(weight=mean_weight(age, male)), re_form="~0")
    left = np.var(expected - explained)  # of age and sex, not explained by the model
    V_A = TRUE["a_h"] + (b - slope) ** 2 * TRUE["a_w"]
    V_R = TRUE["e_h"] + (b - slope) ** 2 * TRUE["e_w"] + left
    return {"V_A": V_A, "V_R": V_R, "V_P": V_A + V_R, "h2": V_A / (V_A + V_R)}


known = pd.DataFrame({name: truth(fit, herd) for name, fit in fits.items()}).T
table = pd.concat({"estimate": estimated.drop(columns="se of h2"), "truth": known}, axis=1)
print(table.round(2))


# %%
def stack(ax, table, names, above, share):
    place = np.arange(len(names))
    ax.bar(place, table["V_A"], color=plots.COLOURS["blue"], label="$V_A$", width=0.7)
    ax.bar(
        place,
        table["V_R"],
        bottom=table["V_A"],
        color=plots.COLOURS["sky"],
        hatch="..",
        edgecolor="white",
        label="$V_R$",
        width=0.7,
    )
    for x, height in zip(place, above, strict=True):
        ax.text(x, height + 1, f"{table[share].iloc[x]:.2f}", ha="center", fontsize=9)
    ax.set_xticks(place, [name.replace(", ", "\n+ ") for name in names], fontsize=8)


figure, ax = plt.subplots(figsize=(7, 3.6))
stack(ax, estimated, list(fits), estimated["V_P"], "h2")
ax.axhline(herd["horn"].var(), color=plots.COLOURS["grey"], ls="--", lw=1)
ax.text(5.4, herd["horn"].var() + 1, "variance of the data", fontsize=9, ha="right")
for x, row in enumerate(known.itertuples()):
    ax.plot(
        [x - 0.35, x + 0.35],
        [row.V_A] * 2,
        color=plots.COLOURS["vermilion"],
        lw=2.5,
        label="true $V_A$" if x == 0 else None,
    )
ax.set(ylabel="Variance of horn length (cm²)", ylim=(0, 62))
ax.legend(ncols=3, loc="upper center", bbox_to_anchor=(0.6, 0.85))
plt.show()

# %% [markdown]
# The numbers above the bars are $h^2$. Two things happen, and they are different in kind.

# %% [markdown]
# ## What each model conditions on
#
# **Age and sex take variance out of $V_R$ and leave $V_A$.** The ages of these unicorns have nothing to do with their
# genes. In the first model what age and sex do is in the residual; with `age + sex` most of it is taken out, and with
# `age × sex` all. $V_A$ is about the same (why it is a little larger in the first model is said below), $h^2$ doubles.
#
# **Weight takes variance out of $V_A$.** It is heritable, and part of the genetic variance of the horn is that of
# weight. What is left is the variance of the genes that act on the horn *at a given weight*. Here is the part that is
# gone, by the fits of horn and of weight itself:

# %%
weight_fit = lmm.lmer("weight ~ age * sex + kin(ped)", herd)
V_A_weight = components(weight_fit)["V_A"]
slope = fits["age × sex, weight"].fixef["weight"]
through = slope**2 * V_A_weight
direct = estimated.loc["age × sex, weight", "V_A"]
print(f"slope of weight {slope:.3f} (truth {b}), V_A of weight {V_A_weight:.0f} (truth {TRUE['a_w']:.0f})")
print(f"through weight {through:.2f} + direct {direct:.2f} = {through + direct:.2f};")
print(f"V_A without weight in the model {estimated.loc['age × sex', 'V_A']:.2f}")

# %% [markdown]
# The sum agrees within the error of the estimates, because the direct genes and those of weight are independent.
# Otherwise $2\beta_w$ times their covariance belongs to it. Whether weight ought to be a covariate depends on the
# question, not on its p-value.
#
# In the model with weight and *without* age and sex, weight stands for both: old males are heavy and have long horns,
# so that its coefficient is too large, and all that is built on it is off.

# %%
slopes = {name: fit.fixef["weight"] for name, fit in fits.items() if "weight" in name}
errors = {name: fit.se["weight"] for name, fit in fits.items() if "weight" in name}
print(pd.DataFrame({"slope of weight": slopes, "std_error": errors}).round(4).assign(truth=b))

# %%
meaning = {
    "mean": "of all animals, of whatever age and sex",
    "age + sex": "at one age and sex, but with the different growth of the sexes left in V_R",
    "age × sex": "at one age and sex",
    "mean, weight": "at one weight, weight standing for age and sex, too",
    "age + sex, weight": "at one age, sex and weight, with the different growth left in V_R",
    "age × sex, weight": "at one age, sex and weight: horn relative to size",
}
lines = [
    f"| {name} | {estimated.loc[name, 'h2']:.2f} | {known.loc[name, 'h2']:.2f} | {text} |"
    for name, text in meaning.items()
]
Markdown("| model | $h^2$ | truth | variation |\n|---|---|---|---|\n" + "\n".join(lines))

# %% [markdown]
# ## Not luck: twenty herds
#
# The same pedigree with new genes, ages and weights, twenty times, all six models each:

# %%
rng = np.random.default_rng(20)
several = []
for herd_number in range(20):
    new = draw_herd(rng)
    for name, formula in formulas.items():
        several.append({"herd": herd_number, "model": name, **components(lmm.lmer(formula, new))})
several = pd.DataFrame(several)
summary = several.groupby("model", sort=False)[["V_A", "V_R", "h2"]].agg(["mean", "std"])
print(summary.round(2))

# %%
figure, axes = plt.subplots(1, 2, figsize=(7, 3.2), sharey=True)
jitter = np.random.default_rng(21).uniform(-0.2, 0.2, 20)
for ax, quantity, label in zip(axes, ("V_A", "h2"), ("$V_A$ (cm²)", "$h^2$"), strict=True):
    for row, name in enumerate(fits):
        values = several.loc[several["model"] == name, quantity]
        with_weight = "weight" in name
        ax.plot(
            values,
            row + jitter,
            "s" if with_weight else "o",
            ms=4,
            alpha=0.6,
            color=plots.COLOURS["orange" if with_weight else "blue"],
        )
        ax.plot(
            [known.loc[name, quantity]] * 2,
            [row - 0.35, row + 0.35],
            color="black",
            label="truth" if row == 0 else None,
        )
    ax.set(xlabel=label)
axes[0].set_yticks(range(6), list(fits))
axes[0].invert_yaxis()
axes[0].legend(loc="lower right")
axes[1].set_xlim(0, None)
plt.show()

# %% [markdown]
# $V_A$ falls when weight enters, $h^2$ moves with every fixed effect. (The truth of the models with weight uses the
# slope that was estimated in our own herd.)
#
# One thing is not as it should be: the $V_A$ of the first model is too large on average, by more than chance. The
# culprit is sex. The parents of a foal are always one male and one female, so that sex is *not* independent of the
# pedigree. As every pair of parents has the same mean of its sexes, the difference between a foal and the mean of its
# parents varies less than it would for a pure residual, and some of the sex difference is taken for genes. To check,
# give the sexes' difference to animals at random:

# %%
rng = np.random.default_rng(22)
checks = []
for _ in range(20):
    new = draw_herd(rng)
    difference = np.where(new["sex"] == "male", new.groupby("sex")["horn"].mean().diff().iloc[-1], 0)
    new["shuffled"] = new["horn"] - difference + rng.permutation(difference)
    made = {"horn, mean": "horn ~ 1", "horn, sex": "horn ~ sex", "sexes shuffled, mean": "shuffled ~ 1"}
    checks.append({name: components(lmm.lmer(f"{formula} + kin(ped)", new))["V_A"] for name, formula in made.items()})
checks = pd.DataFrame(checks)
print(pd.DataFrame({"mean V_A": checks.mean(), "std_error": checks.std() / np.sqrt(20)}).round(2))

# %% [markdown]
# A fixed effect leaves $V_A$ alone only if it is independent of relatedness; exercise 2 has a worse case.

# %% [markdown]
# ## The variance of the fixed effects, in the denominator
#
# To compare populations, or to say which share of *all* variation is genetic, put $V_F$ back (de Villemereuil et al.
# 2018):
#
# $$h^2_{\text{total}} = \frac{V_A}{V_A + V_R + V_F},\qquad
# \hat V_F = \operatorname{var}_i(x_i^\top\hat\beta) - \operatorname{tr}(S_X \widehat{\operatorname{var}}(\hat\beta)).$$
#
# $S_X$ is the covariance matrix of the columns of $X$. The second part takes off what the error of $\hat\beta$ adds;
# it is small here and matters with few records and many coefficients.


# %%
def fixed_variance(fit):
    X = fit.design.X
    S = np.atleast_2d(np.cov(X, rowvar=False))
    beta = fit.fixef.to_numpy()
    return beta @ S @ beta - np.trace(S @ fit.vcov().to_numpy())


estimated["V_F"] = [fixed_variance(fit) for fit in fits.values()]
estimated["total"] = estimated["V_P"] + estimated["V_F"]
estimated["h2 total"] = estimated["V_A"] / estimated["total"]
print(estimated[["V_A", "V_R", "V_F", "total", "h2", "h2 total"]].round(3))
print(f"variance of the data {herd['horn'].var():.2f}; in truth V_A over it is {V_A / known.loc['mean', 'V_P']:.3f}")

# %%
figure, ax = plt.subplots(figsize=(7, 3.6))
stack(ax, estimated, list(fits), estimated["total"], "h2 total")
ax.bar(
    np.arange(6),
    estimated["V_F"],
    bottom=estimated["V_P"],
    color="white",
    edgecolor=plots.COLOURS["grey"],
    hatch="//",
    label="$V_F$",
    width=0.7,
)
ax.text(-0.5, 66, "above the bars: $h^2_{total}$", fontsize=9)
ax.set(ylabel="Variance of horn length (cm²)", ylim=(0, 72))
ax.legend(ncols=3, loc="upper right")
plt.show()

# %% [markdown]
# The bars are now about as high as the variance of the data. The models without weight agree on $h^2_{\text{total}}$,
# as they should, since it is one quantity (but for the first, whose $V_A$ is too large, as shown above). Those with
# weight do not: a part of the genetic variance is counted as $V_F$. **$V_F$ in the denominator does not repair a
# covariate that is itself heritable.**
#
# A standard error: `vpredict` takes $V_F$ as a number without error; the parametric bootstrap estimates $\beta$, and
# with it $V_F$, anew in each replicate.

# %%
best = fits["age × sex"]
V_F = estimated.loc["age × sex", "V_F"]
by_delta = best.vpredict(
    {"h2": "kin(ped) / (kin(ped) + Residual)", "h2_total": f"kin(ped) / (kin(ped) + Residual + {V_F})"}
)
print(by_delta.round(4))


def shares(fit):
    parts = components(fit)
    return {"h2": parts["h2"], "h2_total": parts["V_A"] / (parts["V_P"] + fixed_variance(fit))}


print(best.bootstrap(60, shares, seed=1).summary().round(4))

# %% [markdown]
# Neither counts that another herd would have other ages. That is a property of the herd, not an error, but a reason
# not to compare $h^2_{\text{total}}$ of herds with different ages.

# %% [markdown]
# ## Evolvability
#
# Ratios of variances hide which of the two changed. Two measures have no $V_R$ in them (Houle 1992): the coefficient
# of additive variation, and the evolvability $I_A$, the change of the mean in one generation, as a share of it, under
# selection so strong that relative fitness is proportional to the trait:
#
# $$CV_A = \frac{\sqrt{V_A}}{\bar y}, \qquad I_A = \frac{V_A}{\bar y^2}.$$

# %%
mean = herd["horn"].mean()
evolvability = estimated[["h2"]].assign(
    CV_A=100 * np.sqrt(estimated["V_A"]) / mean, I_A=100 * estimated["V_A"] / mean**2
)
print(evolvability.rename(columns={"CV_A": "CV_A, %", "I_A": "I_A, %"}).round(3))

# %% [markdown]
# The models without weight nearly agree on $CV_A$ while their $h^2$ differ by a factor of two.

# %% [markdown]
# ## Response to selection: which h² predicts?
#
# The breeder's equation says $R = h^2 S$: the response of the offspring's mean is heritability times the selection
# differential, the difference of the mean of selected parents from that of all candidates. Which $h^2$? Three breeders
# choose the best fifth in each sex, mate at random, and raise foals:
#
# - **A** takes the longest horns of each sex, whatever the age;
# - **B** takes the longest horns *for their age and sex*;
# - **C** takes the longest horns *for their age, sex and weight*.
#
# $S$ is measured on what each breeder looks at. The response is the mean breeding value of the foals, which is that of
# their parents, above the mean of all candidates.

# %%
fits["sex"] = lmm.lmer("horn ~ sex + kin(ped)", herd)  # the candidates of A compete within a sex


def candidates(rng, n=4000):
    male = np.repeat([0.0, 1.0], n // 2)
    age = rng.integers(1, 9, n)
    parts = {name: np.sqrt(v) * rng.standard_normal(n) for name, v in TRUE.items()}
    weight = mean_weight(age, male) + parts["a_w"] + parts["e_w"]
    horn = mean_horn_direct(age, male) + b * weight + parts["a_h"] + parts["e_h"]
    sex = np.where(male == 1, "male", "female")
    frame = pd.DataFrame({"age": age, "sex": sex, "weight": weight, "horn": horn})
    return frame.assign(breeding_value=parts["a_h"] + b * parts["a_w"])


def select(frame, look):
    """Selection differential and response: each foal has a father and a mother, so the sexes count alike."""
    best = look >= look.groupby(frame["sex"]).transform(lambda values: values.quantile(0.8))
    S = look[best].groupby(frame["sex"]).mean() - look.groupby(frame["sex"]).mean()
    foals = (
        frame.loc[best, "breeding_value"].groupby(frame["sex"]).mean()
    )  # of the parents; Mendelian terms average out
    return S.mean(), foals.mean() - frame["breeding_value"].mean()


# %%
rng = np.random.default_rng(30)
outcomes = []
for _ in range(40):
    animals = candidates(rng)
    looks = {
        "A: longest in its sex": animals["horn"],
        "B: for age, sex": animals["horn"] - best.predict(animals, re_form="~0"),
        "C: for age, sex, weight": animals["horn"] - fits["age × sex, weight"].predict(animals, re_form="~0"),
    }
    for breeder, look in looks.items():
        S, R = select(animals, look)
        outcomes.append({"breeder": breeder, "S": S, "R": R, "realised h2": R / S})
outcomes = pd.DataFrame(outcomes)
realised = outcomes.groupby("breeder").agg(["mean", "std"])
print(realised.round(3))

# %%
definitions = ["mean", "sex", "age × sex", "age × sex, weight"]
h2_of = {name: components(fits[name])["h2"] for name in definitions}
h2_true = {name: truth(fits[name], herd)["h2"] for name in definitions}
predicted = pd.DataFrame({name: value * realised["S", "mean"] for name, value in h2_of.items()})
print("response in cm, predicted by the h2 of each model, and realised:")
print(predicted.assign(realised=realised["R", "mean"]).round(2).T.to_string())
print("h2 estimated", {n: round(float(v), 3) for n, v in h2_of.items()})
print("h2 true     ", {n: round(float(v), 3) for n, v in h2_true.items()})

# %%
figure, ax = plt.subplots(figsize=(7, 3.8))
markers = dict(zip(definitions, ("vs^D"), strict=True))
match = {0: "sex", 1: "age × sex", 2: "age × sex, weight"}
for x, (_, row) in enumerate(realised.iterrows()):
    ax.bar(x, row["R", "mean"], width=0.65, color="#dddddd", label="realised" if x == 0 else None)
    for k, name in enumerate(definitions):
        colour = list(plots.COLOURS.values())[k]
        value = h2_true[name] * row["S", "mean"]
        ax.plot(
            x - 0.24 + 0.16 * k, value, markers[name], color=colour, ms=8, label=f"$h^2$ of: {name}" if x == 0 else None
        )
        if match[x] == name:
            ax.plot(x - 0.24 + 0.16 * k, value, "o", ms=17, mfc="none", mec="black")
ax.set_xticks(range(3), list(realised.index))
ax.set(ylabel="Response in one generation (cm)", ylim=(0, 5.5))
ax.legend(ncols=3, loc="upper center")
plt.show()

# %% [markdown]
# The bars are the realised response, the markers $h^2 S$ with the true $h^2$ of each model, and the circle is the model
# that conditions on what the breeder conditions on. Each $h^2$ predicts for one breeder and fails for the others:
#
# - For breeder A, who pays no heed to age, the $h^2$ of `age × sex` promises far more than what comes. A large horn
#   is often an old one.
# - For B it is right, and that of the mean model would promise less than half.
# - C looks at what weight does not explain. The genes that act by way of weight are not selected; only the direct genes
#   respond, and the $h^2$ with weight in the model is right.
#
# The $h^2$ of the mean model is right for nobody here, since each foal needs a father and a mother and the sexes never
# compete. The circle of A is only near: the two sexes differ in variance (exercise 3).

# %% [markdown]
# ## What to report
#
# 1. $V_A$, $V_R$ and all other components with standard errors, and the mean of the trait: every ratio follows from
#    them.
# 2. The fixed effects, why each is in the model, and the variance $V_F$ that they explain.
# 3. $h^2$ *and what it conditions on*; if the question is about all variation, $h^2_{\text{total}}$ as well.
# 4. A covariate that is heritable itself, such as size, only with the sentence "at a given size". Where both matter
#    fit two traits ([7. Two traits](07_two_traits.ipynb)): nothing is lost then.
# 5. $CV_A$ or $I_A$ where populations or traits are compared.

# %% [markdown]
# ## What to take away
#
# - $h^2 = V_A/(V_A + V_R)$ from a mixed model is conditional on its fixed effects.
# - A fixed effect that is independent of the pedigree lowers $V_R$ and raises $h^2$; $V_A$ stays. Left out, an effect
#   that is not independent of it is in part taken for genes.
# - A heritable covariate changes $V_A$, as a rule downwards, and $h^2$ may go either way.
# - Adding $V_F$ to the denominator makes models comparable, unless a fixed effect is heritable.
# - The $h^2$ that predicts a response is the one whose conditions are those of the selection.

# %% [markdown]
# ## Exercises
#
# 1. Choose the true variances so that $h^2$ stays the same when weight enters, while $V_A$ halves. What does a reader
#    of $h^2$ alone conclude?
# 2. Foals of one mother are measured at the same age: draw ages by dam. What happens to $V_A$ of the mean model, and
#    what in the model with age?
# 3. Let the residual variance of the model `horn ~ sex` differ between sexes (`residual="varident(sex)"`). Predict the
#    response of breeder A from the two heritabilities.
# 4. What is the heritability of weight, by the model that you find right? And of the ratio horn/weight?
# 5. Replace weight as measured by weight less its own expectation at the animal's age and sex, in the model
#    `age × sex, weight`. What changes, and what does not?

# %% [markdown]
# ## Solutions
#
# **1.** Half of both the genetic and the environmental variance must pass through weight. $h^2$ says that nothing has
# changed.

# %%
equal = {"a_h": 5, "e_h": 6, "b2 a_w": 5, "b2 e_w": 6}
before = (equal["a_h"] + equal["b2 a_w"]) / sum(equal.values())
after = equal["a_h"] / (equal["a_h"] + equal["e_h"])
print(f"h2 {before:.3f} without and {after:.3f} with weight; V_A {equal['a_h'] + equal['b2 a_w']} and {equal['a_h']}")

# %% [markdown]
# **2.** Full sibs share an age, and the variance of age is taken for that of genes. With age in the model it is not.
# "V_A stays" holds for fixed effects that are independent of relatedness only.

# %%
rng = np.random.default_rng(40)
of_dam = rng.integers(1, 9, len(frame) + 1)
together = draw_herd(rng, age=np.where(frame["MO"] > 0, of_dam[frame["MO"]], rng.integers(1, 9, len(frame))))
for fixed in ("1", "sex", "age * sex"):
    parts = components(lmm.lmer(f"horn ~ {fixed} + kin(ped)", together))
    print(f"{fixed:9}", {name: round(float(value), 2) for name, value in parts.items()})

# %% [markdown]
# **3.** In each sex $R = h^2 S$ with its own variance, and the foals get the mean of both. This is nearer to what is
# realised; the rest is the error of the estimated $V_A$, as the prediction with the true one shows.

# %%
strata = lmm.lmer("horn ~ sex + kin(ped)", herd, residual="varident(sex)")
by_sex = strata.vpredict(female="kin(ped) / (kin(ped) + Residual.female)", male="kin(ped) / (kin(ped) + Residual.male)")
print(by_sex.round(3))
animals = candidates(np.random.default_rng(41), 100_000)
horns = animals.groupby("sex")["horn"]
S = (
    animals[animals["horn"] >= horns.transform(lambda values: values.quantile(0.8))].groupby("sex")["horn"].mean()
    - horns.mean()
)
pooled = components(fits["sex"])["h2"]
print(f"predicted by sex {(by_sex['estimate'] * S).mean():.2f}, by one h2 {pooled * S.mean():.2f};", end=" ")
print(f"by sex with the true V_A {(V_A / horns.var() * S).mean():.2f};", end=" ")
print(f"realised {select(animals, animals['horn'])[1]:.2f}")

# %% [markdown]
# **4.** By `age × sex`, the animals being compared at an age. The ratio mixes the two traits, and its $h^2$ is that of
# neither. It is nearly that of horn less (mean horn / mean weight) times weight; where that ratio happens to be near
# the slope of weight, as it is here, this is horn at a given weight.

# %%
for trait in ("weight", "I(horn / weight)"):
    parts = components(lmm.lmer(f"{trait} ~ age * sex + kin(ped)", herd))
    print(trait, {"h2": round(float(parts["h2"]), 3)})
print(f"mean horn / mean weight {herd['horn'].mean() / herd['weight'].mean():.3f}, slope of weight {slope:.3f}")

# %% [markdown]
# **5.** Only the coefficients of age and sex change, and with them the intercept: they become total effects, the direct
# ones and those by way of weight. The space that $X$ spans is the same, and so are $V_A$, $V_R$ and $V_F$.

# %%
relative = herd.assign(weight=herd["weight"] - lmm.gls("weight ~ age * sex", herd).fitted())
again = lmm.lmer("horn ~ age * sex + weight + kin(ped)", relative)
print(pd.DataFrame({"weight": fits["age × sex, weight"].fixef, "relative weight": again.fixef}).round(3))
print({name: round(float(value), 3) for name, value in components(again).items()})

# %% [markdown]
# ## Further reading
#
# - Wilson, A. J. (2008). Why h² does not always equal V_A/V_P? *J. Evol. Biol.* 21, 647–650.
# - Houle, D. (1992). Comparing evolvability and variability of quantitative traits. *Genetics* 130, 195–204.
# - Hansen, T. F., Pélabon, C. & Houle, D. (2011). Heritability is not evolvability. *Evol. Biol.* 38, 258–277.
# - Wilson, A. J. et al. (2010). An ecologist's guide to the animal model. *J. Anim. Ecol.* 79, 13–26.
# - de Villemereuil, P., Morrissey, M. B., Nakagawa, S. & Schielzeth, H. (2018). Fixed-effect variance and the
#   estimation of repeatabilities and heritabilities: issues and solutions. *J. Evol. Biol.* 31, 621–632.
#
# Previous: [5. The polygenic model](05_polygenic.ipynb). Next: [7. Two traits](07_two_traits.ipynb).
