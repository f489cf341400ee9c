"""What ``make demo`` shows: the package doing its main job on real data."""

from __future__ import annotations

import warnings

import lmmpy as lmm

__all__ = ["main"]


def _title(text: str) -> None:
    print(f"\n{text}\n{'=' * len(text)}\n")


def main() -> None:
    """Fit the models of the README and print them."""
    sleepstudy = lmm.datasets.load("sleepstudy")
    _title("Random slopes: reaction time by days of little sleep, 18 subjects")
    correlated = lmm.lmer("Reaction ~ Days + (Days | Subject)", sleepstudy)
    print(correlated.summary())

    _title("Are intercept and slope correlated?")
    uncorrelated = lmm.lmer("Reaction ~ Days + (Days || Subject)", sleepstudy)
    print(lmm.anova(uncorrelated, correlated))

    _title("Tests and intervals: Kenward and Roger, profile likelihood")
    print(lmm.anova(correlated, ddf="kenward-roger"))
    print()
    print(correlated.confint())
    print()
    print(lmm.ranova(correlated))

    _title("What the fit says of its assumptions")
    print(correlated.check())

    _title("Marginal means and their differences: Machines")
    machines = lmm.lmer("score ~ Machine + (Machine | Worker)", lmm.datasets.load("Machines"))
    print(lmm.emmeans(machines, "pairwise ~ Machine", ddf="kenward-roger"))

    _title("Crossed factors: Penicillin, 24 plates × 6 samples")
    Penicillin = lmm.datasets.load("Penicillin")
    print(lmm.lmer("diameter ~ 1 + (1 | plate) + (1 | sample)", Penicillin).summary())

    _title("Nested factors: Pastes, casks within batches")
    Pastes = lmm.datasets.load("Pastes")
    print(lmm.lmer("strength ~ 1 + (1 | batch/cask)", Pastes).summary())

    _title("A variance of zero is found exactly, and explained: Dyestuff2")
    Dyestuff2 = lmm.datasets.load("Dyestuff2")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", lmm.SingularFitWarning)
        singular = lmm.lmer("Yield ~ 1 + (1 | Batch)", Dyestuff2)
    print(singular)
    print()
    print(singular.convergence)

    _relatives()
    _residuals()

    _title("Known variance components: BLUE and BLUP of six records by three sires")
    sire = lmm.datasets.load("sire")
    known = lmm.lmer("y ~ 0 + env + (1 | sire)", sire, varcomp={"sire": 2, "Residual": 6})
    print(known.fixef.to_string())
    print(known.ranef()["sire"].to_string())


def _relatives() -> None:
    _title("Relatedness: 398 people in 21 families, simulated")
    family = lmm.datasets.load("family")
    ped = lmm.Pedigree.from_frame(lmm.datasets.load("family_pedigree"))
    print(ped)
    print()
    related = lmm.lmer("bmi ~ age + sex + (1 | household) + kin(ped)", family)
    print(related.summary())
    print()
    print(related.heritability().to_string(index=False))
    print()
    print(lmm.qtl.polygenic("bmi ~ age + sex", family, ped, household="household", screen=True))

    _title("Two traits at once: genetic and environmental correlations, and their tests")
    print(lmm.qtl.bivariate(["bmi", "fvii"], "age + sex", family, ped))

    _title("Linkage: where on a chromosome do those who share alleles share the trait?")
    print(lmm.qtl.linkage(lmm.qtl.polygenic("bmi ~ age + sex", family, ped), lmm.datasets.load("family_ibd")))

    _title("Association: 60 variants beside the same relatedness, variances estimated with each")
    print(lmm.qtl.association(related, lmm.datasets.load("family_genotypes").set_index("ID"), test="all", exact=True))


def _residuals() -> None:
    Orthodont = lmm.datasets.load("Orthodont")
    _title("Residuals with structure: growth of 27 children, serial correlation, a variance for each sex")
    serial = lmm.gls("distance ~ age * Sex", Orthodont, residual="ar1(1 | Subject) * varident(Sex)")
    print(serial.summary())
    print()
    strata = lmm.lmer("distance ~ age * Sex + (1 | Subject)", Orthodont, residual="varident(Sex)")
    print(strata.varcorr)


if __name__ == "__main__":
    main()
