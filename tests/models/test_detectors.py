"""Detectors that are asked for names, small random ones of the real classes: against transformers' own results."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from dhr.data.image_config import ImageConfig
from dhr.data.samples import ClassTable, Sample
from dhr.errors import ConfigError, DhrError, WeightsError
from dhr.job.settings import RunConfig
from dhr.job.weights import run_weights
from dhr.models.boxes.build import build_boxes
from dhr.models.boxes.protocol import Boxes, Detector, corners_of
from dhr.models.config import WssConfig
from dhr.models.sam.network import Sam
from dhr.ops.boxes import filled_boxes
from dhr.sources import Given, build_source

from .damaged import damaged
from .detectors import DETECTORS, write_detector
from .sams import write_tiny_sam

NAMES = ("background", "cat", "dog", "tv_monitor", "sky", "tree", "boat", "bird", "cow")
CLASSES = ClassTable(NAMES, background=True)
GRID = (6, 8)
every_detector = pytest.mark.parametrize("name", DETECTORS)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of each network, written once; `sam` is a segmenter."""
    root, made = tmp_path_factory.mktemp("detectors"), dict[str, Path]()

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = write_tiny_sam(root / name) if name == "sam" else write_detector(root / name, name)
        return made[name]

    return folder


def config(folder: Path | str, **changes: Any) -> WssConfig:
    return WssConfig(**{"kind": "boxes", "backbone": str(folder), "segmenter": "none", **changes})


def source(folder: Path | str, **changes: Any) -> Any:
    settings = RunConfig(wss=config(folder, **changes), image=ImageConfig(long_side=64), precision="float32")
    return build_source(Given(settings, CLASSES, torch.device("cpu")))


def images(b: int = 2, h: int = 48, w: int = 64) -> Tensor:
    return torch.randint(0, 256, (b, 3, h, w), generator=torch.Generator().manual_seed(0)) / 255


def sample(*tags: int) -> Sample:
    return Sample("one", "one.png", tags, False)


@every_detector
def test_boxes_are_those_of_transformers(name: str, folders: Callable[[str], Path]) -> None:
    """Their processors, forward pass and conversion, asked for one name."""
    import transformers

    size = (64, 80) if "Grounding" in name else (64, 64) if "OmDet" in name else (48, 64)
    # Nothing is resized, which their processors do with 8 bits.
    folder, picture = folders(name), images(1, *size)
    network = getattr(transformers, name).from_pretrained(folder).eval()
    processor = transformers.AutoImageProcessor.from_pretrained(folder)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    rgb = (picture[0] * 255).round().byte().numpy().transpose(1, 2, 0)
    kind, more = name.removesuffix("ForObjectDetection"), {"threshold": -1.0, "target_sizes": [size]}
    whole = getattr(transformers, "GroundingDinoProcessor" if "Grounding" in kind else f"{kind}Processor")
    whole = whole(processor, tokenizer)
    if "Grounding" in name:
        inputs = whole(images=rgb, text="dog.", return_tensors="pt")
    elif kind == "OmDetTurbo":
        tokenizer.model_max_length = 40
        inputs = whole(images=rgb, text=["dog"], return_tensors="pt", text_kwargs={"max_length": 40})
        more |= {"nms_threshold": 1.0}
    else:
        inputs = whole(images=rgb, text=[["dog"]], return_tensors="pt")
    with torch.no_grad():
        output = network(**inputs)
    found = whole.post_process_grounded_object_detection(output, **more)[0]
    detector = build_boxes(config(folder), ["cat", "dog"])
    assert isinstance(detector, Detector)
    mine = detector.ask(detector.encode(picture), 0, [1])
    sides = torch.tensor([size[1], size[0], size[1], size[0]]).float()
    order = mine.scores[0].argsort(descending=True)
    theirs = found["scores"].argsort(descending=True)
    torch.testing.assert_close(mine.scores[0][order], found["scores"][theirs], rtol=2e-2, atol=2e-3)
    corners = mine.corners[0][order] * sides
    if kind == "OmDetTurbo":
        corners = torch.minimum(corners.clamp_min(0), sides)
    torch.testing.assert_close(corners[:3], found["boxes"][theirs][:3], rtol=2e-2, atol=0.5)


@every_detector
@pytest.mark.parametrize("segmenter", ["none", "sam"])
def test_maps_of_many_are_those_of_each(name: str, segmenter: str, folders: Callable[[str], Path]) -> None:
    made = source(folders(name), segmenter=segmenter if segmenter == "none" else str(folders("sam")))
    pictures = images(2)
    whole = made.see(pictures, [sample(1, 3, 5), sample(2)], GRID)
    assert whole.cams.shape == (2, 3, *GRID) and whole.features is None
    assert whole.cams.isfinite().all() and (whole.cams >= 0).all() and (whole.cams <= 1.01).all()
    assert (whole.cams[1, 1:] == 0).all() and (whole.cams.amax(dim=(2, 3))[0] > 0).all()
    alone = made.see(pictures[:1], [sample(5)], GRID)
    torch.testing.assert_close(alone.cams[0, 0], whole.cams[0, 2], rtol=2e-2, atol=2e-3)
    again = made.see(pictures, [sample(1, 3, 5), sample(2)], GRID)
    assert torch.equal(again.cams, whole.cams)


@every_detector
@pytest.mark.parametrize("size", [(32, 200), (200, 32), (33, 47)])
def test_sizes_of_any_kind(name: str, size: tuple[int, int], folders: Callable[[str], Path]) -> None:
    made = source(folders(name)).see(images(1, *size), [sample(1, 2)], (5, 9))
    assert made.cams.shape == (1, 2, 5, 9) and made.cams.isfinite().all()


def test_a_photograph_of_many_tags_is_encoded_once(
    folders: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in DETECTORS:
        made = source(folders(name), segmenter=str(folders("sam")))
        calls = {"images": 0, "texts": 0, "embedded": 0}
        encode, ask, embed = made.detector.encode, made.detector.ask, Sam.embed

        def encoded(pictures: Tensor, calls: Any = calls, encode: Any = encode) -> Any:
            calls["images"] += len(pictures)
            return encode(pictures)

        def asked(maps: Any, index: int, texts: Any, calls: Any = calls, ask: Any = ask) -> Boxes:
            calls["texts"] += len(texts)
            found: Boxes = ask(maps, index, texts)
            return found

        def embedded(self: Sam, pictures: Tensor, calls: Any = calls, embed: Any = embed) -> Any:
            calls["embedded"] += len(pictures)
            return embed(self, pictures)

        monkeypatch.setattr(made.detector, "encode", encoded)
        monkeypatch.setattr(made.detector, "ask", asked)
        monkeypatch.setattr(Sam, "embed", embedded)
        made.see(images(1), [sample(*range(1, 9))], GRID)
        monkeypatch.setattr(Sam, "embed", embed)
        assert calls == {"images": 1, "texts": 8, "embedded": 1}


def test_names_and_sentences(folders: Callable[[str], Path]) -> None:
    """The highest of synonyms, less what others have; sentences are averaged; separators are left out."""
    folder = folders("Owlv2ForObjectDetection")

    def maps(**changes: Any) -> Tensor:
        found: Tensor = source(folder, **changes).see(images(1), [sample(1)], GRID).cams[0, 0]
        return found

    one, two = maps(words={"cat": "lion"}), maps(words={"cat": "puma"})
    torch.testing.assert_close(maps(words={"cat": ("lion", "puma")}), torch.maximum(one, two))
    less = maps(words={"cat": {"names": "lion", "not": "puma"}})
    torch.testing.assert_close(less, (one - two).clamp_min(0) if (one > two).any() else one - two)
    torch.testing.assert_close(maps(words={"cat": "li. on"}), maps(words={"cat": "li on"}))
    mean = (maps(prompt="{}") + maps(prompt="a {}")) / 2
    torch.testing.assert_close(maps(prompt=("{}", "a {}")), mean)


@given(st.lists(st.floats(-0.5, 1.5), min_size=4, max_size=4), st.integers(1, 7), st.integers(1, 7))
def test_boxes_fill_their_area(corners: list[float], rows: int, columns: int) -> None:
    left, top, right, bottom = (min(1.0, max(0.0, one)) for one in corners)
    made = filled_boxes(torch.tensor(corners, dtype=torch.float64).clamp(0, 1), (rows, columns))
    assert (made >= 0).all() and (made <= 1).all()
    area = max(0.0, right - left) * max(0.0, bottom - top)
    assert float(made.mean()) == pytest.approx(area, abs=1e-9)


def test_corners() -> None:
    assert corners_of(torch.tensor([[0.5, 0.25, 1.0, 0.5]])).tolist() == [[0.0, 0.0, 1.0, 0.5]]


# Bad input


def refused(error: type[DhrError], folder: Path | str, *words: str, **changes: Any) -> None:
    with pytest.raises(error) as found:
        source(folder, **changes)
    assert "\n" not in str(found.value)
    for word in words:
        assert word in str(found.value), found.value


@pytest.mark.usefixtures("no_network")
def test_what_is_no_detector(folders: Callable[[str], Path], tmp_path: Path, tiny_clip: Path) -> None:
    folder = folders("Owlv2ForObjectDetection")
    refused(WeightsError, "google/owlv2-base-patch16-ensemble", "--wss.weights DIR")
    refused(ConfigError, "resnet50", "wss.backbone must be a detector", "'resnet50'")
    refused(ConfigError, tiny_clip, "clip", "GroundingDinoForObjectDetection, ")
    refused(WeightsError, tmp_path, str(tmp_path))
    refused(ConfigError, folder, "SamModel", "wss.segmenter", segmenter=str(tiny_clip))
    refused(WeightsError, folder, "--wss.segmenter DIR", segmenter="facebook/sam-vit-base")
    refused(ConfigError, folder, "separators", words={"cat": ". / ."})
    refused(ConfigError, folders("GroundingDinoForObjectDetection"), "no token", "猫", words={"cat": "猫"})
    refused(ConfigError, folders("GroundingDinoForObjectDetection"), "tokens", words={"cat": "many words " * 20})
    settings = RunConfig(wss=config("google/owlv2-base-patch16-ensemble", segmenter="facebook/sam-vit-base"))
    assert {remote.model for remote in run_weights(settings)} >= {
        "google/owlv2-base-patch16-ensemble", "facebook/sam-vit-base"
    }  # fmt: skip
    assert len(run_weights(replace(settings, wss=replace(settings.wss, segmenter="none")))) == 2


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("damage", ["cut", "pickle only", "part", "no tokenizer", "no processor"])
def test_a_folder_that_is_damaged(damage: str, folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "detector"
    words = damaged(folders("Owlv2ForObjectDetection"), folder, damage, "class_head")
    refused(WeightsError, folder, *words)


def test_a_run_needs_no_training(
    folders: Callable[[str], Path], fresh: Any, dhr: Any, made: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "detector"
    shutil.copytree(folders("Owlv2ForObjectDetection"), folder)
    call = fresh.run(
        *("--wss.kind", "boxes", "--wss.backbone", str(folder), "--wss.weights", "hub"),
        *("--wss.segmenter", str(folders("sam"))),
    )
    ended = dhr(call)
    assert ended.code == 0, ended.err
    first = made(fresh.out)
    assert sum(name.startswith("masks/") for name in first) == 5
    shutil.rmtree(fresh.out)
    assert dhr(call).code == 0 and made(fresh.out) == first
    ended = dhr([*call, "--wss.segmenter", "none"])
    assert ended.code == 2 and "wss.segmenter" in ended.err and "--redo" in ended.err
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "initializer_factor": 0.5}))
    ended = dhr(call)
    assert ended.code == 2 and "wss.backbone changed" in ended.err
