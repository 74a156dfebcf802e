"""The command line of ``dhr run``."""

from functools import partial

from jsonargparse import Namespace

from dhr.cli.command import Call, Command, Ready, new_parser

_TEXT = """
    Make a segmentation mask for each photograph of a folder, from the names of what is in it.

    The data folder:
      images/       photographs (png, jpg, webp, bmp, tif, gif); sub-folders are allowed
      tags.csv      a header `image,tags`, then a line per photograph: `beach.jpg,sea;sand;dog`
                    (or tags.tsv, tags.xlsx, tags.jsonl)
      classes.txt   the class names, one per line. If the first is `background`, pixels that belong to
                    no tag are background; otherwise every pixel belongs to one of the photograph's tags
      splits/NAME.txt   optional lists of photographs, chosen with --split
    or a data set as it was published or exported: PASCAL VOC, COCO, ADE20K, PASCAL-Context, COCO-Stuff,
    CVAT, Label Studio, YOLO, datumaro, Hugging Face, one folder per class (recognised, or named with
    --format).

    What happens: every photograph is read once; a classifier learns the tags; its class activation
    maps, unsupervised features and the classifier's own features are rebalanced into a mask
    (Steps 1 to 3 of the paper, then the boundary).

    The output folder:
      masks/        a PNG for each photograph, of its size; pixel values are line numbers of
                    classes.txt, from 0
      report.html   pictures of every step, the least certain masks first
      run.json      settings, versions, seconds and memory, and every photograph that was left out,
                    with the reason
      stages/ cams/ the masks of the steps in between, and the activation maps
      classifier.safetensors   the trained classifier, which --classifier.file takes in another run
      affinity.safetensors     with --wss.kind irn: the heads that find where classes end

    Interrupted, the same command goes on where it stopped, and ends with the same masks.
"""

_END = """
examples:
  dhr run --data photos --out out
  dhr run --data photos --out out --preset paper --method.tau 0.7 --boundary.kind none
  dhr run --data photos --out out --wss.backbone resnet18 --wss.weights resnet18.safetensors

exit codes: 0 all done; 1 done, but photographs were left out; 2 nothing done, one line says why;
130 interrupted, 143 ended by SIGTERM, 129 by SIGHUP.

A YAML file (--config) can hold settings, with the same names; the command line overrides it.
Paths of weights and classifier in a YAML file are relative to its folder.
"""


def _ready(arguments: list[str]) -> Ready:
    from dhr.cli.early import early

    given = early(arguments)  # first: what follows takes seconds and hundreds of megabytes
    from dhr.cli.settings import add_settings, check_groups, run_config

    check_groups(given)
    parser = new_parser(_TEXT, "dhr run --data DIR --out DIR [--config FILE] [settings]", _END)
    add_settings(parser, given.preset)

    def call(part: Namespace) -> Call:
        from dhr.cli.run import run

        config = run_config(parser.instantiate(part), given)
        return partial(
            run, part.data, part.out, part.split, config, given.preset, layout=part.format, lenient=part.ignore_unknown
        )

    return Ready(parser, call, given.arguments)


RUN = Command("run", "make masks for a folder of photographs and tags", _ready)
