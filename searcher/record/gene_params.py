"""Genotypes as Optuna's parameters, as the record and Optuna's samplers hold them."""

from __future__ import annotations

from collections.abc import Sequence

from optuna.distributions import BaseDistribution, CategoricalDistribution, IntDistribution

from search_space.genes.space_genes import Genotype
from search_space.genes.stage_genes import Gene


def distributions(genes: Sequence[Gene]) -> dict[str, BaseDistribution]:
    """Return the distribution of each gene: an integer if its choices are ordered, else a category."""
    return {
        gene.name: IntDistribution(0, gene.choices - 1)
        if gene.ordered
        else CategoricalDistribution(tuple(range(gene.choices)))
        for gene in genes
    }


def params(genes: Sequence[Gene], genotype: Genotype) -> dict[str, int]:
    """Return a genotype as parameters by the genes' names."""
    return {gene.name: int(choice) for gene, choice in zip(genes, genotype, strict=True)}
