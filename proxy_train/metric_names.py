"""The names of the figures that an evaluation gives, as they stand in records, logs and reports."""

from __future__ import annotations

TOP1 = "top1"
TOP5 = "top5"
LOSS = "loss"
MEAN_AP = "mean_ap"
VERB_TOP1 = "verb_top1"
NOUN_TOP1 = "noun_top1"
