"""The best mixture so far, which is what an interrupted estimation ends with."""

from __future__ import annotations

import numpy as np

from mixlogit.em import Run
from mixlogit.errors import ArgumentError
from mixlogit.likelihood import MixtureLikelihood, Parameters

__all__ = ["Incumbent", "keeps"]

_SAME_SAMPLE = 9  # digits of the share of the individuals that make a sample the same


def keeps(on_interrupt: str) -> bool:
    """Read what an interruption from the keyboard does.

    Parameters
    ----------
    on_interrupt : {"keep", "raise"}

    Returns
    -------
    bool
        Whether what there is by then is kept.

    Raises
    ------
    ArgumentError
        It is neither.
    """
    if not (isinstance(on_interrupt, str) and on_interrupt in ("keep", "raise")):
        raise ArgumentError(f"on_interrupt={on_interrupt!r} is neither 'keep' nor 'raise'.")
    return on_interrupt == "keep"


class Incumbent:
    """Keeps the best mixture of an estimation, for all individuals and for samples of them.

    Parameters
    ----------
    likelihood : MixtureLikelihood
        Of all individuals, with as many classes as are wanted.

    Attributes
    ----------
    n_passes, n_newton_iter : int
        EM iterations seen, of however many mixtures, and Newton steps.
    n_most : int
        Mixtures that ran side by side, at most.
    work : float
        EM iterations of all mixtures together; those on a sample, or with more classes, in
        proportion.
    """

    def __init__(self, likelihood: MixtureLikelihood) -> None:
        self.likelihood = likelihood
        self.n_passes = self.n_newton_iter = self.n_most = 0
        self.work = 0.0
        self._total = float(likelihood.weight.sum())
        # by number of classes and share of the individuals
        self._best: dict[tuple[int, float], tuple[float, Parameters]] = {}

    def see(self, value: np.ndarray, mass: np.ndarray, here: Parameters) -> bool:
        """Look at an iteration of EM.

        Parameters
        ----------
        value : ndarray, shape (A,)
            Log-likelihoods, less the penalty if there is one.
        mass : ndarray, shape (A, K)
            Posterior weights of the classes.
        here : Parameters
            A stack of A mixtures.

        Returns
        -------
        bool
            Whether these are mixtures of all individuals, with as many classes as are wanted.
        """
        leader = int(value.argmax())
        n_classes = mass.shape[-1]
        share = round(float(mass[leader].sum()) / self._total, _SAME_SAMPLE)
        self.n_passes += 1
        self.n_most = max(self.n_most, len(value))
        self.work += len(value) * share * n_classes / self.likelihood.n_classes
        self.offer(float(value[leader]), here[leader], share)
        return (n_classes, share) == (self.likelihood.n_classes, 1.0)

    def offer(self, value: float, parameters: Parameters, share: float = 1.0) -> None:
        """Keep a mixture if it is the best of its kind.

        Parameters
        ----------
        value : float
            Its log-likelihood, less the penalty if there is one.
        parameters : Parameters
        share : float
            Of the individuals that the value is for.
        """
        kind = (parameters.n_classes, share)
        if kind not in self._best or value > self._best[kind][0]:
            own = Parameters(parameters.beta.copy(), parameters.gamma.copy())
            self._best[kind] = (value, own)

    def mixture(self) -> Parameters | None:
        """Give the best mixture of all individuals with as many classes as are wanted.

        Where there was none yet, those of samples are taken over, those with classes to spare lose
        the least needed ones, and the best of them is given.

        Returns
        -------
        Parameters or None
            None before there was any, or if none has a finite log-likelihood.
        """
        whole = self._best.get((self.likelihood.n_classes, 1.0))
        if whole is not None:
            return whole[1]
        if not self._best:
            return None
        found = [self._shrunk(parameters) for _, parameters in self._best.values()]
        stack = Parameters(np.array([p.beta for p in found]), np.array([p.gamma for p in found]))
        stack = self.likelihood.conform(stack)
        value = self.likelihood.expect(stack, information=False).llf
        value = np.nan_to_num(value - self.likelihood.penalty_at(stack.beta), nan=-np.inf)
        best = int(value.argmax())
        return stack[best] if np.isfinite(value[best]) else None

    def _shrunk(self, parameters: Parameters) -> Parameters:
        """Take classes away until there are as many as are wanted."""
        while parameters.n_classes > self.likelihood.n_classes:
            more = self.likelihood.with_classes(parameters.n_classes)
            parameters = parameters.without(int(more.without_each(parameters).argmax()))
        return parameters

    def run(self, parameters: Parameters, value: float) -> Run:
        """Write a mixture as what EM left unfinished.

        Parameters
        ----------
        parameters : Parameters
            One mixture.
        value : float
            Its log-likelihood, less the penalty if there is one.

        Returns
        -------
        Run
            Of that alone; its iterations are those seen.
        """
        return Run(
            Parameters(parameters.beta[None], parameters.gamma[None]),
            np.array([value]),
            np.array([self.n_passes]),
            np.array([np.inf]),
            np.zeros(1, dtype=bool),
        )
