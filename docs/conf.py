"""Sphinx: the pages are MyST Markdown, and their code cells run while the site is built.

pip install ".[docs]" && sphinx-build -W docs docs/_build/html
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from numpydoc.xref import DEFAULT_LINKS

import mixlogit
from mixlogit import errors

project = "mixlogit"
author = copyright = "The mixlogit developers"
version = release = mixlogit.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx-mathjax-offline",  # formulas without a network: MathJax is part of the site
]
templates_path = ["_templates"]
exclude_patterns = ["_build"]
default_role = "autolink"  # single backticks of docstrings
html_theme = "furo"
html_title = f"mixlogit {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
toc_object_entries_show_parents = "hide"

# pages
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"  # a cache would not see that the package has changed
nb_execution_raise_on_error = True
nb_execution_in_temp = True  # what a page saves is not kept
nb_execution_timeout = 120  # seconds, of a cell
nb_merge_streams = True  # lines that are printed one by one are one output
nb_output_stderr = "remove"  # lines of progress; pages catch warnings, and print them

# docstrings
autodoc_member_order = "groupwise"
autodoc_typehints = "none"  # the docstrings say the types, and more
numpydoc_show_class_members = False  # the template of classes does
DEFAULT_LINKS.clear()  # into the documentation of Python and NumPy, which is not read here
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"  # words that are not listed here are no links
numpydoc_xref_aliases = {
    name.rpartition(".")[2]: name
    for name in (
        "mixlogit.MixedMultinomialLogit",
        "mixlogit.MixedMultinomialLogitResults",
        "mixlogit.bootstrap.BootstrapTest",
        "mixlogit.certificate.Certificate",
        "mixlogit.choices.ChoiceData",
        "mixlogit.comparison.Comparison",
        "mixlogit.cross_validation.CrossValidation",
        "mixlogit.datasets.Dataset",
        "mixlogit.datasets.PublishedResult",
        "mixlogit.estimation.Fit",
        "mixlogit.estimation.State",
        "mixlogit.formula.ChoiceFormula",
        "mixlogit.formula.ChoiceSets",
        "mixlogit.likelihood.MixtureLikelihood",
        "mixlogit.moments.LatentMoments",
        "mixlogit.nested.LikelihoodRatioTest",
        "mixlogit.selection.ClassSelection",
        "mixlogit.summary.Block",
        "mixlogit.summary.Summary",
        *(f"mixlogit.errors.{name}" for name in vars(errors) if name.endswith("Error")),
    )
}

nitpicky = True  # every reference has to be found

# The kernels that run the pages read their settings from a folder of their own: figures as SVG.
_settings = Path(tempfile.mkdtemp(prefix="mixlogit-docs-"))
atexit.register(shutil.rmtree, _settings, ignore_errors=True)
(_settings / "profile_default").mkdir()
(_settings / "profile_default" / "ipython_kernel_config.py").write_text(
    'c.InlineBackend.figure_formats = ["svg"]\n', encoding="utf-8"
)
os.environ["IPYTHONDIR"] = str(_settings)
