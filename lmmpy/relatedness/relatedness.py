"""The known relatedness K of the levels of a random term."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from lmmpy.errors import DataError, shown
from lmmpy.relatedness.covariance import Covariance, Dense, SparseCovariance, sorted_csc
from lmmpy.relatedness.form import Floats, Form, Identity, Labels, Scattered, refuse_dense
from lmmpy.relatedness.genotypes import Genotypes
from lmmpy.relatedness.given import floats, is_counted, labels_of, matrix_of, refuse_both
from lmmpy.relatedness.hadamard import hadamard_product
from lmmpy.relatedness.labels import Ints, as_labels, positions
from lmmpy.relatedness.precision import Precision

__all__ = ["Relatedness"]


class Relatedness:
    """
    How the levels of one random term are related: Cov(b) = σ² (T Tᵀ) ⊗ K.

    Parameters
    ----------
    K : ndarray or DataFrame or scipy sparse matrix, shape (n, n)
        Symmetric and positive semi-definite. The columns of a DataFrame are matched with its index by name. An array of
        float64 is held, not copied: do not change it afterwards. (A matrix that a formula finds as it is, without a
        Relatedness around it, is copied.)
    labels : sequence, optional
        The id of each row; 1, 1.0 and "1" are the same id. Not for a DataFrame, whose index has them.
    id : str, optional
        Name of the column of the data that holds the ids, so that ``kin(K)`` can do without it.

    Attributes
    ----------
    size : int
        Number of levels.
    labels : tuple of str or None
        Of the levels; None for the identity. Identical twins in a pedigree are one level, named by the first of them.
    id : str or None
    is_counted : bool
        Whether the labels are 0 … size − 1 only because a DataFrame was given none.

    Raises
    ------
    DataError
        At once when the shape or the labels are wrong. When its numbers are first used, and then of the levels that are
        used only: entries that are not finite, a diagonal that is not positive, an asymmetry above 1e-8 of the
        diagonal, a smallest eigenvalue below −1e-5 of the mean of the diagonal and below what rounding explains, where
        all entries have at most eight decimals (about −10⁻ᵈ√n for d decimals). Smaller negative eigenvalues are set to
        zero, with a RelatednessWarning below −1e-10.

    Examples
    --------
    >>> import lmmpy as lmm
    >>> K = lmm.Relatedness([[1.0, 0.5], [0.5, 1.0]], labels=["a", "b"])
    >>> K
    <Relatedness: dense, 2 levels, 'a', 'b'>
    >>> K.subset(["b", "a"]).labels
    ('b', 'a')
    """

    def __init__(self, K: Any, labels: Any = None, id: str | None = None) -> None:
        if isinstance(K, Relatedness):
            raise DataError("This is a Relatedness already; use it as it is, or .subset(labels).")
        given, own = matrix_of(K, labels, "K")
        form = Dense(given, own) if isinstance(given, np.ndarray) else SparseCovariance(given, own)
        self._set(form, id)
        self.is_counted = isinstance(K, pd.DataFrame) and is_counted(K.index) and is_counted(K.columns)

    def _set(self, form: Form, id: str | None, aliases: Mapping[str, str] | None = None) -> None:
        self.form = form
        self.size: int = form.size
        self.labels: Labels = form.labels
        self.id = id
        self.aliases: dict[str, str] = dict(aliases or {})
        self.is_counted = False

    @classmethod
    def of(cls, form: Form, aliases: Mapping[str, str] | None = None, id: str | None = None) -> Relatedness:
        """
        A Relatedness held in some form.

        Parameters
        ----------
        form : Form
        aliases : mapping of str to str, optional
            Further ids of some levels (of identical twins), and the labels of those.
        id : str, optional

        Returns
        -------
        Relatedness
        """
        made = cls.__new__(cls)
        made._set(form, id, aliases)
        return made

    @classmethod
    def identity(cls, size: int) -> Relatedness:
        """
        Unrelated levels, which is what an ordinary grouping factor has.

        Parameters
        ----------
        size : int
            Number of levels.

        Returns
        -------
        Relatedness
        """
        return cls.of(Identity(size))

    @classmethod
    def from_precision(cls, P: Any, labels: Any = None, id: str | None = None) -> Relatedness:
        """
        K by its inverse.

        Parameters
        ----------
        P : scipy sparse matrix, ndarray or DataFrame, shape (n, n)
            K⁻¹, symmetric and positive definite.
        labels, id
            As in the class.

        Returns
        -------
        Relatedness

        Examples
        --------
        >>> import lmmpy as lmm
        >>> import numpy as np
        >>> lmm.Relatedness.from_precision(np.diag([2.0, 4.0]), labels=["a", "b"]).dense()
        array([[0.5 , 0.  ],
               [0.  , 0.25]])
        """
        given, own = matrix_of(P, labels, "The precision")
        return cls.of(Precision(sorted_csc(given), own), id=id)

    @classmethod
    def from_genotypes(cls, G: Any, labels: Any = None, id: str | None = None) -> Relatedness:
        """
        K = G Gᵀ/m of m markers.

        Parameters
        ----------
        G : ndarray or DataFrame, shape (n, m)
            One row an individual, one column a marker, centred and scaled as you want it: nothing is done to it here.
            VanRaden's (2008) second matrix has each marker x replaced by (x − 2p)/√(2p(1 − p)). With fewer markers than
            individuals no n × n matrix is formed.
        labels : sequence, optional
            The id of each row; the index of a DataFrame has them.
        id : str, optional

        Returns
        -------
        Relatedness

        Examples
        --------
        >>> import lmmpy as lmm
        >>> import numpy as np
        >>> G = np.array([[1.0, -1.0], [0.0, 1.0], [-1.0, 0.0]])
        >>> lmm.Relatedness.from_genotypes(G, labels=["a", "b", "c"]).dense()
        array([[ 1. , -0.5, -0.5],
               [-0.5,  0.5,  0. ],
               [-0.5,  0. ,  0.5]])
        """
        if isinstance(G, pd.DataFrame):
            refuse_both(labels, "genotypes")
            labels, G = G.index, G.to_numpy()
        array = floats(G, "Genotypes")
        if array.ndim != 2 or 0 in array.shape:
            raise DataError(f"Genotypes must have a row an individual and a column a marker; got shape {array.shape}.")
        return cls.of(Genotypes(array, labels_of(labels, len(array))), id=id)

    # ---- facts

    @property
    def is_identity(self) -> bool:
        """Whether the levels are unrelated and have variance one, by construction."""
        return self.form.is_identity

    @property
    def is_sparse(self) -> bool:
        """Whether K⁻¹ is sparse and at hand (a pedigree, a precision; the identity)."""
        return self.form.is_sparse

    @property
    def is_scaled_identity(self) -> bool:
        """Whether K is a multiple of the identity, so that it says nothing that a residual does not."""
        return self.form.is_scaled_identity

    # ---- numbers

    @property
    def precision(self) -> Scattered | None:
        """
        K⁻¹, sorted indices, both triangles; None for the identity.

        Raises
        ------
        DataError
            When K is singular; names levels with equal rows.
        """
        return self.form.precision

    @property
    def logdet(self) -> float:
        """log|K|; −∞ when K is singular."""
        return self.form.logdet

    @property
    def rank(self) -> int:
        """Columns of `factor`."""
        return self.form.rank

    def dense(self) -> Floats:
        """
        K itself, shape (size, size); not to be changed.

        Returns
        -------
        ndarray, shape (size, size)
        """
        return self.form.dense()

    def times(self, values: Floats) -> Floats:
        """
        K V of some columns V, shape (size, m) → (size, m).

        Parameters
        ----------
        values : ndarray, shape (size, m)

        Returns
        -------
        ndarray, shape (size, m)
        """
        return self.form.times(values)

    def block(self, rows: Ints, columns: Ints) -> Floats:
        """
        K[rows, columns], a dense array; `rows` and `columns` are numbers of levels.

        Parameters
        ----------
        rows, columns : ndarray of int
            Numbers of levels.

        Returns
        -------
        ndarray, shape (rows, columns)
        """
        return self.form.block(rows, columns)

    def diagonal(self) -> Floats:
        """
        The diagonal of K, shape (size,).

        Returns
        -------
        ndarray, shape (size,)
        """
        return self.form.diagonal()

    @property
    def typical_variance(self) -> float:
        """
        A typical diagonal entry of K, cheap in every form: the scale of the effects before θ.

        The mean of the diagonal; of a precision, whose diagonal would take a solve a level, exp(log|K|/size), which is
        at most the geometric mean of the diagonal (Hadamard).
        """
        return self.form.typical_variance

    def components(self) -> Ints:
        """
        Number of the group of related levels that each belongs to, shape (size,); groups are unrelated.

        Returns
        -------
        ndarray of int, shape (size,)
        """
        return self.form.components()

    def factor(self) -> Floats:
        """
        F with K = F Fᵀ, shape (size, rank): Cholesky's where K is regular, G/√m of few genotypes.

        Returns
        -------
        ndarray, shape (size, rank)
        """
        return self.form.factor()

    def root_times(self, values: Floats) -> Floats:
        """
        F V for the F of `factor`, shape (rank, m) → (size, m), without forming F: with V ~ N(0, I), draws from K.

        Parameters
        ----------
        values : ndarray, shape (rank, m)

        Returns
        -------
        ndarray, shape (size, m)
        """
        return self.form.root_times(values)

    def spectrum(self) -> tuple[Floats, Floats]:
        """
        Eigenvalues and eigenvectors of K.

        Returns
        -------
        values : ndarray, shape (m,)
            Ascending, not negative; m is size, or the number of markers when they are fewer (the others are zero).
        vectors : ndarray, shape (size, m)

        Notes
        -----
        Of a K whose definiteness nothing has looked at yet, this looks too, and saves the factorisation for that.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> K = lmm.Relatedness([[1.0, 0.5], [0.5, 1.0]], labels=["a", "b"])
        >>> K.spectrum()[0]
        array([0.5, 1.5])
        """
        return self.form.spectrum()

    def to_frame(self, labels: Sequence[Any] | None = None) -> pd.DataFrame:
        """
        K of some ids, to look at or to export.

        Parameters
        ----------
        labels : sequence, optional
            In this order; by default all of `ids`. Identical twins have a row each, so that K of both is singular.

        Returns
        -------
        DataFrame
            Square; index and columns are the ids as they were asked for (else text), the index named by `id`.

        Raises
        ------
        DataError
            When an id is not known or asked for twice, or a dense matrix of so many would be too large.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> K = lmm.Relatedness([[1.0, 0.5], [0.5, 1.0]], labels=["a", "b"])
        >>> K.to_frame()
             a    b
        a  1.0  0.5
        b  0.5  1.0
        """
        names = self.ids if labels is None else as_labels(labels)
        refuse_dense("K", len(names))
        at = self.positions(names)
        index = pd.Index(names if labels is None else list(labels), name=self.id)
        return pd.DataFrame(self.block(at, at), index=index, columns=index.rename(None))

    # ---- labels

    @property
    def ids(self) -> tuple[str, ...]:
        """All ids: the labels, each with its identical twins behind it."""
        twins: dict[str, list[str]] = {}
        for other, first in self.aliases.items():
            twins.setdefault(first, []).append(other)
        return tuple(one for label in self.labels or () for one in (label, *twins.get(label, ())))

    @cached_property
    def _places(self) -> dict[str, int]:
        if self.labels is None:
            raise DataError(
                "This relatedness has no labels, so that its rows cannot be matched with the data. Give them: "
                "Relatedness(K, labels=ids)."
            )
        place = {label: i for i, label in enumerate(self.labels)}
        place.update({twin: place[label] for twin, label in self.aliases.items()})
        return place

    def positions(self, labels: Iterable[Any]) -> Ints:
        """
        Number of the level of each id, shape (len(labels),); identical twins have the same.

        Parameters
        ----------
        labels : iterable
            Ids.

        Returns
        -------
        ndarray of int, shape (len(labels),)

        Raises
        ------
        DataError
            Naming the first ids that K does not have.
        """
        return positions(self._places, labels, "K" if self.id is None else f"The relatedness of {self.id!r}")

    def subset(self, labels: Sequence[Any]) -> Relatedness:
        """
        K of some ids, in this order (its marginal: a precision is inverted).

        Identical twins that are both asked for are two levels then, and K is singular.

        Parameters
        ----------
        labels : sequence
            Ids.

        Returns
        -------
        Relatedness

        Raises
        ------
        DataError
            When an id is not known, or asked for twice.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> K = lmm.Relatedness([[1.0, 0.5], [0.5, 1.0]], labels=["a", "b"])
        >>> K.subset(["b"]).to_frame()
             b
        b  1.0
        """
        names = as_labels(labels)
        form = self.form.taken(self.positions(names))
        if form.labels != names:
            form = _relabelled(form, names)
        return Relatedness.of(_looked_at(form), id=self.id)

    def hadamard(self, other: Relatedness) -> Relatedness:
        """
        The entrywise product with another relatedness of the same ids; also ``A * B``.

        Effects of pairs of loci, one of which acts as A says and one as B does, are related so: with the additive A and
        the dominance D of a pedigree, ``A * A`` is additive × additive epistasis and ``A * D`` additive × dominance,
        for unlinked loci and without inbreeding (Cockerham 1954; Kempthorne 1954). With one for people of the same
        environment it is the interaction with that. The product is positive semi-definite (Schur).

        Parameters
        ----------
        other : Relatedness
            Of the same ids, in any order.

        Returns
        -------
        Relatedness

        Raises
        ------
        DataError
            When one has ids that the other does not, or a dense product of so many would be too large.

        Examples
        --------
        >>> import lmmpy as lmm
        >>> K = lmm.Relatedness([[1.0, 0.5], [0.5, 1.0]], labels=["a", "b"])
        >>> (K * K).dense()
        array([[1.  , 0.25],
               [0.25, 1.  ]])
        """
        if not isinstance(other, Relatedness):
            raise DataError(f"The other factor must be a Relatedness, not a {type(other).__name__}.")
        return Relatedness.of(*hadamard_product(self, other), id=self.id if self.id is not None else other.id)

    def __mul__(self, other: object) -> Relatedness:
        return self.hadamard(other) if isinstance(other, Relatedness) else NotImplemented

    def for_levels(self, labels: Sequence[Any]) -> Relatedness:
        """
        The K that a model with these levels needs.

        Of an array or genotypes the subset, in this order; of a pedigree the ids and the ancestors that link them,
        ancestors first; of a precision all of it. Identical twins are one level, named by one that is asked for.

        Parameters
        ----------
        labels : sequence
            The ids of the levels.

        Returns
        -------
        Relatedness
        """
        names = as_labels(labels)
        at = self.positions(names)
        if self.aliases:
            at = at[np.sort(np.unique(at, return_index=True)[1])]
        form = _looked_at(self.form.needed(at))
        kept = set(form.labels or ())
        aliases = {twin: label for twin, label in self.aliases.items() if label in kept}
        return Relatedness.of(*_named_as_asked(form, aliases, set(names)), id=self.id)

    def __repr__(self) -> str:
        what = f"{self.form.kind}, {self.size} levels"
        named = "" if self.id is None else f", id {self.id!r}"
        return f"<Relatedness: {what}{named}{_examples(self.labels)}>"


def _examples(labels: Labels) -> str:
    return f", {shown(labels, 3)}" if labels else ""


def _looked_at(form: Form) -> Form:
    """The same, after what can be checked cheaply."""
    if isinstance(form, Covariance):
        form.symmetric  # noqa: B018  # checked here
    return form


def _relabelled(form: Form, names: tuple[str, ...]) -> Form:
    """The same levels under the names by which they were asked for."""
    made = form.__class__.__new__(form.__class__)
    made.__dict__.update(form.__dict__)
    made.labels = names
    return made


def _named_as_asked(form: Form, aliases: dict[str, str], asked: set[str]) -> tuple[Form, dict[str, str]]:
    """Levels of which only another twin is asked for get that one's name; and the other names of all."""
    new = {label: twin for twin, label in reversed(aliases.items()) if twin in asked and label not in asked}
    if not new or form.labels is None:
        return form, aliases
    names = tuple(new.get(label, label) for label in form.labels)
    others = {twin: new.get(label, label) for twin, label in aliases.items() if new.get(label) != twin}
    return _relabelled(form, names), others | new
