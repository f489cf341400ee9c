"""The numbers of other programs that the tenth notebook of the course quotes are those that are stored here."""

import ast
import json
import math
from functools import cache

import pandas as pd
import pytest

pytest.importorskip("jupytext")

import course

from tests.reference.cases import HERE

GIVEN = {name: json.loads((HERE / path).read_text()) for name, path in {
    "peers": "course_peers.json",
    "solar": "family/solar.json",
    "linkage": "family/solar_linkage.json",
    "lme4qtl": "family/lme4qtl.json",
}.items()}  # fmt: skip


@cache
def quoted():
    """What the cells tagged as such say; they hold nothing but numbers."""
    said = {"pd": pd}
    (source,) = course.sources(("10_",))
    for cell in course.read_source(source).cells:
        if "peers" in course.tags(cell):
            exec(cell.source, said)
    return said


def lme4():
    m = GIVEN["peers"]["lme4"]
    sd, low_high = m["sdcor"], m["confint"]
    first = [m["REMLcrit"], sd["Subject.(Intercept)"], sd["Subject.Days"], sd["Subject.(Intercept).Days"], sd["sigma"]]
    first += [m["beta"]["Days"], m["se"]["Days"], m["satterthwaite_df"]["Days"]]
    first += [m["kenward_roger"]["F"], m["kenward_roger"]["df"], m["ranova"]["LRT"], m["anova"]["Chisq"]]
    return first + low_high["sd_(Intercept)|Subject"] + low_high["cor_Days.(Intercept)|Subject"]


def nlme_strata():
    m = GIVEN["peers"]["nlme"]["strata"]
    first = [m["logLik"], m["sd_subject"], m["sigma"], m["ratio"], m["beta"]["age"], m["se"]["age"]]
    return [*first, m["beta"]["age:SexFemale"]]


def nlme_serial():
    m = GIVEN["peers"]["nlme"]["serial"]
    return [m["logLik"], m["sigma"], m["ratio"], m["phi"], m["beta"]["age:SexFemale"], m["se"]["age:SexFemale"]]


def nlme_df():
    df = GIVEN["peers"]["nlme"]["strata"]["df"]
    return [df[name] for name in ("age", "SexFemale", "age:SexFemale")]


def lme4qtl():
    m = GIVEN["peers"]["lme4qtl"]
    assert math.isclose(m["logLik"], GIVEN["lme4qtl"]["polygenic_REML"]["logLik"], abs_tol=1e-6)
    first = [m["logLik"], m["sdcor"]["ID.(Intercept)"], m["sdcor"]["sigma"], m["h2"]]
    return [*first, m["beta"]["age"], m["beta"]["sexfemale"]]


def lme4qtl_house():
    m = GIVEN["peers"]["lme4qtl"]["household"]
    return [m["logLik"], *(m["sdcor"][name] for name in ("ID.(Intercept)", "HHID.(Intercept)", "sigma"))]


def solar():
    m, lines = GIVEN["solar"]["house_bmi"]["best"], GIVEN["solar"]["house_bmi"]["printed"]
    (p,) = {float(line.split("p = ")[1].split()[0]) for line in lines if line.startswith("C2 is")}
    return [m["loglike"], *m["h2r"], m["c2"][0], p, m["sd"][0], *m["bage"]]


def solar_pair():
    m, lines = GIVEN["solar"]["bivariate"]["poly"], GIVEN["solar"]["bivariate"]["printed"]
    _, same, one = (float(line.split("chi = ")[1].split(",")[0]) for line in lines if "chi" in line)
    rho_p = float(next(line for line in lines if "RhoP" in line).split()[-1])
    p = float(next(line for line in lines if line.startswith("RhoE is")).split()[-1])
    return [m["loglike"], m["h2r(bmi)"][0], m["h2r(fvii)"][0], *m["rhog"], m["rhoe"][0], rho_p, same, one, p]


def solar_lod():
    return [place["lod"] for place in GIVEN["linkage"]]


def solar_poly():
    return GIVEN["solar"]["polygenic_bmi"]["poly"]["h2r"]


def mcmc():
    def row(m):
        return [m["mode"]["h2"], m["mean"]["h2"], *m["hpd"]["h2"], m["mean"]["animal"]]

    return row(GIVEN["peers"]["MCMCglmm"]["expanded"]) + row(GIVEN["peers"]["MCMCglmm"]["inverse_gamma"])


def mcmc_batch():
    m = GIVEN["peers"]["MCMCglmm"]["Dyestuff2"]
    return [*(m[what]["Batch"] for what in ("mode", "median", "mean")), m["hpd"]["Batch"][1]]


def gemma():
    m = GIVEN["peers"]["gemma"]
    return [m["vg"], m["ve"], m["pve"], m["REML"], *m["beta"][1:]]


def gemma_snp7():
    return [GIVEN["peers"]["gemma"]["snp7"][name] for name in ("beta", "se", "p_wald", "p_lrt")]


def hglm(name):
    m = GIVEN["peers"]["hglm"][name]
    return [m["var_g"], m["var_e"], m["h2"], m["beta"]["age"], m["REML"]]


CASES = {f.__name__: f for f in (lme4, nlme_strata, nlme_serial, nlme_df, lme4qtl, lme4qtl_house)}
CASES |= {f.__name__: f for f in (solar, solar_pair, solar_lod, solar_poly, mcmc, mcmc_batch, gemma, gemma_snp7)}
CASES |= {"hglm_default": lambda: hglm("default"), "hglm_tight": lambda: hglm("tight")}


@pytest.mark.parametrize("name", CASES)
def test_quotes_what_is_stored(name):
    found = quoted()[name]
    if isinstance(found, pd.DataFrame):
        found = found.to_numpy().ravel().tolist()
    numbers, stored = list(found.values() if isinstance(found, dict) else found), CASES[name]()
    assert len(numbers) == len(stored)
    for number, value in zip(numbers, stored, strict=True):
        assert abs(number - value) <= 0.501 * course.place(repr(number)), (number, value)


def test_the_cells_hold_numbers_only():
    (source,) = course.sources(("10_",))
    for cell in course.read_source(source).cells:
        if "peers" in course.tags(cell):
            assert all(isinstance(line, ast.Assign) for line in ast.parse(cell.source).body)
