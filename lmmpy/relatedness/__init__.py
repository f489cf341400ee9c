"""Relatedness between the levels of a random term. Today: none (the identity)."""

from lmmpy.relatedness.relatedness import Relatedness

__all__ = ["Relatedness"]
