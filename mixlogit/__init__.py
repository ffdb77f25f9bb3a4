"""Latent-class logit models: mixtures of multinomial logits for discrete choices."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mixlogit import datasets
    from mixlogit.bootstrap import bootstrap_lr_test
    from mixlogit.comparison import compare
    from mixlogit.cross_validation import cross_validate
    from mixlogit.model import MixedMultinomialLogit
    from mixlogit.nested import lr_test
    from mixlogit.rankings import best_worst, explode_ranks
    from mixlogit.reshape import from_wide
    from mixlogit.results import MixedMultinomialLogitResults
    from mixlogit.selection import select_classes
    from mixlogit.simulate import simulate_choices
    from mixlogit.storage import read_results

__version__ = "0.1.0"

__all__ = [
    "MixedMultinomialLogit",
    "MixedMultinomialLogitResults",
    "__version__",
    "best_worst",
    "bootstrap_lr_test",
    "compare",
    "cross_validate",
    "datasets",
    "explode_ranks",
    "from_wide",
    "lr_test",
    "read_results",
    "select_classes",
    "simulate_choices",
]

_HOMES = {
    "MixedMultinomialLogit": "model",
    "MixedMultinomialLogitResults": "results",
    "best_worst": "rankings",
    "bootstrap_lr_test": "bootstrap",
    "compare": "comparison",
    "cross_validate": "cross_validation",
    "explode_ranks": "rankings",
    "from_wide": "reshape",
    "lr_test": "nested",
    "read_results": "storage",
    "select_classes": "selection",
    "simulate_choices": "simulate",
}


def __getattr__(name: str) -> Any:
    """Import what is asked for when it is asked for: a fit need not wait for the rest."""
    if name == "datasets":
        return import_module("mixlogit.datasets")
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value = getattr(import_module(f"mixlogit.{_HOMES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
