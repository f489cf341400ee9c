import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Marks = NDArray[np.uint8]

def generations(father: Ints, mother: Ints, generation: Ints) -> int: ...
def mark_ancestors(father: Ints, mother: Ints, at: Ints, mark: Marks, stack: Ints) -> int: ...
def prune(father: Ints, mother: Ints, D: Floats, needed: Marks, keep: Marks) -> None: ...
def couples_by_ancestors(
    father: Ints,
    mother: Ints,
    generation: Ints,
    D: Floats,
    s: Ints,
    d: Ints,
    out: Floats,
    L: Floats,
    link: Ints,
    head: Ints,
) -> int: ...
def columns_of_A(father: Ints, mother: Ints, D: Floats, columns: Ints, V: Floats) -> None: ...
def T_times(father: Ints, mother: Ints, V: Floats) -> None: ...
def Tt_times(father: Ints, mother: Ints, V: Floats) -> None: ...
def dense(father: Ints, mother: Ints, diagonal: Floats, A: Floats) -> None: ...
def precision(
    father: Ints,
    mother: Ints,
    D: Floats,
    pointers: Ints,
    rows: Ints,
    values: Floats,
    more_rows: Ints,
    more_values: Floats,
) -> int: ...
