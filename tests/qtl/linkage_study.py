"""The family study with its sharing on chromosome 1, and dense likelihoods of positions."""

import json
from functools import cache

import numpy as np
import pandas as pd
from scipy.optimize import minimize

import lmmpy as lmm
from lmmpy.markers import as_ibd
from lmmpy.qtl.polygenic import polygenic
from tests.qtl import dense
from tests.qtl.family import FAMILY, kinship, pedigree, people


@cache
def ibd():
    """The map, every 5 cM."""
    return as_ibd(lmm.datasets.load("family_ibd")).load()


@cache
def solar_lods():
    return pd.DataFrame(json.loads((FAMILY / "solar_linkage.json").read_text()))


@cache
def null():
    return polygenic("bmi ~ age + sex", people(), pedigree())


def sharing(position, ids):
    """The sharing at a position among some people, dense, from the long table."""
    rows = lmm.datasets.load("family_ibd")
    rows = rows[rows.position == position]
    K = pd.DataFrame(0.0, index=range(1, 399), columns=range(1, 399)).to_numpy().copy()
    K[rows.id1 - 1, rows.id2 - 1] = K[rows.id2 - 1, rows.id1 - 1] = rows.ibd
    at = np.asarray(ids) - 1
    return K[np.ix_(at, at)]


def best_loglik(y, X, kernels):
    """The highest log-likelihood with some kernels and a residual, by a general minimiser from three starts."""

    def minus(log_sd):
        variances = np.exp(2.0 * log_sd)
        V = variances[-1] * np.eye(len(y)) + sum(v * K for v, K in zip(variances, kernels, strict=False))
        return -dense.loglik(y, X, V)

    found = []
    for share in (0.2, 0.5, 0.8):
        start = np.log(np.std(y) * np.sqrt(np.append(np.full(len(kernels), share / len(kernels)), 1.0 - share)))
        found.append(minimize(minus, start, method="BFGS", options={"gtol": 1e-7}).fun)
    return -min(found)


def small():
    """Five families whose households cross branches, and have an effect."""
    frame, rng = people(), np.random.default_rng(4)
    frame["bmi"] += 1.2 * rng.standard_normal(frame.HHID.max() + 1)[frame.HHID]
    return frame[(frame.ID <= 95) & frame.bmi.notna()].reset_index(drop=True)


def relatedness(frame):
    return kinship().loc[frame.ID, frame.ID].to_numpy()
