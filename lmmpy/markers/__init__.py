"""Genotypes, relatedness from them, and sharing identical by descent: files, arrays and simulation."""
