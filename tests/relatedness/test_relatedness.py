"""What an ordinary grouping factor has: unrelated levels."""

import numpy as np
import pytest
from scipy import sparse

from lmmpy import Relatedness
from lmmpy.design import build_design
from lmmpy.engines import make_criterion


def test_identity():
    unrelated = Relatedness.identity(3)
    assert unrelated.is_identity
    assert unrelated.logdet == 0.0
    np.testing.assert_array_equal(unrelated.dense(), np.eye(3))


def test_dense_inverts_the_precision():
    K = np.array([[1.0, 0.5], [0.5, 1.0]])
    related = Relatedness(2, sparse.csc_array(np.linalg.inv(K)), float(np.linalg.slogdet(K)[1]))
    assert not related.is_identity
    np.testing.assert_allclose(related.dense(), K, atol=1e-15)


def test_the_sparse_engine_refuses_related_levels():
    data = {"y": [1.0, 2.0, 4.0, 3.0], "g": ["a", "b", "a", "b"]}
    design, _ = build_design("y ~ 1 + (1 | g)", data)
    object.__setattr__(design.random[0], "relatedness", Relatedness(2, sparse.csc_array(2.0 * np.eye(2)), -np.log(4.0)))
    with pytest.raises(NotImplementedError, match="unrelated"):
        make_criterion(design, True)
