"""The family study as files."""

from __future__ import annotations

import pytest

import lmmpy as lmm


@pytest.fixture(scope="session")
def study(tmp_path_factory):
    """A directory with phenotypes.csv, pedigree.csv, genotypes.csv, ibd.csv.gz (three positions)."""
    folder = tmp_path_factory.mktemp("study")
    names = {"phenotypes": "family", "pedigree": "family_pedigree", "genotypes": "family_genotypes"}
    for file, name in names.items():
        lmm.datasets.load(name).to_csv(folder / f"{file}.csv", index=False)
    ibd = lmm.datasets.load("family_ibd")
    ibd[ibd["position"].isin([30, 40, 50])].to_csv(folder / "ibd.csv.gz", index=False)
    return folder


@pytest.fixture
def here(study, tmp_path, monkeypatch):
    """The study in the working directory of a test."""
    for file in study.iterdir():
        (tmp_path / file.name).symlink_to(file)
    monkeypatch.chdir(tmp_path)
    return tmp_path
