"""The command line of ``dhr features``."""

from functools import partial

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    Compute the unsupervised features of all photographs of a data folder, once, and keep them in a
    folder that `dhr run`, `dhr train` and further calls read with the same --features.

    Kept features are verified and not computed again. So an interrupted call goes on where it was, and
    several processes, on one machine or on many with a common disk, can fill one store. The key of an
    entry is made of the photograph's pixels, the model, its weights and its settings, so features are
    never mixed up. More in docs/features.md.
"""

_END = """
examples:
  dhr features --data photos --features store
  dhr run --data photos --out out --features store
  dhr features --data photos --features small --pca 64 --bits 8 --limit 20GB

exit codes: 0 all done; 1 done, but photographs were left out; 2 nothing done, one line says why;
130 interrupted, 143 ended by SIGTERM, 129 by SIGHUP.
"""


def _ready(arguments: list[str]) -> Ready:
    from dhr.cli.early import early

    given = early(arguments)  # first: what follows takes seconds and hundreds of megabytes
    from dhr.cli.settings import add_settings, check_groups, run_config
    from dhr.features.settings import StoreConfig

    check_groups(given)
    parser = new_parser(_TEXT, "dhr features --data DIR --features STORE [--config FILE] [settings]", _END)
    add_settings(parser, given.preset, out=False)
    parser.add_class_arguments(StoreConfig, None)

    def call(part: Namespace) -> Call:
        from dhr.cli.features import fill

        made = parser.instantiate(part)
        asked = StoreConfig(made.pca, made.bits, made.limit)
        return partial(
            fill, part.data, part.split, run_config(made, given), asked, layout=part.format, lenient=part.ignore_unknown
        )

    return Ready(parser, call, given.arguments)


FEATURES = Command("features", "compute features once, for runs to read", _ready)
"""``dhr features``."""
