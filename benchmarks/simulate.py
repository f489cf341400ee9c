"""Simulated data for the benchmarks: the same frame for the same seed."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import brentq

Codes = NDArray[np.int64]


def _codes(rng: np.random.Generator, n_rows: int, n_levels: int, at_least: int) -> Codes:
    """Return level codes, shape (n_rows,), in which every level occurs at least `at_least` times."""
    sure = np.tile(np.arange(n_levels), at_least)
    rest = rng.integers(n_levels, size=n_rows - sure.size)
    return rng.permutation(np.concatenate([sure, rest]))


def _factor(codes: Codes, n_levels: int) -> "pd.Categorical[str]":
    levels = pd.Index([str(i + 1) for i in range(n_levels)])
    return pd.Categorical.from_codes(codes, categories=levels)


def _effects(rng: np.random.Generator, n_levels: int, factor: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return random effects, shape (n_levels, k), with covariance `factor @ factor.T`."""
    return rng.standard_normal((n_levels, factor.shape[0])) @ factor.T


def random_slopes(n_rows: int, n_groups: int, seed: int) -> pd.DataFrame:
    """Simulate y = 1 + 0.5 x + b0[g] + b1[g] x + e, at least two rows a group.

    Returns
    -------
    DataFrame
        Columns `y`, `x`, `g`, with `n_rows` rows; cov(b0, b1) is [[1, .3], [.3, .34]], var(e) is 1.
    """
    rng = np.random.default_rng(seed)
    g = np.sort(_codes(rng, n_rows, n_groups, at_least=2))
    x = rng.standard_normal(n_rows)
    b = _effects(rng, n_groups, np.array([[1.0, 0.0], [0.3, 0.5]]))
    y = 1.0 + 0.5 * x + b[g, 0] + b[g, 1] * x + rng.standard_normal(n_rows)
    return pd.DataFrame({"y": y, "x": x, "g": _factor(g, n_groups)})


def crossed(n_rows: int, n_a: int, n_c: int, seed: int) -> pd.DataFrame:
    """Simulate y = 1 + 0.5 x + u[a] + b0[c] + b1[c] x + e with `a` and `c` crossed at random.

    Returns
    -------
    DataFrame
        Columns `y`, `x`, `a`, `c`, with `n_rows` rows; var(u) is 0.64, cov(b0, b1) is
        [[.49, .14], [.14, .2]], var(e) is 1.
    """
    rng = np.random.default_rng(seed)
    a = _codes(rng, n_rows, n_a, at_least=1)
    c = _codes(rng, n_rows, n_c, at_least=1)
    x = rng.standard_normal(n_rows)
    u = 0.8 * rng.standard_normal(n_a)
    b = _effects(rng, n_c, np.array([[0.7, 0.0], [0.2, 0.4]]))
    y = 1.0 + 0.5 * x + u[a] + b[c, 0] + b[c, 1] * x + rng.standard_normal(n_rows)
    return pd.DataFrame({"y": y, "x": x, "a": _factor(a, n_a), "c": _factor(c, n_c)})


def serial_slopes(n_subjects: int, n_times: int, seed: int) -> pd.DataFrame:
    """Simulate y = 5 + 0.5 x + 0.2 t + b0[g] + b1[g] t + e at uneven times, cor(e) = 0.6^|t − s| within a subject.

    Returns
    -------
    DataFrame
        Columns `y`, `x`, `t`, `g`, with `n_times` rows a subject; cov(b0, b1) is [[1, .06], [.06, .02]], var(e) is 1.
    """
    rng = np.random.default_rng(seed)
    g = np.repeat(np.arange(n_subjects), n_times)
    t = np.arange(n_times) + rng.uniform(-0.4, 0.4, (n_subjects, n_times))
    z = rng.standard_normal((n_subjects, n_times))
    e = z.copy()
    for i in range(1, n_times):
        rho = 0.6 ** (t[:, i] - t[:, i - 1])
        e[:, i] = rho * e[:, i - 1] + np.sqrt(1.0 - rho**2) * z[:, i]
    b = _effects(rng, n_subjects, np.array([[1.0, 0.0], [0.06, 0.128]]))[g]
    x, t = rng.standard_normal(g.size), t.ravel()
    y = 5.0 + 0.5 * x + 0.2 * t + b[:, 0] + b[:, 1] * t + e.ravel()
    return pd.DataFrame({"y": y, "x": x, "t": t, "g": _factor(g, n_subjects)})


def _four_effects(rng: np.random.Generator, a: Codes, b: Codes, n_a: int, n_b: int) -> pd.DataFrame:
    x, z, w = (rng.standard_normal(a.size) for _ in range(3))
    by_a = _effects(rng, n_a, np.array([[0.8, 0.0], [0.2, 0.4]]))[a]
    by_b = _effects(rng, n_b, np.array([[0.6, 0.0], [-0.1, 0.3]]))[b]
    random = by_a[:, 0] + by_b[:, 0] + (by_a[:, 1] + by_b[:, 1]) * x
    y = 1.0 + 0.5 * x + 0.3 * z - 0.2 * w + random + rng.standard_normal(a.size)
    return pd.DataFrame({"y": y, "x": x, "z": z, "w": w, "a": _factor(a, n_a), "b": _factor(b, n_b)})


def crossed_slopes(n_rows: int, n_a: int, n_b: int, seed: int) -> pd.DataFrame:
    """Simulate y = 1 + 0.5 x + 0.3 z − 0.2 w + intercepts and slopes of x by `a` and by `b`, crossed at random, + e.

    Returns
    -------
    DataFrame
        Columns `y`, `x`, `z`, `w`, `a`, `b`, with `n_rows` rows; var(e) is 1.
    """
    rng = np.random.default_rng(seed)
    a = _codes(rng, n_rows, n_a, at_least=1)
    b = _codes(rng, n_rows, n_b, at_least=1)
    return _four_effects(rng, a, b, n_a, n_b)


def nested_slopes(n_rows: int, n_a: int, n_pairs: int, seed: int) -> pd.DataFrame:
    """Simulate as `crossed_slopes`, with `b` within `a`: each `a` has levels 1 to 10 of `b`.

    Returns
    -------
    DataFrame
        Columns `y`, `x`, `z`, `w`, `a`, `b`, with `n_rows` rows and `n_pairs` pairs of `a` and `b`.
    """
    rng = np.random.default_rng(seed)
    pair = _codes(rng, n_rows, n_pairs, at_least=1)
    n_inner = n_pairs // n_a
    outer, inner = np.divmod(pair, n_inner)
    frame = _four_effects(rng, outer, pair, n_a, n_pairs)
    return frame.assign(b=_factor(inner, n_inner))


def maximal(n_subjects: int, n_items: int, seed: int) -> pd.DataFrame:
    """Simulate a 2 × 2 × 2 experiment in which every subject sees every item in all eight cells.

    Returns
    -------
    DataFrame
        Columns `y`, `a`, `b`, `c` (each −0.5 or 0.5), `subj`, `item`, with
        `8 * n_subjects * n_items` rows; all eight effects vary by subject and by item.
    """
    rng = np.random.default_rng(seed)
    grid = np.indices((n_subjects, n_items, 2, 2, 2)).reshape(5, -1)
    subj, item = grid[0], grid[1]
    a, b, c = grid[2:] - 0.5
    X = np.column_stack([np.ones_like(a), a, b, a * b, c, a * c, b * c, a * b * c])
    random = np.zeros(subj.size)
    for codes, n_levels in ((subj, n_subjects), (item, n_items)):
        factor = np.tril(0.2 * rng.standard_normal((8, 8)), k=-1) + 0.6 * np.eye(8)
        random += np.einsum("ij,ij->i", X, _effects(rng, n_levels, factor)[codes])
    y = X @ np.linspace(1.0, 0.3, 8) + random + rng.standard_normal(subj.size)
    factors = {"subj": _factor(subj, n_subjects), "item": _factor(item, n_items)}
    return pd.DataFrame({"y": y, "a": a, "b": b, "c": c, **factors})


def _user_counts(rng: np.random.Generator, n_rows: int, n_users: int, least: int, most: int) -> Codes:
    """Return how many films each user rates, shape (n_users,): log-normal above `least`, `n_rows` in all."""
    raw = rng.lognormal(sigma=1.15, size=n_users)
    scale = brentq(lambda s: np.minimum(least + s * raw, most).sum() - n_rows, 0.0, n_rows / raw.min())
    counts = np.minimum(least + scale * raw, most).astype(np.int64)
    # what rounding down has lost goes to users who have room for it
    short = n_rows - counts.sum()
    counts[np.flatnonzero(counts < most)[:short]] += 1
    return counts


def ratings(n_rows: int, n_users: int, n_films: int, seed: int) -> pd.DataFrame:
    """Simulate y = 3.5 + 0.2 x + u[user] + v[film] + e with the skewed counts of film ratings.

    A few users rate a large part of the films, most users some dozens (20 at least); a few films are rated
    by most users, some by one. Nobody rates a film twice; every film is rated.

    Returns
    -------
    DataFrame
        Columns `y`, `x`, `user`, `film`, with `n_rows` rows, by user; var(u) is 0.16, var(v) is 0.36,
        var(e) is 0.81.
    """
    rng = np.random.default_rng(seed)
    counts = _user_counts(rng, n_rows, n_users, least=min(20, n_films // 4), most=(5 * n_films) // 8)
    appeal = np.log(rng.weibull(0.6, size=n_films))
    surely = rng.permutation(n_users)[np.arange(n_films) % n_users]
    by_user = []
    for user, count in enumerate(counts):
        # the largest of log(weight) + Gumbel noise: a sample without replacement, by weight
        keys = appeal + rng.gumbel(size=n_films)
        keys[surely == user] = np.inf
        by_user.append(np.argpartition(-keys, count - 1)[:count])
    user, film = np.repeat(np.arange(n_users), counts), np.concatenate(by_user)
    x = rng.standard_normal(n_rows)
    u, v = 0.4 * rng.standard_normal(n_users), 0.6 * rng.standard_normal(n_films)
    y = 3.5 + 0.2 * x + u[user] + v[film] + 0.9 * rng.standard_normal(n_rows)
    return pd.DataFrame({"y": y, "x": x, "user": _factor(user, n_users), "film": _factor(film, n_films)})
