# %% [markdown]
# # 10. Coming from R, SOLAR, lme4qtl, ASReml, MCMCglmm, nlme, hglm and GEMMA
#
# You have fitted these models elsewhere. This notebook puts the same models side by side: their code, the numbers that
# they print, the line of lmmpy, and a table of both. You will be able to translate a model, to know which numbers must
# agree and which need not, and where the other program does more. It is a reference: go to your program. Assumed: the
# models, from notebooks 3 to 9.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import stats

import lmmpy as lmm
from lmmpy import plots

plots.use_style()

family = lmm.datasets.load("family")
ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))


def side_by_side(theirs, ours, digits=4):
    """Their numbers, lmmpy's, and the difference."""
    table = pd.DataFrame({"theirs": pd.Series(theirs, dtype=float), "lmmpy": pd.Series(ours, dtype=float)})
    return table.assign(difference=table["lmmpy"] - table["theirs"]).round(digits) + 0.0  # no -0.0


# %% [markdown]
# Cells that hold the numbers of another program name its version. A test compares them with the stored answers of these
# programs, in the folder `tests/reference` of the repository; the R script there makes those of the R packages anew.
# What lmmpy says is computed here.

# %% [markdown]
# ## Who calls what what
#
# **Parts of a model**: packages of R for groups and residuals,
#
# | | lme4 | nlme | lmmpy |
# |---|---|---|---|
# | groups | `(1 \| g)` | `random = ~ 1 \| g` | `(1 \| g)` |
# | slopes | `(x \| g)` | `random = ~ x \| g` | `(x \| g)` |
# | uncorrelated | `(x \|\| g)` | `random = list(g = pdDiag(~ x))` | `(x \|\| g)` |
# | variance by stratum | | `weights = varIdent(form = ~ 1 \| f)` | `residual="varident(f)"` |
# | serial correlation | | `correlation = corAR1(form = ~ t \| g)` | `residual="ar1(t \| g)"` |
#
# and programs for relatives.
#
# | | lme4qtl | ASReml-R 4 | MCMCglmm | SOLAR | lmmpy |
# |---|---|---|---|---|---|
# | groups | `(1 \| g)` | `~ g` | `~ g` | `house` | `(1 \| g)` |
# | slopes | `(x \| g)` | `str(~ g + g:x, ~ us(2):id(g))` | `us(1 + x):g` | | `(x \| g)` |
# | relatives | `relmat =` | `vm(ID, ainv)` | `pedigree =`, `ginverse =` | `load pedigree` | `kin(ped)`, `kin(ID, K)` |
# | by stratum | | `dsum(~ units \| f)` | `rcov = ~ idh(f):units` | | `residual="varident(f)"` |
# | traits | | `cbind(a, b) ~ trait` | `cbind(a, b) ~ trait` | `trait a b` | `cbind(a, b) ~` |
# | held | | `Constraint` `F` | `fix = 1` in the prior | `constraint` | `varcomp=`, `constraints=` |
#
# In hglm a random effect has a matrix `Z`, or `random = ~ 1 | g`, its law is `rand.family =`, and a model of the
# residual variance is `disp = ~ f`. In GEMMA the relatedness is a file, `-k K.txt`, and covariates another, `-c`.
#
# **Numbers**
#
# | | lme4qtl | ASReml-R 4 | MCMCglmm | lmmpy |
# |---|---|---|---|---|
# | V_A | variance of `ID` | `vm(ID, ainv)` | `VCV[, "animal"]` | variance of `kin(ped)` |
# | V_E | `Residual` | `units!R` | `VCV[, "units"]` | variance of `Residual` |
# | h² | `VarProp(m)` | `vpredict(m, h2 ~ V1/(V1 + V2))` | a ratio of `VCV` | `fit.heritability()` |
# | a share | `VarProp(m)` | `vpredict` | a ratio of `VCV` | `fit.vpredict(c2="…")` |
# | genetic correlation | | `vpredict`, `corgh()` | a ratio of `VCV` | `cor_b.a\|kin(ped)` |
# | breeding values | `ranef(m)` | `coef(m)$random` | `Sol`, with `pr = TRUE` | `fit.breeding_values()` |
# | fixed effects | `fixef(m)` | `coef(m)$fixed` | `Sol` | `fit.fixef` |
#
# | | hglm | SOLAR | GEMMA | lmmpy |
# |---|---|---|---|---|
# | V_A | `varRanef` | `h2r` · `sd`² | `vg` | variance of `kin(ped)` |
# | V_E | `varFix` | `e2` · `sd`² | `ve` | variance of `Residual` |
# | h² | their ratio | `H2r` | `pve`, nearly | `fit.heritability()` |
# | a share | | `C2` | | `fit.vpredict(c2="…")` |
# | genetic correlation | | `RhoG` | | `cor_b.a\|kin(ped)` |
# | breeding values | `ranef` | | | `fit.breeding_values()` |
# | fixed effects | `fixef` | `bage`, … | `beta` | `fit.fixef` |

# %% [markdown]
# ## lme4, lmerTest, pbkrtest
#
# ```r
# library(lmerTest)
# m <- lmer(Reaction ~ Days + (Days | Subject), sleepstudy)
# summary(m)                               # Satterthwaite
# anova(m, ddf = "Kenward-Roger")          # by pbkrtest
# ranova(m)
# anova(lmer(Reaction ~ Days + (Days || Subject), sleepstudy), m)
# confint(m, oldNames = FALSE)
# ```

# %% tags=["peers"]
# R 4.2.2, lme4 1.1-31, lmerTest 3.1-3, pbkrtest 0.5-2
lme4 = {
    "REML criterion": 1743.6283,
    "sd (Intercept)": 24.7407,
    "sd Days": 5.9221,
    "correlation": 0.0656,
    "sigma": 25.5918,
    "Days": 10.4673,
    "se of Days": 1.5458,
    "Satterthwaite df of Days": 17.0,
    "Kenward-Roger F of Days": 45.853,
    "Kenward-Roger df": 17.0,
    "ranova LRT": 42.8368,
    "anova Chisq (ML)": 0.0639,
    "sd (Intercept), 2.5 %": 14.3815,
    "sd (Intercept), 97.5 %": 37.716,
    "correlation, 2.5 %": -0.4815,
    "correlation, 97.5 %": 0.685,
}

# %%
sleep = lmm.datasets.load("sleepstudy")
fit = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleep)
uncorrelated = lmm.lmer("Reaction ~ Days + (Days || Subject)", sleep)
tested = lmm.contest(fit, {"Days": 1}, joint=False)  # Satterthwaite; also fit.summary(ddf="satterthwaite")
kenward_roger = lmm.anova(fit, ddf="kenward-roger").loc["Days"]
limits = fit.confint(["sd_(Intercept)|Subject", "cor_Days.(Intercept)|Subject"])
G = fit.varcorr["Subject"]
ours = [
    fit.reml_criterion,
    *np.sqrt(np.diag(G)),
    G.iloc[0, 1] / np.sqrt(G.iloc[0, 0] * G.iloc[1, 1]),
    fit.sigma,
    fit.fixef["Days"],
    fit.se["Days"],
    tested["df"].iloc[0],
    kenward_roger["F value"],
    kenward_roger["DenDF"],
    lmm.ranova(fit)["LRT"].iloc[-1],
    2 * (fit.refit_ml().loglik - uncorrelated.refit_ml().loglik),
    *limits.to_numpy().ravel(),
]
side_by_side(lme4, dict(zip(lme4, ours, strict=True)))

# %% [markdown]
# Formulas are lme4's, and so are the numbers; what differs in the last places is where lme4's search stopped.
#
# * `fit.theta` is `getME(m, "theta")`: a Cholesky factor of the covariance of the random effects, relative to σ.
# * `lmm.ranova` adds the p-value of the boundary's mixture; that of R is the naive one, too large.
# * As in lme4, `confint` profiles the maximum likelihood fit, also of a REML fit.
# * Where lme4 warns that it failed to converge, look at `fit.convergence`: it says what the exact derivatives say.
#
# **Where lme4 does more:** `glmer` and `nlmer`, responses that are not normal, and the packages that build on it.

# %% [markdown]
# ## nlme
#
# ```r
# library(nlme)
# strata <- lme(distance ~ age * Sex, Orthodont, random = ~ 1 | Subject, weights = varIdent(form = ~ 1 | Sex))
# serial <- gls(distance ~ age * Sex, Orthodont, correlation = corAR1(form = ~ 1 | Subject),
#               weights = varIdent(form = ~ 1 | Sex))
# ```
#
# `residual=` takes the place of both arguments; a product joins a correlation and variances. Why one would want
# `varIdent` here:

# %%
Orthodont = lmm.datasets.load("Orthodont")
plain = lmm.lmer("distance ~ age * Sex + (1 | Subject)", Orthodont)
figure, ax = plt.subplots(figsize=(4.8, 2.8))
for place, (sex, mark, colour) in enumerate([("Male", "o", "blue"), ("Female", "s", "orange")]):
    values = plain.residuals()[(Orthodont["Sex"] == sex).to_numpy()]
    spread = np.linspace(-0.15, 0.15, len(values))
    ax.plot(values, place + spread, mark, color=plots.COLOURS[colour], ms=4, alpha=0.7)
ax.set(xlabel="Residual with equal variances (mm)", yticks=[0, 1], yticklabels=["boys", "girls"], ylim=(-0.6, 1.6))
plt.show()

# %% tags=["peers"]
# R 4.2.2, nlme 3.1-162
nlme_strata = {
    "logLik (REML)": -207.6102,
    "sd of Subject": 1.8476,
    "sigma (boys)": 1.6698,
    "ratio of girls": 0.4679,
    "age": 0.7844,
    "se of age": 0.0933,
    "age:SexFemale": -0.3048,
}
nlme_serial = {
    "logLik (REML)": -216.5023,
    "sigma (boys)": 3.0828,
    "ratio of girls": 0.5647,
    "Phi": 0.7473,
    "age:SexFemale": -0.283,
    "se of age:SexFemale": 0.1677,
}
nlme_df = {"age": 79, "SexFemale": 25, "age:SexFemale": 79}

# %%
strata = lmm.lmer("distance ~ age * Sex + (1 | Subject)", Orthodont, residual="varident(Sex)")
serial = lmm.gls("distance ~ age * Sex", Orthodont, residual="ar1(1 | Subject) * varident(Sex)")
a, b = strata.parameters()["estimate"], serial.parameters()["estimate"]
ours = [strata.loglik, a["sd_(Intercept)|Subject"], strata.sigma, a["sd_Female|Residual"] / a["sd_Male|Residual"]]
ours += [strata.fixef["age"], strata.se["age"], strata.fixef["age:SexFemale"]]
theirs = {f"lme: {name}": value for name, value in nlme_strata.items()}
ours += [serial.loglik, serial.sigma, b["sd_Female|Residual"] / b["sd_Male|Residual"], b["rho|Residual"]]
ours += [serial.fixef["age:SexFemale"], serial.se["age:SexFemale"]]
theirs |= {f"gls: {name}": value for name, value in nlme_serial.items()}
side_by_side(theirs, dict(zip(theirs, ours, strict=True)))

# %%
satterthwaite = pd.concat([lmm.contest(strata, {name: 1}, joint=False) for name in nlme_df])
pd.DataFrame({"nlme": nlme_df.values(), "Satterthwaite": satterthwaite["df"].to_numpy()}, index=list(nlme_df)).round(1)

# %% [markdown]
# * nlme counts degrees of freedom by the level at which a term varies ("inner" or "outer"); lmmpy has Satterthwaite's.
#   t values are the same, p-values not.
# * nlme reports ratios to the reference level; lmmpy each standard deviation, with profile intervals by `confint`.
#   nlme's `intervals` are Wald's on the scale of its search.
# * `residual="us(0 + factor(t) | g)"` is `corSymm` with `varIdent`, `car1` is `corCAR1`, `varpower` and `varexp` are
#   `varPower` and `varExp`. [The documentation](../docs/how-to/residuals.md) has the whole list.
#
# **Where nlme does more:** nonlinear models, spatial correlations (`corGaus`, `corSpher`, nuggets), `corARMA` of any
# order, `varConstPower`.

# %% [markdown]
# ## lme4qtl, pedigreemm
#
# ```r
# library(lme4qtl)
# K <- 2 * kinship2::kinship(kinship2::pedigree(...))       # twice the kinship; identical twins by relation =
# m <- relmatLmer(bmi ~ age + sex + (1 | ID), family, relmat = list(ID = K))
# h <- relmatLmer(bmi ~ age + sex + (1 | HHID) + (1 | ID), family, relmat = list(ID = K))
# VarProp(m)
# ```
#
# The same model by pedigreemm, which takes identical twins for sibs, and refuses one record a person unless it is told
# not to look:
#
# ```r
# library(pedigreemm)
# unchecked <- lmerControl(check.nobs.vs.nlev = "ignore", check.nobs.vs.nRE = "ignore")
# pedigreemm(bmi ~ age + sex + (1 | ID), family, pedigree = list(ID = p), control = unchecked)
# ```

# %% tags=["peers"]
# R 4.2.2, lme4qtl 0.2.2, lme4 1.1-31, kinship2 1.9.6
lme4qtl = {
    "logLik (REML)": -685.2852,
    "sd of ID": 1.4421,
    "sigma": 0.8509,
    "h2": 0.7417,
    "age": 0.0191,
    "sexfemale": -0.492,
}
lme4qtl_house = {"logLik (REML)": -685.2659, "sd of ID": 1.4262, "sd of HHID": 0.1806, "sigma": 0.855}

# %%
poly = lmm.lmer("bmi ~ age + sex + kin(ped)", family)
house = lmm.lmer("bmi ~ age + sex + (1 | household) + kin(ped)", family)
p, h = poly.parameters()["estimate"], house.parameters()["estimate"]
ours = [poly.loglik, p["sd_(Intercept)|kin(ped)"], p["sigma"], poly.heritability()["estimate"].iloc[0]]
ours += [poly.fixef["age"], poly.fixef["sexfemale"]]
theirs = {f"polygenic: {name}": value for name, value in lme4qtl.items()}
ours += [house.loglik, h["sd_(Intercept)|kin(ped)"], h["sd_(Intercept)|household"], h["sigma"]]
theirs |= {f"household: {name}": value for name, value in lme4qtl_house.items()}
side_by_side(theirs, dict(zip(theirs, ours, strict=True)))

# %% [markdown]
# * `(1 | ID)` with `relmat={"ID": ped}` is understood as well. A pedigree is better than a matrix: its inverse is
#   sparse.
# * Identical twins are one genetic level in lmmpy. In lme4qtl K is singular with them, and is used all the same.
# * `fit.heritability()` has a standard error, a profile interval and the test at the boundary, which lme4qtl leaves to
#   you.
#
# **Where they do more:** `relmatGlmer` for binary and other traits.

# %% [markdown]
# ## SOLAR
#
# ```text
# load pedigree ped.csv
# load phenotypes phen.csv
# trait bmi
# covariate age sex
# house
# polygenic                        # household and polygenic model
#
# model new                        # two traits
# trait bmi fvii
# covariate age sex
# polygenic -testrhoe -testrhog
#
# model new                        # linkage
# trait bmi
# covariate age sex
# polygenic
# mibddir mibd
# chromosome 1
# interval 5
# multipoint
# ```

# %% tags=["peers"]
# SOLAR-Eclipse 8.5.1
solar = {
    "loglike": -333.078782,
    "H2r": 0.7279124,
    "H2r, standard error": 0.1100989,
    "C2": 0.009799,
    "C2, p": 0.4345042,
    "sd": 1.6653642,
    "age": 0.0190294,
    "age, standard error": 0.0034524,
}
solar_pair = {
    "loglike": -537.931329,
    "H2r(bmi)": 0.7321176,
    "H2r(fvii)": 0.4875554,
    "RhoG": 0.5602271,
    "RhoG, standard error": 0.1139552,
    "RhoE": 0.2816424,
    "RhoP": 0.4390586,
    "RhoG = 0, chi": 15.910962,
    "RhoG = 1, chi": 27.977472,
    "RhoE = 0, p": 0.0494824,
}

# %%
home = lmm.qtl.polygenic("bmi ~ age + sex", family, ped, household="household")
age = home.estimates.set_index("parameter").loc["age"]
ours = [home.loglik_solar, home.h2, home.h2_se, home.c2, home.c2_p_value, home.sd, age["estimate"], age["std_error"]]
side_by_side(solar, dict(zip(solar, ours, strict=True)), 6)

# %%
pair = lmm.qtl.bivariate(["bmi", "fvii"], "age + sex", family, ped)
e = pair.estimates.set_index("parameter")
chi = pair.tests.set_index("hypothesis")["chisq"]
ours = [pair.loglik_solar, *e.loc[["h2[bmi]", "h2[fvii]", "rho_g"], "estimate"], e.loc["rho_g", "std_error"]]
ours += [*e.loc[["rho_e", "rho_p"], "estimate"], chi["rho_g = 0"], chi["|rho_g| = 1"], pair.p_value("rho_e = 0")]
side_by_side(solar_pair, dict(zip(solar_pair, ours, strict=True)), 6)

# %% tags=["peers"]
# SOLAR-Eclipse 8.5.1, multipoint, every 5 cM from 0 to 100 cM
solar_lod = [
    0.0943, 0.2382, 0.2397, 0.5890, 0.6060, 0.6951, 0.7908, 1.3580, 4.4138, 3.1812, 1.9539,
    0.6747, 0.1296, 0.1961, 0.0509, 0.1122, 0.5079, 0.9213, 1.0353, 0.3203, 1.0641,
]  # fmt: skip

# %%
scan = lmm.qtl.linkage(lmm.qtl.polygenic("bmi ~ age + sex", family, ped), lmm.datasets.load("family_ibd"))
lod = scan.lod.set_index("position")["lod"]
print("largest difference of a LOD:", np.abs(lod.to_numpy() - solar_lod).max().round(4))
figure, ax = plt.subplots(figsize=(6.4, 3))
ax.plot(lod.index, lod, color=plots.COLOURS["blue"], label="lmmpy")
ax.plot(lod.index, solar_lod, "o", mfc="none", color="black", label="SOLAR")
ax.axhline(3, color=plots.COLOURS["grey"], ls=":", lw=1)
ax.set(xlabel="Position on chromosome 1 (cM)", ylabel="LOD")
ax.legend()
plt.show()

# %% [markdown]
# * SOLAR fits by maximum likelihood, and its log-likelihood leaves out $-\tfrac{n}{2}\log 2\pi$: `.loglik_solar`.
# * Its parameters are shares of the variance and a total standard deviation. The intercept is at the means of the
#   covariates.
# * p-values of `H2r` and `C2` are one-sided, $\tfrac12\chi^2_0 + \tfrac12\chi^2_1$; so are lmmpy's.
# * `ibd` matrices in its `mibd` files are read by `lmm.qtl.linkage` as they are.
# * In bivariate models with a household SOLAR misplaces the household's covariance between families; lmmpy's numbers
#   are other ones there.
#
# **Where SOLAR does more:** discrete traits, by a liability threshold, and the multivariate t distribution.

# %% [markdown]
# ## GEMMA
#
# ```text
# gemma -g genotypes.txt -p bmi.txt -c covariates.txt -k K.txt -lmm 4 -o out
# ```
#
# The 376 people with `bmi`, twice their kinship as K, an intercept, age and sex as covariates.

# %% tags=["peers"]
# GEMMA 0.98.5: the null model from its log, snp7 from its table of associations
gemma = {
    "vg": 2.0796,
    "ve": 0.724061,
    "pve": 0.739148,
    "REMLE log-likelihood": -674.162,
    "age": 0.0190868,
    "sexfemale": -0.491961,
}
gemma_snp7 = {"beta": 0.3038035, "se": 0.1665946, "p_wald": 0.06901335, "p_lrt": 0.06856866}

# %%
print("people:", poly.nobs)
vg, ve = poly.varcorr.to_frame()["vcov"]
K = ped.additive().to_frame(poly.frame()["ID"]).to_numpy()
m = K.diagonal().mean() - K.mean()  # the mean of the diagonal of K, centred
X = poly.design.X
remle = poly.loglik + np.linalg.slogdet(X.T @ X)[1] / 2
ours = [vg, ve, vg * m / (vg * m + ve), remle, poly.fixef["age"], poly.fixef["sexfemale"]]
side_by_side(gemma, dict(zip(gemma, ours, strict=True)), 5)

# %%
genotypes = lmm.datasets.load("family_genotypes").set_index("ID")[["snp7"]]
snp = lmm.qtl.association(poly, genotypes, test="all", exact=True).table.iloc[0]
uncentred = side_by_side(gemma_snp7, snp[["beta", "std_error", "p_wald", "p_lrt"]].set_axis(gemma_snp7), 5)
labels = poly.frame()["ID"]
centred = K - K.mean(axis=0) - K.mean(axis=1)[:, None] + K.mean()
relatedness = lmm.Relatedness(pd.DataFrame(centred, index=labels, columns=labels))
K_centred = lmm.lmer("bmi ~ age + sex + kin(ID, relatedness)", family)
snp = lmm.qtl.association(K_centred, genotypes, test="all", exact=True).table.iloc[0]
uncentred.assign(**{"with centred K": snp[["beta", "std_error", "p_wald", "p_lrt"]].to_numpy(dtype=float).round(5)})

# %% [markdown]
# * GEMMA centres every K. REML does not see that when there is an intercept; ML does, so that `p_lrt`, and `p_score`,
#   which is not shown, are GEMMA's with the centred matrix only (last column).
# * `pve` weighs `vg` by the mean diagonal of the centred K; h² is vg/(vg + ve) for K as it was given.
# * Its REML log-likelihood has $\tfrac12\log|X^\top X|$ more than lme4's and lmmpy's.
# * `l_remle` is vg/ve.
#
# **Where GEMMA does more:** multivariate association tests, Bayesian sparse models (`-bslmm`), variance components from
# summary statistics (`-vc`).

# %% [markdown]
# ## ASReml
#
# ASReml is licensed and was not run here; the syntax is that of the manual of ASReml-R 4.
#
# ```r
# library(asreml)
# ainv <- ainverse(pedigree)                                # columns: animal, sire, dam
# m <- asreml(bmi ~ age + sex, random = ~ vm(ID, ainv) + HHID, residual = ~ units, data = family)
# summary(m)$varcomp                                        # component, std.error, z.ratio, bound
# vpredict(m, h2 ~ V1 / (V1 + V2 + V3))                     # in the order of varcomp
# wald(m, denDF = "numeric", ssType = "conditional")
# coef(m)$random                                            # breeding values
#
# # variances that are known: 20 and 40
# start <- asreml(gain ~ sex, random = ~ vm(ID, ainv), residual = ~ idv(units), data = calves, start.values = TRUE)
# v <- start$vparameters.table                              # Component, Value, Constraint
# v$Value[match(c("vm(ID, ainv)", "units!units"), v$Component)] <- c(20, 40)
# v$Constraint <- "F"
# asreml(gain ~ sex, random = ~ vm(ID, ainv), residual = ~ idv(units), data = calves, G.param = v, R.param = v)
# ```
#
# For the second model the answer is in a textbook, Mrode's example 3.1: five calves, three base animals, variances 20
# and 40.

# %% tags=["peers"]
# Mrode (2005), example 3.1: males over females, and the breeding values of animals 1 to 8
mrode = {"sex": 0.954, 1: 0.098, 2: -0.019, 3: -0.041, 4: -0.009, 5: -0.186, 6: 0.177, 7: -0.249, 8: 0.183}

# %%
calves = lmm.datasets.load("calves")
herd = lmm.Pedigree.from_frame(calves, sex="sex")
known = lmm.lmer("gain ~ 0 + sex + kin(herd)", calves, varcomp={"kin(herd)": 20, "Residual": 40})
values = known.breeding_values().set_index("id")["estimate"]
ours = {"sex": known.fixef["sexmale"] - known.fixef["sexfemale"], **values}
side_by_side(mrode, ours, 3).T

# %% [markdown]
# The same by hand, by Henderson's mixed model equations with $\lambda = \sigma_e^2/\sigma_a^2 = 2$:
#
# $$\begin{pmatrix} X^\top X & X^\top Z \\ Z^\top X & Z^\top Z + \lambda A^{-1}\end{pmatrix}
# \begin{pmatrix}\hat\beta \\ \hat u\end{pmatrix} = \begin{pmatrix} X^\top y \\ Z^\top y\end{pmatrix}$$

# %%
seen = calves["gain"].notna().to_numpy()
Z = np.eye(8)[seen]
X = np.column_stack([calves["sex"][seen] == "male", calves["sex"][seen] == "female"]).astype(float)
A = herd.additive().to_frame(calves["ID"]).to_numpy()
left = np.block([[X.T @ X, X.T @ Z], [Z.T @ X, Z.T @ Z + 40 / 20 * np.linalg.inv(A)]])
print(np.linalg.solve(left, np.concatenate([X.T, Z.T]) @ calves["gain"][seen].to_numpy()).round(4))

# %% [markdown]
# * REML estimates agree; ASReml's LogL has constants of its own, so compare differences of models with the same fixed
#   part.
# * With a residual `~ units` ASReml works with ratios to the residual variance ("gamma"), with `~ idv(units)` with
#   variances.
# * `wald` is incremental unless told otherwise: each term after those before it. `lmm.anova(fit, type=1)`.
# * Its standard errors are those of variances, from the average information; `bound` says `P`, `B` or `F`. Those of
#   `fit.parameters()` are of standard deviations, from the observed information; `fit.vpredict` has those of variances.
#
# **Where ASReml does more:** factor-analytic and reduced-rank structures, spatial models in two dimensions, variances
# that may be negative, genetic groups, splines as random terms, generalised models.

# %% [markdown]
# ## MCMCglmm
#
# ```r
# library(MCMCglmm)
# prior <- list(R = list(V = 1, nu = 0.002),
#               G = list(G1 = list(V = 1, nu = 1, alpha.mu = 0, alpha.V = 1000)))     # parameter-expanded
# m <- MCMCglmm(bmi ~ age + sex, random = ~ animal, pedigree = ped, data = apart, prior = prior,
#               nitt = 210000, burnin = 10000, thin = 100)
# h2 <- m$VCV[, "animal"] / rowSums(m$VCV)
# posterior.mode(h2); HPDinterval(h2)
# ```
#
# A pedigree with identical twins has no inverse, so one of each pair is left out, and lmmpy is given the same people.
# `inverse gamma` is the prior with `G1 = list(V = 1, nu = 0.002)`.

# %% tags=["peers"]
# R 4.2.2, MCMCglmm 2.36, set.seed(1); 2000 draws kept: of h2, and of the genetic variance
mcmc = pd.DataFrame(
    {"mode": [0.79, 0.76], "mean": [0.77, 0.76], "low": [0.63, 0.6], "high": [0.93, 0.9], "V_A": [2.23, 2.2]},
    index=["expanded", "inverse gamma"],
)
# The same with lme4's Dyestuff2, Yield ~ 1 with batches; the prior is the expanded one
mcmc_batch = {"mode": 0.1, "median": 0.82, "mean": 2.62, "high": 10.31}

# %%
apart = family[~family["ID"].isin([57, 209])]
reml = lmm.lmer("bmi ~ age + sex + kin(ped)", apart)
h2 = reml.heritability().iloc[0]
own = {
    "mode": h2["estimate"],
    "low": h2["conf_low"],
    "high": h2["conf_high"],
    "V_A": reml.varcorr["kin(ped)"].iloc[0, 0],
}
pd.concat([mcmc, pd.DataFrame(own, index=["REML, profile interval"])]).round(2)

# %%
rows = pd.concat([mcmc, pd.DataFrame(own, index=["REML"])])[::-1]
figure, ax = plt.subplots(figsize=(5.6, 2.2))
for place, (name, row) in enumerate(rows.iterrows()):
    bayes = name != "REML"
    colour = plots.COLOURS["orange" if bayes else "blue"]
    ax.plot([row["low"], row["high"]], [place, place], color=colour, ls="--" if bayes else "-")
    ax.plot(row["mode"], place, "s" if bayes else "o", color=colour)
ax.set(yticks=range(3), yticklabels=["REML, profile", "posterior,\ninverse gamma", "posterior,\nexpanded"], xlabel="h²")
ax.set_ylim(-0.6, 2.6)
plt.show()

# %% [markdown]
# They are close, and they are not the same thing. With a flat prior on the fixed effects the restricted likelihood is
# what the data say about the variances; the posterior is that times the prior. Then:
#
# * **REML's estimate** is the maximum over all variances at once. **A posterior mode** is that of one parameter after
#   the others are integrated out, and a kernel estimate from draws: it moves by some hundredths with the seed. The mean
#   is steadier.
# * **A profile interval** contains the truth in about 95 % of data sets. **An HPD interval** contains 95 % of the
#   posterior, given the prior. With much data they agree.
# * **A posterior of a variance has no mass at zero.** That its interval excludes zero says nothing; REML's estimate may
#   be zero, and the likelihood ratio tests that.
#
# The last point matters most where there is little to find. In Dyestuff2 six batches differ by less than their records
# let one expect by chance, and REML estimates zero. The posterior of this balanced design can be written down. With
# $a = 6$ batches of $r = 5$, $\tau = \sigma^2 + r\sigma_b^2$,
#
# $$p(\sigma_b^2, \sigma^2 \mid y) \propto (\sigma^2)^{-\frac{a(r-1)}{2}} e^{-\frac{SS_W}{2\sigma^2}}\;
# \tau^{-\frac{a-1}{2}} e^{-\frac{SS_B}{2\tau}}\; p(\sigma_b^2)\,p(\sigma^2),$$
#
# the first two factors being the restricted likelihood. The parameter-expanded prior is a half-Cauchy one for
# $\sigma_b$, of scale $\sqrt{1000}$.

# %%
batches = lmm.datasets.load("Dyestuff2")
grid_b, grid_e = np.linspace(0.005, 20, 1500)[:, None], np.linspace(1.6, 8.5, 300)[None, :]  # σ_b, σ
means = batches.groupby("Batch")["Yield"].transform("mean")
within, between = ((batches["Yield"] - means) ** 2).sum(), ((means - means.mean()) ** 2).sum()
tau = grid_e**2 + 5 * grid_b**2
log_restricted = -12 * np.log(grid_e**2) - within / (2 * grid_e**2) - 2.5 * np.log(tau) - between / (2 * tau)
# The prior of σ² is inverse gamma (0.001, 0.001); both priors here are those of standard deviations.
log_prior = -np.log1p(grid_b**2 / 1000) - 2 * 0.001 * np.log(grid_e) - 0.001 / grid_e**2 - np.log(grid_e)
posterior = np.exp(log_restricted + log_prior - (log_restricted + log_prior).max()).sum(axis=1)
posterior /= posterior.sum()
variance = grid_b[:, 0] ** 2
by_hand = {"median": variance[np.searchsorted(posterior.cumsum(), 0.5)], "mean": posterior @ variance}
pd.DataFrame({"MCMCglmm": mcmc_batch, "by hand": by_hand}).round(2)

# %% tags=["warns"]
zero = lmm.lmer("Yield ~ 1 + (1 | Batch)", batches)
print("REML:", zero.varcorr["Batch"].iloc[0, 0])

# %%
profile = np.exp(log_restricted.max(axis=1) - log_restricted.max())
figure, ax = plt.subplots(figsize=(5.6, 3))
ax.plot(grid_b[:, 0], profile, color=plots.COLOURS["blue"], label="restricted likelihood, profile")
ax.plot(
    grid_b[:, 0], posterior / posterior.max(), "--", color=plots.COLOURS["orange"], label="posterior of $\\sigma_b$"
)
for name, mark in [("mode", "v"), ("median", "o"), ("mean", "s")]:
    ax.plot(
        np.sqrt(mcmc_batch[name]), 0.03, mark, color="black", ms=6, label=f"MCMCglmm: {name} of $\\sigma_b^2$, as SD"
    )
ax.plot(0, 0.03, "X", color=plots.COLOURS["blue"], ms=8, clip_on=False, label="REML")
ax.set(xlabel="$\\sigma_b$", ylabel="Relative height", xlim=(0, 6), ylim=(0, 1.1))
ax.legend()
plt.show()

# %% [markdown]
# With this wide prior the posterior of $\sigma_b$ is nearly the restricted likelihood; what differs is what is reported
# of it. A mode, a median and a mean of a skewed posterior are far apart, and which of them is given is a choice, as is
# the scale: the mode of $\sigma_b^2$ is not the square of that of $\sigma_b$. Report a posterior as such, and not as
# "the estimate".
#
# **Where MCMCglmm does more:** priors; binary, ordinal, Poisson and other responses, mixed with normal ones in one
# model; measurement error; posteriors of any function, and phylogenies. For those use it, brms or Stan.

# %% [markdown]
# ## hglm
#
# ```r
# library(hglm)
# half <- with(eigen(K), vectors %*% diag(sqrt(pmax(values, 0))))      # K = half %*% t(half)
# m <- hglm(X = model.matrix(~ age + sex, seen), y = seen$bmi, Z = half)
# tight <- hglm(X = model.matrix(~ age + sex, seen), y = seen$bmi, Z = half, conv = 1e-14, maxit = 500)
# m$varRanef; m$varFix; m$fixef
# ```
#
# `seen` are the people with `bmi`, K their relatedness. With $Z^* = ZA^{1/2}$ and independent effects this is the model
# with covariance A ([notebook 5](05_polygenic.ipynb)), and the h-likelihood of a normal response with normal random
# effects leads to REML's equations.

# %% tags=["peers"]
# R 4.2.2, hglm 2.2-1, with its default conv = 1e-6, and with 1e-14
hglm_default = {
    "varRanef": 1.9378,
    "varFix": 0.8039,
    "h2": 0.7068,
    "age": 0.01911,
    "restricted log-likelihood": -685.4188,
}
hglm_tight = {
    "varRanef": 2.0796,
    "varFix": 0.7241,
    "h2": 0.7417,
    "age": 0.01909,
    "restricted log-likelihood": -685.2852,
}

# %%
ours = dict(zip(hglm_tight, [vg, ve, vg / (vg + ve), poly.fixef["age"], poly.loglik], strict=True))
side_by_side(hglm_tight, ours).rename(columns={"theirs": "hglm, tight"}).assign(**{"hglm, default": hglm_default})

# %% [markdown]
# At the default tolerance the iterations stop early here: the restricted log-likelihood, which hglm prints with
# `calc.like = TRUE`, is still below its maximum. Set `conv`. Standard errors of its dispersion parameters are on the
# logarithm.
#
# **Where hglm does more:** Poisson, binomial and gamma responses, random effects that are not normal, a linear model
# for the dispersion, thousands of markers as random effects (`bigRR`).

# %% [markdown]
# ## What is reported, and how it differs
#
# **Likelihoods.** One model, the polygenic one of this study, has as many log-likelihoods as programs:

# %%
ml = poly.refit_ml()
n = poly.nobs
constants = pd.DataFrame(
    {
        "printed": [
            lme4qtl["logLik (REML)"],
            hglm_tight["restricted log-likelihood"],
            gemma["REMLE log-likelihood"],
            np.nan,
        ],
        "from lmmpy": [poly.loglik, poly.loglik, remle, ml.loglik + n / 2 * np.log(2 * np.pi)],
        "how": ["REML", "REML", "REML + ½ log |X'X|", "ML + n/2 log 2π"],
    },
    index=["lme4qtl", "hglm", "GEMMA", "SOLAR"],
)
constants.loc["SOLAR", "printed"] = -333.092381  # polygenic, without household
constants.round(4)

# %% [markdown]
# | | lme4, lme4qtl | nlme | ASReml | lmmpy |
# |---|---|---|---|---|
# | method | REML; `REML = FALSE` | REML; `method = "ML"` | REML | REML; `reml=False` |
# | constants | all | all | its own | all |
# | searched | θ | logarithms | ratios or variances | θ |
# | reported | variances, SDs | SDs, ratios | variances | variances, SDs |
# | SE of variances | none; profile | Wald, by `intervals` | average information | observed information, profile |
# | test of a variance | χ², p too large | χ², p too large | by hand | mixture, and χ² |
# | fixed effects | F with df, by lmerTest | inner–outer df | F with df | t, F with df; LRT |
#
# | | SOLAR | GEMMA | MCMCglmm | hglm |
# |---|---|---|---|---|
# | method | ML | REML and ML, by test | posterior | h-likelihood; here REML |
# | constants | without $-\frac n2\log 2\pi$ | $+\frac12\log\lvert X^\top X\rvert$ | | all |
# | searched | shares, sd | vg/ve | | dispersions in turn |
# | reported | shares, sd | vg, ve | draws of variances | variances |
# | SE of variances | observed information | of pve | SD of draws | of their logarithm |
# | test of a variance | mixture | none | none | none |
# | fixed effects | LRT | F, LRT, score | pMCMC | t |
#
# A negative variance of a random term is allowed by ASReml alone, where it is asked for (`U`).
#
# * **ML or REML.** With few fixed effects and many people they are near; h² by SOLAR's ML and by REML differ in the
#   third digit here. Only ML, or REML with the same fixed part, may be compared between models.
# * **One- or two-sided.** For one variance the mixture halves the naive p. Look which one a paper has before you
#   compare.
# * **Standard errors of fixed effects.** lme4's, and `fit.se`, take the variances as known; Kenward and Roger's add
#   what their estimation costs; SOLAR's come from the information of all parameters.
# * **A standard error of a variance** is a poor summary near zero. Prefer profile intervals.

# %% [markdown]
# ## One study, six programs
#
# The heritability of `bmi` given age and sex, as each of them reports it. The two pairs of identical twins are complete
# in all but MCMCglmm.

# %% tags=["peers"]
solar_poly = {"H2r": 0.7403292, "H2r, standard error": 0.0761975}  # SOLAR-Eclipse 8.5.1

# %%
theirs, error = solar_poly.values()
reml_h2 = poly.heritability().iloc[0]
ml_h2 = lmm.qtl.polygenic("bmi ~ age + sex", family, ped)
heritabilities = pd.DataFrame(
    [
        ["lmmpy, REML, profile", reml_h2["estimate"], reml_h2["conf_low"], reml_h2["conf_high"]],
        ["lmmpy, ML, Wald", ml_h2.h2, ml_h2.h2 - 1.96 * ml_h2.h2_se, ml_h2.h2 + 1.96 * ml_h2.h2_se],
        ["SOLAR, ML, Wald", theirs, theirs - 1.96 * error, theirs + 1.96 * error],
        ["lme4qtl, REML", lme4qtl["h2"], np.nan, np.nan],
        ["GEMMA, vg/(vg + ve)", gemma["vg"] / (gemma["vg"] + gemma["ve"]), np.nan, np.nan],
        ["GEMMA, pve", gemma["pve"], np.nan, np.nan],
        ["hglm, default", hglm_default["h2"], np.nan, np.nan],
        ["hglm, tight", hglm_tight["h2"], np.nan, np.nan],
        ["MCMCglmm, mean, HPD", *mcmc.loc["expanded", ["mean", "low", "high"]]],
    ],
    columns=["", "h2", "low", "high"],
).set_index("")
heritabilities.round(3)

# %%
figure, ax = plt.subplots(figsize=(6.4, 3.4))
place = np.arange(len(heritabilities))[::-1]
is_ours = heritabilities.index.str.startswith("lmmpy")
for own, colour, mark in [(True, "blue", "o"), (False, "grey", "s")]:
    part = heritabilities[is_ours == own]
    error = [part["h2"] - part["low"], part["high"] - part["h2"]]
    ax.errorbar(part["h2"], place[is_ours == own], xerr=error, fmt=mark, color=plots.COLOURS[colour], ms=5, lw=1.3)
ax.axvline(reml_h2["estimate"], color=plots.COLOURS["blue"], lw=0.8, ls=":")
ax.set(yticks=place, yticklabels=heritabilities.index, xlabel="Heritability of bmi, with 95 % intervals", xlim=(0.5, 1))
plt.show()

# %% [markdown]
# ## What to take away
#
# * Translate the model first: what is random, with which covariance, what the residual is. Then the numbers agree to
#   the digits that both programs print.
# * When they do not, ask in this order: the same rows? ML or REML? the same K (doubled, centred)? the same origin of
#   the covariates? which constants? has the search converged? one- or two-sided?
# * A posterior summary is another quantity than an estimate, even when the numbers are near.
# * For responses that are not normal, for priors, and for factor-analytic or spatial models, use the programs that have
#   them.

# %% [markdown]
# ## Exercises
#
# 1. A colleague used the kinship matrix itself, not twice the kinship, in lme4qtl. What happens to the genetic
#    variance, to the residual variance, and to the likelihood? Try it.
# 2. Translate from nlme: `lme(distance ~ age, Orthodont, random = list(Subject = pdDiag(~ age)), method = "ML")`.
# 3. Translate from ASReml: `cbind(bmi, fvii) ~ trait + trait:(age + sex)` with `random = ~ diag(trait):vm(ID, ainv)`
#    and `residual = ~ id(units):us(trait)`. Test it against `us(trait):vm(ID, ainv)`.
# 4. SOLAR printed `H2r` with p for the household model of `bmi`. Compute the p-value from the log-likelihoods of the
#    two models, by `.models`.
# 5. Take the posterior by hand of Dyestuff2 and make the scale of the half-Cauchy prior 1 instead of $\sqrt{1000}$.
#    What becomes of mean and median?

# %% [markdown]
# ## Solutions
#
# **1.** The variance doubles, nothing else changes.

# %%
kinship = ped.additive().to_frame() / 2
half = lmm.lmer("bmi ~ age + sex + kin(ID, kinship)", family)
table = {"2 × kinship": poly, "kinship": half}
pd.DataFrame(
    {name: [*f.varcorr.to_frame()["vcov"], f.loglik] for name, f in table.items()}, ["V_A", "V_E", "logLik"]
).round(3)

# %% [markdown]
# **2.** `(age || Subject)` by maximum likelihood.

# %%
print(lmm.lmer("distance ~ age + (age || Subject)", Orthodont, reml=False).varcorr)

# %% [markdown]
# **3.** `diag(1 | kin(ped))` has no genetic correlation; the default has.

# %%
no_correlation = lmm.lmer("cbind(bmi, fvii) ~ age + sex + diag(1 | kin(ped))", family)
two = lmm.lmer("cbind(bmi, fvii) ~ age + sex + kin(ped)", family)
print(lmm.anova(no_correlation, two, refit=False))

# %% [markdown]
# **4.** The models with the household, with and without polygenes; half of the upper tail of $\chi^2_1$.

# %%
loglik = home.models["loglik"]
statistic = 2 * (loglik["household polygenic"] - loglik["household"])
print(f"chi {statistic:.4f}, p {stats.chi2.sf(statistic, 1) / 2:.3g}; lmmpy {home.h2_p_value:.3g}")

# %% [markdown]
# **5.** Both fall to about a third: with six batches the prior decides much.

# %%
log_prior_1 = -np.log1p(grid_b**2) - 2 * 0.001 * np.log(grid_e) - 0.001 / grid_e**2 - np.log(grid_e)
narrow = np.exp(log_restricted + log_prior_1 - (log_restricted + log_prior_1).max()).sum(axis=1)
narrow /= narrow.sum()
print("median", variance[np.searchsorted(narrow.cumsum(), 0.5)].round(2), "mean", (narrow @ variance).round(2))

# %% [markdown]
# ## Further reading
#
# * Almasy & Blangero (1998), *American Journal of Human Genetics* 62, 1198–1211: SOLAR.
# * Bates, Mächler, Bolker & Walker (2015), *Journal of Statistical Software* 67(1): lme4.
# * Gelman (2006), *Bayesian Analysis* 1, 515–534: priors for variances.
# * Gilmour, Thompson & Cullis (1995), *Biometrics* 51, 1440–1450: average information REML, behind ASReml.
# * Hadfield (2010), *Journal of Statistical Software* 33(2): MCMCglmm.
# * Harville (1974), *Biometrika* 61, 383–385: REML as a marginal likelihood.
# * Kuznetsova, Brockhoff & Christensen (2017), *Journal of Statistical Software* 82(13): lmerTest.
# * Mrode (2005), *Linear Models for the Prediction of Animal Breeding Values*, 2nd ed., CABI.
# * Pinheiro & Bates (2000), *Mixed-Effects Models in S and S-PLUS*, Springer: nlme.
# * Rönnegård, Shen & Alam (2010), *The R Journal* 2(2), 20–28: hglm.
# * Ziyatdinov et al. (2018), *BMC Bioinformatics* 19, 68: lme4qtl.
# * Zhou & Stephens (2012), *Nature Genetics* 44, 821–824: GEMMA.
#
# [9. Association](09_association.ipynb) · [1. From linear to mixed](01_from_linear_to_mixed.ipynb)
