# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The loops of an evaluation that neither numpy nor CHOLMOD has: plain functions on arrays.

Each has a numpy twin in the tests. Sums run in a fixed order, so that the same data give the same bits.
"""

from libc.math cimport NAN, log, sqrt
from libc.stdlib cimport free, malloc


cdef double inverse_of_grown_gram(double* b, Py_ssize_t k, double* U, double* out) noexcept nogil:
    """
    (I + AᵀA)⁻¹ into `out`, and log|I + AᵀA|; b holds A's columns one after the other, and is overwritten.

    NaN when a pivot is no number or infinite.

    By Householder's reflections of [I; A], not by the Cholesky factorisation of I + AᵀA, whose pivots are differences of
    squares that lose all digits when A is large and nearly singular. The top of the stack is a unit vector whenever its
    turn comes, so that each reflection is written out.
    """
    cdef Py_ssize_t i, j, m
    cdef double r, d, s, product = 1.0, logdet = 0.0
    for j in range(k):
        s = 1.0
        for i in range(k):
            s += b[j * k + i] * b[j * k + i]
        if not s < 1e300:
            return NAN
        r = sqrt(s)
        if product * s > 1e300:
            logdet += log(product)
            product = 1.0
        product *= s
        U[j * k + j] = r
        for m in range(j + 1, k):
            d = 0.0
            for i in range(k):
                d += b[j * k + i] * b[m * k + i]
            U[j * k + m] = d / r
            d /= r * (1.0 + r)
            for i in range(k):
                b[m * k + i] -= d * b[j * k + i]
    for j in range(k):  # b = U⁻¹, upper triangular
        for i in range(j, -1, -1):
            s = 1.0 if i == j else 0.0
            for m in range(i + 1, j + 1):
                s -= U[i * k + m] * b[m * k + j]
            b[i * k + j] = s / U[i * k + i]
    for i in range(k):
        for j in range(i + 1):
            s = 0.0
            for m in range(i, k):
                s += b[i * k + m] * b[j * k + m]
            out[i * k + j] = s
            out[j * k + i] = s
    return logdet + log(product)


def level_inverses(const double[:, :, ::1] C, const double[:, ::1] T, double[:, :, ::1] R, double[:, :, ::1] N):
    """
    R_l = (I + W_l W_lᵀ)⁻¹ and N_l = R_l W_l, with W_l = C_l T, for every level.

    N_l is computed as W_l (I + W_lᵀW_l)⁻¹, which keeps its digits where W_l is large and singular.

    Parameters
    ----------
    C : ndarray, shape (levels, k, k)
        Upper triangular.
    T : ndarray, shape (k, k)
    R, N : ndarray, shape (levels, k, k)
        Receive the result.

    Returns
    -------
    float
        −Σ_l log|R_l|; NaN when a pivot is no number or infinite.
    """
    cdef Py_ssize_t levels = C.shape[0], k = C.shape[1], size = k * k, l, i, j, m
    cdef double total = 0.0, logdet, s
    cdef double* W = <double*> malloc(4 * size * sizeof(double))
    cdef double* b = W + size
    cdef double* U = b + size
    cdef double* inverse = U + size
    cdef bint sound = True
    if W == NULL:
        raise MemoryError
    with nogil:
        for l in range(levels):
            for i in range(k):
                for j in range(k):
                    s = 0.0
                    for m in range(i, k):
                        s += C[l, i, m] * T[m, j]
                    W[i * k + j] = s
                    b[j * k + i] = s
            logdet = inverse_of_grown_gram(b, k, U, inverse)
            if logdet != logdet:
                sound = False
                break
            total += logdet
            for i in range(k):
                for j in range(k):
                    s = 0.0
                    for m in range(k):
                        s += W[i * k + m] * inverse[m * k + j]
                    N[l, i, j] = s
            if k == 1:
                R[l, 0, 0] = inverse[0]
                continue
            for i in range(size):
                b[i] = W[i]
            inverse_of_grown_gram(b, k, U, &R[l, 0, 0])
    free(W)
    return total if sound else float("nan")


def level_products(const double[:, :, ::1] A, const double[:, :, ::1] B, bint transposed, double[:, :, ::1] out):
    """
    A_l B_l, or A_lᵀ B_l, for every level.

    Parameters
    ----------
    A : ndarray, shape (levels, k, k), or (1, k, k) for all levels alike
    B : ndarray, shape (levels, k, m)
    transposed : bool
    out : ndarray, shape (levels, k, m)
        Receives the result.
    """
    cdef Py_ssize_t levels = B.shape[0], k = B.shape[1], width = B.shape[2], l, i, j, m, at
    cdef Py_ssize_t stride = 1 if A.shape[0] > 1 else 0
    cdef double a
    with nogil:
        for l in range(levels):
            at = l * stride
            for i in range(k):
                for j in range(width):
                    out[l, i, j] = 0.0
                for m in range(k):
                    a = A[at, m, i] if transposed else A[at, i, m]
                    for j in range(width):
                        out[l, i, j] += a * B[l, m, j]


def add_Z_product(const Py_ssize_t[::1] codes, const double[:, ::1] values, const double[:, ::1] B, double[:, ::1] out):
    """
    Add Z B, Z of one term given by its codes and columns.

    Parameters
    ----------
    codes : ndarray of intp, shape (n,)
    values : ndarray, shape (n, k)
    B : ndarray, shape (levels · k, m)
    out : ndarray, shape (n, m)
    """
    cdef Py_ssize_t n = codes.shape[0], k = values.shape[1], width = B.shape[1], i, a, j, row
    cdef double v
    with nogil:
        for i in range(n):
            for a in range(k):
                v, row = values[i, a], codes[i] * k + a
                for j in range(width):
                    out[i, j] += v * B[row, j]


def add_Zt_product(const Py_ssize_t[::1] codes, const double[:, ::1] values, const double[:, ::1] B, double[:, ::1] out):
    """
    Add Zᵀ B, Z of one term given by its codes and columns.

    Parameters
    ----------
    codes : ndarray of intp, shape (n,)
    values : ndarray, shape (n, k)
    B : ndarray, shape (n, m)
    out : ndarray, shape (levels · k, m)
    """
    cdef Py_ssize_t n = codes.shape[0], k = values.shape[1], width = B.shape[1], i, a, j, row
    cdef double v
    with nogil:
        for i in range(n):
            for a in range(k):
                v, row = values[i, a], codes[i] * k + a
                for j in range(width):
                    out[row, j] += v * B[i, j]


def add_quadratic_forms(
    const int[::1] pointers, const int[::1] columns, const double[:, ::1] G, const double[:, :, ::1] R, double[:, ::1] H
):
    """
    Add Σ_l G_lᵀ R_l G_l to the lower triangle of H.

    Parameters
    ----------
    pointers : ndarray of int32, shape (levels + 1,)
        Where the entries of each level begin.
    columns : ndarray of int32, shape (entries,)
        Column of each entry, ascending within a level.
    G : ndarray, shape (entries, k)
        The columns of G_l, one an entry.
    R : ndarray, shape (levels, k, k)
        Symmetric.
    H : ndarray, shape (r, r)
    """
    cdef Py_ssize_t levels = pointers.shape[0] - 1, k = G.shape[1], l, i, j, a, b, first, last, most = 0
    cdef double s, g
    cdef double* row
    cdef double* RG
    for l in range(levels):
        most = max(most, pointers[l + 1] - pointers[l])
    RG = <double*> malloc(max(most * k, 1) * sizeof(double))
    if RG == NULL:
        raise MemoryError
    with nogil:
        for l in range(levels):
            first, last = pointers[l], pointers[l + 1]
            for j in range(first, last):
                for a in range(k):
                    s = 0.0
                    for b in range(k):
                        s += R[l, a, b] * G[j, b]
                    RG[(j - first) * k + a] = s
            for i in range(first, last):
                row = &H[columns[i], 0]
                if k == 1:
                    g = G[i, 0]
                    for j in range(first, i + 1):
                        row[columns[j]] += g * RG[j - first]
                else:
                    for j in range(first, i + 1):
                        s = 0.0
                        for a in range(k):
                            s += G[i, a] * RG[(j - first) * k + a]
                        row[columns[j]] += s
    free(RG)


def quadratic_forms(
    const int[::1] pointers, const int[::1] columns, const double[:, ::1] G, const double[:, ::1] Q, double[:, :, ::1] X
):
    """
    X_l = G_l Q G_lᵀ for every level; the adjoint of `add_quadratic_forms`.

    Parameters
    ----------
    pointers, columns, G
        As there.
    Q : ndarray, shape (r, r)
        Symmetric; its lower triangle is read.
    X : ndarray, shape (levels, k, k)
        Receives the result.
    """
    cdef Py_ssize_t levels = pointers.shape[0] - 1, k = G.shape[1], l, i, j, a, b, last
    cdef double s, w
    cdef const double* row
    cdef double* v = <double*> malloc(k * sizeof(double))
    if v == NULL:
        raise MemoryError
    with nogil:
        for l in range(levels):
            last = pointers[l + 1]
            for a in range(k):
                for b in range(k):
                    X[l, a, b] = 0.0
            for i in range(pointers[l], last):
                row = &Q[columns[i], 0]
                if k == 1:
                    s = 0.0
                    for j in range(pointers[l], i):
                        s += row[columns[j]] * G[j, 0]
                    X[l, 0, 0] += G[i, 0] * (2.0 * s + row[columns[i]] * G[i, 0])
                    continue
                for a in range(k):  # half the diagonal entry, since v is taken twice
                    v[a] = 0.5 * row[columns[i]] * G[i, a]
                for j in range(pointers[l], i):
                    w = row[columns[j]]
                    for a in range(k):
                        v[a] += w * G[j, a]
                for a in range(k):
                    for b in range(k):
                        X[l, a, b] += G[i, a] * v[b] + v[a] * G[i, b]
    free(v)


def symmetrize(double[:, ::1] A):
    """Copy the lower triangle of a square array to the upper one."""
    cdef Py_ssize_t r = A.shape[0], i, j
    cdef Py_ssize_t top, left
    with nogil:
        for top in range(0, r, 32):
            for left in range(0, top + 1, 32):
                for i in range(top, min(top + 32, r)):
                    for j in range(left, min(left + 32, i)):
                        A[j, i] = A[i, j]
