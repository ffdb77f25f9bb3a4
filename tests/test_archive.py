"""The container of results: what is written comes back, and nothing hostile gets far."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pytest

from mixlogit.archive import Record, number, opened, write_archive
from mixlogit.attributes import RoundedRows
from mixlogit.errors import StorageError

ARRAYS = {
    "floats": np.array([[1.5, np.nan], [-np.inf, 1e-300]]),
    "small": np.arange(6, dtype=np.int16).reshape(2, 3)[:, ::-1],
    "flags": np.array([True, False, True]),
    "nothing": np.empty((0, 4)),
}
HEADER = {"text": "µ", "number": 0.1, "whole": 2**60, "nothing": None, "part": {"list": [1, 2]}}


@pytest.fixture
def path(tmp_path):
    write_archive(tmp_path / "file.npz", HEADER, ARRAYS)
    return tmp_path / "file.npz"


def npy(array, **changes):
    """A member as numpy writes it, with another header."""
    out = io.BytesIO()
    about = np.lib.format.header_data_from_array_1_0(array) | changes
    np.lib.format.write_array_header_1_0(out, about)
    return out.getvalue() + array.tobytes()


def rewrite(path, compression=zipfile.ZIP_STORED, **members):
    """The file with other members in place of its own, and more."""
    with zipfile.ZipFile(path) as file:
        old = {name: file.read(name) for name in file.namelist()}
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, data in (old | {f"{key}.npy": data for key, data in members.items()}).items():
            file.writestr(name, data)


def test_what_is_written_comes_back(path):
    with opened(path) as file:
        assert file.header.values == HEADER
        np.testing.assert_array_equal(file.array("floats", "f", (2, None)), ARRAYS["floats"])
        small = file.array("small", "i", (None, 3))
        assert small.dtype == np.int16
        np.testing.assert_array_equal(small, ARRAYS["small"])
        np.testing.assert_array_equal(file.array("flags", "b", (3,)), ARRAYS["flags"])
        assert file.floats("nothing", (0, 4)).shape == (0, 4)


def test_numpy_opens_the_file_too(path):
    with np.load(path, allow_pickle=False) as file:
        np.testing.assert_array_equal(file["small"], ARRAYS["small"])
        assert json.loads(file["header.json"]) == HEADER


def test_rows_that_are_stored_elsewhere_are_written_in_their_own_type(tmp_path):
    values = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    write_archive(tmp_path / "rows.npz", {}, {"rows": RoundedRows(values)})
    with opened(tmp_path / "rows.npz") as file:
        again = file.array("rows", "f", (50, 2))
    assert again.dtype == np.float32
    np.testing.assert_array_equal(again, values)


def test_large_members_have_large_sizes(tmp_path, monkeypatch):
    monkeypatch.setattr(zipfile, "ZIP64_LIMIT", 3000)  # in place of 2 GiB
    array = np.arange(500.0)
    write_archive(tmp_path / "file.npz", {}, {"small": array[:3], "large": array})
    with zipfile.ZipFile(tmp_path / "file.npz") as file:
        # 45 is the version of ZIP that has sizes of 64 bits
        assert [info.extract_version for info in file.infolist()] == [20, 20, 45]
    with opened(tmp_path / "file.npz") as file:
        np.testing.assert_array_equal(file.floats("large", (500,)), array)


def test_the_same_content_gives_the_same_bytes(path, tmp_path):
    write_archive(tmp_path / "other.npz", HEADER, ARRAYS)
    assert (tmp_path / "other.npz").read_bytes() == path.read_bytes()


def test_a_file_is_replaced_only_by_a_whole_one(path):
    before = path.read_bytes()
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_archive(path, {"number": float("nan")}, {})
    with pytest.raises(TypeError):
        write_archive(path, {"number": 1 + 2j}, {})
    assert path.read_bytes() == before
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_file_that_is_not_there_is_an_error_of_the_system(tmp_path):
    with pytest.raises(FileNotFoundError), opened(tmp_path / "none.npz"):
        pass


@pytest.mark.parametrize("content", [b"", b"PK", b"choice,pf\n1,2\n", b"\x80\x05N."])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "other").write_bytes(content)
    what = r"'.*other' cannot be read .* write it anew"
    with pytest.raises(StorageError, match=what), opened(tmp_path / "other"):
        pass


def test_truncated_files_are_refused(path):
    whole = path.read_bytes()
    for length in range(0, len(whole), 97):
        path.write_bytes(whole[:length])
        with pytest.raises(StorageError), opened(path):
            pass


def test_compressed_members_are_refused_before_they_are_read(path):
    rewrite(path, zipfile.ZIP_DEFLATED, bomb=npy(np.zeros(1 << 20)))
    assert path.stat().st_size < 1 << 16
    what = "is compressed, which this format never is"
    with pytest.raises(StorageError, match=what), opened(path):
        pass


def test_members_with_one_name_are_refused(path):
    with zipfile.ZipFile(path, "a") as file, pytest.warns(UserWarning, match="Duplicate name"):
        file.writestr("flags.npy", npy(np.zeros(3)))
    with pytest.raises(StorageError, match=r"two members 'flags\.npy'"), opened(path):
        pass


def test_sizes_beyond_the_file_are_refused(path):
    # the directory at the end says where each member is, and how long
    content = bytearray(path.read_bytes())
    place = content.rfind(b"floats.npy") - 46
    assert content[place : place + 4] == b"PK\x01\x02"
    content[place + 20 : place + 28] = struct.pack("<II", 1 << 31, 1 << 31)
    path.write_bytes(content)
    with pytest.raises(StorageError, match="declare more bytes than the file has"), opened(path):
        pass


@pytest.mark.parametrize(
    ("member", "what"),
    [
        (npy(np.zeros((2, 2)), shape=(10**12, 10**6)), "declares another size"),
        (npy(np.zeros((2, 2)), shape=(1 << 62, 1 << 62)), "declares another size"),
        (npy(np.zeros((2, 2)), shape=(10**30, 0)), "declares another size"),
        (npy(np.zeros((2, 2)), shape=(2, 1)), "declares another size"),
        (npy(np.zeros(4)), r"shape \(4,\), not \(n, n\)"),
        (npy(np.zeros((2, 2)), fortran_order=True), "no array of numbers"),
        (npy(np.zeros((2, 2)), descr="|O"), "no array of numbers"),
        (npy(np.zeros((2, 2)), descr="<U2"), "no array of numbers"),
        (npy(np.zeros((2, 2)), descr="<f1"), "holds <f1"),
        (npy(np.zeros((2, 2)), descr="<i8"), "holds int64"),
        (npy(np.zeros((2, 2)))[:-1], "declares another size"),
        (npy(np.zeros((2, 2))) + b"0", "declares another size"),
        (b"\x93NUMPY\x02\x00" + npy(np.zeros((2, 2)))[8:], "no array of numbers"),
        (b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535, "no array of numbers"),
        (b"", "no array of numbers"),
    ],
)
def test_arrays_that_are_not_what_they_should_be_are_refused(path, member, what):
    rewrite(path, floats=member)
    with pytest.raises(StorageError, match=what), opened(path) as file:
        file.array("floats", "f", (None, None))


def test_values_out_of_range_are_refused(path):
    with opened(path) as file:
        for read in (
            lambda: file.floats("floats", (2, 2)),
            lambda: file.integers("small", (2, 3), 1, 5),
            lambda: file.integers("small", (2, 3), 0, 4),
            lambda: file.array("small", "b", (2, 3)),
            lambda: file.array("other", "f", (1,)),
        ):
            with pytest.raises(StorageError):
                read()
    rewrite(path, flags=npy(np.array([0, 1, 2], dtype=np.uint8)))
    with pytest.raises(StorageError, match="other than 0 and 1"), opened(path) as file:
        file.array("flags", "b", (3,))


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"{", "no JSON text"),
        (b"\xff", "no JSON text"),
        (b"[" * 100_000, "no JSON text"),
        (b"[1]", "the header is no record"),
        (b'{"a": NaN}', "the number NaN"),
        (b'{"a": -Infinity}', "the number -Infinity"),
        (b'{"a": 1, "a": 2}', "names something twice"),
    ],
)
def test_headers_that_are_no_records_are_refused(tmp_path, text, what):
    with zipfile.ZipFile(tmp_path / "file.npz", "w") as file:
        file.writestr("header.json", text)
    with pytest.raises(StorageError, match=what), opened(tmp_path / "file.npz"):
        pass


def test_numbers_that_json_has_no_word_for_are_strings():
    values = [1.5, float("nan"), float("inf"), -float("inf"), 0.1]
    record = Record(json.loads(json.dumps({str(i): number(v) for i, v in enumerate(values)})), "it")
    np.testing.assert_array_equal([record.number(str(i)) for i in range(5)], values)


@pytest.mark.parametrize(
    "read",
    [
        lambda record: record.text("number"),
        lambda record: record.text("text", ("other",)),
        lambda record: record.text("missing"),
        lambda record: record.flag("number"),
        lambda record: record.integer("flag"),
        lambda record: record.integer("whole", 4),
        lambda record: record.integer("whole", 0, 2),
        lambda record: record.number("text"),
        lambda record: record.number("nan", finite=True),
        lambda record: record.numbers("list"),
        lambda record: record.numbers("whole"),
        lambda record: record.numbers("numbers", 3),
        lambda record: record.texts("list"),
        lambda record: record.items("text"),
        lambda record: record.part("list"),
        lambda record: record.parts("list"),
    ],
)
def test_records_give_nothing_of_another_type(read):
    values = {"text": "a", "number": 1.5, "flag": True, "whole": 3, "nan": "nan"}
    with pytest.raises(StorageError):
        read(Record(values | {"list": ["a", 1], "numbers": [1, 2]}, "it"))
