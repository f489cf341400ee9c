# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The loops over a pedigree: plain functions on arrays, parents as numbers before their children, −1 where unknown.

Each has a twin of a few lines in the tests.
"""

cdef enum:
    WIDTH = 8  # columns that are followed together: one cache line


def generations(const int[::1] father, const int[::1] mother, int[::1] generation):
    """
    Longest line to a founder of each, in any order of rows; a member of a loop if there is one, else −1.

    `generation` holds −1 everywhere at the start, and −2 while its ancestors are being looked at.
    """
    cdef Py_ssize_t n = father.shape[0], i, j, top
    cdef int p, q, waits
    cdef int[::1] stack = generation.copy()
    for i in range(n):
        if generation[i] >= 0:
            continue
        top = 0
        stack[0] = i
        while top >= 0:
            j = stack[top]
            p, q = father[j], mother[j]
            waits = -1
            if p >= 0 and generation[p] < 0:
                waits = p
            elif q >= 0 and generation[q] < 0:
                waits = q
            if waits < 0:
                generation[j] = 0
                if p >= 0:
                    generation[j] = generation[p] + 1
                if q >= 0 and generation[q] >= generation[j]:
                    generation[j] = generation[q] + 1
                top -= 1
                continue
            if generation[waits] == -2 or waits == j:
                return waits
            generation[j] = -2
            top += 1
            stack[top] = waits
    return -1


def mark_ancestors(const int[::1] father, const int[::1] mother, const int[::1] at, unsigned char[::1] mark, int[::1] stack):
    """Mark some levels and all their ancestors; `stack` has room for as many as there are. How many were marked."""
    cdef Py_ssize_t k, top
    cdef Py_ssize_t count = 0
    cdef int j, p
    cdef int side
    for k in range(at.shape[0]):
        if mark[at[k]]:
            continue
        mark[at[k]] = 1
        stack[0] = at[k]
        top = 0
        while top >= 0:
            j = stack[top]
            top -= 1
            count += 1
            for side in range(2):
                p = mother[j] if side else father[j]
                if p >= 0 and not mark[p]:
                    mark[p] = 1
                    top += 1
                    stack[top] = p
    return count


def prune(int[::1] father, int[::1] mother, double[::1] D, const unsigned char[::1] needed, unsigned char[::1] keep):
    """
    Take out levels that are not needed, have no parents and one child: the child's own variance takes over theirs.

    Such a level is independent of all others but through the child, to which it gives ½: D_child grows by ¼ D_level.
    Arrays are changed in place; ancestors come first, so that whole lines may go.
    """
    cdef Py_ssize_t n = father.shape[0], i
    cdef int p, side
    cdef int[::1] children = father.copy()
    children[:] = 0
    for i in range(n):
        if father[i] >= 0:
            children[father[i]] += 1
        if mother[i] >= 0:
            children[mother[i]] += 1
    for i in range(n):
        for side in range(2):
            p = mother[i] if side else father[i]
            if p < 0 or needed[p] or children[p] != 1 or father[p] >= 0 or mother[p] >= 0:
                continue
            D[i] += 0.25 * D[p]
            keep[p] = 0
            if side:
                mother[i] = -1
            else:
                father[i] = -1


def couples_by_ancestors(const int[::1] father, const int[::1] mother, const int[::1] generation, const double[::1] D,
                         const int[::1] s, const int[::1] d, double[::1] out, double[:, ::1] L, int[::1] link,
                         int[::1] head):
    """
    A[s, d] of some couples: Σ_j L_sj L_dj D_j over their ancestors j (Meuwissen & Luo 1992), last generations first.

    L (n, 2) holds zeros and `head` (generations,) −1, at the start and at the end. The number of ancestors visited.
    """
    cdef Py_ssize_t k, visited = 0
    cdef int g, j, p, side
    cdef double total, a, b
    for k in range(s.shape[0]):
        total = 0.0
        g = generation[s[k]]
        if generation[d[k]] > g:
            g = generation[d[k]]
        L[s[k], 0] = 1.0
        link[s[k]] = head[generation[s[k]]]
        head[generation[s[k]]] = s[k]
        L[d[k], 1] = 1.0
        if s[k] != d[k]:
            link[d[k]] = head[generation[d[k]]]
            head[generation[d[k]]] = d[k]
        while g >= 0:
            j = head[g]
            if j < 0:
                g -= 1
                continue
            head[g] = link[j]
            visited += 1
            a = L[j, 0]
            b = L[j, 1]
            L[j, 0] = 0.0
            L[j, 1] = 0.0
            total += a * b * D[j]
            for side in range(2):
                p = mother[j] if side else father[j]
                # After some thousand generations halves of halves are zero, and would look as if not met yet.
                if p < 0 or (0.5 * a == 0.0 and 0.5 * b == 0.0):
                    continue
                if L[p, 0] == 0.0 and L[p, 1] == 0.0:
                    link[p] = head[generation[p]]
                    head[generation[p]] = p
                L[p, 0] += 0.5 * a
                L[p, 1] += 0.5 * b
        out[k] = total
    return visited


def columns_of_A(const int[::1] father, const int[::1] mother, const double[::1] D, const int[::1] columns,
                 double[:, ::1] V):
    """Up to eight columns of A = T D Tᵀ into V (n, 8): up to the ancestors, and down to all (Colleau 2002)."""
    cdef Py_ssize_t n = father.shape[0], i, k, top = 0
    cdef double* v
    cdef double* p
    cdef double* q
    cdef double zero[WIDTH]
    cdef double d
    cdef bint any_
    for k in range(WIDTH):
        zero[k] = 0.0
    V[:] = 0.0
    for k in range(columns.shape[0]):
        V[columns[k], k] = 1.0
        if columns[k] > top:
            top = columns[k]
    for i in range(top, -1, -1):
        v = &V[i, 0]
        any_ = False
        for k in range(WIDTH):
            any_ |= v[k] != 0.0
        if not any_:
            continue
        if father[i] >= 0:
            p = &V[father[i], 0]
            for k in range(WIDTH):
                p[k] += 0.5 * v[k]
        if mother[i] >= 0:
            p = &V[mother[i], 0]
            for k in range(WIDTH):
                p[k] += 0.5 * v[k]
    for i in range(n):
        v = &V[i, 0]
        d = D[i]
        p = &V[father[i], 0] if father[i] >= 0 else zero
        q = &V[mother[i], 0] if mother[i] >= 0 else zero
        for k in range(WIDTH):
            v[k] = d * v[k] + 0.5 * (p[k] + q[k])


def T_times(const int[::1] father, const int[::1] mother, double[:, ::1] V):
    """T V in place: each level gets half of each parent."""
    cdef Py_ssize_t n = father.shape[0], m = V.shape[1], i, k
    for i in range(n):
        if father[i] >= 0:
            for k in range(m):
                V[i, k] += 0.5 * V[father[i], k]
        if mother[i] >= 0:
            for k in range(m):
                V[i, k] += 0.5 * V[mother[i], k]


def Tt_times(const int[::1] father, const int[::1] mother, double[:, ::1] V):
    """Tᵀ V in place: each level gives half to each parent, the last first."""
    cdef Py_ssize_t n = father.shape[0], m = V.shape[1], i, k
    for i in range(n - 1, -1, -1):
        if father[i] >= 0:
            for k in range(m):
                V[father[i], k] += 0.5 * V[i, k]
        if mother[i] >= 0:
            for k in range(m):
                V[mother[i], k] += 0.5 * V[i, k]


def dense(const int[::1] father, const int[::1] mother, const double[::1] diagonal, double[:, ::1] A):
    """A of all by the tabular method; A holds zeros."""
    cdef Py_ssize_t n = father.shape[0], i, j
    cdef double* row
    cdef double* parent
    cdef int side, p
    for i in range(n):
        row = &A[i, 0]
        for side in range(2):
            p = mother[i] if side else father[i]
            if p < 0:
                continue
            parent = &A[p, 0]
            for j in range(i):
                row[j] += 0.5 * parent[j]
        row[i] = diagonal[i]
        for j in range(i):
            A[j, i] = row[j]


def precision(const int[::1] father, const int[::1] mother, const double[::1] D, int[::1] pointers, int[::1] rows,
              double[::1] values, int[::1] more_rows, double[::1] more_values):
    """
    A⁻¹ = (I − Φ)ᵀ D⁻¹ (I − Φ) by columns, rows in order (Henderson 1976; Quaas 1976). The number of entries.

    Entries are listed column by column as they come; a transposition puts each column's rows in order, and equal ones
    beside each other, where they are added up. Both pairs of arrays have room for all before that is done.
    """
    cdef Py_ssize_t n = father.shape[0], i, k, c
    cdef int p, q, last
    cdef int[::1] at = pointers[:n].copy()
    cdef double w
    cdef int[::1] ends = pointers.copy()
    pointers[:] = 0
    for i in range(n):  # entries of each column
        p, q = father[i], mother[i]
        c = 1 + (p >= 0) + (q >= 0)
        pointers[i + 1] += c
        if p >= 0:
            pointers[p + 1] += c
        if q >= 0:
            pointers[q + 1] += c
    for i in range(n):
        pointers[i + 1] += pointers[i]
        at[i] = pointers[i]
    for i in range(n):
        p, q = father[i], mother[i]
        w = 1.0 / D[i]
        _put(i, i, w, at, more_rows, more_values)
        if p >= 0:
            _put(p, i, -0.5 * w, at, more_rows, more_values)
            _put(i, p, -0.5 * w, at, more_rows, more_values)
            _put(p, p, 0.25 * w, at, more_rows, more_values)
        if q >= 0:
            _put(q, i, -0.5 * w, at, more_rows, more_values)
            _put(i, q, -0.5 * w, at, more_rows, more_values)
            _put(q, q, 0.25 * w, at, more_rows, more_values)
            if p >= 0:
                _put(p, q, 0.25 * w, at, more_rows, more_values)
                _put(q, p, 0.25 * w, at, more_rows, more_values)
    for i in range(n):
        at[i] = pointers[i]
        ends[i] = pointers[i + 1]
    for i in range(n):
        for k in range(pointers[i], pointers[i + 1]):
            _put(i, more_rows[k], more_values[k], at, rows, values)
    c = 0
    for i in range(n):
        k = pointers[i]
        pointers[i] = c
        last = -1
        while k < ends[i]:
            if rows[k] == last:
                values[c - 1] += values[k]
            else:
                last = rows[k]
                rows[c] = last
                values[c] = values[k]
                c += 1
            k += 1
    pointers[n] = c
    return c


cdef inline void _put(int row, int column, double value, int[::1] at, int[::1] rows, double[::1] values) noexcept:
    rows[at[column]] = row
    values[at[column]] = value
    at[column] += 1
