"""What a search space holds and what a network costs, in words for a terminal and for the report."""

from __future__ import annotations

from results import units
from results.text.fitting_table import Column, FittingTable
from search_space.architecture.architecture import Architecture
from search_space.cost.closed_form import compute_cost
from search_space.space.profile import SpaceProfile

_BAR = 40


def space_text(space: SpaceProfile) -> str:
    """Return the size of a space, its ends, the distribution of its costs, and the budgets it reaches."""
    named = zip(
        ("smallest", "median", "largest"),
        (space.smallest, space.median, space.largest),
        space.costs,
        strict=True,
    )
    lines = [f"Space {space.name}: {space.cardinality:,} architectures in {space.genes} decisions"]
    for name, architecture, costs in named:
        lines.append(
            f"  {name:<8} {units.count(costs.macs):>7} multiply-adds, "
            f"{units.count(costs.parameters):>6} parameters, {units.size(costs.state_bytes):>8} of state"
        )
        lines.append(f"           {architecture.text}")
    lines.append("  multiply-adds         drawn uniformly  drawn at a cost, as the search does")
    for part in space.bins:
        bar = "#" * round(_BAR * part.stratified)
        lines.append(
            f"  {units.count(part.low):>7} to {units.count(part.high):>7}  {100 * part.uniform:>13.2f} %"
            f"  {100 * part.stratified:5.1f} % {bar}"
        )
    for budget in space.budgets:
        reached = "within reach" if budget.reachable else f"out of reach: {budget.limit}"
        lines.append(f"  budget {budget.name}, {units.count(budget.macs)}: {reached}")
    return "\n".join(lines)


def costs_text(architecture: Architecture, classes: int) -> str:
    """Return the costs of a network in closed form."""
    cost = compute_cost(architecture, classes)
    clip = architecture.input
    lines = [
        architecture.text,
        f"  digest           {architecture.digest}",
        f"  input            {clip.frames} frames of {clip.size} x {clip.size} at {clip.fps:g} fps, "
        f"{architecture.options.form} form, {classes} classes",
        f"  multiply-adds    {cost.macs:,} a clip, {round(cost.macs_per_frame):,} a frame",
        f"  parameters       {cost.parameters:,}",
        f"  activations      {units.size(cost.activation_bytes)} at most, whole clip, float32",
    ]
    if architecture.options.causal:
        lines.append(
            f"  stream           {units.size(cost.state_bytes)} of state, "
            f"{units.size(cost.step_bytes)} at most in a step"
        )
    return "\n".join(lines)


def fvcore_table(architecture: Architecture, classes: int) -> FittingTable:
    """Return the closed form beside fvcore's count of the real network, by operator; takes seconds.

    Args:
        architecture: architecture of the network.
        classes: number of outputs of the classifier.
    """
    from search_space.cost.fvcore_reference import compare_with_fvcore

    comparison = compare_with_fvcore(architecture, classes)
    verdict = "they agree, layer by layer" if comparison.agrees else "THEY DISAGREE"
    columns = [Column("operator", right=False), Column("closed form"), Column("fvcore")]
    table = FittingTable(f"Closed form beside fvcore: {verdict}", columns)
    unequal = () if comparison.agrees else (row for row in comparison.layers if not row.agrees)
    for row in (*comparison.totals, *unequal):
        name = row.operator if row.layer == "total" else f"{row.layer} ({row.operator})"
        table.add_row(name, f"{row.closed:,}", f"{row.counted:,}")
    return table
