"""``dhr adjacency``."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from dhr.cli.left_out import print_problems
from dhr.cli.opening import opened
from dhr.cli.progress import Bars
from dhr.cli.score_tables import print_checks
from dhr.data.classes import with_supers
from dhr.data.open import AUTO
from dhr.data.samples import ClassTable, DataSet, Problem
from dhr.errors import ConfigError
from dhr.evaluate.adjacency import Adjacency, measure_adjacency
from dhr.evaluate.groups import uss_supers
from dhr.evaluate.masks import classes_of, masks_in, masks_of
from dhr.evaluate.scores import share
from dhr.evaluate.vanishing import LOW_RECALL, Rate, Vanishing
from dhr.files import check_output, write_json_output
from dhr.job.weights import require_first
from dhr.models.remote import uss_remote
from dhr.models.uss import UssConfig, build_uss
from dhr.report.matrix import draw_matrix, write_picture

_ROWS = 15  # pairs of classes that a table shows
_DRAWN = 100  # classes of the picture
_LOST = ("seen in", "vanished, %", f"under {100 * LOW_RECALL:.0f} % found, %")


def adjacency(
    truth: Path | None,
    data: Path | None,
    split: str | None,
    pred: Path | None,
    supers: Path | None,
    groups: str,
    tau: float,
    centring: float,
    long_side: int,
    uss: UssConfig,
    contact: float,
    region: str,
    json: Path | None,
    picture: Path | None,
    layout: str = AUTO,
    lenient: bool = False,
) -> int:
    """Measure which classes touch; 1 if masks had to be left out, else 0."""
    if truth is None and data is None:
        raise ConfigError("--truth DIR, a folder of masks, or --data DIR, a data set with truth, is needed")
    if groups not in ("given", "uss"):
        raise ConfigError(f"--groups must be given or uss, got {groups!r}")
    if region not in ("part", "class"):
        raise ConfigError(f"--region must be part or class, got {region!r}")
    if groups == "uss" and (data is None or supers is not None):
        raise ConfigError("--groups uss reads the photographs of --data, and takes no --supers; give --data DIR alone")
    if split is not None and data is None:
        raise ConfigError("--split chooses photographs of a data set; give --data DIR")
    for file in (json, picture):
        if file is not None:
            check_output(file)
    if groups == "uss" and data is not None:
        require_first([uss_remote(uss)], data)
    console = Console()
    with Bars(console) as bars:
        photographs: DataSet | None = None if data is None else opened(data, split, layout, bars, lenient)
    if photographs is not None:
        classes = photographs.classes
    else:
        assert truth is not None
        classes = classes_of(truth)
    if supers is not None:
        classes = with_supers(classes, supers)
    with Bars(console) as bars:
        unread: tuple[Problem, ...] = ()
        if groups == "uss" and photographs is not None:
            classes, unread = _from_features(photographs, uss, tau, centring, long_side, bars)
        masks = masks_in(truth, classes, photographs) if truth is not None else masks_of(photographs)  # type: ignore[arg-type]
        if truth is not None and photographs is not None and split is not None:
            names = {sample.name for sample in photographs.samples}
            masks = tuple(mask for mask in masks if mask.name in names)
        found = measure_adjacency(
            masks,
            classes,
            contact=contact,
            whole_classes=region == "class",
            predictions=pred,
            progress=bars,
        )
    listed = () if photographs is None else photographs.problems
    known = {problem.source for problem in found.problems}
    found = replace(found, problems=(*listed, *(one for one in unread if one.source not in known), *found.problems))
    _print(console, found)
    if json is not None:
        write_json_output(json, found.to_json())
        console.print(f"Figures: {escape(str(json))}", highlight=False, soft_wrap=True)
    if picture is not None:
        _draw(found, picture)
        console.print(f"Picture: {escape(str(picture))}", highlight=False, soft_wrap=True)
    return 1 if found.problems else 0


def _from_features(
    data: DataSet, uss: UssConfig, tau: float, centring: float, long_side: int, bars: Bars
) -> tuple[ClassTable, tuple[Problem, ...]]:
    if not -1 <= tau <= 1 or not 0 <= centring < 1 or long_side < 32:
        raise ConfigError(
            f"--tau is a cosine, --centring 0 to below 1, --long_side 32 or more; got {tau}, {centring}, {long_side}"
        )
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    torch.manual_seed(0)
    model = build_uss(uss)
    if isinstance(model, torch.nn.Module):
        model.to(device).eval()
    return uss_supers(
        data,
        model,
        tau=tau,
        centring=centring,
        long_side=long_side,
        device=device,
        progress=bars,
    )


def _print(console: Console, found: Adjacency) -> None:
    print_checks(console, found.checks)
    console.print(
        f"{found.masks} masks. Regions: {'each class of a mask' if found.whole_classes else 'connected parts'}; they "
        f"touch within {found.contact:g} pixels.",
        highlight=False,
        soft_wrap=True,
    )
    table = Table("", "%")
    table.columns[1].justify = "right"
    table.add_row("foreground in regions that touch another class", _percent(found.adjacent), style="bold")
    if found.classes.supers is not None:
        table.add_row("of it, touching other super-classes only (inter)", _percent(found.inter), style="bold")
        table.add_row("of it, each by the share of other super-classes it touches", _percent(found.inter_shared))
        table.add_row("of it, touching at least one other super-class", _percent(found.inter_any))
    console.print(table)
    if found.classes.supers is None:
        console.print("No super-classes are known; name them with --supers FILE, or --groups uss.", soft_wrap=True)
    pairs = found.ranked()
    if pairs:
        console.print(_pair_table(found, pairs))
    if found.vanishing is not None:
        _print_vanishing(console, found.vanishing)
    print_problems(console, found.problems, "--json FILE names all of them")


def _pair_table(found: Adjacency, pairs: list[tuple[int, int]]) -> Table:
    most = f", the {_ROWS} of {len(pairs)} pairs with the largest area" if len(pairs) > _ROWS else ""
    title = f"Classes that touch{most}; % of the area of each"
    table = Table(title=title, title_justify="left")
    for name in ("class", "other class"):
        table.add_column(name, overflow="fold")
    for name in ("masks", "class, %", "other, %"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("super-class", no_wrap=True)
    names, upper = found.classes.names, found.classes.supers
    for i, j in pairs[:_ROWS]:
        table.add_row(
            escape(names[i]),
            escape(names[j]),
            str(found.together[i, j]),
            _percent(found.pairs[i, j] / found.pairs[i, i]),
            _percent(found.pairs[j, i] / found.pairs[j, j]),
            "" if upper is None else "same" if upper[i] == upper[j] else "other",
        )
    return table


def _print_vanishing(console: Console, found: Vanishing) -> None:
    table = Table(title=f"Classes in {found.compared} predicted masks", title_justify="left")
    for name in ("", *_LOST):
        table.add_column(name, justify="left" if not name else "right", no_wrap=True)
    rows = (("alone", found.alone), ("with others, touching none", found.apart), ("touching another", found.touching))
    for name, rate in rows:
        table.add_row(name, *_rate(rate))
    console.print(table)
    pairs = [pair for pair in found.pairs() if pair[2].low]
    if not pairs:
        return
    table = Table(title="Which classes vanish beside which others", title_justify="left")
    for name in ("class", "companion"):
        table.add_column(name, overflow="fold")
    for name in _LOST:
        table.add_column(name, justify="right", no_wrap=True)
    for first, second, rate, _ in pairs[:_ROWS]:
        table.add_row(escape(first), escape(second), *_rate(rate))
    console.print(table)


def _rate(rate: Rate) -> tuple[str, str, str]:
    whole = rate.appearances
    return str(whole), _percent(share(rate.vanished, whole)), _percent(share(rate.low, whole))


def _draw(found: Adjacency, path: Path) -> None:
    """Row: the class; column: what it touches; classes that touch nothing are left out."""
    classes, diagonal = found.classes, np.eye(len(found.classes.names), dtype=bool)
    areas = np.where(diagonal, 0, found.pairs)
    weight = (areas + areas.T).sum(1)
    chosen = (
        [int(i) for i in np.argsort(-weight, kind="stable")[:_DRAWN] if weight[i] > 0]
        or [int(i) for i in np.flatnonzero(found.pairs.diagonal())[:_DRAWN]]
        or list(classes.foreground)[:_DRAWN]
    )
    upper = classes.supers
    if upper is None:
        order = sorted(chosen)
    else:
        rank = {name: number for number, name in enumerate(dict.fromkeys(upper))}
        order = sorted(chosen, key=lambda i: (rank[upper[i]], i))
    shares = areas / np.maximum(found.pairs.diagonal(), 1)[:, None]
    image = draw_matrix(
        shares[np.ix_(order, order)],
        [classes.names[i] for i in order],
        None if upper is None else [upper[i] for i in order],
        f"Adjacent {_percent(found.adjacent)} % of the foreground, inter-class {_percent(found.inter)} % of it",
        "Percent of the row's class in regions that touch the column's class; lines part super-classes.",
    )
    write_picture(path, image)


def _percent(fraction: float) -> str:
    return "-" if fraction != fraction else f"{100 * fraction:.1f}"
