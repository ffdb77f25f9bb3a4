"""Latent-class logit models: mixtures of multinomial logits for discrete choices."""

from mixlogit import datasets
from mixlogit.comparison import compare, lr_test
from mixlogit.model import MixedMultinomialLogit
from mixlogit.rankings import best_worst, explode_ranks
from mixlogit.reshape import from_wide
from mixlogit.results import MixedMultinomialLogitResults
from mixlogit.selection import bootstrap_lr_test, cross_validate, select_classes
from mixlogit.simulate import simulate_choices

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
    "select_classes",
    "simulate_choices",
]
