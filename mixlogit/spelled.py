"""Text that spells numbers, and text that stands where there is none."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from numbers import Number

from mixlogit.errors import listed, plural, show

__all__ = ["Spelled", "how_it_is_written", "other_type", "reads_as_number"]

_SPACES = " \u00a0\u2009\u202f'\u2019"  # between thousands, in one country or another
_NUMBER = re.compile(
    rf"[+\-\u2212]?(?:\d+|\d{{1,3}}(?:(?P<mark>[.,{_SPACES}])\d{{3}})(?:(?P=mark)\d{{3}})*)?"
    r"(?:[.,]\d*)?(?:[eE][+-]?\d+)?\s*%?"
)
_NOTHING = {"", "-", "--", ".", "?", "na", "n/a", "n.a.", "nan", "none", "null", "missing"}
_COMMA_AT_THE_END = re.compile(r",\d*$")


def reads_as_number(value: object) -> bool:
    """Whether a label is a number, or text in which a reader sees one.

    Parameters
    ----------
    value : object
        Such as 12, "12", " 1.5", "1,5", "1 234,50", "3e-4" or "12 %".

    Returns
    -------
    bool
    """
    if isinstance(value, str):
        text = value.strip()
        return bool(_NUMBER.fullmatch(text)) and any(letter.isdigit() for letter in text)
    return isinstance(value, Number) and not isinstance(value, bool)


def _is_plain(value: object) -> bool:
    """Whether a number is one to Python as it stands."""
    try:
        float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return False
    return True


def how_it_is_written(value: object) -> str:
    """Say how to read text that spells a number which Python does not read, as a sentence.

    Parameters
    ----------
    value : object

    Returns
    -------
    str
        With a space in front; empty if it spells none.
    """
    if not isinstance(value, str) or _is_plain(value) or not reads_as_number(value):
        return ""
    text = value.strip()
    if "%" in text:
        return " It is a number with a sign behind it: take the sign off."
    found = _NUMBER.fullmatch(text)
    mark = found["mark"] if found else None
    if mark:
        decimal = ", decimal=','" if _COMMA_AT_THE_END.search(text) and mark != "," else ""
        return (
            f" It is a number with {mark!r} between thousands: read the file with "
            f"thousands={mark!r}{decimal}."
        )
    if "," in text:
        return (
            " It is a number with a decimal comma: read the file with decimal=',', or replace ',' "
            "by '.' and convert with pandas.to_numeric."
        )
    return " It is a number with a sign of minus that is not '-': replace it."


@dataclass(frozen=True)
class Spelled:
    """Distinct labels of a column that are numbers, and what else there is.

    Parameters
    ----------
    numbers : tuple
        Labels that read as numbers.
    others : tuple
        Those that do not.
    """

    numbers: tuple[object, ...]
    others: tuple[object, ...]

    @classmethod
    def of(cls, labels: Iterable[object]) -> Spelled:
        """Sort labels into those that read as numbers and others."""
        numbers: list[object] = []
        others: list[object] = []
        for label in labels:
            (numbers if reads_as_number(label) else others).append(label)
        return cls(tuple(sorted(numbers, key=str)), tuple(sorted(others, key=str)))

    @property
    def is_meant_as_numbers(self) -> bool:
        """Whether most labels are numbers, apart from words for a missing value."""
        words = [one for one in self.others if str(one).strip().lower() not in _NOTHING]
        return len(self.numbers) > len(words)

    @property
    def how_many(self) -> str:
        """How many labels read as numbers."""
        n = len(self.numbers) + len(self.others)
        return f"{len(self.numbers):,} of {plural(n, 'different value')}"

    def remedy(self, column: str) -> str:
        """What to do about it, as a sentence.

        Parameters
        ----------
        column : str
            Its name, as Python code.
        """
        written = next((how for how in map(how_it_is_written, self.numbers) if how), "")
        if written:
            return f"{written[1:]} Or"
        if self.others:
            return (
                f"Convert it with pandas.to_numeric({column}, errors='coerce'), which makes "
                f"{listed(self.others[:3])} missing, or"
            )
        return f"Convert it with pandas.to_numeric({column}), or"


def other_type(wanted: object, found: object) -> str:
    """Say that an id is text where others are numbers, or the other way round, as a sentence.

    Parameters
    ----------
    wanted, found : object
        Ids on either side.

    Returns
    -------
    str
        With a space in front; empty if both are text, or neither is.
    """
    is_text = [isinstance(one, str) for one in (wanted, found)]
    is_missing = [one is None or one != one for one in (wanted, found)]
    if is_text[0] == is_text[1] or any(is_missing):
        return ""
    text, number = (wanted, found) if isinstance(wanted, str) else (found, wanted)
    return (
        f" Ids are text on one side, such as {show(text)}, and not on the other, such as "
        f"{show(number)}: give both one type, for example with .astype(str)."
    )
