"""Measurements and proposals for records, made up."""

from __future__ import annotations

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement, Purpose, Status
from searcher.record.candidate import Candidate
from searcher.record.gene_params import distributions, params
from searcher.record.records import Records
from searcher.testing.domains import SPACE

IDENTITY = {"seed": 0, "search": {"rungs": [1, 2], "reduction": 2}}


def measurement(
    number: int,
    *,
    epochs: int = 1,
    seed: int = 0,
    purpose: Purpose = "search",
    status: Status = "complete",
    top1: float = 0.5,
) -> Measurement:
    metrics = {"top1": top1, "top5": 0.9, "loss": 1.5, "macs": 1e6 + number} if status != "failed" else {}
    return Measurement(
        digest=f"{number:016x}",
        architecture=f"text-{number}",
        fidelity=Fidelity(epochs, 4, 16),
        seed=seed,
        purpose=purpose,
        status=status,
        metrics=metrics,
        seconds=1.25,
        reason="the loss is nan" if status == "failed" else "",
    )


def propose(records: Records, number: int) -> Candidate:
    genotype = SPACE.encode(SPACE.smallest())
    candidate = Candidate(number, genotype, f"{number:016x}", f"text-{number}", 1_000_000 + number)
    records.propose(candidate, params(SPACE.genes, genotype), distributions(SPACE.genes))
    return candidate
