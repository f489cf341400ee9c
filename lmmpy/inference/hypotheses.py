"""The hypotheses of type I, II and III about the terms of a model, as contrasts of its coefficients.

Type I and II are sequential: with X = QR, columns in some order, the rows of R that belong to a term are its effect
adjusted for what stands before it (the forward Doolittle hypotheses of Goodnight 1978). Type III (Goodnight 1980) is
said of the overparametrised model X₀ = XB, one indicator for each level of each factor: the functions of a term are
those that its indicators estimate, made orthogonal to those of the terms that contain it.

The degrees of freedom of an F test by Satterthwaite's method depend a little on which contrasts stand for a hypothesis.
Here they are those of lmerTest (Kuznetsova, Brockhoff & Christensen 2017): R scaled to ones on its diagonal; for type
II the coefficients themselves of a term that no other contains; for type III those of the treatment coding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

__all__ = ["Coding", "sequential", "type_2", "type_3"]

Floats = NDArray[np.float64]

# Against the length of a column.
_NIL = 1e-8


@dataclass(frozen=True, eq=False, slots=True)
class Coding:
    """The fixed part of a model in some coding.

    Attributes
    ----------
    X : ndarray, shape (n, P)
    names : tuple of str, length P
    assign : tuple of int, length P
        Term of each column, 0 for the intercept.
    """

    X: Floats
    names: tuple[str, ...]
    assign: tuple[int, ...]


def sequential(X: Floats, assign: Sequence[int]) -> dict[int, Floats]:
    """
    Type I: each term adjusted for those before it.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Of full column rank.
    assign : sequence of int, length p
        Term of each column.

    Returns
    -------
    dict of int to ndarray, shape (rank, p)
        Contrasts by term.
    """
    norms = np.linalg.norm(X, axis=0)
    R = np.asarray(linalg.qr(X / norms, mode="r")[0])[: X.shape[1]] * norms
    R /= np.diag(R)[:, None]
    terms = np.asarray(assign)
    return {int(term): R[terms == term] for term in dict.fromkeys(assign) if term}


def type_2(X: Floats, assign: Sequence[int], containing: dict[int, tuple[int, ...]]) -> dict[int, Floats]:
    """
    Type II: each term adjusted for all that do not contain it.

    Parameters
    ----------
    X : ndarray, shape (n, p)
    assign : sequence of int, length p
    containing : mapping from int to sequence of int
        The terms with the same numeric variables, all factors of this one, and more.

    Returns
    -------
    dict of int to ndarray, shape (rank, p)
    """
    terms, found = np.asarray(assign), {}
    for term in dict.fromkeys(assign):
        if not term:
            continue
        above = np.isin(terms, containing.get(term, ()))
        if not above.any():  # adjusted for all others: its coefficients themselves
            found[int(term)] = np.eye(len(terms))[terms == term]
            continue
        order = np.argsort(np.where(terms == term, 1, np.where(above, 2, 0)), kind="stable")
        L = sequential(X[:, order], terms[order].tolist())[term]
        found[int(term)] = np.zeros_like(L)
        found[int(term)][:, order] = L
    return found


def type_3(X: Floats, treatment: Coding, full: Coding, containing: dict[int, tuple[int, ...]]) -> dict[int, Floats]:
    """
    Type III: each term adjusted for all others, all levels of a factor counting alike.

    Parameters
    ----------
    X : ndarray, shape (n, p)
        Of full column rank.
    treatment : Coding
        Of the same columns, of full column rank; its names are among those of `full`.
    full : Coding
        X₀.
    containing : mapping from int to sequence of int
        See `type_2`.

    Returns
    -------
    dict of int to ndarray, shape (rank, p)
        Also of terms that have no column left in X, with no rows.

    Raises
    ------
    ValueError
        When the codings do not span the columns of X.
    """
    to_X, B = _expressed(treatment.X, X), _expressed(treatment.X, full.X)
    # Row j of B is coefficient j of the treatment coding as a function of those of X₀; back, the other ones are nil.
    back = [full.names.index(name) for name in treatment.names]
    terms, found = np.asarray(treatment.assign), {}
    for term in dict.fromkeys(int(t) for t in full.assign if t):
        functions, above = B[terms == term], B[np.isin(terms, containing.get(term, ()))]
        if len(above) and len(functions):
            basis = linalg.orth(above.T, rcond=_NIL)
            functions = functions - (functions @ basis) @ basis.T
        found[term] = functions[:, back] @ to_X
    return found


def _expressed(X: Floats, other: Floats) -> Floats:
    """B with other = XB."""
    lengths = np.linalg.norm(X, axis=0)
    B = np.linalg.lstsq(X / lengths, other, rcond=None)[0] / lengths[:, None]
    size = np.maximum(np.linalg.norm(other, axis=0), np.finfo(float).tiny)
    if (np.linalg.norm(X @ B - other, axis=0) > _NIL * size).any():
        raise ValueError("the codings span different columns")
    return np.asarray(B)
