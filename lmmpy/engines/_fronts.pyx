# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The selected inverse of a sparse Cholesky factor by dense fronts, one a supernode; see `selected_inverse`.

Fronts are stored by columns, as BLAS has them, which is taken from SciPy at run time.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.stdlib cimport calloc, free, malloc
from libc.string cimport memset

import numpy as np
from scipy.linalg import cython_blas, cython_lapack

ctypedef void (*gemm_t)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*symm_t)(char*, char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*trmm_t)(char*, char*, char*, char*, int*, int*, double*, double*, int*, double*, int*) noexcept nogil
ctypedef void (*trtri_t)(char*, char*, int*, double*, int*, int*) noexcept nogil


cdef void* pointer(module, name):
    capsule = module.__pyx_capi__[name]
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


cdef gemm_t dgemm = <gemm_t> pointer(cython_blas, "dgemm")
cdef symm_t dsymm = <symm_t> pointer(cython_blas, "dsymm")
cdef trmm_t dtrmm = <trmm_t> pointer(cython_blas, "dtrmm")
cdef trtri_t dtrtri = <trtri_t> pointer(cython_lapack, "dtrtri")

cdef char LOWER = b"L", LEFT = b"L", RIGHT = b"R", NO = b"N", TRANSPOSED = b"T"
# Below so many multiplications a loop is quicker than a call.
cdef Py_ssize_t SMALL = 256


def supernodes(const int[::1] pointers, const int[::1] rows):
    """
    Runs of columns in which each has the pattern of the one before, less its first row; and their tree.

    Parameters
    ----------
    pointers : ndarray of int32, shape (q + 1,)
    rows : ndarray of int32, shape (entries,)
        By compressed columns, ascending: the diagonal comes first.

    Returns
    -------
    firsts : ndarray of int32, shape (nodes + 1,)
        First column of each node, and q.
    parents : ndarray of int32, shape (nodes,)
        The node whose columns and rows hold the rows below each one; -1 for a root.
    starts : ndarray of int64, shape (nodes + 1,)
        Where the rows below each node begin in `places`.
    places : ndarray of int32
        Place of each row below a node among the rows of its parent.
    """
    cdef Py_ssize_t q = pointers.shape[0] - 1, j, node, nodes = 0, e, f, last, stop, at
    cdef int[::1] node_of = np.empty(q, dtype=np.int32)
    cdef int[::1] firsts = np.empty(q + 1, dtype=np.int32)
    cdef int length, before
    for j in range(q):
        length = pointers[j + 1] - pointers[j]
        before = pointers[j] - pointers[j - 1] if j else 0
        if j == 0 or before != length + 1 or rows[pointers[j - 1] + 1] != j:
            firsts[nodes] = <int> j
            nodes += 1
        node_of[j] = <int> (nodes - 1)
    firsts[nodes] = <int> q
    cdef int[::1] parents = np.empty(nodes, dtype=np.int32)
    cdef long long[::1] starts = np.empty(nodes + 1, dtype=np.int64)
    starts[0] = 0
    for node in range(nodes):
        last = firsts[node + 1] - 1
        starts[node + 1] = starts[node] + pointers[last + 1] - pointers[last] - 1
    cdef int[::1] places = np.empty(starts[nodes], dtype=np.int32)
    for node in range(nodes):
        last = firsts[node + 1] - 1
        e, stop, at = pointers[last] + 1, pointers[last + 1], starts[node]
        parents[node] = node_of[rows[e]] if e < stop else -1
        if e == stop:
            continue
        f = pointers[firsts[parents[node]]]
        while e < stop:
            while rows[f] != rows[e]:
                f += 1
            places[at] = <int> (f - pointers[firsts[parents[node]]])
            e += 1
            at += 1
    return np.asarray(firsts)[: nodes + 1].copy(), np.asarray(parents), np.asarray(starts), np.asarray(places)


def selected_inverse(
    const int[::1] pointers,
    const double[::1] L,
    const int[::1] firsts,
    const int[::1] parents,
    const long long[::1] starts,
    const int[::1] places,
    double[::1] out,
):
    """
    Entries of (L Lᵀ)⁻¹ at the places of those of L.

    Parameters
    ----------
    pointers : ndarray of int32, shape (q + 1,)
    L : ndarray, shape (entries,)
    firsts, parents, starts, places
        By `supernodes`.
    out : ndarray, shape (entries,)
        Receives the result.
    """
    cdef Py_ssize_t nodes = parents.shape[0], node, i, j, largest = 0, size, widest = 0
    cdef int width, below
    cdef double** fronts
    cdef int* first_child
    cdef double* front
    cdef double* block
    cdef double* product
    for node in range(nodes):
        width = firsts[node + 1] - firsts[node]
        below = <int> (starts[node + 1] - starts[node])
        largest = max(largest, <Py_ssize_t> (width + below) * width)
    fronts = <double**> calloc(nodes + 1, sizeof(double*))
    first_child = <int*> malloc((nodes + 1) * sizeof(int))
    block = <double*> malloc((largest + 1) * sizeof(double))
    product = <double*> malloc((largest + 1) * sizeof(double))
    cdef bint sound = fronts != NULL and first_child != NULL and block != NULL and product != NULL
    if sound:
        with nogil:
            for node in range(nodes):
                first_child[node] = -1
            for node in range(nodes - 1, -1, -1):
                if parents[node] >= 0:
                    first_child[parents[node]] = <int> node
            for node in range(nodes - 1, -1, -1):
                width = firsts[node + 1] - firsts[node]
                below = <int> (starts[node + 1] - starts[node])
                size = width + below
                front = <double*> malloc(size * size * sizeof(double))
                if front == NULL:
                    sound = False
                    break
                for j in range(width):
                    memset(block + j * size, 0, j * sizeof(double))
                    for i in range(j, size):
                        block[j * size + i] = L[pointers[firsts[node] + j] + i - j]
                if below:
                    gather(
                        front + width * size + width, size, fronts[parents[node]],
                        pointers[firsts[parents[node]] + 1] - pointers[firsts[parents[node]]],
                        &places[starts[node]], below,
                    )
                fill(front, block, product, width, below)
                for j in range(width):
                    for i in range(j, size):
                        out[pointers[firsts[node] + j] + i - j] = front[j * size + i]
                if first_child[node] >= 0:
                    fronts[node] = front
                else:
                    free(front)
                if parents[node] >= 0 and first_child[parents[node]] == node:
                    free(fronts[parents[node]])
                    fronts[parents[node]] = NULL
    if fronts != NULL:
        for node in range(nodes):
            free(fronts[node])
    free(fronts)
    free(first_child)
    free(block)
    free(product)
    if not sound:
        raise MemoryError("no room for the fronts of a selected inverse")


cdef void gather(
    double* into, Py_ssize_t step, const double* parent, Py_ssize_t order, const int* places, int below
) noexcept nogil:
    """The part of the parent's front over the rows below a node, lower triangle."""
    cdef Py_ssize_t i, j
    cdef const double* column
    for j in range(below):
        column = parent + places[j] * order
        for i in range(j, below):
            into[j * step + i] = column[places[i]]


cdef void fill(double* front, double* block, double* product, int width, int below) noexcept nogil:
    """The lower triangle of a front, but for the part that is the parent's."""
    cdef int size = width + below, info
    cdef Py_ssize_t i, j, k
    cdef double one = 1.0, zero = 0.0, minus = -1.0, s
    cdef double* inner = front + <Py_ssize_t> width * size + width
    if width == 1:
        s = 1.0 / block[0]
        block[0] = s
        for i in range(1, size):
            block[i] *= s
    else:
        dtrtri(&LOWER, &NO, &width, block, &size, &info)
        if below:
            dtrmm(&RIGHT, &LOWER, &NO, &NO, &below, &width, &one, block, &size, block + width, &size)
    if below:
        if width == 1 and <Py_ssize_t> below * below <= SMALL:
            for i in range(below):
                product[i] = 0.0
            for j in range(below):
                s = inner[j * size + j] * block[1 + j]
                for i in range(j + 1, below):
                    s += inner[j * size + i] * block[1 + i]
                    product[i] += inner[j * size + i] * block[1 + j]
                product[j] += s
        else:
            dsymm(&LEFT, &LOWER, &below, &width, &one, inner, &size, block + width, &size, &zero, product, &below)
        for j in range(width):
            for i in range(below):
                front[j * size + width + i] = -product[j * below + i]
    if width == 1:
        s = block[0] * block[0]
        for i in range(below):
            s += block[1 + i] * product[i]
        front[0] = s
        return
    # The triangle of L⁻¹ is below zeros, so its product with itself is a plain one.
    dgemm(&TRANSPOSED, &NO, &width, &width, &width, &one, block, &size, block, &size, &zero, front, &size)
    if below:
        dgemm(
            &TRANSPOSED, &NO, &width, &width, &below, &one, block + width, &size, product, &below, &one, front, &size
        )


def column_counts(const int[::1] pointers, const int[::1] rows, const Py_ssize_t[::1] order):
    """
    Entries of each column of the Cholesky factor of a permuted matrix, by its elimination tree (Liu 1990).

    Parameters
    ----------
    pointers : ndarray of int32, shape (q + 1,)
    rows : ndarray of int32, shape (entries,)
        The lower triangle by compressed columns.
    order : ndarray of int, shape (q,)
        Row and column of the matrix at each place of the factor.

    Returns
    -------
    ndarray of int64, shape (q,)
    """
    cdef Py_ssize_t q = pointers.shape[0] - 1, j, e, i, k, above
    cdef Py_ssize_t[::1] place = np.empty(q, dtype=np.intp)
    cdef Py_ssize_t[::1] starts = np.zeros(q + 2, dtype=np.intp)
    cdef Py_ssize_t[::1] left = np.empty(rows.shape[0], dtype=np.intp)
    cdef Py_ssize_t[::1] parent = np.full(q, -1, dtype=np.intp)
    cdef Py_ssize_t[::1] ancestor = np.full(q, -1, dtype=np.intp)
    cdef Py_ssize_t[::1] seen = np.full(q, -1, dtype=np.intp)
    cdef long long[::1] counts = np.ones(q, dtype=np.int64)
    with nogil:
        for j in range(q):
            place[order[j]] = j
        # The places left of each one in its row, row by row.
        for j in range(q):
            for e in range(pointers[j], pointers[j + 1]):
                starts[max(place[j], place[rows[e]]) + 2] += 1
        for j in range(q + 1):
            starts[j + 1] += starts[j]
        for j in range(q):
            for e in range(pointers[j], pointers[j + 1]):
                i, k = place[j], place[rows[e]]
                left[starts[max(i, k) + 1]] = min(i, k)
                starts[max(i, k) + 1] += 1
        for i in range(q):
            for e in range(starts[i], starts[i + 1]):
                k = left[e]
                while k != -1 and k < i:
                    above = ancestor[k]
                    ancestor[k] = i
                    if above == -1:
                        parent[k] = i
                    k = above
        for i in range(q):
            seen[i] = i
            for e in range(starts[i], starts[i + 1]):
                k = left[e]
                while seen[k] != i:
                    seen[k] = i
                    counts[k] += 1
                    k = parent[k]
    return np.asarray(counts)
