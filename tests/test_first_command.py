"""The first command of the README, wherever one stands and however the package was installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]


def run_python(*arguments: str, standing_in: Path, path: Path | None = None) -> str:
    """What a fresh interpreter prints; `path` is searched for modules first."""
    added = {} if path is None else {"PYTHONPATH": str(path)}
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=standing_in,
        env=os.environ | added,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder with the package as a wheel lays it out, the tables inside."""
    shutil.copytree(CHECKOUT / "mixlogit", tmp_path / "site" / "mixlogit")
    tables = tmp_path / "site" / "mixlogit" / "datasets" / "tables"
    shutil.copytree(CHECKOUT / "datasets", tables)
    return tmp_path / "site"


def zipped(folder: Path) -> Path:
    """The same in one file, from which Python imports as well."""
    target = folder.with_suffix(".zip")
    with zipfile.ZipFile(target, "w") as archive:
        for path in folder.rglob("*"):
            archive.write(path, path.relative_to(folder))
    return target


def test_the_main_job_runs_standing_in_the_checkout():
    assert "-4298.0275" in run_python("-m", "mixlogit", standing_in=CHECKOUT)


def test_the_main_job_runs_in_an_empty_folder(tmp_path):
    assert "-4298.0275" in run_python("-m", "mixlogit", standing_in=tmp_path)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "zip"])
def test_an_installed_package_finds_its_own_tables(installed, packed, tmp_path):
    site = zipped(installed) if packed else installed
    program = (
        "from mixlogit import datasets as d; print(d.__file__, d.load('electricity').data.shape)"
    )
    printed = run_python("-c", program, standing_in=tmp_path, path=site)
    assert printed.startswith(str(site))  # not the checkout
    assert "(17232, 10)" in printed
