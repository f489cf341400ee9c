"""Settings that every test shares."""

import os

# Before numpy loads: with a test process per core, a BLAS thread per core as well would only be in the way.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ["MPLBACKEND"] = "Agg"

from hypothesis import settings  # noqa: E402

# The same examples in every run, and no deadline: a busy machine is no defect of the code.
# HYPOTHESIS_PROFILE=explore looks for new examples.
settings.register_profile("repeat", deadline=None, derandomize=True, max_examples=50)
settings.register_profile("explore", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeat"))
