import os
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from dhr.data import DataSet, FolderDataSet, Problem
from dhr.data.samples import VOID
from dhr.errors import DataError, DhrError, ItemError

Maker = Callable[..., Path]


def names(data: DataSet) -> list[str]:
    return [sample.name for sample in data.samples]


def only(data: DataSet) -> Problem:
    (problem,) = data.problems
    assert "\n" not in problem.reason and "\n" not in problem.source
    return problem


def refused(root: Path, split: str | None = None) -> str:
    with pytest.raises(DataError) as error:
        FolderDataSet(root, split)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_plain_folder(make: Maker) -> None:
    root = make({"b.PNG": "dog;cat", "a.jpg": " tree ; cat ;", "trip/c.v2.webp": "dog"})
    data: DataSet = FolderDataSet(root)
    assert names(data) == ["a", "b", "trip/c.v2"] and data.problems == ()
    assert repr(data) == f"FolderDataSet(3 photographs, 3 classes, {root}/images)"
    assert [sample.tags for sample in data.samples] == [(0, 2), (0, 1), (1,)]
    assert data.samples[2].source == str(root / "images" / "trip" / "c.v2.webp")
    assert data.classes.names == ("cat", "dog", "tree") and not data.classes.background
    assert data.read_image(data.samples[1]).shape == (6, 8, 3)
    assert len(data.digest(data.samples[0])) == 64 and data.digest(data.samples[0]) != data.digest(data.samples[2])


def test_listing_opens_no_photograph(make: Maker) -> None:
    root = make({"a.png": "cat", "b.png": "cat"})
    (root / "images" / "a.png").write_bytes(b"")
    data = FolderDataSet(root)
    assert names(data) == ["a", "b"]
    with pytest.raises(ItemError, match="empty file"):
        data.read_image(data.samples[0])
    (root / "images" / "b.png").unlink()
    for read in (data.read_image, data.digest):
        with pytest.raises(ItemError, match=r"b\.png"):
            read(data.samples[1])


def test_names_with_and_without_suffix(make: Maker) -> None:
    root = make(
        {"a.png": None, "b.jpg": None, "x/c.gif": None, "d.jpg.png": None},
        tags="image,tags\na,cat\nb.jpg,dog\n./x\\c,tree\nd.jpg,cat\n",
    )
    data = FolderDataSet(root)
    assert names(data) == ["a", "b", "d.jpg", "x/c"] and data.problems == ()


def test_accents_match_across_unicode_forms(make: Maker) -> None:
    root = make({"cafe\u0301.png": None}, tags="image,tags\ncaf\u00e9.png,cat\n")  # decomposed on the disk of a Mac
    assert len(FolderDataSet(root).samples) == 1


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_line_ends_byte_order_mark_and_quotes(make: Maker, newline: str, mark: bytes) -> None:
    root = make({"a, b.png": None, 'say "x".png': None})
    lines = ["Image , TAGS,note", '"a, b.png","cat;dog",fine', '"say ""x"".png", tree ,', "", ",,"]
    (root / "tags.csv").write_bytes(mark + newline.join(lines).encode())
    (root / "classes.txt").write_bytes(mark + newline.join(["cat", "dog", "tree", "", " "]).encode())
    data = FolderDataSet(root)
    assert [sample.tags for sample in data.samples] == [(0, 1), (2,)] and data.problems == ()


def test_unknown_tag_leaves_the_photograph_out(make: Maker) -> None:
    data = FolderDataSet(make({"a.png": "cat;Dgo", "b.png": "dog", "c.png": "xylophone;zzz"}))
    assert names(data) == ["b"]
    first, second = data.problems
    assert first.source.endswith("images/a.png") and "tags.csv line 2: unknown tag 'Dgo'" in first.reason
    assert "did you mean 'dog'" in first.reason
    assert "unknown tag 'xylophone'; correct it, or add it to classes.txt; unknown tag 'zzz'" in second.reason


def test_lines_without_tags_image_or_with_too_much(make: Maker) -> None:
    root = make(
        {"a.png": None, "b.png": None, "c.png": None, "d.png": None},
        tags="image,tags\na.png\nb.png,;;\nc.png,cat,dog\n,cat\nd.png,cat\n",
    )
    data = FolderDataSet(root)
    assert names(data) == ["d"]
    reasons = {Path(problem.source).name: problem.reason for problem in data.problems}
    assert "line 2: no tags" in reasons["a.png"] and "line 3: no tags" in reasons["b.png"]
    assert "line 4: more fields than the header; join tags by ';'" in reasons["c.png"]
    assert "line 5: no image is named" in reasons["tags.csv"]


def test_background_is_never_a_tag(make: Maker) -> None:
    """A photograph with no other tag is a negative, whether the background is written or not."""
    photographs = {"a.png": "background;cat", "b.png": "Background", "c.png": "", "d.png": None}
    data = FolderDataSet(make(photographs, classes=("Background", "cat")))
    assert data.classes.background and [sample.tags for sample in data.samples] == [(1,), (), ()]
    assert only(data).reason == "no line in tags.csv; add one"  # not listed is not the same as listed without a tag
    (note,) = data.notes
    assert note.startswith("2 of 3 photographs have no tag and count as background throughout, such as ")


def test_several_lines_of_one_photograph(make: Maker) -> None:
    root = make(
        {"a.png": None, "b.png": None, "c.png": None, "d.png": None},
        tags="image,tags\na.png,tree\na,cat\nb.png,cat;dog\nb.png,dog;cat\nc,cat;dog\nc,cat\nd,cat\nd,cta\n",
    )
    data = FolderDataSet(root)
    assert [(sample.name, sample.tags) for sample in data.samples] == [("a", (0, 2)), ("b", (0, 1))]
    first, second = data.problems
    assert "lines 6 and 7 give it different tags" in first.reason and first.source.endswith("c.png")
    assert "line 9: unknown tag 'cta'; did you mean 'cat'?" in second.reason


def test_photographs_and_lines_without_partner(make: Maker) -> None:
    root = make({"a.png": None, "b.png": None}, tags="image,tags\nb.jpg,cat\na.png,cat\nc.png,cat\n")
    data = FolderDataSet(root)
    assert names(data) == ["a"]
    reasons = {Path(problem.source).name: problem.reason for problem in data.problems}
    assert reasons["b.png"] == "no line in tags.csv; add one"
    assert "line 2: no image 'b.jpg' in images/; did you mean 'b.png'?" in reasons["b.jpg"]
    assert "line 4: no image 'c.png' in images/; add the image or remove the line" in reasons["c.png"]


def test_photographs_with_the_same_mask_are_both_left_out(make: Maker) -> None:
    data = FolderDataSet(make({"a.jpg": "cat", "a.png": "cat", "x/B.png": "dog", "x/b.png": "dog", "c.png": "tree"}))
    assert names(data) == ["c"]
    assert sorted(Path(problem.source).name for problem in data.problems) == ["B.png", "a.jpg", "a.png", "b.png"]
    assert all("its mask would overwrite that of" in problem.reason for problem in data.problems)


@pytest.mark.parametrize("path", ["../a.png", "/a.png", "x/../../a.png", "C:\\a.png", "..\\a.png"])
def test_paths_that_lead_out_mean_the_listed_file_with_the_same_end(make: Maker, path: str) -> None:
    root = make({"a.png": None}, tags=f"image,tags\n{path},cat\n", splits={"s": f"{path}\na\n"})
    (root / "a.png").write_bytes(b"never opened")
    for data in (FolderDataSet(root), FolderDataSet(root, "s")):
        (sample,) = data.samples
        assert Path(sample.source) == root / "images" / "a.png" and not data.problems
        assert data.read_image(sample).size


def test_other_files_links_and_hidden_ones(make: Maker, tmp_path: Path) -> None:
    root = make({"a.png": "cat"})
    images = root / "images"
    outside = tmp_path / "outside"
    outside.mkdir()
    (images / "a.png").rename(outside / "real.png")
    (images / "a.png").symlink_to(outside / "real.png")
    (images / "folder").symlink_to(outside, target_is_directory=True)
    (images / "gone.png").symlink_to(outside / "gone.png")
    for hidden in (".DS_Store", "._a.png", ".git/x.png"):
        (images / hidden).parent.mkdir(exist_ok=True)
        (images / hidden).write_text("")
    (images / "notes.txt").write_text("")
    os.mkfifo(images / "pipe.png")
    (images / "bad\nname.png").write_text("")
    Path(os.fsdecode(os.fsencode(images) + b"/\xff.png")).write_text("")
    data = FolderDataSet(root)
    assert names(data) == ["a"] and data.read_image(data.samples[0]).shape == (6, 8, 3)
    reasons = {Path(problem.source).name: problem.reason for problem in data.problems}
    assert reasons.keys() == {"folder", "gone.png", "notes.txt", "pipe.png", "bad\ufffdname.png", "\ufffd.png"}
    assert "link to a folder" in reasons["folder"] and "leads nowhere" in reasons["gone.png"]
    assert "not an image" in reasons["notes.txt"] and "not a regular file" in reasons["pipe.png"]
    assert "control characters or is not UTF-8" in reasons["\ufffd.png"]


def test_a_split_and_the_problems_of_its_photographs_only(make: Maker) -> None:
    root = make(
        {"a.png": "cat", "b.png": "cta", "c.png": "cta", "d.png": None, "x/e.png": "dog"},
        splits={"train": "\ufeffa.png\r\n\r\n b \r\nx/e\r\na\r\nghost\r\n", "val": "d\n", "void": ""},
    )
    (root / "images" / "notes.txt").write_text("")
    data = FolderDataSet(root, "train")
    assert names(data) == ["a", "x/e"]
    ghost, bad = data.problems
    assert ghost.source == "ghost" and "train.txt line 6: no image 'ghost'" in ghost.reason
    assert bad.source.endswith("b.png") and "unknown tag" in bad.reason
    assert "d.png: no line in tags.csv" in refused(root, "val")
    assert "no usable photograph" in refused(root, "void")
    for wrong in ("test", "../train", ""):
        assert "there are 'train', 'val', 'void'" in refused(root, wrong)


def test_split_without_any(make: Maker) -> None:
    assert "there is no file in" in refused(make({"a.png": "cat"}), "train")


def test_truth_is_found_by_name_and_opened_late(make: Maker) -> None:
    root = make({"a.png": "cat", "b.png": "cat", "x/c.png": "dog", "d.png": "cat", "e.png": "cat"})
    (root / "truth" / "x").mkdir(parents=True)
    labels = np.full((6, 8), VOID, np.uint8)
    labels[0, :3] = 0, 1, 2
    Image.fromarray(labels).save(root / "truth" / "a.png")
    Image.fromarray(labels[:5]).save(root / "truth" / "b.png")
    Image.fromarray(labels).save(root / "truth" / "x" / "c.png")
    labels[5] = 3
    Image.fromarray(labels).save(root / "truth" / "d.png")
    data = FolderDataSet(root)
    a, b, d, e, c = data.samples
    assert [sample.has_ground_truth for sample in data.samples] == [True, True, True, False, True]
    assert data.read_ground_truth(a)[0, :4].tolist() == [0, 1, 2, 255] and data.read_ground_truth(c).shape == (6, 8)
    with pytest.raises(ItemError, match=re.escape("expected a mask of 8x6 pixels (width x height)")):
        data.read_ground_truth(b)
    with pytest.raises(
        ItemError, match=re.escape("expected class ids 0..2 (classes.txt) and 255 for void, got 3 in 8")
    ):
        data.read_ground_truth(d)
    with pytest.raises(ItemError, match=r"truth/e\.png: there is no such ground-truth mask"):
        data.read_ground_truth(e)


def test_truth_has_the_size_of_the_upright_photograph(make: Maker) -> None:
    root = make({"a.jpg": "cat"})
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (8, 6)).save(root / "images" / "a.jpg", exif=exif)
    (root / "truth").mkdir()
    Image.new("L", (8, 6)).save(root / "truth" / "a.png")
    data = FolderDataSet(root)
    with pytest.raises(ItemError, match="expected a mask of 6x8"):
        data.read_ground_truth(data.samples[0])
    Image.new("L", (6, 8)).save(root / "truth" / "a.png")
    assert data.read_ground_truth(data.samples[0]).shape == data.read_image(data.samples[0]).shape[:2]


def test_sample_of_another_data_set(make: Maker) -> None:
    data = FolderDataSet(make({"a.png": "cat"}))
    from dhr.data import Sample

    with pytest.raises(ItemError, match="is not a photograph of"):
        data.read_image(Sample("../../etc/passwd", "", (0,), False))


def test_folders_that_cannot_be_used(make: Maker, tmp_path: Path) -> None:
    assert "check the path" in refused(tmp_path / "gone")
    (tmp_path / "file").write_text("")
    assert "check the path" in refused(tmp_path / "file")
    (tmp_path / "new").mkdir()
    assert "images/" in refused(tmp_path / "new")
    (tmp_path / "new" / "images").mkdir()
    assert "image,tags" in refused(tmp_path / "new")
    assert "no usable photograph" in refused(make({}))
    root = make({f"{index}.png": "cta" for index in range(9)})
    assert refused(root).count("unknown tag") == 1


def test_missing_classes_shows_how_to_make_them(make: Maker) -> None:
    root = make({"a.png": "cat;dog", "b.png": "owl"})
    (root / "classes.txt").unlink()
    message = refused(root)
    assert "tags found in tags.csv: cat, dog, owl" in message and "first line `background`" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "expected class names, one per line, got none"),
        (b"background\n", "got only the background"),
        (b"cat\ndog\ncat\n", "line 3: class 'cat' is already in line 1"),
        (b"cat\n\ndog\n", "line 2: blank"),
        (b"cat\nbackground\n", "line 2: 'background' must be the first line"),
        (b"cat;dog\n", "without ';'"),
        (b"cat\0\n", "control characters"),
        (b"caf\xe9\n", "expected UTF-8 text, byte 3 is not"),
        ("\n".join(map(str, range(256))).encode(), "expected at most 255 classes"),
    ],
)
def test_bad_classes(make: Maker, content: bytes, words: str) -> None:
    root = make({"a.png": "cat"})
    (root / "classes.txt").write_bytes(content)
    message = refused(root)
    assert words in message and "classes.txt" in message


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "line 1: expected the header image,tags"),
        (b"a.png,cat\n", "line 1: expected the header image,tags, got 'a.png,cat'"),
        (b'image,tags\n"a.png,cat\nb.png,dog\n', "not valid CSV"),
        (b'image,tags\n"a"b.png,cat\n', "line 2: not valid CSV"),
        ("image,tags\na.png,cat".encode("utf-16-le"), "expected text, got a byte 0"),
        (
            "image,tags\na.png,caf\u00e9\n".encode("cp1252"),
            "line 2: expected UTF-8 text, byte 20 is not; save it as UTF-8",
        ),
        (b"image,tags\n" + b"x" * 200_000 + b",cat\n", "line 2: not valid CSV"),
    ],
)
def test_bad_tags_as_a_whole(make: Maker, content: bytes, words: str) -> None:
    root = make({"a.png": "cat"})
    (root / "tags.csv").write_bytes(content)
    message = refused(root)
    assert words in message and "tags.csv" in message


def test_supercategories(make: Maker) -> None:
    root = make({"a.png": "cat"}, classes=("background", "cat", "tree"))
    table = root / "supercategories.csv"
    table.write_text("\ufeffid,class,supercategory\n1,cat,animal\n2,tree, plant\n3,owl,animal\n")
    assert FolderDataSet(root).classes.supers == ("background", "animal", "plant")
    for content, words in (
        ("class,supercategory\ncat,animal\n", "no super-class of 'tree'; add a line"),
        (
            "class,supercategory\ncat,animal\ncat,pet\ntree,plant\n",
            "line 3: expected one super-class of 'cat', got 'pet'",
        ),
        ("class,supercategory\ncat\n", "line 2: expected one super-class of 'cat', got ''"),
        ("class,group\n", "line 1: expected columns class,supercategory"),
        ("", "line 1: expected columns"),
    ):
        table.write_text(content)
        assert words in refused(root)


MUTATION = st.tuples(
    st.integers(0, 60), st.integers(0, 3), st.text(alphabet='\n\r",;\0 \ufeff.a/\\\u0301é', max_size=4)
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    mutations=st.lists(MUTATION, max_size=5), tail=st.binary(max_size=3), target=st.sampled_from(["tags", "classes"])
)
def test_mutated_files_raise_nothing_but_ours(
    make: Maker, mutations: list[tuple[int, int, str]], tail: bytes, target: str
) -> None:
    root = make({"a.png": None, "b c.png": None}, tags='image,tags\na.png,cat;dog\n"b c.png",tree\n')
    path = root / {"tags": "tags.csv", "classes": "classes.txt"}[target]
    text = path.read_text()
    for at, cut, new in mutations:
        text = text[:at] + new + text[at + cut :]
    path.write_bytes(text.encode() + tail)
    try:
        data = FolderDataSet(root)
    except DhrError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert len(data.samples) + sum("images/" in problem.source for problem in data.problems) >= 2
        assert data.classes.background or all(sample.tags for sample in data.samples)
        assert all(len(problem.reason.splitlines()) == 1 for problem in data.problems)


def test_each_photograph_costs_the_same_however_many_there_are(make: Maker, calls: Callable[..., int]) -> None:
    root, costs = make({"real.png": "cat"}), []
    for count in (500, 2_000):
        for index in range(count):
            (root / "images" / f"{index}.jpg").touch()
        lines = "".join(f"{index}.jpg,cat;dog\n" for index in range(count))
        (root / "tags.csv").write_text(f"image,tags\n{lines}")
        data = FolderDataSet(root)
        assert len(data.samples) == count and len(data.problems) == 1
        costs.append(calls(lambda: FolderDataSet(root)))
    assert costs[1] < 1.2 * 4 * costs[0], "not each compared with all others"


def test_msrc(shared: Path) -> None:
    data = FolderDataSet(shared / "msrc_v2", "train")
    assert len(data.samples) == 331 and data.problems == ()
    assert len(data.classes.names) == 23 and not data.classes.background and data.classes.supers is None
    for sample in data.samples[::40]:
        truth = data.read_ground_truth(sample)
        assert truth.shape == data.read_image(sample).shape[:2]
        assert set(sample.tags) == set(np.unique(truth).tolist()) - {VOID}


def test_coco(shared: Path) -> None:
    data = FolderDataSet(shared / "coco_mini")
    assert len(data.samples) == 393 and data.problems == ()
    assert sum(not sample.tags for sample in data.samples) == 2  # they show none of the classes
    assert data.classes.background and len(data.classes.names) == 81
    assert data.classes.supers is not None and data.classes.supers[:3] == ("background", "person", "vehicle")
    assert all(sample.has_ground_truth and 0 not in sample.tags for sample in data.samples)
    sample = data.samples[5]
    assert data.read_ground_truth(sample).shape == data.read_image(sample).shape[:2]
