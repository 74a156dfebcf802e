"""VOC's layout with classes of one's own, as annotation tools write it."""

import unicodedata
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from PIL import Image

from dhr.data import VOID, DataSet, open_data
from dhr.data.open import format_of
from dhr.errors import DataError

Write = Callable[..., Path]


def tags(data: DataSet) -> dict[str, tuple[str, ...]]:
    return {one.name: tuple(data.classes.names[tag] for tag in one.tags) for one in data.samples}


def told(data: DataSet) -> str:
    return " | ".join(f"{problem.source}: {problem.reason}" for problem in data.problems)


@pytest.fixture
def put(formats: ModuleType, tmp_path: Path) -> Write:
    """Writes photographs and annotations: ``put({"JPEGImages/a.jpg": None, "Annotations/a.xml": ("cat",)})``."""

    def write(files: dict[str, tuple[str, ...] | str | None], root: str = "set") -> Path:
        for name, content in files.items():
            path = tmp_path / root / name
            if isinstance(content, tuple):
                formats.annotation(path, *content)
            elif isinstance(content, str):
                formats.write(path, content)
            else:
                formats.photograph(path)
        return tmp_path / root

    return write


BESIDE = {"a.jpg": None, "a.xml": ("jar",), "b.jpg": None, "b.xml": ("mug", "jar")}
PLACES = {
    "labelImg, beside the photographs": ("", ""),
    "labelImg, in a folder of its own": ("JPEGImages/", "Annotations/"),
    "images and annotations": ("images/", "annotations/"),
    "as pets are published": ("images/", "annotations/xmls/"),
    "in the folder of a year": ("VOCdevkit/VOC2007/JPEGImages/", "VOCdevkit/VOC2007/Annotations/"),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".bmp", ".JPG"])
def test_photographs_and_annotations_wherever_tools_put_them(put: Write, place: str, suffix: str) -> None:
    images, xml = PLACES[place]
    root = put({(images if name.endswith(".jpg") else xml) + name: content for name, content in BESIDE.items()})
    for path in sorted(root.rglob("*.jpg")):
        path.rename(path.with_suffix(suffix)) if suffix == ".JPG" else Image.open(path).save(path.with_suffix(suffix))
        if suffix not in (".jpg", ".JPG"):
            path.unlink()
    assert format_of(root) == "voc"
    data = open_data(root)
    assert data.classes.names == ("background", "jar", "mug")
    assert tags(data) == {"a": ("jar",), "b": ("jar", "mug")}
    assert not data.problems
    assert ["order of the alphabet" in note for note in data.notes] == [True]


def test_the_splits_of_roboflow(put: Write) -> None:
    root = put(
        {
            "README.roboflow.txt": "export", "train/a.jpg": None, "train/a.xml": ("jar",), "train/b.jpg": None,
            "train/b.xml": (), "valid/c.jpg": None, "valid/c.xml": ("mug",), "test/d.jpg": None, "test/d.xml": ("jar",),
        }
    )  # fmt: skip
    assert format_of(root) == "voc"
    assert tags(open_data(root)) == {"train/a": ("jar",), "train/b": (), "valid/c": ("mug",), "test/d": ("jar",)}
    for split in ("valid", "val", "Validation"):
        data = open_data(root, split=split)
        assert tags(data) == {"valid/c": ("mug",)}
        assert data.classes.names == ("background", "jar", "mug")  # as in the other splits
    with pytest.raises(DataError, match="no split 'extra'; there are 'test', 'train', 'valid'"):
        open_data(root, split="extra")


LABELS = {
    "classes.txt": "background\nmug\njar\n",
    "labelmap.txt": "# label:color_rgb:parts:actions\nbackground:0,0,0::\nmug:10,20,30:handle:\njar:0,128,0::\n",
    "class_names.txt": "_background_\nmug\njar\n",
}


@pytest.mark.parametrize("name", LABELS)
@pytest.mark.parametrize("top", ["", "VOC2012/"])
def test_the_classes_come_from_a_file_in_the_order_of_its_lines(put: Write, name: str, top: str) -> None:
    for folder in dict.fromkeys(["", top]):
        root = put(
            {f"{top}JPEGImages/a.jpg": None, f"{top}Annotations/a.xml": ("jar",), f"{folder}{name}": LABELS[name]},
            f"set{folder}",
        )
        data = open_data(root)
        assert data.classes.names == ("background", "mug", "jar")
        assert tags(data) == {"a": ("jar",)}
        assert data.notes == ()


def test_the_first_file_of_classes_counts(put: Write) -> None:
    files: dict[str, str | tuple[str, ...] | None] = {"a.jpg": None, "a.xml": ("jar",)}
    other = {name: text.replace("mug", name.partition(".")[0]) for name, text in LABELS.items()}
    for name in reversed(LABELS):
        files[name] = other[name]
        data = open_data(put(files))
        assert data.classes.names == ("background", name.partition(".")[0], "jar")


def test_without_a_file_vocs_own_names_mean_vocs_classes(put: Write) -> None:
    root = put({"a.jpg": None, "a.xml": ("cat", "person"), "b.jpg": None, "b.xml": ("sofa",)})
    assert len(open_data(root).classes.names) == 21
    put({"b.xml": ("helmet",)})
    assert open_data(root).classes.names == ("background", "cat", "helmet", "person")


def test_a_mistake_in_a_name_does_not_make_voc_another_data_set(put: Write) -> None:
    many = ("cat", "dog", "cow", "bus", "car", "boat", "bird", "sheep", "sofa", "train")
    root = put({"a.jpg": None, "a.xml": many, "b.jpg": None, "b.xml": ("catt",)})
    data = open_data(root)
    assert len(data.classes.names) == 21
    assert "b.xml line 3: unknown tag 'catt'; did you mean 'cat'" in told(data)


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_unicode_in_either_form_in_every_name(put: Write, form: str) -> None:
    def other(text: str) -> str:
        return unicodedata.normalize("NFD" if form == "NFC" else "NFC", text)

    image, tag = (unicodedata.normalize(form, text) for text in ("Bäume é", "Krügé"))
    root = put(
        {
            f"JPEGImages/{image}.jpg": None, f"Annotations/{other(image)}.xml": (other(tag),),
            "classes.txt": f"background\n{tag}\n", "ImageSets/Main/train.txt": f"{other(image)}\n",
        }
    )  # fmt: skip
    for split in (None, "train"):
        data = open_data(root, split=split)
        assert not data.problems
        assert list(tags(data).values()) == [(unicodedata.normalize("NFC", tag),)]


def test_annotations_without_photographs_and_photographs_without_annotations_are_named(put: Write) -> None:
    root = put({"JPEGImages/a.jpg": None, "JPEGImages/b2.jpg": None, "Annotations/a.xml": ("jar",)})
    put({"Annotations/b.xml": ("jar",), "Annotations/c.xml": ("jar",), "Annotations/c.json": "{}"})
    data = open_data(root)
    assert tags(data) == {"a": ("jar",)}
    assert "b2.jpg: no annotation" in told(data)
    assert "b.xml: no image 'b' in JPEGImages/" in told(data)
    assert "c.xml: no image 'c' in JPEGImages/" in told(data)
    assert "c.json: not an annotation" in told(data)


def xml(filename: str, *names: str) -> str:
    objects = "".join(f"<object><name>{name}</name></object>" for name in names)
    return f"<annotation><filename>{filename}</filename>{objects}</annotation>"


def test_the_name_of_the_xml_file_counts_before_the_one_inside(put: Write) -> None:
    root = put({"a.jpg": None, "b.jpg": None, "a.xml": xml("b.jpg", "jar"), "b.xml": xml("old.jpg", "mug")})
    data = open_data(root)
    assert tags(data) == {"a": ("jar",), "b": ("mug",)}
    assert not data.problems
    assert any("name another inside: " in note and "a.xml" in note for note in data.notes)


def test_the_name_inside_counts_where_the_other_matches_nothing(put: Write) -> None:
    root = put({"JPEGImages/a.jpg": None, "Annotations/17.xml": xml("C:\\shop\\a.jpg", "jar")})
    assert tags(open_data(root)) == {"a": ("jar",)}
    put({"JPEGImages/b.jpg": None, "Annotations/b.xml": ("jar",), "Annotations/19.xml": xml("gone.jpg", "mug")})
    data = open_data(root)
    assert tags(data) == {"a": ("jar",), "b": ("jar",)}
    assert "19.xml: no image '19' in JPEGImages/" in told(data)
    assert "its <filename> 'gone.jpg': no image 'gone.jpg' in JPEGImages/" in told(data)
    put({"Annotations/20.xml": xml("b.jpg", "mug")})  # b.xml is there
    data = open_data(root)
    assert tags(data) == {"a": ("jar",), "b": ("jar",)}
    assert "20.xml: no image '20' in JPEGImages/" in told(data)
    assert "'b.jpg' has an annotation of its own name" in told(data)
    put({"Annotations/18.xml": xml("a.jpg", "mug")})  # two name it inside, and neither is called after it
    data = open_data(root)
    assert tags(data) == {"b": ("jar",)}
    assert "a.jpg: two annotations" in told(data) or "all match 'a.jpg'" in told(data)


def test_two_annotations_of_one_photograph_are_refused(put: Write) -> None:
    root = put({"JPEGImages/a.jpg": None, "Annotations/a.xml": ("jar",), "Annotations/a.jpg.xml": ("mug",)})
    put({"JPEGImages/b.jpg": None, "Annotations/b.xml": ("jar",)})
    data = open_data(root)
    assert tags(data) == {"b": ("jar",)}
    assert "a.jpg: two annotations" in told(data)


OBJECT = "<object><name>car</name>{}</object>"


@pytest.mark.parametrize(
    ("inner", "outer", "unread"),
    [
        ("<part><name>handle</name><bndbox><xmin>1</xmin></bndbox></part>", "", None),
        ("<pose>Left</pose><actions><jumping>1</jumping></actions><difficult>1</difficult>", "", None),
        ("<attributes><attribute><name>wheel</name><value>4</value></attribute></attributes>", "", None),
        ("", "<owner><name>wheel</name></owner><source><database>wheel</database></source>", None),
        ("<part><name>wheel</name></part>", "", "the name 'wheel' outside any object"),
        ("<part><name>wheel</name></part>", OBJECT.format("").replace("car", "wheel"), None),
        ("", "<label>wheel</label>", "the name 'wheel' outside any object"),
        ("", "<objects><object><name>wheel</name></object></objects>", "an element <objects> with objects in it"),
        ("", "<item><bndbox><xmin>1</xmin></bndbox></item>", "an element <item> with objects in it"),
    ],
)
def test_parts_and_actions_are_no_objects_but_a_class_among_them_is_named(
    put: Write, inner: str, outer: str, unread: str | None
) -> None:
    root = put({"a.jpg": None, "b.jpg": None, "b.xml": ("wheel",), "classes.txt": "background\ncar\nwheel\n1\n"})
    put({"a.xml": f"<annotation>\n{OBJECT.format(inner)}\n{outer}</annotation>"})
    data = open_data(root)
    found = tags(data).get("a")
    if unread is None:
        assert found is not None
        assert "car" in found
        assert not data.problems
    else:
        assert found is None
        assert unread in told(data)
        assert tags(open_data(root, ignore_unknown=True))["a"] == ("car",)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation><object><pose>Left</pose></object></annotation>", "expected an object with one name, got none"),
        ("<annotation><object><name>a</name><name>b</name></object></annotation>", "one name, got 2 names"),
        ("<svg></svg>", "expected an element <annotation> of PASCAL VOC, got 'svg'"),
        ("<annotation><object>", "not valid XML"),
    ],
)
def test_a_damaged_annotation_costs_its_photograph_only(put: Write, text: str, reason: str) -> None:
    root = put({"a.jpg": None, "a.xml": text, "b.jpg": None, "b.xml": ("jar",)})
    data = open_data(root)
    assert tags(data) == {"b": ("jar",)}
    assert reason in told(data)


def test_deleted_objects_do_not_count(put: Write) -> None:
    deleted = (
        "<object><name>jar</name><deleted>1</deleted></object><object><name>mug</name><deleted>0</deleted></object>"
    )
    root = put({"a.jpg": None, "a.xml": f"<annotation>{deleted}</annotation>", "classes.txt": "background\njar\nmug\n"})
    assert tags(open_data(root)) == {"a": ("mug",)}


def test_the_reasons_are_told_where_no_class_is_found(put: Write) -> None:
    root = put({"JPEGImages/a.jpg": None, "Annotations/a.xml": "<annotation>"})
    with pytest.raises(DataError, match=r"name no class: .*a\.xml line 1: not valid XML") as error:
        open_data(root)
    assert "got 0" not in str(error.value)
    put({"Annotations/a.xml": ()})
    with pytest.raises(DataError, match=r"they have no objects; .*write classes\.txt"):
        open_data(root)


def painted(path: Path, colours: list[tuple[int, int, int]]) -> None:
    pixels = np.zeros((6, 8, 3), np.uint8)
    pixels[:, :] = colours[-1]
    pixels[:, : len(colours)] = colours
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_masks_in_the_colours_of_a_label_map(put: Write) -> None:
    """As CVAT writes them: RGB, the background not first, and VOC's own label of void."""
    text = "jar:10,20,30::\nbackground:0,0,0::\nmug:200,0,7::\nignored:224,224,192::\n"
    root = put({"JPEGImages/a.jpg": None, "JPEGImages/b.jpg": None, "labelmap.txt": text})
    painted(root / "SegmentationClass/a.png", [(0, 0, 0), (10, 20, 30), (224, 224, 192)])
    numbers = np.full((6, 8), 2, np.uint8)  # the third line
    numbers[0] = 3  # that of void
    Image.fromarray(numbers).save(root / "SegmentationClass/b.png")
    data = open_data(root)
    assert data.classes.names == ("background", "jar", "mug")
    assert tags(data) == {"a": ("jar",), "b": ("mug",)}
    assert set(np.unique(data.read_ground_truth(data.samples[0]))) == {0, 1, VOID}
    assert set(np.unique(data.read_ground_truth(data.samples[1]))) == {2, VOID}


def test_a_label_map_gives_its_colours_to_the_classes_of_the_same_names(put: Write) -> None:
    root = put({"JPEGImages/a.jpg": None, "classes.txt": "background\nmug\njar\n"})
    put({"labelmap.txt": "background:0,0,0::\njar:10,20,30::\nmug:200,0,7::\n"})
    painted(root / "SegmentationClass/a.png", [(0, 0, 0), (10, 20, 30)])
    data = open_data(root)
    assert tags(data) == {"a": ("jar",)}
    assert set(np.unique(data.read_ground_truth(data.samples[0]))) == {0, 2}
    put({"labelmap.txt": "background:0,0,0::\njar:10,20,30::\n"})
    with pytest.raises(DataError, match="of no class"):
        open_data(root)


@pytest.mark.parametrize("line", ["jar", "jar:1,2::", "jar:1,2,300::", "jar:1,2,x::", "jar:1,2,3:"])
def test_a_damaged_label_map_is_named_by_line(put: Write, line: str) -> None:
    root = put({"a.jpg": None, "a.xml": ("jar",), "labelmap.txt": f"background:0,0,0::\n{line}\n"})
    with pytest.raises(DataError, match=r"labelmap.txt line 2: expected label:red,green,blue"):
        open_data(root)


def test_masks_beside_images_as_cvat_writes_them_without_photographs(put: Write) -> None:
    root = put({"images/a.jpg": None, "labelmap.txt": "background:0,0,0::\njar:10,20,30::\n"})
    painted(root / "SegmentationClass/a.png", [(0, 0, 0), (10, 20, 30)])
    assert format_of(root) == "voc"
    assert tags(open_data(root)) == {"a": ("jar",)}


def test_names_that_differ_in_case_only_are_one_class_and_told(put: Write) -> None:
    data = open_data(put({"a.jpg": None, "a.xml": ("Jar", "mug"), "b.jpg": None, "b.xml": ("jar", "jar")}))
    assert tags(data) == {"a": ("jar", "mug"), "b": ("jar",)}
    assert any("'Jar' as 'jar'" in note for note in data.notes)


def test_photographs_without_anything_are_not_sent_to_files_that_nothing_reads(put: Write) -> None:
    root = put({"JPEGImages/a.jpg": None, "Annotations/a.txt": "0 1 1 1 1"})
    with pytest.raises(DataError, match=r"neither an annotation nor a mask of it, .*; add Annotations/NAME\.xml"):
        open_data(root)


def test_splits_as_folders_among_photographs(put: Write) -> None:
    root = put({f"images/{split}/a.jpg": None for split in ("train", "valid")})
    put({f"annotations/{split}/a.xml": (f"in {split}",) for split in ("train", "valid")})
    assert tags(open_data(root)) == {"train/a": ("in train",), "valid/a": ("in valid",)}
    for split in ("valid", "val"):
        assert tags(open_data(root, split=split)) == {"valid/a": ("in valid",)}
    with pytest.raises(DataError, match="no split 'test'"):
        open_data(root, split="test")


def test_a_file_of_another_kind_beside_photographs_is_named_once(put: Write) -> None:
    data = open_data(put({"a.jpg": None, "a.xml": ("jar",), "b.json": "{}"}), format="voc")
    assert [Path(one.source).name for one in data.problems] == ["b.json"]


def test_masks_of_labelme(put: Write, formats: ModuleType) -> None:
    root = put({"JPEGImages/a.jpg": None, "class_names.txt": "__ignore__\n_background_\nmug\njar\n"})
    formats.mask(root / "SegmentationClassPNG/a.png", [0, 2, 255])
    data = open_data(root)
    assert tags(data) == {"a": ("jar",)}
    assert set(np.unique(data.read_ground_truth(data.samples[0]))) == {0, 2, VOID}


def test_masks_without_a_file_of_classes_are_not_taken_for_truth(put: Write, formats: ModuleType) -> None:
    root = put({"JPEGImages/a.jpg": None, "Annotations/a.xml": ("mug",)})
    formats.mask(root / "SegmentationClass/a.png", [0, 1])
    data = open_data(root)
    assert [one.has_ground_truth for one in data.samples] == [False]
    assert any("SegmentationClass are not read: write classes.txt" in note for note in data.notes)


def test_masks_of_no_photograph_are_named(put: Write, formats: ModuleType) -> None:
    root = put({"JPEGImages/a.jpg": None, "Annotations/a.xml": ("cat",)})
    for name in ("a", "a_mask"):
        formats.mask(root / f"SegmentationClass/{name}.png", [0, 8])
    formats.photograph(root / "SegmentationClass/b.jpg")
    data = open_data(root)
    assert [one.has_ground_truth for one in data.samples] == [True]
    assert any("a_mask.png: no photograph is called 'a_mask'" in note for note in data.notes)
    assert any("expected a mask in PNG, got .jpg" in note for note in data.notes)


@pytest.mark.parametrize(
    "lines",
    [
        "a\ntrip/b c\n",
        '"a"\n"trip/b c"\n',
        "a.jpg\nJPEGImages/trip/b c.jpg\n",
        "a 1\nb c\n",
        "C:\\x\\a.jpg\n\ntrip\\b c\n",
    ],
)
def test_lists_name_photographs_as_everything_else_does(put: Write, lines: str) -> None:
    root = put({"JPEGImages/a.jpg": None, "JPEGImages/trip/b c.jpg": None, "JPEGImages/z.jpg": None})
    put({"Annotations/a.xml": ("jar",), "Annotations/trip/b c.xml": ("mug",), "Annotations/z.xml": ("jar",)})
    put({"ImageSets/Main/default.txt": lines + "gone\n"})
    data = open_data(root, split="default")
    assert tags(data) == {"a": ("jar",), "trip/b c": ("mug",)}
    assert "default.txt line" in told(data)
    assert "no image 'gone' in JPEGImages/" in told(data)


def test_photographs_that_differ_in_their_suffix_only_clash(put: Write) -> None:
    root = put({"JPEGImages/a.jpg": None, "JPEGImages/a.png": None, "JPEGImages/b.jpg": None})
    put({"Annotations/a.xml": ("jar",), "Annotations/b.xml": ("jar",)})
    data = open_data(root)
    assert tags(data) == {"b": ("jar",)}
    assert "its mask would overwrite" in told(data)


def test_the_other_year_of_voc_is_told(put: Write) -> None:
    for year in (2007, 2012):
        root = put(
            {
                f"VOCdevkit/VOC{year}/JPEGImages/{year}.jpg": None,
                f"VOCdevkit/VOC{year}/Annotations/{year}.xml": ("cat",),
            }
        )
    data = open_data(root)
    assert tags(data) == {"2012": ("cat",)}
    assert any("VOC2007" in note for note in data.notes)


def test_classes_of_two_splits_must_agree(put: Write) -> None:
    root = put({"train/a.jpg": None, "train/a.xml": ("jar",), "valid/b.jpg": None, "valid/b.xml": ("jar",)})
    put({"train/classes.txt": "background\njar\n", "valid/classes.txt": "background\nmug\njar\n"})
    with pytest.raises(DataError, match="its classes are not those of"):
        open_data(root)


@pytest.mark.parametrize(
    ("name", "content", "remedy"),
    [
        ("classes.txt", "background\nmug\n", "correct it, or add it to classes.txt"),
        ("labelmap.txt", "background:0,0,0::\nmug:1,2,3::\n", "correct it, or add it to labelmap.txt"),
        ("class_names.txt", "_background_\nmug\n", "correct it, or add it to class_names.txt"),
        ("cls_labels.json", '{"a": ["qqqq"], "b": ["cat"]}', "or add it to a file classes.txt that lists all classes"),
    ],
)
def test_an_unknown_class_is_sent_where_it_helps(put: Write, name: str, content: str, remedy: str) -> None:
    root = put({"JPEGImages/a.jpg": None, "JPEGImages/b.jpg": None, "Annotations/a.xml": ("qqqq",), name: content})
    put({"Annotations/b.xml": ("Mug",)})
    data = open_data(root)
    assert f"unknown tag 'qqqq'; {remedy}" in told(data) or f"unknown tag 'qqqq'; correct it, {remedy}" in told(data)
    if not name.endswith(".json"):
        assert any("'Mug' as 'mug'" in note for note in data.notes)  # other letters are read, and told


def test_a_second_background_in_a_label_map_is_refused(put: Write) -> None:
    root = put(
        {"a.jpg": None, "a.xml": ("jar",), "labelmap.txt": "background:0,0,0::\njar:1,1,1::\n_background_:2,2,2::\n"}
    )
    with pytest.raises(DataError, match=r"labelmap\.txt line 3: expected one background"):
        open_data(root)
