"""What a newcomer sees first: the figures that R and SOLAR print, and no warning."""

import contextlib
import io

import pytest

from lmmpy.demo import main


@pytest.fixture(scope="module")
def printed() -> str:
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown):
        main()
    return shown.getvalue()


@pytest.mark.parametrize(
    "line",
    [
        "REML criterion at convergence: 1743.6",
        " Subject  (Intercept) 612.09   24.740",
        "Days          10.467      1.546   6.771",
        "uncorrelated    5 1762.0 1778.0 -876.00   1752.0",
        "correlated      6 1763.9 1783.1 -875.97   1751.9 0.0639  1     0.8004",
        "REML criterion at convergence: 330.9",
        " plate    (Intercept) 0.7169   0.8467",
        " sample   (Intercept) 3.7309   1.9316",
        " Residual             0.3024   0.5499",
        "REML criterion at convergence: 247",
        " cask:batch (Intercept) 8.434    2.904",
        " Batch    (Intercept) 0.000",
        "<Pedigree: 398 individuals, 105 founders, 3 generations, id 'ID'>",
        " kin(ped)  (Intercept) 2.03406  1.4262",
        " household (Intercept) 0.03262  0.1806",
        "household polygenic -678.5997 -333.078782 0.727912 0.009799",
        "rho_g      0.5602    0.11396",
        "rho_e = 0    3.8589  1   0.049482",
        " Residual Male   9.503    3.083",
        "          Female      0.7813",
        "env1     8.222222",
        "b        0.111111",
    ],
)
def test_the_demonstration_prints_what_r_and_solar_print(printed: str, line: str) -> None:
    assert line in printed.splitlines() or any(text.startswith(line) for text in printed.splitlines())
