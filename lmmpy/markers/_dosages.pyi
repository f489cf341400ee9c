import numpy as np
from numpy.typing import NDArray

Dosages = NDArray[np.float32] | NDArray[np.float64]
Floats = NDArray[np.float64]
Counts = NDArray[np.intp]

def summarise(X: Dosages, n_missing: Counts, mean: Floats, square: Floats) -> None: ...
def fill(X: Dosages, n_missing: Counts, by: Floats) -> None: ...
def standardise(X: Floats, mean: Floats, scale: Floats) -> None: ...
