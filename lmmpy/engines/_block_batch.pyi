from typing import Any

def evaluate(
    starts: Any,
    offsets: Any,
    kernels: Any,
    further: Any,
    Q: Any,
    own: Any,
    constants: Any,
    places: Any,
    shares: Any,
    dof: float,
    reml: bool,
    derivatives: bool,
    value: Any,
    gradient: Any,
    information: Any,
    gram: Any,
) -> None: ...
