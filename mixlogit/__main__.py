"""``python -m mixlogit``: three classes of electricity customers, from the shipped survey."""

from __future__ import annotations

from mixlogit import MixedMultinomialLogit, datasets


def main() -> None:
    """Fit the shipped electricity survey and print the summary."""
    survey = datasets.load("electricity")
    model = MixedMultinomialLogit.from_formula(
        "choice ~ pf + cl + loc + wk + tod + seas",
        survey.data,
        n_classes=3,
        situation="situation",
        individual="person",
        alternative="alt",
    )
    print(model.fit().summary(title=f"{survey.title}: three latent classes"))


if __name__ == "__main__":
    main()
