"""Files of tags as spreadsheets and other programs write them."""

import difflib
import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dhr.data import FolderDataSet, open_data
from dhr.data.samples import ClassTable
from dhr.data.spreadsheet import MAX_XML
from dhr.data.tag_cells import AmbiguousCellError, parts_of, split_tags
from dhr.data.tags import TagReader, read_tags, tag_names
from dhr.errors import DataError, DhrError

Maker = Callable[..., Path]
CLASSES = ClassTable(("background", "cat", "dog", "tree"), background=True)


def read(path: Path, classes: ClassTable = CLASSES) -> tuple[dict[str, Any], list[str]]:
    """Names of tags by image, or the reason why a line cannot be used; and the notes."""
    notes: list[str] = []
    lines = read_tags(path, classes, notes)
    assert all(len(line.reason.splitlines()) == 1 for line in lines if line.reason)
    return {line.image: line.reason or [classes.names[tag] for tag in line.tags] for line in lines}, notes


def table(tmp_path: Path, text: str, name: str = "tags.csv", encoding: str = "utf-8") -> Path:
    (tmp_path / name).write_bytes(text.encode(encoding))
    return tmp_path / name


EXPECTED = {"a.jpg": ["cat"], "b.jpg": ["cat", "dog"], "c.jpg": []}


@pytest.mark.parametrize(
    "text",
    [
        "image,tags\na.jpg,cat\nb.jpg,cat;dog\nc.jpg,\n",
        "Photo;Tags\na.jpg;cat\nb.jpg;cat|dog\nc.jpg;\n",
        "filename\tlabels\na.jpg\tcat\nb.jpg\tcat,dog\nc.jpg\t\n",
        "file|class\na.jpg|cat\nb.jpg|cat, dog\nc.jpg|background\n",
        'sep=;\nImage_Path;Category\na.jpg;cat\nb.jpg;"cat;dog"\nc.jpg\n',
        ',image,tags\n0,a.jpg,"[\'cat\']"\n1,b.jpg,"[\'cat\', \'dog\']"\n2,c.jpg,[]\n',
        'Unnamed: 0,path,keywords\n0,a.jpg,"[""cat""]"\n1,b.jpg,"[""cat"", ""dog""]"\n2,c.jpg,\n',
        "image,tags\na.jpg,['cat']\nb.jpg,['cat' 'dog']\nc.jpg,[]\n",
        "image,tags\na.jpg,[np.str_('cat')]\nb.jpg,\"[np.str_('cat'), np.str_('dog')]\"\nc.jpg,[]\n",
        'image,tags\na.jpg,[cat]\nb.jpg,"{\'cat\', \'dog\'}"\nc.jpg,[]\n',
        'image,tags\na.jpg,cat\nb.jpg,"cat\ndog"\nc.jpg,\n',
        "image,tag1,tag2,Tag 3\na.jpg,cat,,\nb.jpg,dog,cat,\nc.jpg,,,\n",
        "image,tags,tags.1\na.jpg,cat,\nb.jpg,dog,cat\nc.jpg,,\n",
        "image,tags\na.jpg,cat\nb.jpg,cat\nb.jpg,dog\nc.jpg,background\n",
        "filename, cat, dog, tree\na.jpg, 1, 0, 0\nb.jpg, 1, 1, 0\nc.jpg, 0, 0, 0\n",
        "image,width,cat,dog\na.jpg,640,true,false\nb.jpg,640,TRUE,True\nc.jpg,480,False,false\n",
        "image,cat,dog\na.jpg,x,\nb.jpg,X,x\nc.jpg,,\n",
        ",image,cat,dog\n0,a.jpg,1.0,0.0\n1,b.jpg,1.0,1.0\n1,c.jpg,0.0,0.0\n",
        "image,tags,author,note\na.jpg,cat,ann,1\nb.jpg,cat;dog,bob,0\nc.jpg,,bob,1\n",
    ],
)  # fmt: skip
def test_tables_that_are_read(tmp_path: Path, text: str) -> None:
    lines: dict[str, list[str]] = {}
    for line in read_tags(table(tmp_path, text), CLASSES):
        assert line.reason is None, line
        lines.setdefault(line.image, []).extend(CLASSES.names[tag] for tag in line.tags)
    assert {image: sorted(tags) for image, tags in lines.items()} == EXPECTED


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_that_tell_themselves(tmp_path: Path, encoding: str, newline: str) -> None:
    classes = ClassTable(("background", "caf\u00e9", "\u72ac"), background=True)
    text = newline.join(["image,tags", "a.jpg,cafe\u0301", "b.jpg,caf\u00e9;\u72ac", ""])
    found, notes = read(table(tmp_path, text, encoding=encoding), classes)
    assert found == {"a.jpg": ["caf\u00e9"], "b.jpg": ["caf\u00e9", "\u72ac"]} and notes == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_another_encoding_is_refused_with_its_line(tmp_path: Path, newline: str) -> None:
    text = newline.join(["image,tags", "a.jpg,cat", "b.jpg,caf\u00e9", ""])
    with pytest.raises(DataError, match=r"tags\.csv line 3: expected UTF-8 text.*'CSV UTF-8'"):
        read_tags(table(tmp_path, text, encoding="cp1252"), CLASSES)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.jpg,cat\n", "expected the header image,tags, got 'a.jpg,cat'"),
        ("image,author\na.jpg,ann\n", "expected the header image,tags"),
        (
            "Bild;Schlagworte\na.jpg;cat\n",
            "'Bild;Schlagworte'; call the column of photographs image, and that of tags tags",
        ),
        ("file,path,tags\na.jpg,x/a.jpg,cat\n", "got 'file', 'path'; rename the right one `image`"),
        ("image,label,category\na.jpg,cat,dog\n", "got 'label', 'category'; rename the right one `tags`"),
    ],
)
def test_headers_that_do_not_tell(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(DataError) as error:
        read_tags(table(tmp_path, text), CLASSES)
    assert words in str(error.value) and "line 1" in str(error.value) and "\n" not in str(error.value)


def test_the_documented_header_is_read_beside_others(tmp_path: Path) -> None:
    found, notes = read(table(tmp_path, "image,path,tags,label\na.jpg,x/a.jpg,cat,dog\n"))
    assert found == {"a.jpg": ["cat"]}
    (note,) = notes
    assert "from the column 'tags' alone, not from 'label'" in note


@pytest.mark.parametrize(
    ("text", "image", "words"),
    [
        ("image,tags\na.jpg,grass\n", "a.jpg", "unknown tag 'grass'"),
        ('image,tags\na.jpg,"cat, sheep"\n', "a.jpg", "unknown tag 'sheep'"),  # not 'cat, sheep'
        ("image,tags\na.jpg,cat|sheep|dgo\n", "a.jpg", "unknown tag 'dgo'; did you mean 'dog'?"),
        ("image,tags\na.jpg,['cat'\n", "a.jpg", "unknown tag \"['cat'\""),
        ("image,tags\na.jpg,3\n", "a.jpg", "write the name of the class, not its number"),
        ("image,cat,dog,owl\na.jpg,1,0,1\n", "a.jpg", "unknown tag 'owl'"),
        ("image,cat,dog\na.jpg,0.7,0\n", "a.jpg", "expected 0 or 1 in the column 'cat', got '0.7'"),
        ("image,cat,dog\na.jpg,1,0\nb.jpg,,\n", "b.jpg", "the columns of its classes are empty; write 0 or 1"),
        ("image,tags\na.jpg,cat,dog\n", "a.jpg", "more fields than the header; join tags by ';', quote names"),
        ("image;tags\na.jpg;cat;dog\n", "a.jpg", "more fields than the header; join tags by commas, or put them"),
    ],
)
def test_lines_that_cannot_be_used(tmp_path: Path, text: str, image: str, words: str) -> None:
    found, _ = read(table(tmp_path, text))
    assert isinstance(found[image], str) and words in found[image], found


def test_tags_in_other_letters_are_read_and_told(make: Maker) -> None:
    root = make({"a.png": "Cat", "b.png": "CAT;dog", "c.png": "Tree"})
    data = FolderDataSet(root)
    assert [sample.tags for sample in data.samples] == [(0,), (0, 1), (2,)] and not data.problems
    (note,) = (note for note in data.notes if "letters" in note)
    assert "'Cat' as 'cat', 'CAT' as 'cat', 'Tree' as 'tree'" in note and "tags.csv" in note
    root = make({"a.png": "CAT", "b.png": "cat"}, classes=("cat", "Cat"))
    data = FolderDataSet(root)
    assert [sample.name for sample in data.samples] == ["b"]
    assert "unknown tag 'CAT'; did you mean 'cat' or 'Cat'?" in data.problems[0].reason


def test_labels_of_an_annotation_tool_in_other_letters(make: Maker) -> None:
    """They tag the photograph, as they do in a table; they never vanish."""
    root = make({"a.png": None, "b.png": None})
    (root / "tags.csv").unlink()
    tasks = [
        {"id": number, "data": {"image": name}, "annotations": [{"result": [
            {"type": "choices", "from_name": "what", "to_name": "image", "value": {"choices": labels}}]}]}
        for number, (name, labels) in enumerate({"a.png": ["Cat", "dog"], "b.png": ["tree"]}.items())
    ]  # fmt: skip
    (root / "export.json").write_text(json.dumps(tasks))
    data = open_data(root, format="label-studio")
    assert [sample.tags for sample in data.samples] == [(0, 1), (2,)]
    assert any("'Cat' as 'cat'" in note for note in data.notes)


NAMES = st.lists(
    st.text(alphabet="ab |,", min_size=1, max_size=5).map(str.strip).filter(lambda name: bool(name.strip("|, "))),
    min_size=1, max_size=4, unique=True,
)  # fmt: skip


@given(names=NAMES, data=st.data())
def test_tags_joined_by_what_stands_in_names_are_read_or_refused(names: list[str], data: st.DataObject) -> None:
    """What comes out is what was joined, or the ambiguity is named; never other classes."""
    chosen = data.draw(st.lists(st.sampled_from(names), min_size=1, max_size=3, unique=True))
    mark = data.draw(st.sampled_from(["; ", "|", ", "]))
    cell = mark.join(chosen)

    def known(text: str) -> bool:
        return text.strip() in names

    try:
        found = split_tags(cell, known, parts_of(names))
    except AmbiguousCellError as error:
        assert mark != "; " and len(str(error).splitlines()) == 1
        return
    if mark == "; ":
        assert found == chosen
    elif found != chosen:  # a shorter reading, of which there is one only
        assert all(known(tag) for tag in found) and len(found) < len(chosen)


@given(st.text(alphabet="ab|,;[]'\"\\ \n", max_size=20))
def test_any_cell_is_split_or_refused(cell: str) -> None:
    try:
        found = split_tags(cell, {"a", "b", "a|b"}.__contains__, 2)
    except AmbiguousCellError:
        return
    assert all(isinstance(tag, str) for tag in found)


def test_names_that_hold_a_separator() -> None:
    classes = ("cup, saucer", "cup", "mug|jar", "mug", "jar")
    most = parts_of(classes)
    known = set(classes).__contains__
    assert split_tags("cup, saucer", known, most) == ["cup, saucer"]
    assert split_tags("cup, saucer, mug", known, most) == ["cup, saucer", "mug"]
    assert split_tags("cup, mug", known, most) == ["cup", "mug"]
    assert split_tags("mug|jar", known, most) == ["mug|jar"]
    assert split_tags("mug|cup", known, most) == ["mug", "cup"]
    assert split_tags("mug|jar|cup", known, most) == ["mug|jar", "cup"]
    with pytest.raises(AmbiguousCellError, match=r"'a' and 'b\|c', or 'a\|b' and 'c'; join tags by ';'"):
        split_tags("a|b|c", {"a", "c", "a|b", "b|c"}.__contains__, 2)


def test_hints_are_looked_for_once_a_name_and_for_some_hundred(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    close = difflib.get_close_matches

    def counted(word: str, *arguments: Any, **more: Any) -> list[str]:
        calls.append(word)
        return close(word, *arguments, **more)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    reader = TagReader(CLASSES)
    reasons = {reader(line, f"{line}.jpg", [f"catt{line % 7}"]).reason for line in range(700)}
    assert len(calls) == 7 and all("did you mean 'cat'?" in (reason or "") for reason in reasons)
    for line in range(5000):
        assert "unknown tag" in (reader(line, "a.jpg", [f"word {line}"]).reason or "")
    assert len(calls) <= 256
    reason = reader(1, "a.jpg", [f"other {index}" for index in range(1000)]).reason or ""
    assert reason.endswith("and 997 more unknown tags") and len(reason) < 400


def test_names_of_tags_for_a_first_class_list(tmp_path: Path) -> None:
    assert tag_names(table(tmp_path, "Photo;Tags\na;cat|owl\nb;['cat', 'emu']\n")) == ["cat", "emu", "owl"]
    assert tag_names(table(tmp_path, "image,cat,emu,ant\na,1,0,0\nb,0,1,0\n")) == ["cat", "emu"]


def workbook(path: Path, rows: list[list[Any]], **sheets: list[list[Any]]) -> Path:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for title, content in sheets.items():
        sheet = book.create_sheet(title)
        for row in content:
            sheet.append(row)
    book.save(path)
    return path


def test_a_workbook(make: Maker) -> None:
    root = make({"a.png": None, "b.png": None, "7.png": None, "c.png": None})
    (root / "tags.csv").unlink()
    workbook(root / "tags.xlsx", [["Photo", None, "Tags"], [], ["images/a.png", 1, "cat"], ["b.png", None, "cat, dog"],
                                  [7, 2.5, "tree"], ["c.png", None, "=A1"]])  # fmt: skip
    data = FolderDataSet(root)
    assert {sample.name: sample.tags for sample in data.samples} == {"a": (0,), "b": (0, 1), "7": (2,)}
    (problem,) = data.problems
    assert "tags.xlsx line 6: the cell in the column 'Tags' is a formula" in problem.reason


def test_a_workbook_of_classes_and_an_empty_sheet(tmp_path: Path) -> None:
    path = workbook(tmp_path / "tags.xlsx", [["file", "cat", "dog"], ["a.jpg", True, False], ["b.jpg", 1, 1],
                                             ["c.jpg", 0, 0]], empty=[])  # fmt: skip
    assert read(path)[0] == EXPECTED
    path = workbook(tmp_path / "tags.xlsx", [["file", "cat"], ["a.jpg", 1]], notes=[["to do"]])
    with pytest.raises(DataError, match="expected one sheet with content, got 'Sheet' and 'notes'"):
        read(path)


def repacked(path: Path, **changes: bytes) -> None:
    """The archive with the content of some parts exchanged."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    for part, content in changes.items():
        parts[next(name for name in parts if name.endswith(f"{part}.xml"))] = content
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    path.write_bytes(buffer.getvalue())


SHEET = (
    '<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><sheetData>%s</sheetData></worksheet>'
)
CELL = '<c r="%s" t="inlineStr"><is><t>%s</t></is></c>'


@pytest.mark.parametrize(
    ("sheet", "words"),
    [
        (b"<!DOCTYPE x [<!ENTITY a 'aaaa'>]>" + (SHEET % "&a;").encode(), "not as spreadsheets write it"),
        ((SHEET % "").encode("utf-16"), "not as spreadsheets write it"),
        (b" " * (MAX_XML + 1), "unpacks to more than 50 MB"),
        (b"<worksheet", "not an .xlsx spreadsheet"),
        ((SHEET % '<row r="x"/>').encode(), "not an .xlsx spreadsheet"),
        (b"", "not an .xlsx spreadsheet"),
    ],
)
def test_hostile_workbooks_are_refused_in_one_line(tmp_path: Path, sheet: bytes, words: str) -> None:
    path = workbook(tmp_path / "tags.xlsx", [["image", "tags"], ["a.jpg", "cat"]])
    repacked(path, sheet1=sheet)
    with pytest.raises(DataError) as error:
        read(path)
    assert words in str(error.value) and len(str(error.value).splitlines()) == 1


def test_a_workbook_that_lies_about_its_size(tmp_path: Path) -> None:
    """Rows and columns far away neither fill the memory nor take for ever."""
    path = workbook(tmp_path / "tags.xlsx", [["image", "tags"], ["a.jpg", "cat"]])
    rows = f'<row r="1">{CELL % ("A1", "image")}{CELL % ("B1", "tags")}</row>'
    rows += f'<row r="2">{CELL % ("A2", "a.jpg")}{CELL % ("B2", "cat")}</row>'
    far = f'<row r="999999999999">{CELL % ("A9", "z.jpg")}</row>'
    repacked(
        path,
        sheet1=(SHEET % (rows + far)).replace("<sheetData>", '<dimension ref="A1:XFD1048576"/><sheetData>').encode(),
    )
    assert read(path)[0] == {"a.jpg": ["cat"]}
    wide = rows.replace("</row>", f"{CELL % ('ZZZ2', 'cat')}</row>")
    repacked(path, sheet1=(SHEET % wide).encode())
    assert read(path)[0] == {"a.jpg": ["cat"]}


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 an old or encrypted one"])
def test_what_is_no_workbook(tmp_path: Path, content: bytes) -> None:
    pytest.importorskip("openpyxl")
    (tmp_path / "tags.xlsx").write_bytes(content)
    with pytest.raises(DataError, match=r"save it again, or as tags\.csv in UTF-8"):
        read(tmp_path / "tags.xlsx")


@pytest.mark.parametrize(
    ("there", "words"),
    [
        ("tags.ods", "there is 'tags.ods'; save the one with the tags as tags.csv (UTF-8) or tags.xlsx"),
        ("tags.xls", "save the one with the tags as tags.csv"),
        ("Photos.numbers", "save the one with the tags as tags.csv"),
        ("labels.csv", "there is 'labels.csv'; rename the one with the tags tags.csv"),
        ("Tags.XLSX", "rename the one with the tags tags.xlsx"),
    ],
)
def test_other_tables_are_named(make: Maker, there: str, words: str) -> None:
    root = make({"a.png": "cat"})
    (root / "tags.csv").rename(root / there)
    with pytest.raises(DataError) as error:
        FolderDataSet(root)
    assert words in str(error.value)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_refused(content: bytes) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "tags.csv"
        path.write_bytes(b"image,tags\na.jpg," + content)
        try:
            read(path)
        except DhrError as error:
            assert len(str(error).splitlines()) == 1
