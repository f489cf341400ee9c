# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The loops over dosages: one variant after the other, NaN where missing.

A variant is a row here: the transpose of the (people, variants) arrays in Fortran order that sources give.
Each has a numpy twin in the tests. Sums run in a fixed order, so that the same data give the same bits.
"""

cimport cython
from libc.math cimport NAN

cdef enum:
    LANES = 8  # sums that are formed side by side, so that each waits less for the one before


cdef (Py_ssize_t, double, double) about(const cython.floating* x, Py_ssize_t n, double origin) noexcept nogil:
    """How many values there are, and the sums of x − origin and of its square."""
    cdef double[LANES] known, first, second
    cdef double d, here, value
    cdef Py_ssize_t i, k
    for k in range(LANES):
        known[k] = first[k] = second[k] = 0.0
    for i in range(n // LANES):
        for k in range(LANES):
            value = x[i * LANES + k]
            here = 1.0 if value == value else 0.0
            d = value - origin if value == value else 0.0
            known[k] += here
            first[k] += d
            second[k] += d * d
    for i in range(n - n % LANES, n):
        value = x[i]
        if value == value:
            d = value - origin
            known[0] += 1.0
            first[0] += d
            second[0] += d * d
    for k in range(1, LANES):
        known[0] += known[k]
        first[0] += first[k]
        second[0] += second[k]
    return <Py_ssize_t>known[0], first[0], second[0]


def summarise(const cython.floating[:, ::1] X, Py_ssize_t[::1] n_missing, double[::1] mean, double[::1] square):
    """
    Missing values, mean, and sum of squares about the mean of each variant; NaN of one that is missing in all.

    Sums are about the first known value: those of a variant that is the same in all are then exactly zero.
    """
    cdef Py_ssize_t m = X.shape[0], n = X.shape[1], i, j, known
    cdef double origin, first, second
    with nogil:
        for j in range(m):
            i = 0
            while i < n and X[j, i] != X[j, i]:
                i += 1
            if i == n:
                n_missing[j] = n
                mean[j] = square[j] = NAN
                continue
            origin = X[j, i]
            known, first, second = about(&X[j, 0], n, origin)
            n_missing[j] = n - known
            mean[j] = origin + first / known
            square[j] = max(second - first * first / known, 0.0)


def fill(cython.floating[:, ::1] X, const Py_ssize_t[::1] n_missing, const double[::1] by):
    """Put a number of each variant where it is missing."""
    cdef Py_ssize_t m = X.shape[0], n = X.shape[1], i, j
    cdef cython.floating value
    with nogil:
        for j in range(m):
            if n_missing[j] > 0:
                value = <cython.floating>by[j]
                for i in range(n):
                    X[j, i] = X[j, i] if X[j, i] == X[j, i] else value


def standardise(double[:, ::1] X, const double[::1] mean, const double[::1] scale):
    """(x − mean)·scale of each variant, 0 where it is missing or its scale is 0."""
    cdef Py_ssize_t m = X.shape[0], n = X.shape[1], i, j
    cdef double centre, by
    with nogil:
        for j in range(m):
            centre, by = mean[j], scale[j]
            for i in range(n):
                X[j, i] = (X[j, i] - centre) * by if X[j, i] == X[j, i] and by != 0.0 else 0.0
