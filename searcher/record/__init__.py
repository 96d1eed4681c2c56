"""The record of all measurements: its entries, its forms, its storage, its lease.

It hands on the two types of its entries, so that readers of records need not know who measures.
"""

from proxy_train.fidelity import Fidelity
from proxy_train.measurement import Measurement

__all__ = ["Fidelity", "Measurement"]
