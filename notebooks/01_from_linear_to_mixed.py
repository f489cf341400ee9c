# %% [markdown]
# # 1. From linear models to mixed models
#
# A linear model takes its records as independent. Records of one child, one litter or one sire are not. What goes wrong
# then, and what replaces least squares? At the end of this notebook you can compute generalised least squares by hand,
# say where the covariance matrix $V = ZGZ^\top + R$ comes from, and predict random effects in three ways that agree.
#
# You need linear regression, matrices (product, transpose, inverse) and a little Python. Nothing about mixed models is
# assumed.

# %% [markdown]
# ## Setting up
#
# From a clone of lmmpy, `make demo` makes an environment in `.venv`, in which the notebooks run, and fits the first
# models; `pip install '.[notebooks]'` installs all that they need into an environment of your own. The data sets of the
# course come with the package, so that every cell runs offline.

# %%
from fractions import Fraction

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import lmmpy as lmm
from lmmpy import plots

plots.use_style()
BLUE, ORANGE, GREEN, GREY = (plots.COLOURS[name] for name in ("blue", "orange", "green", "grey"))

# %% [markdown]
# ## Ordinary least squares
#
# `Orthodont` has a distance in the skull, measured on an x-ray of 27 children at the ages of 8, 10, 12 and 14 years.

# %%
children = lmm.datasets.load("Orthodont")
print(children.groupby("Sex", observed=True)["Subject"].nunique().to_dict())
children.pivot_table(index="Sex", columns="age", values="distance", observed=True).round(2)

# %% [markdown]
# The table has the mean distance of each sex at each age. A linear model says that they lie on two parallel lines:
#
# $$ y = X\beta + e, \qquad \mathrm{E}(e) = 0. $$
#
# $y$ holds the $n$ records, $X$ ($n \times p$) the predictors, $\beta$ the $p$ coefficients, $e$ the errors. A formula
# says what is in $X$; `lmm.lformula` shows it.

# %%
design = lmm.lformula("distance ~ age + Sex", children)
X = design.X.to_numpy()
y = children["distance"].to_numpy()
print(X.shape)
design.X.iloc[[0, 1, 2, 3, 64, 65]]

# %% [markdown]
# Least squares chooses the $\hat\beta$ with the smallest sum of squared residuals $\|y - X\beta\|^2$. Its derivative is
# zero where the **normal equations** hold:
#
# $$ X^\top X \hat\beta = X^\top y. $$

# %%
beta_ols = np.linalg.solve(X.T @ X, X.T @ y)
pd.Series(beta_ols, index=design.X.columns).round(3)

# %% [markdown]
# The distance grows by the coefficient of `age` each year, and girls have the smaller one, by the coefficient of
# `SexFemale`. The errors have variance $\sigma^2$, which is estimated from the residuals and $n - p$ degrees of
# freedom. If the errors are independent, $\mathrm{Var}(\hat\beta) = \sigma^2 (X^\top X)^{-1}$, and the roots of its
# diagonal are the standard errors. `lmm.gls` without further arguments is the same model.

# %%
residual = y - X @ beta_ols
sigma2 = residual @ residual / (len(y) - X.shape[1])
se_ols = np.sqrt(sigma2 * np.diag(np.linalg.inv(X.T @ X)))

ols = lmm.gls("distance ~ age + Sex", children)
print(np.allclose(ols.fixef, beta_ols), np.allclose(ols.se, se_ols))
pd.DataFrame({"estimate": ols.fixef, "std. error": ols.se}).round(3)

# %%
fig, ax = plt.subplots(figsize=(5.6, 3.6))
for sex, colour, marker, shift in [("Male", BLUE, "o", -0.1), ("Female", ORANGE, "^", 0.1)]:
    own = children[children["Sex"] == sex]
    ax.plot(own["age"] + shift, own["distance"], marker, color=colour, alpha=0.55, ms=4)
    ages = np.array([8, 14])
    ax.plot(ages, ols.predict({"age": ages, "Sex": [sex] * 2}), color=colour, marker=marker, label=sex)
ax.set(xlabel="Age (years)", ylabel="Distance (mm)", xticks=[8, 10, 12, 14])
ax.legend()
plt.show()

# %% [markdown]
# ### Least squares as a projection
#
# All vectors $X\beta$ make up a space of $p$ dimensions (a line, if $X$ has one column; a plane, if it has two). The
# fitted values $\hat y = X\hat\beta$ are the point of it that is nearest to $y$: the foot of the perpendicular. So
# residuals are orthogonal to every column of $X$, and $\hat y = Hy$ with the projection $H = X(X^\top X)^{-1}X^\top$:
# to project twice changes nothing, $HH = H$, and its trace is the number of dimensions, $p$.

# %%
H = X @ np.linalg.solve(X.T @ X, X.T)
print("residuals orthogonal to X:", np.allclose(X.T @ residual, 0))
print("HH = H:", np.allclose(H @ H, H), "  trace of H:", np.trace(H).round(6))

# %% [markdown]
# With two records and the mean alone, $X = (1, 1)^\top$, this can be drawn: one axis for each record, $y$ a point, the
# multiples of $X$ a line.


# %%
def draw_projection(ax, y, V):
    """Two records as a point, its fit on the line of equal values, and the ellipse of V through y."""
    one = np.ones(2)
    weight = np.linalg.solve(V, one)
    fit = one * (weight @ y) / (weight @ one)
    circle = np.linalg.cholesky(V) @ [np.cos(t := np.linspace(0, 2 * np.pi, 200)), np.sin(t)]
    radius = np.sqrt((y - fit) @ np.linalg.solve(V, y - fit))
    ax.plot(*(y[:, None] - radius * circle), color=GREY, lw=1, ls="--")
    ax.plot([0, 5], [0, 5], color=BLUE, label="all Xβ")
    ax.plot(*np.c_[y, fit], color=ORANGE, lw=1.5, ls=":", label="residual")
    ax.plot(*y, "o", color="black")
    ax.plot(*fit, "s", color=BLUE)
    ax.annotate("y", y, xytext=(6, -12), textcoords="offset points")
    ax.annotate("fitted", fit, xytext=(-10, 8), textcoords="offset points", ha="right", color=BLUE)
    ax.set(xlabel="First record", ylabel="Second record", aspect="equal", xlim=(0, 6.4), ylim=(-1.4, 5))
    return fit[0]


fig, ax = plt.subplots(figsize=(3.8, 3.6))
print("fitted mean:", draw_projection(ax, np.array([4.0, 1.0]), np.eye(2)))
ax.legend(loc="upper left")
plt.show()

# %% [markdown]
# The dashed circle has the points that are as far from $y$ as the fit is; it touches the line. With $V$ in place of the
# identity the circle will become an ellipse.

# %% [markdown]
# ## What Gauss and Markov promise
#
# An estimator $Ay$ is *linear*. It is *unbiased* for $\beta$ if $AX = I$, whatever the errors are, so long as their
# mean is zero. Its covariance matrix is $A\,\mathrm{Var}(y)\,A^\top$. The theorem of Gauss and Markov: if
# $\mathrm{Var}(y) = \sigma^2 I$, no linear unbiased estimator has a smaller variance than least squares, for any
# combination of the coefficients. Least squares is then **BLUE**, the best linear unbiased estimator. Normality is not
# needed.
#
# Another estimator of growth by year: the mean of all children at 14 less the mean at 8, over six years. It is linear
# and unbiased too.

# %%
a_ols = np.linalg.solve(X.T @ X, X.T)[1]  # the row of A for age
age = children["age"].to_numpy()
a_ends = ((age == 14) / (age == 14).sum() - (age == 8) / (age == 8).sum()) / 6
print("unbiased: ", (a_ols @ X).round(6), (a_ends @ X).round(6))
print("estimates:", (a_ols @ y).round(4), (a_ends @ y).round(4))
print("variances, in units of σ²:", (a_ols @ a_ols).round(6), (a_ends @ a_ends).round(6))

# %% [markdown]
# Both have expectation $\beta_{age}$: their products with the columns of $X$ are $(0, 1, 0)$. Least squares has the
# smaller variance, because the middle ages say something as well. The comparison of variances needs no data, only $X$.

# %% [markdown]
# ## Where the promise ends
#
# The theorem asks for uncorrelated errors of equal variance. Here are the residuals, child by child.

# %%
rows = children.assign(residual=residual)
order = rows.groupby("Subject", observed=True)["residual"].mean().sort_values().index
place = {child: i for i, child in enumerate(order)}
fig, ax = plt.subplots(figsize=(6.6, 3.2))
ax.axhline(0, color=GREY, lw=1)
for child, own in rows.groupby("Subject", observed=True):
    x = [place[child]] * len(own)
    ax.plot(x, own["residual"], "o-", color=BLUE if child.startswith("M") else ORANGE, lw=0.8, ms=4, alpha=0.8)
ax.set_xticks(range(len(order)), order, rotation=90, fontsize=8)
ax.set(xlabel="Child (M boys, F girls)", ylabel="Residual (mm)")
plt.show()

# %%
wide = rows.pivot(index="Subject", columns="age", values="residual")
wide.corr().round(2)

# %% [markdown]
# Residuals of one child mostly stay on one side of zero, and their correlations between ages are far from zero. So
# $\mathrm{Var}(y) = V \ne \sigma^2 I$. Least squares remains unbiased, since $AX = I$ has not changed. But its variance
# is
#
# $$ \mathrm{Var}(\hat\beta_{OLS}) = (X^\top X)^{-1} X^\top V X (X^\top X)^{-1} $$
#
# and not $\sigma^2(X^\top X)^{-1}$, and there may be a better estimator.

# %% [markdown]
# ## Generalised least squares
#
# Suppose that $V$ is known. Factorise it, $V = LL^\top$ (Cholesky), and multiply the model by $L^{-1}$:
#
# $$ L^{-1}y = L^{-1}X\beta + L^{-1}e, \qquad \mathrm{Var}(L^{-1}e) = L^{-1} V L^{-\top} = I. $$
#
# The transformed, *whitened*, records satisfy Gauss and Markov, so ordinary least squares of $L^{-1}y$ on $L^{-1}X$ is
# BLUE. Written out it is **generalised least squares** (GLS), found by Aitken in 1935:
#
# $$ \hat\beta = (X^\top V^{-1} X)^{-1} X^\top V^{-1} y, \qquad \mathrm{Var}(\hat\beta) = (X^\top V^{-1} X)^{-1}. $$
#
# Twelve litters of piglets serve as an example. Each litter gets one dose of a supplement; litters differ in size, and
# litter mates resemble each other. A common variance of 1 between litters and a variance of 1 within them make $V$. The
# data are simulated, with a gain that rises by 0.5 for a unit of the dose.

# %%
rng = np.random.default_rng(2)
size = np.array([2, 2, 2, 3, 3, 4, 5, 7, 10, 14, 18, 20])
litter = np.repeat(np.arange(12), size)
dose = rng.permutation(np.linspace(0, 3, 12))[litter]
X_pigs = np.column_stack([np.ones(len(litter)), dose])
same_litter = litter[:, None] == litter
V_pigs = 1.0 * same_litter + 1.0 * np.eye(len(litter))
L = np.linalg.cholesky(V_pigs)
gain = X_pigs @ [5.0, 0.5] + L @ np.random.default_rng(5).standard_normal(len(litter))
print(len(gain), "piglets")

# %%
white_X, white_y = np.linalg.solve(L, X_pigs), np.linalg.solve(L, gain)
by_whitening = np.linalg.lstsq(white_X, white_y)[0]
V_inverse = np.linalg.inv(V_pigs)
by_formula = np.linalg.solve(X_pigs.T @ V_inverse @ X_pigs, X_pigs.T @ V_inverse @ gain)
print("whitened:", by_whitening.round(4).tolist(), " formula:", by_formula.round(4).tolist())

# %% [markdown]
# With twelve litters the slope is not well known: its standard error, from $V$, and the estimate's distance from the
# truth are:

# %%
std_error = np.sqrt(np.linalg.inv(X_pigs.T @ V_inverse @ X_pigs)[1, 1])
print("std. error:", std_error.round(3), " distance from 0.5:", (by_formula[1] - 0.5).round(3))

# %% [markdown]
# In lmmpy a covariance matrix that is known up to a factor $\sigma^2$ goes into `residual=`: `kin(pig, V)` says that
# rows covary as the entries of a matrix with the labels in `pig`, and `relmat` hands the matrix over. The factor is
# estimated, so that standard errors are those above times $\hat\sigma$.

# %%
pigs = pd.DataFrame({"gain": gain, "dose": dose, "litter": litter, "pig": np.arange(len(gain))})
known = pd.DataFrame(V_pigs, index=pigs["pig"], columns=pigs["pig"])
by_gls = lmm.gls("gain ~ dose", pigs, residual="kin(pig, V)", relmat={"V": known})
print(by_gls.fixef.round(4).to_list(), " std. error / σ:", (by_gls.se["dose"] / by_gls.sigma).round(3))

# %% [markdown]
# If $V$ is diagonal, whitening divides each record by its standard deviation, and GLS is *weighted least squares*, with
# weights $1/v_i$: `lmm.gls(..., weights="1 / v")`. In the picture of two records the circle becomes an ellipse, and the
# residual no longer meets the line at a right angle. With $V = \mathrm{diag}(1, 4)$ the fit stays closer to the first
# record, which is the more precise one.

# %%
pair, variances = np.array([4.0, 1.0]), np.array([1.0, 4.0])
fig, ax = plt.subplots(figsize=(3.8, 3.6))
print("fitted mean:", draw_projection(ax, pair, np.diag(variances)).round(3))
ax.legend(loc="upper left")
by_weights = lmm.gls("y ~ 1", {"y": pair, "v": variances}, weights="1 / v")
print("by weights: ", by_weights.fixef.round(3).to_list())

# %% [markdown]
# ## What it costs to ignore V
#
# The litters again, 5,000 times, with the true slope 0.5. Each data set is analysed by OLS, which believes that the
# piglets are independent, and by GLS with the right $V$. Three numbers say how an estimator does: its mean (bias), its
# standard deviation over the data sets, and the mean of the standard errors that it prints.

# %%
n, p, slope = len(litter), 2, 0.5
Y = (X_pigs @ [5.0, slope])[:, None] + L @ rng.standard_normal((n, 5_000))
XtX_inverse = np.linalg.inv(X_pigs.T @ X_pigs)
B_ols = XtX_inverse @ X_pigs.T @ Y
s2 = ((Y - X_pigs @ B_ols) ** 2).sum(axis=0) / (n - p)
printed_ols = np.sqrt(s2 * XtX_inverse[1, 1])

C = np.linalg.inv(X_pigs.T @ V_inverse @ X_pigs)
B_gls = C @ X_pigs.T @ V_inverse @ Y
true_ols = np.sqrt((XtX_inverse @ X_pigs.T @ V_pigs @ X_pigs @ XtX_inverse)[1, 1])

# %%
covered = [
    np.mean(np.abs(B_ols[1] - slope) < 1.96 * printed_ols),
    np.mean(np.abs(B_gls[1] - slope) < 1.96 * np.sqrt(C[1, 1])),
]
costs = pd.DataFrame(
    {
        "mean": [B_ols[1].mean(), B_gls[1].mean()],
        "sd": [B_ols[1].std(), B_gls[1].std()],
        "sd in theory": [true_ols, np.sqrt(C[1, 1])],
        "printed std. error": [printed_ols.mean(), np.sqrt(C[1, 1])],
        "95 % interval covers": covered,
    },
    index=["OLS", "GLS"],
)
costs.round(3)

# %%
fig, ax = plt.subplots(figsize=(6.0, 3.3))
grid = np.linspace(-1.5, 2.5, 61)
ax.hist(B_ols[1], grid, histtype="step", density=True, color=ORANGE, ls="--", lw=1.8, label="OLS")
ax.hist(B_gls[1], grid, histtype="step", density=True, color=BLUE, lw=1.8, label="GLS")
believed = np.exp(-0.5 * ((grid - slope) / printed_ols.mean()) ** 2) / (printed_ols.mean() * np.sqrt(2 * np.pi))
ax.plot(grid, believed, color=GREY, ls=":", label="what OLS believes of itself")
ax.axvline(slope, color="black", lw=0.8)
ax.set(xlabel="Estimated slope (gain per unit of dose)", ylabel="Density", xlim=(-1, 2))
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# - Both are unbiased: the means differ from the true slope by less than two Monte Carlo standard errors (`sd` over the
#   root of 5,000).
# - OLS is not best: its standard deviation is the larger one. It gives each piglet the same weight. GLS knows that the
#   twentieth piglet of a litter adds little: a litter of $m$ has the weight $m/(m + 1)$ here, so that large litters
#   count little more than small ones.
# - The standard error that OLS prints is far too small, so that its 95 % intervals miss the truth far too often. This
#   is the graver error: a loss of precision is a pity, a wrong standard error misleads.

# %% [markdown]
# ## Where V comes from
#
# Nobody knows a matrix of $n \times n$ numbers. A mixed model builds it from a few. It adds to each record the **random
# effects** of the groups that it belongs to:
#
# $$ y = X\beta + Zb + e, \qquad b \sim N(0, G), \quad e \sim N(0, R). $$
#
# $G$ and $R$ are the covariance matrices of effects and errors. $Z$ ($n \times q$) says which of the $q$ random effects
# $b$ act on which record. With `(1 | Subject)` there is one effect for each child, $Z$ has a one where the record is of
# the child, $G = \sigma_s^2 I$ and $R = \sigma_e^2 I$. Take $\sigma_s^2 = 3.3$ and $\sigma_e^2 = 2$ for now. The first
# five children:

# %%
five = children.iloc[:20]
mixed = lmm.lformula("distance ~ age + (1 | Subject)", five.assign(Subject=five["Subject"].astype(str)))
Z = mixed.random[0].Z.toarray()
between, within = 3.3, 2.0
G, R = between * np.eye(5), within * np.eye(20)
V = Z @ G @ Z.T + R

fig, axes = plt.subplots(1, 4, figsize=(7.0, 2.6), width_ratios=[0.55, 1, 1, 1])
for ax, matrix, name in zip(axes, [Z, Z @ G @ Z.T, R, V], ["$Z$", "$ZGZ^T$", "$R$", "$V$"], strict=True):
    highest = 1.5 if ax is axes[0] else between + within  # Z has ones only, in grey
    shades = ax.imshow(matrix, cmap="Greys" if ax is axes[0] else "Blues", vmin=0, vmax=highest, aspect="auto")
    ax.set(title=name, xticks=[], yticks=range(20) if ax is axes[0] else [])
axes[0].set_yticks([1.5, 5.5, 9.5, 13.5, 17.5], mixed.random[0].levels)
axes[0].set_ylabel("Child (4 records each)")
axes[0].set_xlabel("5 effects")
for ax in axes[1:]:
    ax.set_xlabel("20 records")
fig.colorbar(shades, ax=axes[-1], label="Covariance (mm²)")
plt.show()

# %% [markdown]
# $ZGZ^\top$ has a square for each child: records of one child share its effect, and covary by $\sigma_s^2$. $R$ adds
# $\sigma_e^2$ on the diagonal. So two records of one child have the correlation
#
# $$ \frac{\sigma_s^2}{\sigma_s^2 + \sigma_e^2}, $$
#
# the *intraclass correlation*, and records of different children none. Two numbers have made the whole of $V$.
#
# The model can be read in two ways, and both are right.
#
# - **Conditional**: given $b$, the records are independent around the lines of their own children,
#   $y \mid b \sim N(X\beta + Zb, R)$.
# - **Marginal**: over all children that might have been measured, the records scatter around one line and are
#   correlated, $y \sim N(X\beta, V)$ with $V = ZGZ^\top + R$.
#
# Drawing effects first and records after (conditional) gives the covariance $V$ (marginal):

# %%
rng = np.random.default_rng(2)
drawn = np.sqrt(between) * Z @ rng.standard_normal((5, 20_000)) + np.sqrt(within) * rng.standard_normal((20, 20_000))
print("two records of the first child, one of the second: covariance in 20,000 draws")
print(np.cov(drawn[[0, 1, 4]]).round(2))
print("V")
print(V[np.ix_([0, 1, 4], [0, 1, 4])])
print("intraclass correlation:", round(between / (between + within), 2))

# %%
boys = np.array([[0], [1], [2]])  # three boys, their effects known as we have drawn them
ages, line = np.array([8, 10, 12, 14]), 17.7 + 0.66 * np.array([8, 10, 12, 14])
effects = np.array([-2.2, 0.4, 2.5])[:, None]
records = line + effects + np.sqrt(within) * rng.standard_normal((3, 4))
fig, axes = plt.subplots(1, 2, figsize=(6.8, 3.2), sharey=True)
for k, (colour, marker) in enumerate(zip([BLUE, ORANGE, GREEN], "o^s", strict=True)):
    axes[0].plot(ages, records[k], marker, color=colour)
    axes[0].plot(ages, line + effects[k], color=colour, marker=marker, ms=3, label=f"boy {k + 1}")
    axes[1].plot(ages, records[k], marker, color=colour)
spread = 1.96 * np.sqrt(between + within)
axes[1].fill_between(ages, line - spread, line + spread, color=GREY, alpha=0.2, label="95 % of all records")
axes[1].plot(ages, line, color="black", label=r"$X\beta$")
axes[0].set(title="Conditional: around own lines", xlabel="Age (years)", ylabel="Distance (mm)", xticks=ages)
axes[1].set(title="Marginal: around one line", xlabel="Age (years)", xticks=ages)
for ax in axes:
    ax.legend(loc="lower right" if ax is axes[0] else "upper left")
axes[0].set_ylim(17, 34)
plt.show()

# %% [markdown]
# ## Six records of three sires: BLUE and BLUP from V
#
# An example small enough for exact fractions. Offspring of three sires were recorded in two environments.

# %%
sire = lmm.datasets.load("sire")
sire.T

# %% [markdown]
# The model is $y_{ijk} = \mathrm{env}_i + \mathrm{sire}_j + e_{ijk}$, with environments fixed and sires random: they
# are a sample of the sires that might have been used, and are to be compared as such. The variances are known,
# $\sigma_s^2 = 2$ and $\sigma_e^2 = 6$.

# %%
records = lmm.lformula("y ~ 0 + env + (1 | sire)", sire)
y, X, Z = sire["y"].to_numpy(), records.X.to_numpy(), records.random[0].Z.toarray()
G, R = 2 * np.eye(3), 6 * np.eye(6)
V = Z @ G @ Z.T + R
print("X and Z\n", np.hstack([X, Z]).astype(int))
print("V\n", V.astype(int))

# %% [markdown]
# GLS with this $V$ gives the BLUE of the environments. The sires' effects are random variables, not parameters, so one
# speaks of *prediction*. The joint distribution of $b$ and $y$ has $\mathrm{Cov}(b, y) = GZ^\top$, hence the
# **best linear unbiased predictor** (BLUP):
#
# $$ \hat\beta = (X^\top V^{-1}X)^{-1}X^\top V^{-1}y, \qquad \hat b = GZ^\top V^{-1}(y - X\hat\beta). $$

# %%
V_inverse = np.linalg.inv(V)
blue = np.linalg.solve(X.T @ V_inverse @ X, X.T @ V_inverse @ y)
blup = G @ Z.T @ V_inverse @ (y - X @ blue)
print("18 × BLUE:", (18 * blue).round(6))
print("18 × BLUP:", (18 * blup).round(6))

# %% [markdown]
# So $\hat\beta = (148, 235)/18$ and $\hat b = (-1, 2, -1)/18$. BLUP is a regression of $b$ on the residuals
# $y - X\hat\beta$; its coefficients are $\mathrm{Cov}(b, y)\,\mathrm{Var}(y)^{-1} = GZ^\top V^{-1}$.

# %% [markdown]
# ## Henderson's mixed model equations
#
# $V$ has as many rows as there are records, and to invert it for a million cows is out of the question. Henderson found
# that both vectors solve one system without $V$. It makes the joint density of $y$ and $b$ as large as possible, that
# is, minimises
#
# $$ (y - X\beta - Zb)^\top R^{-1}(y - X\beta - Zb) + b^\top G^{-1} b, $$
#
# a sum of squares with a penalty on large effects. Setting the derivatives to zero gives
#
# $$ \begin{pmatrix} X^\top R^{-1}X & X^\top R^{-1}Z \\ Z^\top R^{-1}X & Z^\top R^{-1}Z + G^{-1} \end{pmatrix}
# \begin{pmatrix} \hat\beta \\ \hat b \end{pmatrix} =
# \begin{pmatrix} X^\top R^{-1}y \\ Z^\top R^{-1}y \end{pmatrix}. $$
#
# With $R = \sigma_e^2 I$ everything may be multiplied by $\sigma_e^2$; what is left of $G^{-1}$ is
# $\lambda = \sigma_e^2/\sigma_s^2 = 3$ on the diagonal. The other entries count records.

# %%
W = np.hstack([X, Z])
penalty = np.diag([0, 0, 3, 3, 3])
left, right = W.T @ W + penalty, W.T @ y
names = ["env 1", "env 2", "sire a", "sire b", "sire c"]
pd.DataFrame(left, index=names, columns=names).assign(right=right).astype(int)

# %% [markdown]
# All entries are whole numbers, so the solution can be had in fractions, without any rounding.


# %%
def solve_exactly(A, b):
    """Gauss–Jordan elimination in fractions; pivots are positive here."""
    rows = [[Fraction(int(value)) for value in [*row, end]] for row, end in zip(A, b, strict=True)]
    for k in range(len(rows)):
        rows[k] = [value / rows[k][k] for value in rows[k]]
        for i in range(len(rows)):
            if i != k:
                rows[i] = [value - rows[i][k] * pivot for value, pivot in zip(rows[i], rows[k], strict=True)]
    return [row[-1] for row in rows]


solution = solve_exactly(left, right)
print("in lowest terms:", *solution)
print("18 × solution: ", *[18 * value for value in solution])
print("as from V:", np.allclose([float(value) for value in solution], [*blue, *blup]))

# %% [markdown]
# The same numbers from both routes. Without the three entries $\lambda$ these are the normal equations of a model with
# fixed sires; the penalty alone turns fixed effects into random ones. It also makes the system solvable: with fixed
# sires one equation is redundant, since environments and sires both add up to the mean.

# %% [markdown]
# ## The same in one line
#
# `lmm.lmer` fits mixed models. Usually it estimates the variances; `varcomp=` gives them.

# %%
six = lmm.lmer("y ~ 0 + env + (1 | sire)", sire, varcomp={"sire": 2, "Residual": 6})
print("18 × BLUE:", (18 * six.fixef).round(6).to_dict())
print("18 × BLUP:", (18 * six.ranef()["sire"]["(Intercept)"]).round(6).to_dict())

# %% [markdown]
# `fit.fixef` has the fixed effects and `fit.ranef()` a frame of random effects for each term. `(1 | sire)` reads: an
# intercept (`1`) that varies by sire.

# %% [markdown]
# ## Shrinkage
#
# How do predicted sires differ from estimated ones? Here are the six records with sires as *fixed* effects, centred,
# and the BLUPs for sire variances from tiny to huge.

# %%
fixed = lmm.gls("y ~ 0 + env + sire", sire).fixef
estimated = np.array([0, fixed["sireb"], fixed["sirec"]])
estimated -= estimated.mean()
ratios = np.logspace(-2, 3, 26)  # σ_s² / σ_e²
path = []
for ratio in ratios:
    fit = lmm.lmer("y ~ 0 + env + (1 | sire)", sire, varcomp={"sire": 6 * ratio, "Residual": 6})
    path.append(fit.ranef()["sire"]["(Intercept)"].to_numpy())
path = np.array(path)
print("fixed:", estimated.round(3), " BLUP at 2 and 6:", blup.round(3), " at the last ratio:", path[-1].round(3))

# %%
fig, ax = plt.subplots(figsize=(6.2, 3.4))
for k, name, colour, style in [(1, "sire b", ORANGE, "-"), (0, "sires a and c", BLUE, "--")]:
    ax.plot(ratios, path[:, k], color=colour, ls=style, label=name)
    ax.plot(1 / 3, blup[k], "o", color=colour)
    ax.axhline(estimated[k], color=GREY, lw=1, ls=":")
ax.axvline(1 / 3, color=GREY, lw=0.8)
ax.text(0.3, 0.21, "2 / 6", ha="right", color="black")
ax.text(0.011, estimated[1] - 0.004, "fixed effects", va="top", fontsize=9)
ax.set(xscale="log", xlabel=r"Ratio of variances $\sigma_s^2 / \sigma_e^2$", ylabel="Predicted sire effect")
ax.legend(loc="center left", bbox_to_anchor=(0.0, 0.62))
plt.show()

# %% [markdown]
# With little variance between sires, what differs between their offspring is ascribed to chance, and the predictions go
# to zero. With much, they reach the fixed effects (dotted). In between they are *shrunk*, the more the fewer records a
# sire has. Sires a and c have the same sum of records in the same environments, and so the same effect throughout.
#
# Why shrink? Take sixty sires with two to twenty offspring each, whose true effects we know because we draw them.

# %%
rng = np.random.default_rng(3)
offspring = rng.integers(2, 21, 60)
truth = np.sqrt(2) * rng.standard_normal(60)
which = np.repeat(np.arange(60), offspring)
herd = pd.DataFrame({"sire": which, "y": 10 + truth[which] + np.sqrt(6) * rng.standard_normal(len(which))})
predicted = lmm.lmer("y ~ 1 + (1 | sire)", herd, varcomp={"sire": 2, "Residual": 6})
effect = predicted.ranef()["sire"]["(Intercept)"].to_numpy()
mean = herd.groupby("sire")["y"].mean().to_numpy() - predicted.fixef["(Intercept)"]
by_hand = mean * offspring * 2 / (offspring * 2 + 6)  # n σ_s² / (n σ_s² + σ_e²)
print("by hand:", np.allclose(by_hand, effect))

# %%
fig, axes = plt.subplots(1, 2, figsize=(6.8, 3.4), sharex=True, sharey=True)
titles = ["Mean of the offspring (fixed)", "BLUP"]
for ax, value, colour, name in zip(axes, [mean, effect], [ORANGE, BLUE], titles, strict=True):
    ax.plot([-5, 5], [-5, 5], color=GREY, lw=1)
    ax.scatter(value, truth, s=2.5 * offspring, color=colour, alpha=0.7, lw=0)
    ax.set(title=name, xlabel="Predicted sire effect", xlim=(-5, 5), ylim=(-5, 5), aspect="equal")
axes[0].set_ylabel("True sire effect")
axes[0].text(-4.8, 4.4, "area: number of offspring", fontsize=9)
quality = pd.DataFrame(
    {
        "mean squared error": [np.mean((value - truth) ** 2) for value in (mean, effect)],
        "slope of truth on prediction": [np.polyfit(value, truth, 1)[0] for value in (mean, effect)],
        "correlation": [np.corrcoef(value, truth)[0, 1] for value in (mean, effect)],
    },
    index=["means", "BLUP"],
)
quality.round(2)

# %% [markdown]
# BLUP has the smaller error, and the higher correlation with the truth. The means that are far from the line belong
# mostly to sires with few offspring (small points); BLUP moves those towards zero by the largest factor. The truth
# rises by about one unit with each unit of BLUP, so a BLUP can be taken at face value, whereas the best-looking mean
# promises too much.
#
# "Unbiased" has a particular sense here: $\mathrm{E}(\hat b - b) = 0$ over all sires. For one given sire with a large
# effect, $\mathrm{E}(\hat b \mid b)$ is nearer to zero than $b$ is. BLUP gives up unbiasedness for each sire to have
# the smallest error over all of them.

# %% [markdown]
# ## How precise is a prediction?
#
# The inverse of Henderson's matrix is, times $\sigma_e^2$, the covariance matrix of all errors together:
#
# $$ \mathrm{Var}\begin{pmatrix} \hat\beta - \beta \\ \hat b - b \end{pmatrix} = \sigma_e^2 C, \qquad
# C = \begin{pmatrix} X^\top X & X^\top Z \\ Z^\top X & Z^\top Z + \lambda I \end{pmatrix}^{-1}. $$
#
# The last three entries of its diagonal are the **prediction error variances** (PEV) of the sires, and
# $1 - \mathrm{PEV}/\sigma_s^2$ is the *reliability*: 0 without any information, 1 if the sire were known.

# %%
errors = 6 * np.linalg.inv(left)
pev = np.diag(errors)[2:]
rng = np.random.default_rng(4)
b = np.sqrt(2) * rng.standard_normal((3, 20_000))
many = X @ [[8.0], [13.0]] + Z @ b + np.sqrt(6) * rng.standard_normal((6, 20_000))
solved = np.linalg.solve(left, W.T @ many)
given_beta = six.ranef(cond_var=True).cond_var["sire"].ravel()
pd.DataFrame(
    {
        "PEV": pev,
        "variance of error, simulated": (solved[2:] - b).var(axis=1),
        "reliability": 1 - pev / 2,
        "variance given β": given_beta,
    },
    index=["sire a", "sire b", "sire c"],
).round(3)

# %% [markdown]
# The simulation confirms the formula. Two records say little about a sire. `fit.ranef(cond_var=True)` has the
# conditional variance of $b$ given $y$ *and β*, as lme4 has: it is smaller, since it takes the environments as known.
# The standard error of a prediction needs all of $C$; `fit.predict(se=True)` uses it:

# %%
k = np.array([1, 0, 1, 0, 0])  # environment 1, sire a
print("by hand:", round(float(k @ solution), 4), np.sqrt(k @ errors @ k).round(4))
six.predict({"env": ["1"], "sire": ["a"]}, se=True).round(4)

# %% [markdown]
# ## When the variances are not known
#
# They seldom are. Then they are estimated from the same data, by the likelihood of $y \sim N(X\beta, V)$. For variances
# one prefers the *restricted* likelihood (REML), that of the records freed of the fixed effects. Minus twice its
# logarithm is
#
# $$ \log|V| + \log|X^\top V^{-1}X| + (y - X\hat\beta)^\top V^{-1}(y - X\hat\beta) + (n - p)\log 2\pi. $$
#
# Notebook 4 derives it. Here it is computed on a grid for the children of the first sections, and `lmm.lmer` finds its
# lowest point.

# %%
records = lmm.lformula("distance ~ age + Sex + (1 | Subject)", children)
y, X, Z = children["distance"].to_numpy(), records.X.to_numpy(), records.random[0].Z.toarray()


def reml_criterion(between, within):
    """Minus twice the restricted log-likelihood at two variances."""
    V = between * Z @ Z.T + within * np.eye(len(y))
    ViX, Viy = np.linalg.solve(V, X), np.linalg.solve(V, y)
    XtViX = X.T @ ViX
    beta = np.linalg.solve(XtViX, X.T @ Viy)
    logdets = np.linalg.slogdet(V)[1] + np.linalg.slogdet(XtViX)[1]
    return logdets + (y - X @ beta) @ (Viy - ViX @ beta) + (len(y) - X.shape[1]) * np.log(2 * np.pi)


growth = lmm.lmer("distance ~ age + Sex + (1 | Subject)", children)
estimates = growth.varcorr.to_frame().set_index("grp")["vcov"]
print(estimates.round(3).to_dict())
print("criterion there:", reml_criterion(*estimates).round(4), " of the fit:", round(growth.reml_criterion, 4))

# %%
sd_s, sd_e = np.linspace(0.2, 4, 39), np.linspace(1, 3, 33)
surface = np.array([[reml_criterion(s**2, e**2) for s in sd_s] for e in sd_e])
fig, ax = plt.subplots(figsize=(5.4, 3.7))
above = surface - growth.reml_criterion
lines = ax.contour(sd_s, sd_e, above, levels=[1, 4, 9, 16, 30], colors=BLUE, linewidths=1.2)
ax.clabel(lines, fontsize=8)
ax.plot(*np.sqrt(estimates), "o", color=ORANGE, label="REML estimate")
ax.set(xlabel=r"SD between children $\sigma_s$ (mm)", ylabel=r"SD within $\sigma_e$ (mm)")
ax.legend(loc="upper right")
plt.show()

# %% [markdown]
# The lines show by how much the criterion exceeds its lowest value. With estimated variances in place of known ones,
# $\hat\beta$ and $\hat b$ are called *empirical* BLUE and BLUP. Compare the coefficients with those of OLS:

# %%
both = {"OLS": ols.fixef, "mixed": growth.fixef, "OLS std. error": ols.se, "mixed std. error": growth.se}
pd.DataFrame(both).round(3)

# %% [markdown]
# The estimates are the same, because every child was measured at the same ages; in balanced data GLS with such a $V$ is
# OLS. The standard errors are not the same: those of OLS are wrong, in both directions. Sex differs *between* children,
# of whom there are few: OLS was too sure. Age differs *within* them, where the differences between children cancel: OLS
# was not sure enough.
#
# The six records of the sires are too few to estimate two variances. The fit says so:

# %% tags=["warns"]
too_few = lmm.lmer("y ~ 0 + env + (1 | sire)", sire)
print(too_few.varcorr)

# %% [markdown]
# A variance of zero is the best that REML can do with these data, not a proof that sires are equal. Notebook 3 returns
# to such *singular* fits.

# %% [markdown]
# ## What to take away
#
# - OLS is a projection. It is best among linear unbiased estimators if records are uncorrelated with equal variances.
# - With $V \ne \sigma^2 I$ it remains unbiased. It loses precision, and, worse, its printed standard errors are wrong,
#   in either direction.
# - GLS is OLS after whitening by a Cholesky factor of $V$.
# - A mixed model builds $V = ZGZ^\top + R$ from a few variances. Given $b$ the records are independent around their
#   groups' own lines (conditional view); over groups they are correlated around one line (marginal view).
# - BLUE and BLUP follow from $V$, or from Henderson's equations without $V$, or from `lmm.lmer(..., varcomp=...)`.
# - BLUP shrinks towards zero, the more the less is known. It has the smallest mean squared error among linear unbiased
#   predictors.
# - Variances are usually estimated, by REML.

# %% [markdown]
# ## Exercises
#
# 1. *(easy)* Show on the children's data that the residuals of OLS add up to zero. Why must they, whenever the model
#    has an intercept?
# 2. *(easy)* Solve Henderson's equations of the six records (`sire["y"]` and `W`) with $\sigma_s^2 = 6$ instead of $2$,
#    and check them with `varcomp=`.
# 3. *(medium)* Five offspring of one sire have the mean deviation $+1.2$ from a known overall mean. With
#    $\sigma_s^2 = 2$ and $\sigma_e^2 = 6$, what is the BLUP of the sire? How many offspring does a reliability of one
#    half take?
# 4. *(medium)* Compute the correct standard errors of OLS for the children, $(X^\top X)^{-1}X^\top VX(X^\top X)^{-1}$
#    with the estimated variances, and compare them with those of the mixed model.
# 5. *(harder)* Prove by the identity $GZ^\top V^{-1} = (Z^\top R^{-1}Z + G^{-1})^{-1}Z^\top R^{-1}$ that both forms of
#    BLUP agree, and check the identity numerically on the six records.

# %% [markdown]
# ## Solutions
#
# **1.** Residuals are orthogonal to all columns of $X$; the intercept is a column of ones, and a product with it is a
# sum.

# %%
print(abs(residual.sum().round(8)))

# %% [markdown]
# **2.** Only the penalty changes: $\lambda = 6/6 = 1$.

# %%
sire_y, sire_W = sire["y"].to_numpy(), W
other = solve_exactly(sire_W.T @ sire_W + np.diag([0, 0, 1, 1, 1]), sire_W.T @ sire_y)
check = lmm.lmer("y ~ 0 + env + (1 | sire)", sire, varcomp={"sire": 6, "Residual": 6})
print(*other)
print(np.allclose([float(value) for value in other], [*check.fixef, *check.ranef()["sire"]["(Intercept)"]]))

# %% [markdown]
# **3.** The BLUP is the deviation times $n\sigma_s^2/(n\sigma_s^2 + \sigma_e^2)$. With a known mean the reliability is
# the same fraction, which is one half for $n = \sigma_e^2/\sigma_s^2 = \lambda$.

# %%
print("BLUP:", 1.2 * 5 * 2 / (5 * 2 + 6), "  offspring for a reliability of one half:", 6 / 2)

# %% [markdown]
# **4.** They are those of the mixed model: with balanced data the estimators are the same, hence their variances.

# %%
V = estimates["Subject"] * Z @ Z.T + estimates["Residual"] * np.eye(len(y))
bread = np.linalg.inv(X.T @ X)
print(np.sqrt(np.diag(bread @ X.T @ V @ X @ bread)).round(4), growth.se.round(4).to_list())

# %% [markdown]
# **5.** Multiply from the left by $Z^\top R^{-1}Z + G^{-1}$ and from the right by $V = ZGZ^\top + R$: both sides become
# $Z^\top R^{-1}ZGZ^\top + Z^\top$. The second row of Henderson's equations is
#
# $$ \hat b = (Z^\top R^{-1}Z + G^{-1})^{-1}Z^\top R^{-1}(y - X\hat\beta), $$
#
# and so equals $GZ^\top V^{-1}(y - X\hat\beta)$.

# %%
Z6, G6, R6 = sire_W[:, 2:], 2 * np.eye(3), 6 * np.eye(6)
one_side = G6 @ Z6.T @ np.linalg.inv(Z6 @ G6 @ Z6.T + R6)
other_side = np.linalg.solve(Z6.T @ Z6 / 6 + np.eye(3) / 2, Z6.T / 6)
print(np.allclose(one_side, other_side))

# %% [markdown]
# ## Further reading
#
# - Henderson (1975), Best linear unbiased estimation and prediction under a selection model, *Biometrics*.
# - Robinson (1991), That BLUP is a good thing: the estimation of random effects, *Statistical Science*.
# - Aitken (1935), On least squares and linear combination of observations, *Proceedings of the Royal Society of
#   Edinburgh*.
# - Searle, Casella & McCulloch (1992), *Variance Components*, Wiley.
#
# Next: [2. Crossed and nested effects](02_crossed_and_nested.ipynb)
