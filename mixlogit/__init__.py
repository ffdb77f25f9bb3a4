"""Latent-class logit models: mixtures of multinomial logits for discrete choices."""

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
