"""Mutation testing: which small changes of the numerical core no test notices.

mutmut changes one thing at a time (an operator, a number, an argument, an assignment) in the
modules that ``[tool.mutmut]`` in pyproject.toml names, and runs the tests that reach the place::

    pip install -e ".[test]" mutmut==3.8.1
    OMP_NUM_THREADS=1 mutmut run --max-children 1   # half an hour; what is done is kept in mutants/
    python tests/mutation.py                        # this report

A later run takes only what has changed. Which tests reach a function is read from
mutants/mutmut-stats.json: delete that file once there are new functions.

A mutant that no test kills is either a missing test or a change that makes no difference; those
of the second kind are in mutation_survivors.md, with the reason. The report gives the score of
each module, then the survivors that the list does not explain, and the entries of the list that
have been killed since; it ends with 1 if there are any of either.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

TOP = Path(__file__).parent.parent
LIST = Path(__file__).parent / "mutation_survivors.md"
KILLED, SURVIVED, OUT_OF_TIME = {1, 3}, {0, 5, 33}, {-24, 24, 152, 255, 36}  # exit codes

Place = tuple[str, str, tuple[str, ...]]  # module, function, and changed lines with − and +


def name_of(key: str) -> tuple[str, str]:
    """Module and function of a mutant that mutmut calls mixlogit.em.xǁ_Historyǁleft__mutmut_3."""
    path, _, mangled = key.partition("__mutmut_")[0].rpartition(".")
    return path.rpartition(".")[2], mangled[2:].replace("ǁ", ".")


def place_of(key: str, path: str) -> Place:
    """Where a mutant is, and what it changes."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant

    lines = get_diff_for_mutant(key, path=path).splitlines()[2:]
    changed = [f"{line[0]} {line[1:].strip()}" for line in lines if line[:1] in ("-", "+")]
    return (*name_of(key), tuple(changed))


def explained(text: str) -> set[Place]:
    """Places in the list: ``## module``, ``### function``, and indented blocks of changed lines."""
    module = function = ""
    found, block = set(), []
    for line in [*text.splitlines(), ""]:
        if line.startswith("    "):
            block.append(line.strip())
            continue
        if block:
            found.add((module, function, tuple(block)))
            block = []
        if line.startswith("## "):
            module = line[3:].strip()
        elif line.startswith("### "):
            function = line[4:].strip()
    return found


def main() -> int:
    """Print the report."""
    known, survivors = explained(LIST.read_text("utf-8")), []
    print(f"{'module':12}{'mutants':>9}{'killed':>9}{'survived':>10}{'time out':>10}{'score':>8}")
    for meta in sorted((TOP / "mutants" / "mixlogit").glob("*.py.meta")):
        codes = json.loads(meta.read_text("utf-8"))["exit_code_by_key"]
        count = Counter(codes.values())
        killed, survived, late = (
            sum(count[code] for code in kind) for kind in (KILLED, SURVIVED, OUT_OF_TIME)
        )
        n_run = len(codes) - count[None]
        if not n_run:
            continue
        name = meta.name.removesuffix(".py.meta")
        score = f"{(killed + late) / n_run:.1%}"
        print(f"{name:12}{n_run:>9}{killed:>9}{survived:>10}{late:>10}{score:>8}")
        if other := n_run - killed - survived - late:
            print(f"{'':12}{other} ended in another way, such as a crash")
        path = f"mixlogit/{name}.py"
        survivors += [place_of(key, path) for key, code in codes.items() if code in SURVIVED]
    new, gone = [one for one in survivors if one not in known], known - set(survivors)
    for title, places in (("Survivors without a reason", new), ("No survivors any more", gone)):
        print(f"\n{title}: {len(places)}")
        for module, function, lines in sorted(places):
            print(f"\n## {module}\n### {function}\n")
            print("\n".join(f"    {line}" for line in lines))
    return int(bool(new or gone))


if __name__ == "__main__":
    sys.exit(main())
