"""Foresight's eviction scorers in Python: a press for kvpress, generation, an importer, and a reader of oracle files.

Names are imported when they are first used: reading an oracle file does not load torch, and a scorer does not load kvpress.
"""

import importlib

__version__ = "0.1.0"

_HOME = {
    "ForesightError": "errors",
    "ForesightPress": "press",
    "ForesightScorerPress": "foresight_scorer_press",
    "OracleFile": "oracle",
    "Scorer": "scorer",
    "generate": "generation",
    "prefill": "generation",
}
__all__ = sorted(_HOME)


def __getattr__(name):
    if name not in _HOME:
        raise AttributeError(f"module 'foresight_kv' has no attribute '{name}'")
    return getattr(importlib.import_module(f"foresight_kv.{_HOME[name]}"), name)


def __dir__():
    return sorted([*globals(), *__all__])
