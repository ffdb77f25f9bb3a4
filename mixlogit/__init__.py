"""Latent-class logit models: mixtures of multinomial logits for discrete choices."""

from mixlogit import datasets
from mixlogit.model import MixedMultinomialLogit
from mixlogit.reshape import from_wide
from mixlogit.results import MixedMultinomialLogitResults
from mixlogit.simulate import simulate_choices

__version__ = "0.1.0"

__all__ = [
    "MixedMultinomialLogit",
    "MixedMultinomialLogitResults",
    "__version__",
    "datasets",
    "from_wide",
    "simulate_choices",
]
