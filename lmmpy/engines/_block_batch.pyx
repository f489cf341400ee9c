# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True, initializedcheck=False
"""The criterion of many problems whose covariance is by blocks of rows, one after the other; see `block_batch`.

Blocks are symmetric, so that rows and columns need no telling apart; columns of F, U and W run fastest, which to BLAS
is the transpose. BLAS is taken from SciPy at run time.
"""

from cpython.pycapsule cimport PyCapsule_GetName, PyCapsule_GetPointer
from libc.math cimport INFINITY, log
from libc.stdlib cimport free, malloc
from libc.string cimport memcpy, memset

from scipy.linalg import cython_blas, cython_lapack

ctypedef double (*dot_t)(int*, double*, int*, double*, int*) noexcept nogil
ctypedef void (*gemm_t)(char*, char*, int*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*gemv_t)(char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*symm_t)(char*, char*, int*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*symv_t)(char*, int*, double*, double*, int*, double*, int*, double*, double*, int*) noexcept nogil
ctypedef void (*trsm_t)(char*, char*, char*, char*, int*, int*, double*, double*, int*, double*, int*) noexcept nogil
ctypedef void (*potr_t)(char*, int*, double*, int*, int*) noexcept nogil
ctypedef void (*potrs_t)(char*, int*, int*, double*, int*, double*, int*, int*) noexcept nogil


cdef void* pointer(module, name):
    capsule = module.__pyx_capi__[name]
    return PyCapsule_GetPointer(capsule, PyCapsule_GetName(capsule))


cdef dot_t ddot = <dot_t> pointer(cython_blas, "ddot")
cdef gemm_t dgemm = <gemm_t> pointer(cython_blas, "dgemm")
cdef gemv_t dgemv = <gemv_t> pointer(cython_blas, "dgemv")
cdef symm_t dsymm = <symm_t> pointer(cython_blas, "dsymm")
cdef symv_t dsymv = <symv_t> pointer(cython_blas, "dsymv")
cdef trsm_t dtrsm = <trsm_t> pointer(cython_blas, "dtrsm")
cdef potr_t dpotrf = <potr_t> pointer(cython_lapack, "dpotrf")
cdef potr_t dpotri = <potr_t> pointer(cython_lapack, "dpotri")
cdef potrs_t dpotrs = <potrs_t> pointer(cython_lapack, "dpotrs")

cdef char LOWER = b"L", LEFT = b"L", RIGHT = b"R", NO = b"N", TRANSPOSED = b"T"
cdef double ONE = 1.0, ZERO = 0.0
cdef int STEP = 1

cdef struct Shape:
    Py_ssize_t blocks, n, numbers
    int kernels, p, own  # columns of Q, and of what each problem has beside them, the response last
    const Py_ssize_t* starts
    const Py_ssize_t* offsets

cdef struct Problem:
    const double** K  # of each kernel all blocks, one after the other
    const double* Q
    const double* own
    const double* shares  # of each kernel, and of the residual
    double dof
    double constant
    bint reml

cdef struct Work:
    double* V  # V, its factor, at last its inverse; lower triangles
    double* F  # [Q own] of a block
    double* U  # V⁻¹[Q own]
    double* v  # V⁻¹ times the residual
    double* W  # [K_1 v … K_T v, v] of a block
    double* X  # V⁻¹W of a block
    double* half  # [Q]ᵀV⁻¹ of a block by the factor of QᵀV⁻¹Q, and that times K
    double* S  # the factor of QᵀV⁻¹Q
    double* g  # with which [Q own]g is the residual of y
    double* WU  # WᵀV⁻¹[Q own] over the blocks
    double* products  # WᵀV⁻¹W over the blocks
    double* along  # Wᵀv over the blocks

cdef struct Result:
    double* value
    double* gradient
    double* information
    double* gram
    double r2


def evaluate(
    const Py_ssize_t[::1] starts,
    const Py_ssize_t[::1] offsets,
    const double[:, ::1] kernels,
    const double[:, ::1] further,
    const double[:, ::1] Q,
    const double[:, :, ::1] own,
    const double[::1] constants,
    const Py_ssize_t[::1] places,
    const double[:, ::1] shares,
    double dof,
    bint reml,
    bint derivatives,
    double[::1] value,
    double[:, ::1] gradient,
    double[:, :, ::1] information,
    double[:, :, ::1] gram,
):
    """
    Criterion, gradient and average information in the shares of the kernels and of the residual.

    Parameters
    ----------
    starts, offsets : ndarray of int, shape (blocks + 1,)
        Where the rows of each block begin, and its numbers in a stack of all blocks.
    kernels : ndarray, shape (T, numbers)
    further : ndarray, shape (m, numbers) or (0, numbers)
        A kernel that only one problem has.
    Q : ndarray, shape (n, p)
    own : ndarray, shape (m, n, k + 1) or (1, n, k + 1)
        Further columns of X of each problem, and the response.
    constants : ndarray, shape (m,)
        Added to each value.
    places : ndarray of int, shape (a,)
        Which of the problems.
    shares : ndarray, shape (a, T'), T' = T + 1, or T + 2 with a further kernel
    dof : float
    reml, derivatives : bool
    value, gradient, information, gram : ndarray, shapes (a,), (a, T'), (a, T', T'), (a, p + k + 1, p + k + 1)
        Receive the results: `gram` is [Q own]ᵀV⁻¹[Q own]. Where V has no factor only the value, infinity.
    """
    cdef Py_ssize_t a, i, place, largest = 0
    cdef Shape shape
    cdef Problem problem
    cdef Work work
    cdef Result result
    cdef bint several = own.shape[0] > 1, has_further = further.shape[0] > 0
    shape.blocks, shape.n, shape.numbers = starts.shape[0] - 1, own.shape[1], kernels.shape[1]
    shape.kernels = <int> kernels.shape[0] + has_further
    shape.p, shape.own = <int> Q.shape[1], <int> own.shape[2]
    shape.starts, shape.offsets = &starts[0], &offsets[0]
    problem.dof, problem.reml = dof, reml
    for i in range(shape.blocks):
        largest = max(largest, starts[i + 1] - starts[i])
    cdef Py_ssize_t c = shape.p + shape.own, T = shape.kernels + 1
    cdef Py_ssize_t room = (
        shape.numbers + 2 * largest * c + shape.n * (c + 1) + 2 * largest * T + largest * c
        + c * c + c + T * c + T * T + T + 16
    )
    problem.K = <const double**> malloc((shape.kernels + 1) * sizeof(double*))
    work.V = <double*> malloc(room * sizeof(double))
    if problem.K == NULL or work.V == NULL:
        free(problem.K)
        free(work.V)
        raise MemoryError("no room for the covariance of the rows")
    work.F = work.V + shape.numbers
    work.U = work.F + largest * c
    work.v = work.U + shape.n * c
    work.W = work.v + shape.n
    work.X = work.W + largest * T
    work.half = work.X + largest * T
    work.S = work.half + 2 * largest * c
    work.g = work.S + c * c
    work.WU = work.g + c
    work.products = work.WU + T * c
    work.along = work.products + T * T
    with nogil:
        for a in range(places.shape[0]):
            place = places[a]
            for i in range(kernels.shape[0]):
                problem.K[i] = &kernels[i, 0]
            if has_further:
                problem.K[kernels.shape[0]] = &further[place, 0]
            problem.Q = &Q[0, 0] if shape.p else NULL
            problem.own = &own[place if several else 0, 0, 0]
            problem.constant, problem.shares = constants[place], &shares[a, 0]
            result.value, result.gradient = &value[a], &gradient[a, 0]
            result.information, result.gram = &information[a, 0, 0], &gram[a, 0, 0]
            if not factorise(&shape, &problem, &work, &result, derivatives) or not profile(
                &shape, &problem, &work, &result
            ):
                result.value[0] = INFINITY
            elif derivatives:
                differentiate(&shape, &problem, &work, &result)
    free(problem.K)
    free(work.V)


cdef void build(Shape* shape, Problem* problem, Work* work) noexcept nogil:
    """V of all blocks, zeros above the diagonals."""
    cdef Py_ssize_t i, j, b, r
    cdef int t
    cdef double share = problem.shares[shape.kernels]
    cdef const double* K
    cdef double* V = work.V
    memset(V, 0, shape.numbers * sizeof(double))
    for t in range(shape.kernels):
        if problem.shares[t] != 0.0:
            add_product(V, problem.K[t], problem.shares[t], shape.numbers)
    for b in range(shape.blocks):
        V = work.V + shape.offsets[b]
        r = shape.starts[b + 1] - shape.starts[b]
        for j in range(r):
            memset(V + j * r, 0, j * sizeof(double))
            V[j * r + j] += share


cdef void add_product(double* V, const double* K, double share, Py_ssize_t numbers) noexcept nogil:
    cdef Py_ssize_t i
    for i in range(numbers):
        V[i] += share * K[i]


cdef bint factorise(Shape* shape, Problem* problem, Work* work, Result* result, bint inverse) noexcept nogil:
    """log|V| into the value, and the gram; with the inverse also that and V⁻¹F. False where V has no factor."""
    cdef Py_ssize_t b, j
    cdef int r, c = shape.p + shape.own, info
    cdef double logdet = 0.0
    cdef double* V
    cdef double* U
    build(shape, problem, work)
    memset(result.gram, 0, c * c * sizeof(double))
    for b in range(shape.blocks):
        r = <int> (shape.starts[b + 1] - shape.starts[b])
        V, U = work.V + shape.offsets[b], work.U + shape.starts[b] * c
        dpotrf(&LOWER, &r, V, &r, &info)
        if info != 0:
            return False
        for j in range(r):
            logdet += log(V[j * r + j])
        columns(shape, problem, b, r, work.F)
        if not inverse:
            memcpy(U, work.F, r * c * sizeof(double))
            dtrsm(&RIGHT, &LOWER, &TRANSPOSED, &NO, &c, &r, &ONE, V, &r, U, &c)
            dgemm(&NO, &TRANSPOSED, &c, &c, &r, &ONE, U, &c, U, &c, &ONE, result.gram, &c)
            continue
        dpotri(&LOWER, &r, V, &r, &info)
        if info != 0:
            return False
        dsymm(&RIGHT, &LOWER, &c, &r, &ONE, V, &r, work.F, &c, &ZERO, U, &c)
        dgemm(&NO, &TRANSPOSED, &c, &c, &r, &ONE, work.F, &c, U, &c, &ONE, result.gram, &c)
    result.value[0] = 2.0 * logdet
    return logdet - logdet == 0.0


cdef void columns(Shape* shape, Problem* problem, Py_ssize_t b, int r, double* F) noexcept nogil:
    """[Q own] of a block."""
    cdef Py_ssize_t i, j, row
    cdef int p = shape.p, own = shape.own
    for i in range(r):
        row = shape.starts[b] + i
        for j in range(p):
            F[j] = problem.Q[row * p + j]
        for j in range(own):
            F[p + j] = problem.own[row * own + j]
        F += p + own


cdef bint profile(Shape* shape, Problem* problem, Work* work, Result* result) noexcept nogil:
    """Add to the value what the fixed effects and the scale give; their estimates."""
    cdef Py_ssize_t i, j
    cdef int c = shape.p + shape.own, p = c - 1, info
    cdef double r2 = 0.0, logdet = 0.0
    cdef double* gram = result.gram
    for i in range(c):
        for j in range(i):
            gram[i * c + j] = gram[j * c + i] = 0.5 * (gram[i * c + j] + gram[j * c + i])
    for i in range(p):
        for j in range(p):
            work.S[i * p + j] = gram[i * c + j]
        work.g[i] = -gram[p * c + i]
    work.g[p] = 1.0
    if p:
        dpotrf(&LOWER, &p, work.S, &p, &info)
        if info != 0:
            return False
        dpotrs(&LOWER, &p, &STEP, work.S, &p, work.g, &p, &info)
        for i in range(p):
            logdet += log(work.S[i * p + i])
    for i in range(c):
        for j in range(c):
            r2 += work.g[i] * gram[i * c + j] * work.g[j]
    if not r2 > 0.0:
        return False
    result.value[0] += problem.dof * log(r2) + problem.constant
    if problem.reml:
        result.value[0] += 2.0 * logdet
    result.r2 = r2
    return result.value[0] - result.value[0] == 0.0


cdef void differentiate(Shape* shape, Problem* problem, Work* work, Result* result) noexcept nogil:
    """Gradient and average information, of what the factorisation has left."""
    cdef Py_ssize_t b, t, i, start
    cdef int r, c = shape.p + shape.own, p = c - 1, T = shape.kernels + 1
    cdef double r2 = result.r2, quadratic
    cdef int n = <int> shape.n
    cdef const double* K
    cdef double* V
    dgemv(&TRANSPOSED, &c, &n, &ONE, work.U, &c, work.g, &STEP, &ZERO, work.v, &STEP)
    memset(work.WU, 0, T * c * sizeof(double))
    memset(work.products, 0, T * T * sizeof(double))
    memset(work.along, 0, T * sizeof(double))
    memset(result.gradient, 0, T * sizeof(double))
    for b in range(shape.blocks):
        start = shape.starts[b]
        r = <int> (shape.starts[b + 1] - start)
        V = work.V + shape.offsets[b]
        for t in range(shape.kernels):
            K = problem.K[t] + shape.offsets[b]
            dsymv(&LOWER, &r, &ONE, <double*> K, &r, work.v + start, &STEP, &ZERO, work.W + t, &T)
            result.gradient[t] += trace(V, <double*> K, r)
        for i in range(r):
            work.W[i * T + shape.kernels] = work.v[start + i]
            result.gradient[shape.kernels] += V[i * r + i]
        if problem.reml and p:
            subtract_fixed(shape, problem, work, result, b, r)
        dsymm(&RIGHT, &LOWER, &T, &r, &ONE, V, &r, work.W, &T, &ZERO, work.X, &T)
        dgemm(&NO, &TRANSPOSED, &T, &T, &r, &ONE, work.W, &T, work.X, &T, &ONE, work.products, &T)
        dgemm(&NO, &TRANSPOSED, &c, &T, &r, &ONE, work.U + start * c, &c, work.W, &T, &ONE, work.WU, &c)
        dgemv(&NO, &T, &r, &ONE, work.W, &T, work.v + start, &STEP, &ONE, work.along, &STEP)
    for t in range(T):
        result.gradient[t] -= problem.dof * work.along[t] / r2
    if p:
        dtrsm(&LEFT, &LOWER, &NO, &NO, &p, &T, &ONE, work.S, &p, work.WU, &c)
    for t in range(T):
        for i in range(T):
            quadratic = 0.5 * (work.products[t * T + i] + work.products[i * T + t])
            for b in range(p):
                quadratic -= work.WU[t * c + b] * work.WU[i * c + b]
            result.information[t * T + i] = problem.dof * (quadratic / r2 - work.along[t] * work.along[i] / (r2 * r2))


cdef double trace(double* V, double* K, int r) noexcept nogil:
    """tr(V K) of two symmetric matrices, V with zeros above the diagonal."""
    cdef Py_ssize_t i
    cdef int numbers = r * r
    cdef double diagonal = 0.0
    for i in range(r):
        diagonal += V[i * r + i] * K[i * r + i]
    return 2.0 * ddot(&numbers, V, &STEP, K, &STEP) - diagonal


cdef void subtract_fixed(Shape* shape, Problem* problem, Work* work, Result* result, Py_ssize_t b, int r) noexcept nogil:
    """What the restricted likelihood adds to the gradient, −tr[(QᵀV⁻¹Q)⁻¹QᵀV⁻¹K V⁻¹Q], of one block."""
    cdef Py_ssize_t i, j
    cdef int c = shape.p + shape.own, p = c - 1, t, numbers = p * r
    cdef double* half = work.half
    cdef double* turned = work.half + numbers
    cdef double* U = work.U + shape.starts[b] * c
    for i in range(r):
        for j in range(p):
            half[i * p + j] = U[i * c + j]
    dtrsm(&LEFT, &LOWER, &NO, &NO, &p, &r, &ONE, work.S, &p, half, &p)
    for t in range(shape.kernels):
        dsymm(
            &RIGHT, &LOWER, &p, &r, &ONE, <double*> problem.K[t] + shape.offsets[b], &r, half, &p, &ZERO, turned, &p
        )
        result.gradient[t] -= ddot(&numbers, half, &STEP, turned, &STEP)
    result.gradient[shape.kernels] -= ddot(&numbers, half, &STEP, half, &STEP)
