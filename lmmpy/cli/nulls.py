"""Null models of scans: the polygenic model of a trait, or the formula that the user wrote with its kin() terms."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

import pandas as pd

from lmmpy.cli.scope import called
from lmmpy.errors import ModelError, shown
from lmmpy.formula import deparse, parse_formula
from lmmpy.model import LmmFit, lmer
from lmmpy.qtl import bivariate, polygenic
from lmmpy.relatedness import Pedigree, Relatedness

__all__ = ["Relatives", "has_kin", "joint_null", "null_of", "traits_of"]

Relatives = Mapping[str, Pedigree | Relatedness]


def traits_of(formula: str) -> tuple[str, ...]:
    """
    The traits of ``cbind(a, b) ~ ...``; none of a formula with one trait.

    Raises
    ------
    FormulaError
    """
    return tuple(deparse(trait.node) for trait in parse_formula(formula).traits)


def has_kin(formula: str) -> bool:
    """Whether the formula says itself how people are related."""
    return any(term.grouping.kin is not None for term in parse_formula(formula).all_random)


def null_of(formula: str, data: pd.DataFrame, related: Relatives, arguments: argparse.Namespace) -> Any:
    """
    The model of one trait without a locus.

    Parameters
    ----------
    formula : str
        With kin() terms it is fitted as it is; else it is that of a polygenic analysis.
    data : DataFrame
    related : mapping
        Relatednesses by their names in formulas.
    arguments : Namespace
        With `id`, `household`, `transform`, `subset` and `reml`.

    Returns
    -------
    LmmFit or Polygenic

    Raises
    ------
    FormulaError, DataError, ModelError
    """
    if has_kin(formula):
        _refuse_polygenic_options(arguments)
        return _as_it_is(formula, data, related, arguments)
    found = called(
        polygenic,
        formula,
        data,
        _only(related),
        household=arguments.household,
        transform=arguments.transform,
        id=arguments.id,
        subset=arguments.subset,
        _names=_matrices(related),
    )
    return found.fit.update(reml=True) if arguments.reml else found


def joint_null(data: pd.DataFrame, related: Relatives, arguments: argparse.Namespace) -> Any:
    """
    The model of several traits at once without a locus.

    Raises
    ------
    FormulaError, DataError, ModelError
    """
    formula = arguments.formula
    if has_kin(formula):
        _refuse_polygenic_options(arguments)
        return _as_it_is(formula, data, related, arguments)
    traits = traits_of(formula)
    if len(traits) != 2:
        raise ModelError(
            f"{shown(traits)} at once: two traits are analysed so. For more write the kin() terms into the formula."
        )
    covariates = formula.split("~", 1)[1].strip()
    return called(
        bivariate,
        list(traits),
        covariates,
        data,
        _only(related),
        household=arguments.household,
        transform=arguments.transform,
        id=arguments.id,
        subset=arguments.subset,
        _names=_matrices(related),
    )


def _matrices(related: Relatives) -> dict[str, Relatedness]:
    """What reports call by its own name; a pedigree is called one."""
    return {name: one for name, one in related.items() if isinstance(one, Relatedness)}


def _as_it_is(formula: str, data: pd.DataFrame, related: Relatives, arguments: argparse.Namespace) -> LmmFit:
    fit = called(lmer, formula, data, reml=arguments.reml, relmat=related, subset=arguments.subset)
    return fit


def _refuse_polygenic_options(arguments: argparse.Namespace) -> None:
    for name in ("household", "transform"):
        if getattr(arguments, name) is not None:
            instead = f"+ (1 | {arguments.household})" if name == "household" else "the transformed column"
            raise ModelError(
                f"--{name} is for a formula without kin(), to which the relatedness is added. Write {instead} into the "
                "formula."
            )


def _only(related: Relatives) -> Pedigree | Relatedness:
    if len(related) != 1:
        raise ModelError(
            "The null model needs a relatedness: give --pedigree FILE or --kinship FILE."
            if not related
            else f"There are the relatednesses {shown(related)}: write into the formula which are meant, such as "
            f"{' + '.join(f'kin({name})' for name in related)}."
        )
    return next(iter(related.values()))
