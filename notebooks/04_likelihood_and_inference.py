# %% [markdown]
# # 4. What ML, REML and the profiled criterion are
#
# Which function does `lmm.lmer` minimise, how does it find the minimum, and what may be concluded from a fit?
# At the end you can write the criterion in numpy, say what REML is and when two REML fits can be compared, read the log
# of an optimiser, compute Satterthwaite's degrees of freedom, and choose a test that keeps its level.
# Assumed: notebooks 1 to 3 (the model, crossed effects, random slopes), matrix products, the Cholesky factor.

# %%
import warnings

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import linalg, optimize, stats

import lmmpy as lmm
from lmmpy import plots

plots.use_style()
warnings.simplefilter("ignore", lmm.SingularFitWarning)  # some fits below are meant to be singular
COLOURS = plots.COLOURS

# %% [markdown]
# ## Maximum likelihood makes variances too small
#
# Begin without random effects: $y = X\beta + e$ with $e \sim N(0, \sigma^2 I)$, $n$ observations and $p$ coefficients.
# Maximum likelihood (ML) divides the residual sum of squares by $n$. The coefficients were chosen to make the residuals
# small, so that their squares sum to $(n - p)\sigma^2$ on average, not to $n\sigma^2$:
#
# $$\hat\sigma^2_{\text{ML}} = \frac{\lVert y - X\hat\beta\rVert^2}{n}, \qquad
# \mathrm{E}\,\hat\sigma^2_{\text{ML}} = \frac{n-p}{n}\,\sigma^2, \qquad
# \hat\sigma^2_{\text{REML}} = \frac{\lVert y - X\hat\beta\rVert^2}{n-p}.$$
#
# With a third as many coefficients as observations the bias is a third of the variance.

# %%
rng = np.random.default_rng(41)
n, p, true_variance = 12, 4, 1.0
X = np.column_stack([np.ones(n), rng.standard_normal((n, p - 1))])
responses = rng.standard_normal((n, 4000)) * np.sqrt(true_variance)  # true coefficients: zero
residuals = responses - X @ np.linalg.lstsq(X, responses)[0]
rss = (residuals**2).sum(axis=0)
pd.Series({"ML, RSS / n": (rss / n).mean(), "REML, RSS / (n − p)": (rss / (n - p)).mean()}).round(2)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.2))
bins = np.linspace(0, 3, 46)
for values, name, colour, style in ((rss / n, "ML", "vermilion", "--"), (rss / (n - p), "REML", "blue", "-")):
    ax.hist(values, bins, histtype="step", color=COLOURS[colour], ls=style, lw=1.6, label=name)
    ax.axvline(values.mean(), color=COLOURS[colour], ls=style, lw=1)
ax.axvline(true_variance, color=COLOURS["grey"], ls=":", label="truth")
ax.set(xlabel=r"Estimate of $\sigma^2$", ylabel="Data sets", title="ML is too small on average, REML is not")
ax.legend()
plt.show()

# %% [markdown]
# The vertical lines are the means. In a mixed model ML does the same to the variances, and worst where it matters most:
# the variance between groups rests on as many observations as there are groups, and coefficients that differ between
# groups (a treatment of whole schools, say) use them up.

# %% [markdown]
# ## The criterion, with the whole covariance matrix
#
# The model of notebook 1 is
#
# $$y = X\beta + Zb + e, \qquad b \sim N(0, \sigma^2 G(\theta)), \qquad e \sim N(0, \sigma^2 I),$$
#
# so that $y \sim N(X\beta, \sigma^2 V)$ with $V = I + Z G Z^\top$. In this notebook $G$ and $V$ are *relative* to
# $\sigma^2$; in the others they are the covariances themselves. We write $G = \Lambda\Lambda^\top$. For a term with $k$
# effects in each level, $\Lambda$ repeats a small lower-triangular matrix $T$, $k \times k$, whose entries are
# $\theta$. For `(Days | Subject)` there are three:
#
# $$T = \begin{pmatrix}\theta_1 & 0\\ \theta_2 & \theta_3\end{pmatrix}, \qquad
# \sigma^2\,T T^\top = \text{covariance matrix of intercept and slope}.$$
#
# For a given $\theta$ the best $\beta$ and $\sigma^2$ have formulas. Put in, they leave a function of $\theta$ alone,
# the *profiled criterion* $d(\theta)$, which is $-2\ell$ at its best. With
# $r^2 = (y - X\hat\beta)^\top V^{-1} (y - X\hat\beta)$:
#
# $$\begin{aligned}
# \text{ML:}\quad d &= \log|V| + n\,\bigl[1 + \log(2\pi r^2/n)\bigr], & \hat\sigma^2 &= r^2/n,\\
# \text{REML:}\quad d &= \log|V| + \log|X^\top V^{-1} X| + (n-p)\,\bigl[1 + \log(2\pi r^2/(n-p))\bigr], &
# \hat\sigma^2 &= r^2/(n-p).
# \end{aligned}$$


# %%
def relative_factor(theta, design):
    """Λ of all random terms; each takes its part of θ, the lower triangle of T column by column."""
    theta, blocks = np.asarray(theta), []
    for term in design.random:
        upper = np.triu_indices(term.k)
        T = np.zeros((term.k, term.k))
        T.T[upper], theta = theta[: len(upper[0])], theta[len(upper[0]) :]
        blocks.append(np.kron(np.eye(term.n_levels), T))
    return linalg.block_diag(*blocks)


def parts(design):
    """X, Z and y as arrays."""
    return design.X.to_numpy(), np.hstack([term.Z.toarray() for term in design.random]), np.asarray(design.y)


# %%
def dense_criterion(theta, design, reml=True):
    """−2 log-likelihood at θ, with β and σ² at their best, from V itself."""
    X, Z, y = parts(design)
    n, p = X.shape
    ZL = Z @ relative_factor(theta, design)
    V = np.eye(n) + ZL @ ZL.T
    Vi = np.linalg.inv(V)
    beta = np.linalg.solve(X.T @ Vi @ X, X.T @ Vi @ y)
    r2 = (y - X @ beta) @ Vi @ (y - X @ beta)
    df = n - p if reml else n
    extra = np.linalg.slogdet(X.T @ Vi @ X)[1] if reml else 0
    return np.linalg.slogdet(V)[1] + extra + df * (1 + np.log(2 * np.pi * r2 / df))


# %% [markdown]
# Twenty lines. At the $\hat\theta$ of a fit they must give what the fit reports: `fit.reml_criterion`, and
# `fit.deviance`, the ML criterion (here at the REML estimate of $\theta$).

# %%
sleepstudy = lmm.datasets.load("sleepstudy")
formula = "Reaction ~ Days + (Days | Subject)"
fit = lmm.lmer(formula, sleepstudy)
design = lmm.lformula(formula, sleepstudy)  # the matrices, without a fit
pd.DataFrame(
    {
        "by hand": [dense_criterion(fit.theta, design), dense_criterion(fit.theta, design, reml=False)],
        "lmmpy": [fit.reml_criterion, fit.deviance],
    },
    index=["REML", "ML"],
).round(6)

# %% [markdown]
# ## REML is the likelihood of error contrasts
#
# An *error contrast* is a combination of the observations whose mean is zero whatever $\beta$ is: $k^\top y$ with
# $k^\top X = 0$. There are $n - p$ independent ones. Put them in the columns of $K$ ($n \times (n-p)$, full rank,
# $K^\top X = 0$; it has nothing to do with the relationship matrix that is called $K$ elsewhere). Then $K^\top y \sim
# N(0, \sigma^2 K^\top V K)$ has no $\beta$ in it, and its ordinary likelihood is the *restricted* one. Which $K$ does
# not matter: another one is $KB$ with an invertible $B$, which adds a constant. Compared with the criterion,
#
# $$d_K(\theta) = d_{\text{REML}}(\theta) + \log|K^\top K| - \log|X^\top X| .$$
#
# The last two terms do not depend on $\theta$. We try two quite different $K$ at four values of $\theta$.


# %%
def contrast_criterion(theta, design, K):
    """−2 log-likelihood of the contrasts Kᵀy, with σ² at its best; there is no β."""
    _, Z, y = parts(design)
    ZL = Z @ relative_factor(theta, design)
    covariance = K.T @ K + (K.T @ ZL) @ (K.T @ ZL).T
    contrasts, df = K.T @ y, K.shape[1]
    r2 = contrasts @ np.linalg.solve(covariance, contrasts)
    return np.linalg.slogdet(covariance)[1] + df * (1 + np.log(2 * np.pi * r2 / df))


X, Z, y = parts(design)
n, p = X.shape
residual_maker = np.eye(n) - X @ np.linalg.pinv(X)
orthonormal = linalg.null_space(X.T)  # KᵀK = I
arbitrary = residual_maker @ rng.standard_normal((n, n - p))  # any others, of full rank

# %%
rows = {}
for theta in ([0, 0, 0], [1, 0, 1], [0.5, 0.1, 0.3], fit.theta.to_numpy()):
    reml = dense_criterion(theta, design)
    extra = [contrast_criterion(theta, design, K) - reml for K in (orthonormal, arbitrary)]
    rows[str(np.round(theta, 3).tolist())] = [reml, *extra]
constants = [np.linalg.slogdet(K.T @ K)[1] - np.linalg.slogdet(X.T @ X)[1] for K in (orthonormal, arbitrary)]
rows["log|KᵀK| − log|XᵀX|"] = [np.nan, *constants]
columns = ["REML criterion", "orthonormal K: difference", "arbitrary K: difference"]
pd.DataFrame(rows, index=columns).T.round(6)

# %% [markdown]
# Each difference is the same at every $\theta$, and is the constant of the formula. So all $K$ give the same estimates.
#
# **What this forbids.** The contrasts depend on $X$. Two models with different fixed effects have different contrasts:
# their REML criteria are likelihoods of *different data*. Even a change of units moves the criterion, although the
# model is the same:

# %%
in_hours = sleepstudy.assign(Hours=24 * sleepstudy.Days)
rescaled = lmm.lmer("Reaction ~ Hours + (Hours | Subject)", in_hours)
difference = pd.Series(
    {
        "REML criterion": rescaled.reml_criterion - fit.reml_criterion,
        "2 log 24": 2 * np.log(24),
        "ML criterion": rescaled.refit_ml().deviance - fit.refit_ml().deviance,
    }
)
difference.round(6)

# %% [markdown]
# `lmm.anova` therefore refits REML fits by ML first, and says so in its heading. With `refit=False` it compares them as
# they are, which is right for models with the *same* $X$ and different random terms. For different $X$ it refuses.

# %%
no_slope_for_days = lmm.lmer("Reaction ~ 1 + (Days | Subject)", sleepstudy)
try:
    lmm.anova(no_slope_for_days, fit, refit=False)
except lmm.LmmpyError as error:
    print(error, "\n")
print(lmm.anova(no_slope_for_days, fit))

# %% [markdown]
# ## Penalised least squares: the same number from a small system
#
# $V$ is $n \times n$. With a million rows nobody can invert it, and nobody needs to. Write $b = \Lambda u$ with
# $u \sim N(0, \sigma^2 I)$. For a given $\theta$, the estimates of $\beta$ and the predictions of $u$ together minimise
#
# $$\lVert y - X\beta - Z\Lambda u\rVert^2 + \lVert u\rVert^2 ,$$
#
# a least-squares problem with a penalty on $u$. The penalty can be written as *pseudo-data*: $q$ more observations, all
# zero, one for each random effect. Then it is an ordinary regression:
#
# $$\begin{pmatrix} y\\ 0\end{pmatrix} \approx
# \begin{pmatrix} Z\Lambda & X\\ I_q & 0\end{pmatrix}\begin{pmatrix} u\\ \beta\end{pmatrix},
# \qquad r^2(\theta) = \text{its residual sum of squares}.$$

# %%
q = Z.shape[1]
Lam = relative_factor(fit.theta, design)
augmented = np.block([[Z @ Lam, X], [np.eye(q), np.zeros((q, p))]])
solution, r2, *_ = np.linalg.lstsq(augmented, np.r_[y, np.zeros(q)])
u, beta = solution[:q], solution[q:]
print("β by hand:", beta.round(4), "  lmmpy:", fit.fixef.to_numpy().round(4))
print("σ by hand:", np.sqrt(r2 / (n - p)).round(4), "  lmmpy:", round(fit.sigma, 4))
blups = (Lam @ u).reshape(-1, 2)  # b = Λu, level by level
print("largest difference to fit.ranef():", np.abs(blups - fit.ranef()["Subject"].to_numpy()).max().round(6))

# %%
fig, ax = plt.subplots(figsize=(4.2, 4.6))
ax.imshow(np.arcsinh(4 * augmented), cmap="RdBu_r", vmin=-4, vmax=4, aspect="auto", interpolation="nearest")
ax.axhline(n - 0.5, color=COLOURS["grey"], lw=1)
ax.axvline(q - 0.5, color=COLOURS["grey"], lw=1)
ax.set(xlabel="Random effects u, then β", ylabel="180 observations, then 36 pseudo-observations")
ax.text(20, 20, r"$Z\Lambda$", ha="center"), ax.text(8, n + 25, r"$I_q$", ha="center")
plt.show()

# %% [markdown]
# The picture is the regression matrix of the pseudo-data for `sleepstudy` (colour: value): a pair of columns for each
# subject, the penalty below, the two columns of $X$ at the right. Its normal equations give all that the criterion
# needs. With the Cholesky factor $L$,
#
# $$\begin{aligned}
# M(\theta) &= \Lambda^\top Z^\top Z\Lambda + I_q = L L^\top, & R_{ZX} &= L^{-1}\Lambda^\top Z^\top X,\\
# R_X^\top R_X &= X^\top X - R_{ZX}^\top R_{ZX} = X^\top V^{-1} X, & |V| &= |M| = |L|^2 .
# \end{aligned}$$
#
# So $d(\theta) = \log|M| + \log|R_X|^2 + (n-p)[1 + \log(2\pi r^2/(n-p))]$, and the products $Z^\top Z$, $Z^\top X$,
# $Z^\top y$ … are formed once: an evaluation never touches the $n$ rows again.


# %%
def pls_criterion(design, reml=True):
    """The profiled criterion as a function of θ, by penalised least squares."""
    X, Z, y = parts(design)
    df = len(y) - (X.shape[1] if reml else 0)
    ZZ, ZX, Zy, XX, Xy, yy = Z.T @ Z, Z.T @ X, Z.T @ y, X.T @ X, X.T @ y, y @ y

    def criterion(theta):
        Lam = relative_factor(theta, design)
        L = np.linalg.cholesky(Lam.T @ ZZ @ Lam + np.eye(len(ZZ)))
        RZX, c = (linalg.solve_triangular(L, Lam.T @ right, lower=True) for right in (ZX, Zy))
        RX = np.linalg.cholesky(XX - RZX.T @ RZX)
        r2 = yy - c @ c - np.sum(linalg.solve_triangular(RX, Xy - RZX.T @ c, lower=True) ** 2)
        logdet = 2 * np.log(np.diag(L)).sum() + (2 * np.log(np.diag(RX)).sum() if reml else 0)
        return logdet + df * (1 + np.log(2 * np.pi * r2 / df))

    return criterion


# %%
agreement = {}
for theta in ([0, 0, 0], [1, 0, 1], [0.5, 0.1, 0.3], fit.theta.to_numpy()):
    for method, reml in (("REML", True), ("ML", False)):
        dense, pls = dense_criterion(theta, design, reml), pls_criterion(design, reml)(theta)
        agreement[method, str(np.round(theta, 3).tolist())] = dense, pls
agreement["REML", "fit.reml_criterion"] = agreement["ML", "fit.deviance"] = np.nan, np.nan
table = pd.DataFrame(agreement, index=["dense V", "penalised least squares"]).T
table["lmmpy"] = pd.Series({("REML", "fit.reml_criterion"): fit.reml_criterion, ("ML", "fit.deviance"): fit.deviance})
print(table.round(6).to_string(na_rep=""))

# %% [markdown]
# **What makes it fast** is that $M$ is sparse. The Cholesky factor $L$ fills in entries that are zero in $M$, and how
# many depends on the order of the effects. In `Penicillin` every plate meets every sample, and there are more plates.

# %%
Penicillin = lmm.datasets.load("Penicillin")
crossed = lmm.lformula("diameter ~ 1 + (1 | plate) + (1 | sample)", Penicillin)
Zc = parts(crossed)[1]
plates_first = Zc.T @ Zc + np.eye(Zc.shape[1])
samples_first = np.roll(plates_first, 6, axis=(0, 1))  # the last six, the samples, go to the front
fig, axes = plt.subplots(1, 3, figsize=(7, 2.9))
for ax, matrix, title in (
    (axes[0], plates_first, r"$Z^\top Z$"),
    (axes[1], np.linalg.cholesky(plates_first), r"$L$, plates first"),
    (axes[2], np.linalg.cholesky(samples_first), r"$L$, samples first"),
):
    ax.spy(np.abs(matrix) > 1e-12, markersize=2.6, color=COLOURS["blue"])
    ax.set(title=f"{title}: {np.sum(np.abs(matrix) > 1e-12)} entries", xticks=[], yticks=[])

# %% [markdown]
# With the larger factor first its part of $L$ stays diagonal, and only the corner of the samples fills. With the
# samples first everything fills. The packages choose the order for you: lmmpy eliminates the factor with the most
# effects level by level, or leaves the order to a sparse solver. `fit.convergence.engine` names the way that was taken.

# %% [markdown]
# ## The surface over θ
#
# The optimiser sees nothing of the data but $d(\theta)$. For `(1 | Batch)` this is a curve. `Dyestuff` and `Dyestuff2`
# have the same design, six batches of five preparations.

# %%
batches = {name: lmm.datasets.load(name) for name in ("Dyestuff", "Dyestuff2")}
batch_fits = {name: lmm.lmer("Yield ~ 1 + (1 | Batch)", frame) for name, frame in batches.items()}
curve = {name: pls_criterion(lmm.lformula("Yield ~ 1 + (1 | Batch)", frame)) for name, frame in batches.items()}
grid = np.linspace(0, 2.5, 101)
fig, axes = plt.subplots(1, 2, figsize=(7, 3.1))
for ax, name in zip(axes, batches, strict=True):
    ax.plot(grid, [curve[name]([theta]) for theta in grid])
    best = batch_fits[name]
    ax.plot(best.theta, best.reml_criterion, "o", color=COLOURS["vermilion"], ms=7, label=r"$\hat\theta$ of lmmpy")
    ax.set(xlabel=r"$\theta$ (sd of batches / $\sigma$)", ylabel=r"REML criterion $d(\theta)$", title=name)
    ax.legend()

# %% [markdown]
# `Dyestuff2` has its minimum at the boundary: the means of the batches differ less than the variation within batches
# alone would make them. A variance of zero is then the estimate, not a failure.
#
# For `sleepstudy` there are three parameters. We hold $\theta_2$ at its estimate and draw contours over $\theta_1$ and
# $\theta_3$. The optimiser starts far away, at $T = I$, with `start=`; `fit.optimization` lists every evaluation.
# `Control(optimizer="cobyqa")` replaces Newton's method by a search that asks for values only.

# %%
far = [1.0, 0.0, 1.0]
newton = lmm.lmer(formula, sleepstudy, start=far)
cobyqa = lmm.lmer(formula, sleepstudy, start=far, control=lmm.Control(optimizer="cobyqa"))
newton.optimization.drop(columns="radius").set_axis(
    ["θ1", "θ2", "θ3", "criterion", "accepted", "purpose", "gradient"], axis=1
).round(3)

# %%
criterion = pls_criterion(design)
first, third = np.linspace(0.3, 1.7, 57), np.linspace(-0.6, 1.1, 86)
surface = [[criterion([a, fit.theta.iloc[1], c]) for a in first] for c in third]
levels = fit.reml_criterion + np.array([0.5, 2, 5, 10, 15, 20, 30, 40])
fig, ax = plt.subplots(figsize=(6.6, 4.4))
contours = ax.contour(first, third, surface, levels, colors=COLOURS["grey"], linewidths=0.8)
ax.clabel(contours, contours.levels[1:], fmt=lambda level: f"+{level - fit.reml_criterion:g}", fontsize=8)
for one, name, colour, style in ((cobyqa, "COBYQA", "sky", "s:"), (newton, "Newton", "vermilion", "o-")):
    path = one.optimization[one.optimization.accepted].iloc[:, [0, 2]].to_numpy()
    ax.plot(*path.T, style, color=COLOURS[colour], lw=1.2, ms=4, label=f"{name}: accepted points")
ax.plot(*fit.theta.iloc[[0, 2]], "*", color="black", ms=12, label=r"$\hat\theta$")
ax.axhline(0, color="black", lw=0.7)
ax.set(xlabel=r"$\theta_1$ (intercept)", ylabel=r"$\theta_3$ (slope)")
ax.legend(loc="upper right", frameon=True, framealpha=1, edgecolor="none")
plt.show()

# %% [markdown]
# The numbers on the contours are the rise above the minimum. (The paths are projected onto the picture: their
# $\theta_2$ is not quite that of the surface.) The surface has **two** minima, mirror images: $T$ and $T$ with the sign
# of a column changed give the same $T T^\top$, so that $(\theta_1, \theta_2, \theta_3)$ and $(\theta_1, \theta_2,
# -\theta_3)$ are the same model. lmmpy searches without bounds. Newton's path crosses zero, reaches the mirror image,
# and the row `equivalent` of the log turns the sign. Between the two minima lies a ridge, at $\theta_3 = 0$: across it
# the surface is level at the top, which we come to in the section on the saddle.
#
# Left to itself, lmmpy starts from a moment estimate close to the minimum and needs fewer evaluations still.

# %% [markdown]
# ## The gradient
#
# The criterion has exact derivatives. With $\Lambda_i = \partial\Lambda/\partial\theta_i$,
# $M_i = \Lambda_i^\top Z^\top Z\Lambda + \Lambda^\top Z^\top Z\Lambda_i$, $\hat u$ the minimiser,
# $\hat e = y - X\hat\beta - Z\Lambda\hat u$, $\hat U_X = M^{-1}\Lambda^\top Z^\top X$ and $E_X = X - Z\Lambda\hat U_X$:
#
# $$\begin{aligned}
# \frac{\partial \log|M|}{\partial\theta_i} &= \operatorname{tr}(M^{-1}M_i), \qquad
# \frac{\partial r^2}{\partial\theta_i} = -2\,\hat e^\top Z\Lambda_i\hat u,\\
# \frac{\partial \log|R_X|^2}{\partial\theta_i} &=
# -2\operatorname{tr}\bigl[(R_X^\top R_X)^{-1} E_X^\top Z\Lambda_i\hat U_X\bigr].
# \end{aligned}$$
#
# In the second, $\hat\beta$ and $\hat u$ also move with $\theta$, but they minimise $r^2$, so that their movement does
# not count (the envelope theorem). In the one-way model $y_{ij} = \mu + b_i + e_{ij}$ with $n_i$ rows in group $i$
# everything is a sum over groups, because $M$ is diagonal with entries $m_i = \theta^2 n_i + 1$.

# %%
yields = batches["Dyestuff"].groupby("Batch", observed=True)["Yield"]
sizes, sums = yields.size().to_numpy(), yields.sum().to_numpy()
total_squares, N = (batches["Dyestuff"]["Yield"] ** 2).sum(), sizes.sum()


def one_way(theta):
    """REML criterion of the one-way model; θ may be complex."""
    m = theta**2 * sizes + 1
    XVX, XVy, yVy = (sizes / m).sum(), (sums / m).sum(), total_squares - (theta**2 * sums**2 / m).sum()
    r2 = yVy - XVy**2 / XVX
    return np.log(m).sum() + np.log(XVX) + (N - 1) * (1 + np.log(2 * np.pi * r2 / (N - 1)))


# %%
def one_way_gradient(theta):
    """dd/dθ, by the three formulas."""
    m = theta**2 * sizes + 1
    XVX, XVy, yVy = (sizes / m).sum(), (sums / m).sum(), total_squares - (theta**2 * sums**2 / m).sum()
    mu, r2 = XVy / XVX, yVy - XVy**2 / XVX
    u, U_X = theta * (sums - sizes * mu) / m, theta * sizes / m
    e_sums, E_sums = sums - sizes * mu - sizes * theta * u, sizes - sizes * theta * U_X  # Zᵀê and ZᵀE_X
    d_logM, d_r2, d_logRX = (2 * theta * sizes / m).sum(), -2 * (e_sums * u).sum(), -2 * (E_sums * U_X).sum() / XVX
    return d_logM + d_logRX + (N - 1) * d_r2 / r2


# %% [markdown]
# Two checks that need no algebra. A central difference loses a third of the digits or more, because it subtracts
# numbers that are nearly equal. The *complex step* $\operatorname{Im} d(\theta + ih)/h$ subtracts nothing, so that $h$
# may be as small as one likes, and nearly all digits are right.

# %%
points = np.array([0.1, 0.5, 1.0, 2.0])
exact = np.array([one_way_gradient(theta) for theta in points])
central = [(one_way(theta + 1e-5) - one_way(theta - 1e-5)) / 2e-5 for theta in points]
complex_step = [one_way(theta + 1e-30j).imag / 1e-30 for theta in points]
check = pd.DataFrame({"formula": exact, "complex step": complex_step, "difference": central}, index=points)
print(check.rename_axis("θ").round(6))
print("complex step right to 12 places:", np.allclose(exact, complex_step, rtol=1e-12, atol=1e-12))
print("difference right to 12 places:  ", np.allclose(exact, central, rtol=1e-12, atol=1e-12))

# %% [markdown]
# **Second derivatives, nearly for nothing.** The *average information* is the mean of the observed and the expected
# information of parameters in which $V$ is linear; the expensive traces cancel in it. For $\theta$ it leaves out a term
# with the second derivative of $V$. With $P = V^{-1} - V^{-1}X(X^\top V^{-1}X)^{-1}X^\top V^{-1}$,
# $V_i = \partial V/\partial\theta_i$, $w_i = V_i P y$ and $\nu = n - p$, for the criterion with $\sigma$ profiled out:
#
# $$H_{ij} \approx \nu\left[\frac{w_i^\top P w_j}{r^2} - \frac{(y^\top P w_i)(y^\top P w_j)}{r^4}\right].$$
#
# A Newton step is $\theta - H^{-1}\,\nabla d$. By hand for `Dyestuff`, from $\theta = 0.5$:

# %%
X1, Z1, y1 = parts(lmm.lformula("Yield ~ 1 + (1 | Batch)", batches["Dyestuff"]))


def average_information(theta):
    """H for the one parameter of the one-way model, with matrices of n rows to keep it plain."""
    Vi = np.linalg.inv(np.eye(N) + theta**2 * Z1 @ Z1.T)
    P = Vi - Vi @ X1 @ np.linalg.solve(X1.T @ Vi @ X1, X1.T @ Vi)
    w = 2 * theta * Z1 @ (Z1.T @ (P @ y1))  # V = I + θ²ZZᵀ, so its derivative is 2θZZᵀ
    r2 = y1 @ P @ y1
    return (N - 1) * (w @ P @ w / r2 - (y1 @ P @ w) ** 2 / r2**2)


theta, steps = 0.5, []
for _ in range(7):
    steps.append([theta, one_way(theta), one_way_gradient(theta)])
    theta -= one_way_gradient(theta) / average_information(theta)
print(pd.DataFrame(steps, columns=["θ", "criterion", "gradient"]).round(6))
print("lmmpy:", batch_fits["Dyestuff"].theta.iloc[0].round(6), round(batch_fits["Dyestuff"].reml_criterion, 6))

# %% [markdown]
# Close to the minimum the number of right digits about doubles with each step. lmmpy does the same with more care: a
# trust region, so that a bad step is taken back, a long first step by the score equations, and a final check by the
# observed Hessian (`fit.convergence`).

# %% [markdown]
# ## Why second-order fitting wins
#
# All methods below start at $T = I$ and minimise the same REML criterion: lmmpy's two through `start=` and `control=`,
# those of scipy on our own `pls_criterion`. `lmmpy, own start` is what you get without `start=`. We count evaluations.
# One with derivatives costs more than a value alone, which the count leaves out. BFGS is given no gradient here: it
# takes differences, and each of them counts.

# %% tags=["varies"]
models = {
    "Dyestuff\n1 parameter": ("Yield ~ 1 + (1 | Batch)", batches["Dyestuff"]),
    "Penicillin\n2 parameters": ("diameter ~ 1 + (1 | plate) + (1 | sample)", Penicillin),
    "sleepstudy\n3 parameters": (formula, sleepstudy),
    "Machines\n6 parameters": ("score ~ Machine + (Machine | Worker)", lmm.datasets.load("Machines")),
}
options = {"Nelder-Mead": {"xatol": 1e-6, "fatol": 1e-8, "maxfev": 20000}, "BFGS": {"gtol": 1e-4}}
counts, reached = {}, {}
for name, (text, frame) in models.items():
    own = lmm.lmer(text, frame)
    identity = np.concatenate([np.eye(t.k)[np.triu_indices(t.k)] for t in lmm.lformula(text, frame).random])
    fits = [lmm.lmer(text, frame, start=identity, control=lmm.Control(optimizer=o)) for o in ("newton", "cobyqa")]
    hand = pls_criterion(lmm.lformula(text, frame))
    others = [optimize.minimize(hand, identity, method=m, options=o) for m, o in options.items()]
    counts[name] = [len(f.optimization) for f in (own, *fits)] + [o.nfev for o in others]
    reached[name] = [f.reml_criterion - own.reml_criterion for f in (own, *fits)]
    reached[name] += [o.fun - own.reml_criterion for o in others]
methods = ["lmmpy, own start", "lmmpy, Newton", "lmmpy, COBYQA", "scipy, Nelder–Mead", "scipy, BFGS"]
counts = pd.DataFrame(counts, index=methods)
counts.rename(columns=lambda name: name.split("\n")[0])

# %% tags=["varies"]
fig, ax = plt.subplots(figsize=(6.8, 3.8))
looks = zip(methods, ("o-", "s-", "^--", "D:", "v-."), ("vermilion", "orange", "sky", "purple", "grey"), strict=True)
for method, style, colour in looks:
    ax.plot(counts.columns, counts.loc[method], style, color=COLOURS[colour], ms=6, lw=1.2, label=method)
ax.set(yscale="log", ylabel="Evaluations of the criterion (log scale)", ylim=(4, 3000))
ax.legend(ncols=2, loc="upper left")
plt.show()
excess = pd.DataFrame(reached, index=methods).rename(columns=lambda name: name.split("\n")[0])
excess.abs().round(3)

# %% [markdown]
# The table is the distance to the minimum at which a method stopped, in units of $-2\ell$. With six parameters the
# simplex of Nelder and Mead collapsed before it got there. What grows with the number of parameters is the price of not
# knowing the slope: a method without derivatives has to explore every direction, Newton's method solves a quadratic in
# all of them at once.

# %% [markdown]
# ## The saddle at zero
#
# $\theta$ is a standard deviation (relative to $\sigma$) and enters $V$ as $\theta^2$. So $d$ is an even function of
# $\theta$, and $\mathrm{d}d/\mathrm{d}\theta = 0$ at $\theta = 0$ **whatever the data**. A zero gradient there proves
# nothing. What decides is the derivative with respect to the *variance* $\omega = \theta^2$:
#
# $$\frac{\mathrm{d}d}{\mathrm{d}\omega}\Big|_{\omega=0} =
# \lim_{\theta\to0}\frac{1}{2\theta}\frac{\mathrm{d}d}{\mathrm{d}\theta} .$$
#
# Negative: the criterion falls when the variance leaves zero, which is then no minimum. Positive: zero is a minimum, at
# least a local one.


# %%
def slopes_at_zero(criterion, h=1e-3):
    """Derivatives at 0 with respect to θ (central) and to the variance θ² (one-sided)."""
    return (criterion([h]) - criterion([-h])) / (2 * h), (criterion([h]) - criterion([0])) / h**2


print(pd.DataFrame({name: slopes_at_zero(curve[name]) for name in curve}, index=["dd/dθ", "dd/dω"]).round(2))
stuck = optimize.minimize(curve["Dyestuff"], [0.0], jac="3-point", method="L-BFGS-B", bounds=[(None, None)])
print("L-BFGS-B from θ = 0:", abs(stuck.x[0]).round(4), " criterion", round(stuck.fun, 3))
started = lmm.lmer("Yield ~ 1 + (1 | Batch)", batches["Dyestuff"], start=[0.0])
print("lmmpy from θ = 0:   ", started.theta.iloc[0].round(4), " criterion", round(started.reml_criterion, 3))

# %%
fig, axes = plt.subplots(2, 2, figsize=(7, 4.8))
both_signs, variances = np.linspace(-1.5, 1.5, 121), np.linspace(0, 1.5, 61)
for (left, right), name in zip(axes, curve, strict=True):
    left.plot(both_signs, [curve[name]([theta]) for theta in both_signs])
    right.plot(variances, [curve[name]([np.sqrt(omega)]) for omega in variances], color=COLOURS["green"])
    start = curve[name]([0.0])
    left.plot([-0.5, 0.5], [start, start], color=COLOURS["vermilion"], ls="--", label="tangent at 0")
    right.axline((0, start), slope=slopes_at_zero(curve[name])[1], color=COLOURS["vermilion"], ls="--")
    left.plot(0, start, "o", color=COLOURS["vermilion"]), right.plot(0, start, "o", color=COLOURS["vermilion"])
    low, high = left.get_ylim()
    right.set(ylim=(low, high), xlim=(-0.03, 1.5), xlabel=r"$\omega = \theta^2$ (variance / $\sigma^2$)")
    left.set(title=name, xlabel=r"$\theta$", ylabel=r"$d$")
    left.legend()

# %% [markdown]
# Left, over $\theta$: level at zero in both data sets, a maximum in the first and a minimum in the second. Right, over
# the variance: the tangent falls or rises, and tells them apart. A gradient search that is put at zero stays there.
# lmmpy accepts a zero only when the derivative with respect to the variance is positive there, and otherwise goes on
# from inside.

# %% [markdown]
# ## Tests of fixed effects: what each does
#
# Nine schools, three teaching methods, each method in three whole schools: simulated, and in truth the methods do not
# differ.


# %%
def draw(rng, school, sd_school=0.7, sd=1.0, count=1):
    """Responses without any fixed effect."""
    effects = sd_school * rng.standard_normal((school.max() + 1, count))
    return effects[school] + sd * rng.standard_normal((len(school), count))


rng = np.random.default_rng(42)  # of several seeds, one for which the tests disagree
school = np.repeat(np.arange(9), [3, 4, 5, 6, 7, 8, 4, 6, 5])
pupils = pd.DataFrame({"school": school.astype(str), "method": np.array(list("ABC" * 3))[school]})
pupils["x"] = rng.standard_normal(len(school)).round(2)
pupils["score"] = draw(rng, school)[:, 0].round(2)
full = lmm.lmer("score ~ x + method + (1 | school)", pupils)
none = lmm.lmer("score ~ x + (1 | school)", pupils)
print(full.summary(ddf="satterthwaite"))

# %% [markdown]
# Let $l^\top\beta$ be the effect of interest, say the difference between methods B and A, and $C$ the covariance matrix
# of $\hat\beta$, computed at the *estimated* variances.
#
# | test | statistic | compared with | what it does about the estimated variances |
# | --- | --- | --- | --- |
# | Wald | $l^\top\hat\beta / \sqrt{l^\top C l}$ | normal, χ² | nothing: takes them as known |
# | likelihood ratio (LRT) | $d_0 - d_1$, both by ML | χ² | nothing: takes them as known; and ML makes them too small |
# | Satterthwaite | as Wald | $t$ or $F$ | degrees of freedom from the variance of $l^\top C l$ |
# | Kenward–Roger | with a corrected $C$ | $t$ or scaled $F$ | the same idea, and corrects the bias of $C$ itself |
# | parametric bootstrap | the LRT | data simulated from the null model | estimates them anew in each replicate |

# %%
L = np.array([[0, 0, 1, 0], [0, 0, 0, 1.0]])  # methods B and C against A, jointly
tests = {name: lmm.contest(full, L, ddf=name) for name in ("asymptotic", "satterthwaite", "kenward-roger")}
table = pd.concat(tests).droplevel(1)[["NumDF", "DenDF", "F value", "Pr(>F)"]]
lrt = lmm.anova(none, full).iloc[-1]
table.loc["likelihood ratio (statistic: χ²)"] = [lrt["Df"], np.nan, lrt["Chisq"], lrt["Pr(>Chisq)"]]
print(pd.DataFrame(table).astype(float).round(3).to_string(na_rep=""))

# %% [markdown]
# The number of schools, not of pupils, decides about a method that whole schools use: the denominator has few degrees
# of freedom, while the effect of `x`, which varies within schools, has many.
#
# **Satterthwaite by hand.** Let $\vartheta = (\sigma_b^2, \sigma^2)$ and $f(\vartheta) = l^\top C(\vartheta) l$, the
# squared standard error as a function of the variances. If $f(\hat\vartheta)$ were distributed as $f\,\chi^2_\nu/\nu$,
# its variance would be $2f^2/\nu$. The delta method gives that variance too, so
#
# $$\nu = \frac{2\,(l^\top C l)^2}{g^\top A\, g}, \qquad g = \nabla f(\hat\vartheta), \qquad
# A = \text{covariance matrix of } \hat\vartheta = 2\,\Bigl[\nabla^2 d_{\text{REML}}(\hat\vartheta)\Bigr]^{-1} .$$

# %%
Xp, Zp, yp = parts(lmm.lformula("score ~ x + method + (1 | school)", pupils))


def covariance_of_beta(variances):
    """C(ϑ), and −2 log restricted likelihood with nothing profiled but β."""
    V = variances[1] * np.eye(len(yp)) + variances[0] * Zp @ Zp.T
    Vi = np.linalg.inv(V)
    C = np.linalg.inv(Xp.T @ Vi @ Xp)
    e = yp - Xp @ (C @ Xp.T @ Vi @ yp)
    return C, np.linalg.slogdet(V)[1] - np.linalg.slogdet(C)[1] + e @ Vi @ e


def derivatives(f, at, h=1e-3):
    """Gradient and Hessian by central differences."""
    steps = h * np.eye(len(at))
    gradient = np.array([f(at + i) - f(at - i) for i in steps]) / (2 * h)
    hessian = [[f(at + i + j) - f(at + i - j) - f(at - i + j) + f(at - i - j) for j in steps] for i in steps]
    return gradient, np.array(hessian) / (4 * h**2)


# %%
estimate = full.varcorr.to_frame()["vcov"].to_numpy()  # school, Residual
A = 2 * np.linalg.inv(derivatives(lambda v: covariance_of_beta(v)[1], estimate)[1])
by_hand = {}
for j, name in enumerate(full.fixef.index):
    g = derivatives(lambda v, j=j: covariance_of_beta(v)[0][j, j], estimate)[0]
    by_hand[name] = 2 * covariance_of_beta(estimate)[0][j, j] ** 2 / (g @ A @ g)
single = lmm.contest(full, np.eye(4), joint=False)  # a t test of each coefficient
pd.DataFrame({"ν by hand": pd.Series(by_hand), "ν of lmm.contest": single["df"].to_numpy()}).round(3)

# %% [markdown]
# They agree, and are the `df` of the summary above. Where the variance of the schools is estimated as zero, the recipe
# takes the zero as known: $\nu$ becomes the number of pupils less the number of coefficients, which is far too many.
# One response without any difference between schools shows it:

# %%
no_schools = full.refit(np.random.default_rng(44).standard_normal(len(pupils)))
print("variance of schools:", no_schools.varcorr.to_frame()["vcov"].iloc[0].round(3))
print("ν:", lmm.contest(no_schools, np.eye(4), joint=False)["df"].round(2).tolist(), " pupils:", len(pupils))

# %% [markdown]
# ## Rejection rates by simulation
#
# A test at the 5 % level must reject a true hypothesis in 5 % of data sets. We draw data sets without any effect of the
# method, from nine schools and from four times as many, and count. `fit.refit(y)` repeats the fit with another response
# and nothing else.
#
# ML fits of a model with one random intercept have one parameter, $\theta$. For the likelihood ratio we therefore
# compute the profiled criterion on a grid of $\theta$, for all data sets at once.


# %%
GRID = np.linspace(0, 3, 121)


def lowest(X, school, Y, reml=False, grid=GRID):
    """Of each column of Y: the least criterion over a grid of θ, and that θ; the criterion at θ = 0."""
    (n, p), Z = X.shape, np.eye(school.max() + 1)[school]
    df, d = n - p if reml else n, []
    for theta in grid:
        Vi = np.linalg.inv(np.eye(n) + theta**2 * Z @ Z.T)
        XVX = X.T @ Vi @ X
        P = Vi - Vi @ X @ np.linalg.solve(XVX, X.T @ Vi)
        logdet = -np.linalg.slogdet(Vi)[1] + (np.linalg.slogdet(XVX)[1] if reml else 0)
        d.append(logdet + df * (1 + np.log(2 * np.pi * np.sum(Y * (P @ Y), axis=0) / df)))
    d = np.array(d)
    return d.min(axis=0), grid[d.argmin(axis=0)], d[0]


def likelihood_ratio(X, school, Y):
    """LRT of the last two columns of X, and θ̂ of the model without them."""
    small, theta, _ = lowest(X[:, :-2], school, Y)
    return small - lowest(X, school, Y)[0], theta


by_grid = likelihood_ratio(Xp, school, yp[:, None])[0][0]
print("LRT on the grid:", by_grid.round(2), "  lmm.anova:", lrt["Chisq"].round(2))

# %% [markdown]
# The parametric bootstrap asks how the statistic is distributed when the null model is true, with the estimated
# parameters. Here the statistic does not change when $y$ is multiplied by a number, nor when any combination of the
# null model's predictors is added to it, so that its distribution under the null model depends on $\theta$ alone: we
# tabulate its 95 % quantile over $\theta$ once, and look it up at $\hat\theta$ of each data set.
# (`lmm.parametric_bootstrap_lrt` assumes nothing of this kind, and refits.) The kinks of the curve are Monte Carlo
# error.


# %%
def bootstrap_critical_value(X, school, rng, thetas, count):
    """The 95 % quantile of the likelihood ratio under the null model, as a function of θ."""
    quantiles = []
    for theta in thetas:
        ratio, _ = likelihood_ratio(X, school, draw(rng, school, sd_school=theta, count=count))
        quantiles.append(np.quantile(ratio, 0.95))
    return thetas, np.array(quantiles)


rng = np.random.default_rng(43)
critical = bootstrap_critical_value(Xp, school, rng, np.linspace(0, 2, 9), 1500)
fig, ax = plt.subplots(figsize=(5.6, 2.9))
ax.plot(*critical, "o-", label="simulated, nine schools")
ax.axhline(stats.chi2.ppf(0.95, 2), color=COLOURS["vermilion"], ls="--", label=r"$\chi^2_2$")
ax.set(xlabel=r"$\theta$ (sd of schools / $\sigma$)", ylabel="95 % quantile of the LRT", ylim=(4, None))
ax.legend()
plt.show()


# %%
def rejections(fit, X, school, critical, rng, count):
    """Which tests reject at 5 %, and whether the fit is singular: a row a data set."""
    Y = draw(rng, school, count=count)
    ratio, theta = likelihood_ratio(X, school, Y)
    methods = {"Wald χ²": "asymptotic", "Satterthwaite F": "satterthwaite", "Kenward–Roger F": "kenward-roger"}
    rows = []
    for i, column in enumerate(Y.T):
        again = fit.refit(column)
        row = {name: lmm.contest(again, L, ddf=ddf)["Pr(>F)"].iloc[0] < 0.05 for name, ddf in methods.items()}
        row["LRT, χ²"] = ratio[i] > stats.chi2.ppf(0.95, 2)
        row["LRT, bootstrap"] = ratio[i] > np.interp(theta[i], *critical)
        rows.append(row | {"singular": again.is_singular()})
    return pd.DataFrame(rows)


# %%
four = pd.concat([pupils.assign(school=(school + 9 * i).astype(str)) for i in range(4)], ignore_index=True)
school_4 = np.concatenate([school + 9 * i for i in range(4)])
full_4 = lmm.lmer("score ~ x + method + (1 | school)", four)
X_4 = np.tile(Xp, (4, 1))
critical_4 = bootstrap_critical_value(X_4, school_4, rng, np.linspace(0, 1.6, 5), 1000)
simulated = {
    "9 schools": rejections(full, Xp, school, critical, rng, 400),
    "36 schools": rejections(full_4, X_4, school_4, critical_4, rng, 400),
}
rates = pd.DataFrame({name: 100 * frame.drop(columns="singular").mean() for name, frame in simulated.items()})
print(rates.round(1))
print("singular fits, %:", {name: float(round(100 * frame["singular"].mean(), 1)) for name, frame in simulated.items()})

# %%
fig, ax = plt.subplots(figsize=(6.6, 3.4))
order = ["Wald χ²", "LRT, χ²", "LRT, bootstrap", "Satterthwaite F", "Kenward–Roger F"]
for name, shift, style, colour in (("9 schools", 0.14, "o", "vermilion"), ("36 schools", -0.14, "s", "blue")):
    share, count = rates.loc[order, name].to_numpy(), len(simulated[name])
    error = 1.96 * np.sqrt(share * (100 - share) / count)
    rows = np.arange(len(order))[::-1] + shift
    ax.errorbar(share, rows, xerr=error, fmt=style, color=COLOURS[colour], capsize=3, label=name)
ax.axvline(5, color=COLOURS["grey"], ls="--", lw=1)
ax.set(xlabel="Rejections of a true hypothesis (%)", xlim=(0, None))
ax.set_yticks(np.arange(len(order))[::-1], order)
ax.legend(loc="lower right")
plt.show()

# %% [markdown]
# Bars are 1.96 Monte Carlo standard errors; the dashed line is what should be. With nine schools Wald's χ² and the
# likelihood ratio reject true hypotheses more than twice as often as they should. The $F$ tests and the bootstrap are
# near the level, within what so few data sets can tell. With four times as many schools all tests come close to it.
#
# One warning belongs to this figure. In the singular fits, in which the variance of the schools is estimated as zero,
# all these tests of an effect *between* schools reject too often, because their standard errors are too small.
# Kenward and Roger's suffers least. There are few such fits here, so that the percentages are rough; thousands of data
# sets (the page below) say the same.

# %%
nine = simulated["9 schools"]
split = nine.groupby("singular")[order].mean().mul(100).round(0)
split.insert(0, "data sets", nine.groupby("singular").size())
print(
    "Monte Carlo standard error of a share of one half of them, %:",
    (50 / np.sqrt(split["data sets"])).round(0).tolist(),
)
split.T

# %% [markdown]
# ## Which to use when
#
# The measurements in [How far to trust intervals and tests](../docs/explanation/calibration.md) have more data sets,
# four designs, coverage of intervals and random slopes. They come to this:
#
# | you want | use | with lmmpy |
# | --- | --- | --- |
# | a test or interval of fixed effects, few groups | Kenward–Roger, sometimes cautious | `ddf="kenward-roger"` |
# | the same, no variance at zero, no correlation at one | Satterthwaite does as well | `ddf="satterthwaite"` |
# | the same in a singular fit | Kenward–Roger, or fewer random effects; with distrust | `fit.is_singular()` |
# | an effect within groups, no random slope for it | any method is nearly right | |
# | many groups | all methods come together, slowly for the χ² test of the LRT | |
# | several coefficients at once, comparisons of ML fits | parametric bootstrap | `lmm.parametric_bootstrap_lrt` |
# | a random term | the mixture of χ² (below), cautious | `lmm.ranova` |
# | an interval of a standard deviation | profile of the REML criterion | `fit.vpredict(…, interval="profile")` |
#
# Not with few groups: Wald's normal intervals, profile intervals of fixed effects, and the χ² test of the likelihood
# ratio. What counts as *few* is the number of groups that the effect varies between, not the number of rows.

# %% [markdown]
# ## A bootstrap likelihood ratio
#
# `lmm.parametric_bootstrap_lrt` simulates from the smaller model, refits both, and counts how many statistics are as
# large as the observed one. With `stop_at=` it ends early when the p-value is clearly large.

# %%
boot = lmm.parametric_bootstrap_lrt(none, full, n=199, seed=4)
p_values = {"χ²": boot.chisq_p_value, "bootstrap": boot.p_value}
pd.Series(p_values).round(2).rename("p-value")

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.1))
x = np.linspace(0.05, 14, 200)
bins = np.arange(0, 14.5, 0.5)
ax.hist(boot.reference, bins, density=True, color=COLOURS["sky"], label="replicates of the null model")
ax.plot(x, stats.chi2.pdf(x, 2), color=COLOURS["vermilion"], ls="--", label=r"$\chi^2_2$")
ax.axvline(boot.statistic, color="black", lw=1.2, label="observed")
ax.set(xlabel="Likelihood ratio statistic", ylabel="Density")
ax.legend()
plt.show()

# %% [markdown]
# The replicates have a heavier tail than χ². So a large statistic is less remarkable than the χ² table says.

# %% [markdown]
# ## Tests of a variance: the boundary
#
# Is $\sigma_b^2 = 0$? Under that hypothesis the estimate would be negative in about half of the data sets, but it may
# not: it is put to zero, and then the likelihood ratio is exactly zero. In large samples the statistic is an equal
# mixture,
#
# $$\tfrac12\chi^2_0 + \tfrac12\chi^2_1, \qquad \chi^2_0 \text{ the constant } 0 ,$$
#
# so that the p-value of a positive statistic is *half* of that from $\chi^2_1$. The criterion on a grid lets us
# simulate it: one-way designs with no variance between groups. As they are balanced, the exact distribution is known,
# too: the statistic is a function of the $F$ ratio of the analysis of variance (notebook 2).


# %%
def exact_rejection(groups, limit, each=5):
    """Probability that the LRT of a one-way design without differences between groups exceeds the limit."""
    a, b = groups - 1, groups * (each - 1)
    r = optimize.brentq(lambda r: (a + b) * np.log((a * r + b) / (a + b)) - a * np.log(r) - limit, 1, 100)
    return stats.f.sf(r, a, b)


# %%
null_ratio = {}
rng = np.random.default_rng(45)
for groups in (6, 40):
    labels = np.repeat(np.arange(groups), 5)
    Y = draw(rng, labels, sd_school=0.0, count=4000)
    fine = np.linspace(0, 1.2, 121)
    least, _, at_zero = lowest(np.ones((len(labels), 1)), labels, Y, reml=True, grid=fine)
    null_ratio[f"{groups} groups"] = at_zero - least
naive, mixture = stats.chi2.ppf([0.95, 0.90], 1)  # 5 % of the mixture is 10 % of χ²₁
pd.DataFrame(
    {
        name: {
            "statistic is zero, %": 100 * np.mean(ratio < 1e-9),
            "rejected at 5 % by χ²₁, %": 100 * np.mean(ratio > naive),
            "exact level of χ²₁, %": 100 * exact_rejection(int(name.split()[0]), naive),
            "rejected at 5 % by the mixture, %": 100 * np.mean(ratio > mixture),
            "exact level of the mixture, %": 100 * exact_rejection(int(name.split()[0]), mixture),
            "Monte Carlo standard error at 5 %": 100 * np.sqrt(0.05 * 0.95 / len(ratio)),
        }
        for name, ratio in null_ratio.items()
    }
).round(1)

# %%
fig, ax = plt.subplots(figsize=(6.4, 3.6))
x = np.linspace(1e-3, 8, 300)
ax.plot(x, stats.chi2.sf(x, 1), color=COLOURS["vermilion"], ls="--", label=r"$\chi^2_1$")
ax.plot(x, stats.chi2.sf(x, 1) / 2, color="black", label=r"$\frac{1}{2}\chi^2_0 + \frac{1}{2}\chi^2_1$")
for (name, ratio), colour, style in zip(null_ratio.items(), ("orange", "blue"), (":", "-."), strict=True):
    ax.plot(x, [np.mean(ratio > value) for value in x], color=COLOURS[colour], ls=style, label=f"simulated, {name}")
ax.axhline(0.05, color=COLOURS["grey"], lw=0.8)
ax.set(xlabel="Likelihood ratio statistic (REML)", ylabel="Share above it (log scale)", yscale="log", ylim=(0.003, 1.1))
ax.legend()
plt.show()

# %% [markdown]
# In both designs more than half of the statistics are zero, and the mixture rejects a little less often than its level
# says, least often with few groups. The naive test rejects in less than half as many data sets as it should.
# `lmm.ranova` gives both p-values. For a slope and its correlation with the intercept the mixture is
# $\tfrac12\chi^2_1 + \tfrac12\chi^2_2$.

# %%
print(lmm.ranova(batch_fits["Dyestuff"]), "\n")
print(lmm.ranova(fit))

# %% [markdown]
# ## Intervals: profile against Wald
#
# A *profile* holds one parameter at a value, estimates all others, and records how much the deviance has risen. Its
# signed square root $\zeta$ is standard normal in large samples; the 95 % interval is where $|\zeta| \le 1.96$. Where
# the curve of $\zeta$ is straight, a Wald interval (estimate ± 1.96 standard errors) says the same.

# %%
fig, axes = plt.subplots(1, 3, figsize=(7, 2.7))
shown = fit.profile(["Days", "sd_Days|Subject", "cor_Days.(Intercept)|Subject"])
fit.plot.profile(shown, ax=axes)
for ax, name in zip(axes, ["Slope (ms/day)", "SD of slopes (ms/day)", "Correlation"], strict=True):
    ax.set_xlabel(name)
plt.show()

# %%
both = pd.concat({"profile": fit.confint(), "Wald": fit.confint(method="wald")}, axis=1)
variance = fit.vpredict({"Subject.Days": "Subject.Days"}, interval="profile")
by_reml = np.sqrt(variance[["conf_low", "conf_high"]].iloc[0])
print(both.round(2))
print("sd of Days, profile of REML:", by_reml.round(2).tolist())

# %% [markdown]
# The curve of the fixed effect bends only at its ends, those of the standard deviation and of the correlation more, and
# their intervals are not symmetric. lmmpy's Wald intervals are computed on the logarithm for standard deviations and on
# Fisher's $z$ for correlations, which mends a part of that. `fit.confint()` profiles the **ML** deviance, as lme4 does:
# with few groups its intervals for standard deviations lie too low. `vpredict(…, interval="profile")` profiles the
# criterion of the fit, here REML.

# %% [markdown]
# ## What to take away
#
# - ML estimates of variances are too small on average, because they leave out the degrees of freedom that the fixed
#   effects take. REML is the likelihood of $n - p$ error contrasts, and does not depend on which.
# - REML criteria of models with different $X$ are of different data. Compare by ML (`lmm.anova` refits).
# - The criterion depends on $\theta$ alone. Penalised least squares gives it from a sparse system with as many unknowns
#   as there are random and fixed effects.
# - Exact gradients cost little, and Newton's method needs a handful of evaluations where a search by values needs tens,
#   hundreds, or more.
# - At $\theta = 0$ the gradient is zero whatever the data. The derivative with respect to the variance decides.
# - With few groups, use $F$ tests with Kenward–Roger's or Satterthwaite's degrees of freedom, or the parametric
#   bootstrap. With a singular fit distrust effects between groups.
# - A variance is tested against $\tfrac12\chi^2_0 + \tfrac12\chi^2_1$.

# %% [markdown]
# ## Exercises
#
# 1. Write the ML version of `one_way` and find its minimum for `Dyestuff`. How do the two estimates of the standard
#    deviation of batches compare, and what does `fit.refit_ml()` say?
# 2. `sleepstudy`: centre `Days`. Do the REML criterion and the ML criterion change? Why not, when hours changed one of
#    them?
# 3. In a balanced one-way design the REML estimate of the variance between groups is zero exactly when the $F$ ratio of
#    the analysis of variance is at most 1. Compute $F$ for `Dyestuff` and `Dyestuff2`, and compare with the sign of
#    $\mathrm{d}d/\mathrm{d}\omega$ at zero.
# 4. Compare $H$, the average information, with the second derivative of `one_way`, at the minimum and at
#    $\theta = 0.5$.
# 5. Use `lowest` to estimate the level of the χ² test of the LRT with `9`, `18` and `72` schools, from `count=1000`
#    data sets each. How large is the Monte Carlo error?
# 6. In one plot, compare the criterion of `Dyestuff` over $\theta$ by ML and by REML, each less its minimum. Which is
#    flatter to the right, and what does that mean for profile intervals?

# %% [markdown]
# ## Solutions
#
# **1.** ML leaves out $\log|X^\top V^{-1}X|$ and divides by $n$. Its estimate is smaller.


# %%
def one_way_ml(theta):
    m = theta**2 * sizes + 1
    XVX, XVy, yVy = (sizes / m).sum(), (sums / m).sum(), total_squares - (theta**2 * sums**2 / m).sum()
    return np.log(m).sum() + N * (1 + np.log(2 * np.pi * (yVy - XVy**2 / XVX) / N))


ml, reml = (optimize.minimize_scalar(f, bounds=(0, 3), method="bounded").x for f in (one_way_ml, one_way))
by_ml = batch_fits["Dyestuff"].refit_ml()
print("θ by hand, ML and REML:", ml.round(3), reml.round(3), "  lmmpy, ML:", by_ml.theta.iloc[0].round(3))
sds = {f.reml: f.varcorr.to_frame()["sdcor"].iloc[0] for f in (by_ml, batch_fits["Dyestuff"])}
print("sd of batches, ML and REML:", sds[False].round(2), sds[True].round(2))

# %% [markdown]
# **2.** Neither changes. Centring multiplies $X$ by a matrix with determinant 1, so that $\log|X^\top V^{-1}X|$ stays
# the same; hours multiply a column. (The random slopes are correlated with the intercepts, so the centred model is the
# same model.)

# %%
centred = lmm.lmer("Reaction ~ Centred + (Centred | Subject)", sleepstudy.assign(Centred=sleepstudy.Days - 4.5))
changes = [centred.reml_criterion - fit.reml_criterion, centred.refit_ml().deviance - fit.refit_ml().deviance]
print("changes of the REML and the ML criterion:", np.abs(changes).round(6))

# %% [markdown]
# **3.** The signs agree: $F > 1$ where the criterion falls from zero.

# %%
for name, frame in batches.items():
    F = stats.f_oneway(*[group.to_numpy() for _, group in frame.groupby("Batch", observed=True)["Yield"]]).statistic
    print(f"{name:10} F = {F:.2f}   dd/dω at zero = {slopes_at_zero(curve[name])[1]:.2f}")

# %% [markdown]
# **4.** The second derivative comes from the exact gradient by a complex step. In a balanced design the two are equal
# at the minimum, which is why Newton's steps above were so good; elsewhere they are not. Where they differ much, a step
# is too long or too short, and a trust region is needed.

# %%
for theta in (batch_fits["Dyestuff"].theta.iloc[0], 0.5):
    observed = one_way_gradient(theta + 1e-30j).imag / 1e-30
    print(f"θ = {theta:.3f}: second derivative {observed:.3f}, average information {average_information(theta):.3f}")

# %% [markdown]
# **5.** The rejections beyond the level fall roughly as one over the number of schools, within the Monte Carlo error (±
# one standard error).

# %%
for schools in (9, 18, 72):
    times = schools // 9
    many, X_many = np.concatenate([school + 9 * i for i in range(times)]), np.tile(Xp, (times, 1))
    Y, coarse = draw(rng, many, count=1000), np.linspace(0, 2, 41)
    ratio = lowest(X_many[:, :-2], many, Y, grid=coarse)[0] - lowest(X_many, many, Y, grid=coarse)[0]
    share = np.mean(ratio > stats.chi2.ppf(0.95, 2))
    print(f"{schools:4} schools: {100 * share:.1f} % rejected, ± {100 * np.sqrt(share * (1 - share) / 1000):.1f}")

# %% [markdown]
# **6.** REML rises more slowly to the right: larger standard deviations stay plausible, and its intervals reach further
# up.

# %%
fig, ax = plt.subplots(figsize=(6, 3))
for f, name, style in ((one_way_ml, "ML", "--"), (one_way, "REML", "-")):
    values = np.array([f(theta) for theta in grid])
    ax.plot(grid, values - values.min(), style, label=name)
ax.set(xlabel=r"$\theta$", ylabel="Rise above the minimum", ylim=(0, 8))
ax.legend()
plt.show()

# %% [markdown]
# ## Further reading
#
# - Bates, Mächler, Bolker & Walker (2015), *Journal of Statistical Software* 67(1): penalised least squares and the
#   profiled criterion.
# - Patterson & Thompson (1971), *Biometrika* 58, 545–554; Harville (1974), *Biometrika* 61, 383–385: REML and error
#   contrasts.
# - Gilmour, Thompson & Cullis (1995), *Biometrics* 51, 1440–1450: average information.
# - Kuznetsova, Brockhoff & Christensen (2017), *Journal of Statistical Software* 82(13): Satterthwaite's degrees of
#   freedom.
# - Kenward & Roger (1997), *Biometrics* 53, 983–997: small samples, and the corrected covariance.
# - Squire & Trapp (1998), *SIAM Review* 40, 110–112: the complex step.
# - Self & Liang (1987), *Journal of the American Statistical Association* 82, 605–610; Stram & Lee (1994), *Biometrics*
#   50, 1171–1177: tests on the boundary.
# - Halekoh & Højsgaard (2014), *Journal of Statistical Software* 59(9): Kenward–Roger and the parametric bootstrap.
#
# Before: [3. Random slopes](03_random_slopes.ipynb). Next: [5. The polygenic model](05_polygenic.ipynb).
