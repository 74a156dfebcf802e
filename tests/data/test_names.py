"""Names in annotations, and the listed files that they mean."""

import unicodedata
from pathlib import PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.data.listing import MOST_BYTES, too_long
from dhr.data.names import Names

PART = st.sampled_from(["a", "b", "A", "trip", "images", "caf\u00e9", "cafe\u0301", "1.v2", "\u72ac"])
FILES = st.lists(
    st.builds(
        lambda folders, stem, suffix: "/".join([*folders, stem + suffix]),
        st.lists(PART, max_size=2), PART, st.sampled_from([".jpg", ".png", ".JPG"]),
    ),
    max_size=8, unique=True,
)  # fmt: skip
TEXT = st.one_of(
    st.text(alphabet="abA/\\.:\u00e9e\u0301 \n\0", max_size=12),
    st.builds(
        lambda start, parts, end: start + "/".join(parts) + end,
        st.sampled_from(["", "/", "../", "C:\\", "./", "images/", "x/../"]),
        st.lists(PART, min_size=1, max_size=3),
        st.sampled_from(["", ".jpg", ".png", ".gif"]),
    ),
)


@given(files=FILES, texts=st.lists(TEXT, max_size=6))
def test_only_listed_files_are_found_whatever_their_order(files: list[str], texts: list[str]) -> None:
    first, second = Names(files), Names(files[::-1])
    for (found, reason), (again, other) in zip(first.find_all(texts), second.find_all(texts), strict=True):
        assert set(found) <= set(files) and sorted(found) == sorted(again)
        assert bool(found) == (reason is None) == (other is None)
        assert reason is None or len(reason.splitlines()) == 1


@given(files=FILES, text=TEXT)
def test_forms_of_unicode_are_alike(files: list[str], text: str) -> None:
    for form in ("NFC", "NFD"):
        names = Names([unicodedata.normalize(form, file) for file in files])
        found, _ = names.find(unicodedata.normalize("NFC" if form == "NFD" else "NFD", text))
        same, _ = Names([unicodedata.normalize("NFC", file) for file in files]).find(unicodedata.normalize("NFC", text))
        assert sorted(unicodedata.normalize("NFC", file) for file in found) == sorted(same)


@given(files=FILES, start=st.sampled_from(["", "/data/set/", "C:\\data\\set\\", "./", "images/", "../set/"]))
def test_the_own_path_of_a_file_finds_it(files: list[str], start: str) -> None:
    names = Names(files)
    listed = {unicodedata.normalize("NFC", one) for one in files}
    for file in files:
        found, reason = names.find(start + file)
        own = unicodedata.normalize("NFC", file)
        if start + own not in listed:  # which the path means as well
            assert own in {unicodedata.normalize("NFC", one) for one in found} or (start and reason is not None)


@given(files=FILES, text=TEXT)
def test_what_is_found_shares_the_end_of_the_name(files: list[str], text: str) -> None:
    found, _ = Names(files).find(text)
    written = unicodedata.normalize("NFC", text.strip().replace("\\", "/")).casefold()
    for file in found:
        path = PurePosixPath(unicodedata.normalize("NFC", file).casefold())
        stem = PurePosixPath(written).name
        assert stem in (path.name, path.name[: -len(path.suffix)]) or ".." in written


@pytest.mark.parametrize(
    ("files", "text", "meant"),
    [
        (["a.jpg"], "images/a.jpg", ["a.jpg"]),
        (["a.jpg"], "C:\\shop\\images\\a.jpg", ["a.jpg"]),
        (["a.jpg"], "/data/images/a", ["a.jpg"]),
        (["trip/a.jpg"], "a.jpg", ["trip/a.jpg"]),
        (["trip/a.jpg", "other/a.jpg"], "shop/trip/a.jpg", ["trip/a.jpg"]),
        (["a.jpg", "trip/a.jpg"], "a.jpg", ["a.jpg"]),
        (["1.jpg", "x/cats/1.jpg"], "cats/1.jpg", ["x/cats/1.jpg"]),  # two parts agree, not one
        (["a.jpg"], "trip/../a.jpg", ["a.jpg"]),
        (["a.jpg"], "A.JPG", ["a.jpg"]),
        (["a.jpg"], "D:\\Photos\\A.JPG", ["a.jpg"]),
        (["a.jpg", "b/A.jpg"], "A.jpg", ["b/A.jpg"]),
        (["a.jpg", "a.png"], "a", ["a.jpg", "a.png"]),  # they clash, and are refused together
    ],
)
def test_the_longest_match_counts(files: list[str], text: str, meant: list[str]) -> None:
    assert Names(files).find(text) == (meant, None)


@pytest.mark.parametrize(
    ("files", "text", "words"),
    [
        (["trip/a.jpg", "other/a.jpg"], "a.jpg", "several files end with 'a.jpg': 'other/a.jpg', 'trip/a.jpg'"),
        (["1.jpg", "x/cats/1.jpg", "y/cats/1.jpg"], "cats/1.jpg", "write more of its path"),
        (["a.jpg", "x/images/a.jpg"], "images/a.jpg", "several files end with 'images/a.jpg': 'a.jpg'"),
        (["a.png"], "a.jpg", "no image 'a.jpg' in images/; did you mean 'a.png'?"),
        (["b.png"], "a.jpg", "add the image or remove the line"),
        (["ba.jpg"], "a.jpg", "no image"),  # a part is compared as a whole
        (["a.jpg"], " / ", "expected the name of an image"),
        (["a.jpg"], "..", "expected the name of an image"),
    ],
)
def test_why_nothing_is_found(files: list[str], text: str, words: str) -> None:
    found, reason = Names(files).find(text)
    assert found == [] and reason is not None and words in reason


def test_names_that_are_others_elsewhere_are_not_one_file() -> None:
    names = Names(["1.jpg", "2.jpg"])
    clash, other, fine = names.find_all(["cats/1.jpg", "dogs/1.jpg", "cats/2.jpg"])
    for found, reason in (clash, other):
        assert found == [] and reason == (
            "the names 'cats/1', 'dogs/1' all match '1.jpg'; write paths that tell them apart"
        )
    assert fine == (["2.jpg"], None)
    assert all(reason is None for _, reason in names.find_all(["1.jpg", "1", "./1.jpg", "1.JPG", "/set/images/1.jpg"]))
    below = Names(["cats/1.jpg"])
    assert below.find("1.jpg") == (["cats/1.jpg"], None)
    assert all(reason is not None for _, reason in below.find_all(["1.jpg", "cats/1.jpg"]))  # the first may be missing


def test_many_files_of_one_name_are_not_searched_one_by_one() -> None:
    files = [f"{index}/image.png" for index in range(2000)]
    names = Names(files)
    compared = 0

    class Counted(str):
        def endswith(self, *arguments: object) -> bool:  # type: ignore[override]
            nonlocal compared
            compared += 1
            return super().endswith(*arguments)  # type: ignore[arg-type]

        def __getitem__(self, key: object) -> "Counted":  # type: ignore[override]
            return Counted(super().__getitem__(key))  # type: ignore[index]

    names._ends._backwards = [Counted(path) for path in names._ends._backwards]
    for index in range(100):
        assert names.find(f"gone/{index}/x/image.png")[0] == []
        assert names.find("image.png")[0] == []
    assert compared < 100 * 20


@pytest.mark.parametrize("letter", ["n", "\u00e9", "\u72ac"])
def test_names_that_leave_no_room_are_named(letter: str) -> None:
    size = len(letter.encode())
    fits = MOST_BYTES // size
    assert too_long("trip/" + fits * letter) is None and too_long(300 * "x" + "/" + letter) is None
    reason = too_long("trip/" + (fits + 1) * letter)
    assert reason is not None and f"takes {(fits + 1) * size} bytes" in reason
