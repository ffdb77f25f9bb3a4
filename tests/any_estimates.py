"""Estimates that need not be a maximum, with any covariance, for methods of results."""

from __future__ import annotations

import numpy as np

from mixlogit.uncertainty import Uncertainty


class AnyEstimates:
    """What methods of results read, beside those methods: put it before their class."""

    def __init__(self, model, params: np.ndarray, covariance: np.ndarray) -> None:
        self.model, self.params, self.n_classes = model, params, model.n_classes
        self.covariance = covariance
        self._likelihood = model.likelihood()
        self._parameters = self._likelihood.unpack(params)
        self._posterior = self._likelihood.posterior(self._parameters)[1]
        self._class_names = [f"class{k + 1}" for k in range(model.n_classes)]

    def cov_params(self) -> np.ndarray:
        return self.covariance

    @property
    def _uncertainty(self) -> Uncertainty:
        return Uncertainty.of(self.covariance)
