"""Choice data that were left out of a file: what is known of them, and an error for the rest."""

from __future__ import annotations

from typing import Any

import numpy as np

from mixlogit.choices import ChoiceData, Overview
from mixlogit.errors import NoDataError

__all__ = ["Withheld"]


class Withheld(ChoiceData):
    """What stands in the place of choice data that are not there.

    Names, notes and numbers of the data as a whole are there. Whatever else is asked for, rows,
    choices, individuals and their weights, raises `NoDataError`.

    Parameters
    ----------
    exog_names, membership_names, notes : tuple of str
    overview : Overview
    """

    def __init__(
        self,
        exog_names: tuple[str, ...],
        membership_names: tuple[str, ...],
        notes: tuple[str, ...],
        overview: Overview,
    ) -> None:
        given = {
            "exog_names": exog_names,
            "membership_names": membership_names,
            "notes": notes,
            "_overview": overview,
        }
        for name, value in given.items():
            object.__setattr__(self, name, value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):  # what Python itself looks for
            raise AttributeError(name)
        raise NoDataError(
            "This needs the data that the model was fitted to, and the results were read from a "
            "file that was written without them. Pass data= where the method takes new data, or "
            "have the file written with include_data=True."
        )

    def __repr__(self) -> str:
        return "<Withheld: the data were not in the file>"

    @property
    def overview(self) -> Overview:
        """The data in a few numbers."""
        return self._overview

    @property
    def n_rows(self) -> int:
        """Rows of the attribute table, R."""
        return self._overview.n_rows

    @property
    def n_situations(self) -> int:
        """Choice situations, S."""
        return self._overview.n_situations

    @property
    def n_individuals(self) -> int:
        """Individuals, counting each as often as it occurs."""
        return self._overview.n_individuals

    @property
    def n_choices(self) -> int:
        """Choices made by all individuals together."""
        return self._overview.n_choices

    @property
    def n_attributes(self) -> int:
        """Columns of the utility design, L."""
        return len(self.exog_names)

    @property
    def exog_scale(self) -> np.ndarray:
        """Standard deviation of each attribute within situations, (L,), in its units."""
        return self._overview.exog_scale
