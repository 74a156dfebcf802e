"""The content of a data set: ``dhr.inspect``."""

from pathlib import Path

from dhr.api.data import Data, DataFolder, folder_of, opened, refuse_among, split_of
from dhr.api.results import InspectResult
from dhr.data.open import AUTO, format_of
from dhr.errors import ConfigError
from dhr.files import check_output, write_json_output
from dhr.progress import Progress, silent


def inspect(
    data: Data,
    *,
    out: Path | str | None = None,
    file: Path | str | None = None,
    json: Path | str | None = None,
    workers: int | None = None,
    progress: Progress | None = None,
) -> InspectResult:
    """Describe a data set before anything runs: counts, broken files, classes that tags cannot tell apart.

    Every photograph and every ground-truth mask is read once. It counts photographs, tags, classes, sizes and ground
    truth. It names broken files and photographs with the same content. It also names properties that will show in the
    masks: classes that always come together, classes with few photographs, tags and ground truth that disagree.

    The page has pictures of every class. docs/data.md lists the data formats.

    Args:
        data: the data folder.
        out: a folder for the page, inspect.html.
        file: the page under another name, FILE.html, instead of --out.
        json: JSON file that gets all figures.
        workers: threads; by default one for each processor.
        progress: called after each photograph.

    Returns:
        The counts, and the broken files.

    Raises:
        DataError: the data set cannot be opened.
        OutputError: a file cannot be written.
    """
    if out is not None and file is not None:
        raise ConfigError("--out DIR and --file FILE both name the page; give one of them")
    if out is not None and Path(out).suffix.lower() in (".html", ".htm"):
        raise ConfigError(f"--out is a folder; name the page with --file {out}")
    page = Path(file) if file is not None else None if out is None else Path(out) / "inspect.html"
    figures = None if json is None else Path(json)
    written = [path for path in (page, figures) if path is not None]
    for path in written:
        check_output(path)
    from dhr.inspection import inspect_data, notes, write_page

    photographs = opened(data, progress or silent)
    for path in written:
        refuse_among(path.parent, data, photographs, "--out" if path == page else "--json")
    found = inspect_data(photographs, progress or silent, workers)
    root, split = folder_of(data), split_of(data)
    kind = data.format if isinstance(data, DataFolder) else AUTO
    kind = "memory" if root is None else format_of(root) if kind == AUTO else kind
    if page is not None:
        facts = {"format": kind, **({} if split is None else {"split": split})}
        write_page(page, found, "photographs" if root is None else root.resolve().name, facts)
    if figures is not None:
        values = {"format": kind, "split": split, **found.to_json()}
        values["notes"] = [{"warning": one.warning, "text": one.text} for one in notes(found)]
        write_json_output(figures, values)
    return InspectResult(found, kind, found.problems, tuple(photographs.notes), page)
