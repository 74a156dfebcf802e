"""Rules that every map source keeps, and a source of one's own in a whole run."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from dhr.data import SceneDataSet
from dhr.data.image_config import ImageConfig
from dhr.data.samples import DataSet, Sample
from dhr.errors import ConfigError, DhrError, ItemError, WeightsError
from dhr.job.features import build_features
from dhr.job.maps import see
from dhr.job.models import Models
from dhr.job.settings import RunConfig
from dhr.models.config import WORD_KINDS, StudentConfig, UssConfig, WssConfig
from dhr.models.student.network import Student
from dhr.models.wss.classifier import TagClassifier
from dhr.progress import Progress, Step
from dhr.sources import SOURCES, Given, MapSource, Seen, SourceClass, SourceSettings, build_source, source_type
from dhr.sources.weights_file import stored_settings
from dhr.train.config import AffinityConfig, ClassifierConfig
from dhr.train.student_file import write_student

from ..models.conftest import write_tiny_clip
from ..models.detectors import write_detector
from ..models.sams import write_tiny_sam
from ..models.word_models import write_word_model

SCENES = SceneDataSet(4, seed=0, size=(48, 64))
CLASSES = SCENES.classes
TAGS = tuple(CLASSES.foreground)[:3]
GRID = (6, 8)
TINY = WssConfig(backbone="test_resnet", weights="none", scales=(1.0, 1.5))
SETTINGS = RunConfig(
    wss=TINY,
    image=ImageConfig(long_side=64),
    classifier=ClassifierConfig(epochs=1, batch=2, crop=32),
    affinity=AffinityConfig(epochs=1, batch=2, crop=32, radius=2),
    uss=UssConfig(kind="colour", weights="none", scales=(1.0,)),
)


def plain(kind: str, folder: Path) -> WssConfig:
    return replace(TINY, kind=kind)


def clip(kind: str, folder: Path) -> WssConfig:
    return WssConfig(kind=kind, backbone=str(write_tiny_clip(folder / "clip")), scales=(1.0,))


def words(name: str) -> Callable[[str, Path], WssConfig]:
    """Settings of a small random network of a class of transformers."""
    return lambda kind, folder: WssConfig(kind=kind, backbone=str(write_word_model(name, folder / kind)), scales=(1.0,))


def files(kind: str, folder: Path) -> WssConfig:
    random = np.random.default_rng(0)
    (folder / "maps").mkdir()
    maps = {"classes": np.array(TAGS), "cams": random.random((len(TAGS), 5, 7), np.float32)}
    np.savez(folder / "maps" / "one.npz", **maps)
    return replace(TINY, kind=kind, maps=folder / "maps")


def student(kind: str, folder: Path) -> WssConfig:
    torch.manual_seed(0)
    config = StudentConfig(width=16, low_level=8, rates=(1, 2))
    network = Student(TagClassifier(TINY, len(CLASSES.foreground)), config, len(CLASSES.names))
    write_student(folder / "student.safetensors", network, CLASSES, 64)
    return replace(TINY, kind=kind, weights=str(folder / "student.safetensors"))


def boxes(kind: str, folder: Path) -> WssConfig:
    detector, segmenter = write_detector(folder / "detector"), write_tiny_sam(folder / "sam")
    return WssConfig(kind=kind, backbone=str(detector), segmenter=str(segmenter), scales=(1.0,))


KINDS: dict[str, Callable[[str, Path], WssConfig]] = {
    "classifier": plain, "irn": plain, "clip": clip, "files": files, "student": student,
    "clipseg": words("CLIPSegForImageSegmentation"), "maskclip": words("CLIPModel"), "tips": words("Tipsv2Model"),
    "sam3": words("Sam3Model"), "boxes": boxes,
}  # fmt: skip
every_kind = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture
def given(kind: str, tmp_path: Path) -> Given:
    """Everything that a source of ``kind`` is built from, without any training."""
    config = replace(SETTINGS, wss=KINDS[kind](kind, tmp_path))
    return Given(config, CLASSES, torch.device("cpu"), tmp_path)


def photograph(tags: Sequence[int] = TAGS) -> Sample:
    return Sample("one", "one.png", tuple(tags), False)


def image() -> Tensor:
    return torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(0))


def one_line(error: pytest.ExceptionInfo[DhrError], *words: str) -> None:
    assert "\n" not in str(error.value)
    for word in words:
        assert word in str(error.value)


def test_every_registered_source_is_tested() -> None:
    assert set(KINDS) == set(SOURCES)


@every_kind
def test_it_keeps_the_protocol(given: Given, kind: str) -> None:
    source = build_source(given)
    assert isinstance(source, MapSource) and isinstance(source_type(kind), SourceClass)
    names, results = ([getattr(one, name) for one in source.fittings] for name in ("name", "file"))
    assert source_type(kind).trainings(given.settings) == tuple(names)
    assert len({*names}) == len(names) and all(Path(file).name == file for file in results)
    assert source_type(kind).remote(given.settings, None) is None  # weights are none, or lie in a folder


@every_kind
def test_it_sees_the_tags_and_nothing_else(given: Given) -> None:
    source, picture = build_source(given), image()
    before = picture.clone()
    for tags in (TAGS[:1], TAGS[1:], TAGS):
        seen = source.see(picture, [photograph(tags)], GRID)
        assert seen.cams.shape == (1, len(tags), *GRID)
        found = [one for one in vars(seen).values() if one is not None]
        assert all(bool(one.isfinite().all()) and len(one) == 1 for one in found)
        if seen.features is not None:
            assert seen.features.shape[-2:] == GRID
        if seen.edges is not None:
            assert seen.edges.shape[1] == 1 and 0 <= float(seen.edges.min()) <= float(seen.edges.max()) <= 1
        if seen.probabilities is not None:
            assert seen.probabilities.shape[1] == len(tags) + CLASSES.background
            assert float(seen.probabilities.sum(dim=1).max()) <= 1 + 1e-5
    assert torch.equal(picture, before), "the photograph was changed"


@every_kind
def test_the_order_of_tags_decides_nothing(given: Given) -> None:
    source = build_source(given)
    usual = source.see(image(), [photograph()], GRID)
    for order in permutations(range(len(TAGS))):
        other = source.see(image(), [photograph([TAGS[index] for index in order])], GRID)
        torch.testing.assert_close(other.cams, usual.cams[:, list(order)], rtol=1e-4, atol=1e-5)


@every_kind
def test_the_same_photograph_looks_the_same_again(given: Given) -> None:
    source = build_source(given)
    first = source.see(image(), [photograph()], GRID)
    source.see(1 - image(), [photograph(TAGS[:1])], GRID)
    for one, other in zip(vars(first).values(), vars(source.see(image(), [photograph()], GRID)).values(), strict=True):
        assert one is other is None or torch.equal(one, other)


@every_kind
def test_its_check_keeps_what_it_can_see(given: Given) -> None:
    source, steps = build_source(given), list[Step]()
    negative = Sample("two", "two.png", (), False)
    checked = source.check([photograph(), negative], {"one": (48, 64), "two": (48, 64)}, steps.append)
    assert checked.samples == (photograph(), negative) and not checked.problems
    assert bool(steps) == source.reads_files


@every_kind
def test_a_classifier_is_taken_or_refused(given: Given, kind: str, tmp_path: Path) -> None:
    trained = Given(SETTINGS, CLASSES, torch.device("cpu"))
    fitting = build_source(trained).fittings[0]
    fitting.save(tmp_path / "other.safetensors")
    file = replace(given.settings.classifier, file=tmp_path / "other.safetensors")
    settings = replace(given.settings, classifier=file)  # type: ignore[type-var]
    if kind in (*WORD_KINDS, "student"):
        with pytest.raises(ConfigError) as refused:
            build_source(replace(given, settings=settings))
        one_line(refused, "--classifier.file", kind)
        return
    source = build_source(replace(given, settings=settings))
    assert source.takes_classifier and "classifier" not in [one.name for one in source.fittings]
    network: Any = source.network  # type: ignore[attr-defined]
    expected = load_file(tmp_path / "other.safetensors")
    assert all(torch.equal(network.tag_state()[name], value) for name, value in expected.items())


@every_kind
def test_a_student_starts_from_a_classifier_if_there_is_one(given: Given, kind: str) -> None:
    source = build_source(given)
    if kind in ("classifier", "irn"):
        network, own = source.begin_student(), source.network.tag_state()  # type: ignore[attr-defined]
        assert type(network) is TagClassifier
        assert all(torch.equal(value, own[name]) for name, value in network.state_dict().items())
        assert network.encoder is not source.network.encoder  # type: ignore[attr-defined]
    else:
        with pytest.raises(ConfigError) as refused:
            source.begin_student()
        one_line(refused, "a student needs a classifier")


@every_kind
def test_trainings_are_done_once(given: Given, kind: str, tmp_path: Path) -> None:
    source = build_source(given)
    for fitting in source.fittings:
        steps: list[Step] = []
        fitting.fit(SCENES, SCENES.samples, tmp_path / f"{fitting.name}.checkpoint", steps.append)
        assert {step.stage for step in steps} == {fitting.name} and steps[-1].done == steps[-1].total
        fitting.save(tmp_path / fitting.file)
    expected = source.see(image(), [photograph()], GRID)
    found = build_source(given).see(image(), [photograph()], GRID)  # reads the results
    for one, other in zip(vars(expected).values(), vars(found).values(), strict=True):
        assert one is other is None or torch.equal(one, other)
    for fitting in source.fittings:
        whole = (tmp_path / fitting.file).read_bytes()
        (tmp_path / fitting.file).write_bytes(whole[: len(whole) // 2])
        with pytest.raises(WeightsError) as refused:
            build_source(given)
        one_line(refused, str(tmp_path / fitting.file))
        (tmp_path / fitting.file).write_bytes(whole)


@every_kind
def test_nan_is_refused_by_whoever_looks(given: Given, kind: str) -> None:
    source = build_source(given)
    networks = [value for value in vars(source).values() if isinstance(value, torch.nn.Module)]
    with torch.no_grad():
        for parameter in (one for network in networks for one in network.parameters()):
            parameter.fill_(torch.nan)
    config: Any = given.settings
    models = Models(source, build_features(config, torch.device("cpu")))
    with pytest.raises(ItemError) as refused:
        see(np.zeros((48, 64, 3), np.uint8), photograph(), models, config)
    one_line(refused, "NaN or infinity")


def test_settings_that_name_nothing_are_refused(tmp_path: Path) -> None:
    def refused(error: type[DhrError], *words: str, **wss: Any) -> None:
        with pytest.raises(error) as found:
            build_source(Given(replace(SETTINGS, wss=replace(TINY, **wss)), CLASSES, torch.device("cpu"), tmp_path))
        one_line(found, *words)

    refused(ConfigError, "wss.kind", "nonsense", *SOURCES, kind="nonsense")
    refused(ConfigError, "--wss.maps DIR", kind="files")
    refused(ConfigError, "holds no file of maps", kind="files", maps=tmp_path)
    refused(ConfigError, "--wss.weights FILE", "none", kind="student")
    refused(WeightsError, "no_such_file", kind="student", weights="no_such_file")


def test_a_student_for_other_classes_is_refused(tmp_path: Path) -> None:
    config = replace(SETTINGS, wss=student("student", tmp_path))
    other = replace(CLASSES, names=(*CLASSES.names[:-1], "other"))
    with pytest.raises(WeightsError) as refused:
        build_source(Given(config, other, torch.device("cpu")))
    one_line(refused, "was trained for the classes")


def test_a_trained_classifier_carries_its_settings(tmp_path: Path) -> None:
    wss = replace(TINY, scales=(0.5, 1.0), options={"out_indices": [3, 4]}, mean=(0.1, 0.2, 0.3))
    config = replace(SETTINGS, wss=wss, image=ImageConfig(long_side=96, grid_stride=16))
    path = tmp_path / "classifier.safetensors"
    build_source(Given(config, CLASSES, torch.device("cpu"))).fittings[0].save(path)
    found = stored_settings(path)
    assert ImageConfig(**found["image"]) == config.image
    assert replace(WssConfig(**found["wss"]), options=wss.options) == wss  # options hold lists or tuples
    save_file(load_file(path), path, {"classes": json.dumps(list(CLASSES.names))})  # as older versions wrote it
    assert stored_settings(path) == {}
    ours = replace(SETTINGS, wss=wss, classifier=replace(SETTINGS.classifier, file=path))
    build_source(Given(ours, CLASSES, torch.device("cpu")))


def test_settings_of_a_file_never_lead_out_of_it(tmp_path: Path) -> None:
    config = replace(SETTINGS, wss=replace(TINY, weights=str(tmp_path / "mine.pth")))
    path = tmp_path / "classifier.safetensors"
    given = Given(config, CLASSES, torch.device("cpu"), tmp_path)
    source = build_source(replace(given, settings=SETTINGS))
    replace(source.fittings[0], given=given).save(path)  # type: ignore[type-var]
    assert "weights" not in stored_settings(path)["wss"]
    state = load_file(path)
    for section, values, word in (
        ("wss", {"backbone": "hf-hub:someone/else"}, "without '/'"),
        ("wss", {"maps": "anywhere"}, "maps"),
        ("wss", {"options": {"checkpoint_path": "a"}}, "other files"),
        ("wss", {"scales": 10**9}, "scales"),
        ("uss", {"model": "a"}, "uss"),
    ):
        save_file(state, path, {"dhr": json.dumps({"classes": [], "settings": {section: values}})})
        with pytest.raises(WeightsError) as refused:
            stored_settings(path)
        one_line(refused, word)
    path.write_bytes(b"nothing")
    with pytest.raises(WeightsError) as refused:
        stored_settings(path)
    one_line(refused, "is not a classifier.safetensors of a run")


@dataclass(frozen=True)
class Counting:
    """The training of :class:`Rings`: counts the photographs."""

    state: dict[str, Tensor]
    name: str = "rings"
    file: str = "rings.safetensors"
    for_student: bool = False

    def chosen(self, photographs: int) -> dict[str, int]:
        return {}

    def fit(self, data: DataSet, samples: Sequence[Sample], checkpoint: Path, progress: Progress) -> None:
        self.state["photographs"] = torch.tensor([len(samples)])
        progress(Step("rings", len(samples), len(samples)))

    def save(self, path: Path) -> None:
        save_file(self.state, path)

    def load(self, path: Path) -> None:
        self.state.update(load_file(path))


class Rings(MapSource):
    """A source of one's own: rings around the middle, one per tag."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.state: dict[str, Tensor] = {}
        self.fittings = (Counting(self.state),)

    @classmethod
    def trainings(cls, settings: SourceSettings) -> tuple[str, ...]:
        return ("rings",)

    def see(self, images: Tensor, samples: Sequence[Sample], grid: tuple[int, int]) -> Seen:
        assert int(self.state["photographs"]) == 5
        rows, columns = (torch.linspace(-1, 1, side) for side in grid)
        distance = (rows[:, None] ** 2 + columns[None] ** 2).sqrt()
        counts = [len(sample.tags) for sample in samples]
        places = [torch.linspace(0, 1, count + 1)[1:].view(1, -1, 1, 1) for count in counts]
        return Seen.together([Seen((-((distance - place) ** 2) * 20).exp()) for place in places])


def test_a_new_source_is_a_class_and_a_line(fresh: Any, dhr: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "rings", lambda: Rings)
    ended = dhr(fresh.run("--wss.kind", "rings", "--wss.weights", "hub"))  # asks no hub for weights
    assert ended.code == 0, ended.err
    assert len(list((fresh.out / "masks").rglob("*.png"))) == 5
    record = fresh.record()
    assert [stage["name"] for stage in record["stages"]] == ["models", "scan", "rings", "survey", "masks"]
    assert (fresh.out / "rings.safetensors").is_file() and not (fresh.out / "classifier.safetensors").exists()
    next((fresh.out / "masks").glob("*.png")).unlink()
    assert dhr(fresh.run("--wss.kind", "rings", "--wss.weights", "hub")).code == 0  # trained once, read again
    assert len(list((fresh.out / "masks").rglob("*.png"))) == 5


@every_kind
def test_a_batch_gives_the_maps_of_each_photograph(given: Given, kind: str) -> None:
    """Photographs with different tags share a batch; padding is 0."""
    source = build_source(given)
    pictures, tags = torch.cat([image(), 1 - image(), image().flip(-1)]), [TAGS, TAGS[:1], TAGS[::-1][:2]]
    samples = [photograph(some) for some in tags]
    together = source.see(pictures, samples, GRID)
    for index, sample in enumerate(samples):
        alone = source.see(pictures[index : index + 1], [sample], GRID)
        for name, maps in vars(alone).items():
            whole = vars(together)[name]
            assert (whole is None) == (maps is None)
            if maps is not None:
                one = whole[index : index + 1]
                torch.testing.assert_close(one[:, : maps.shape[1]], maps, rtol=1e-3, atol=1e-4)
                assert not one[:, maps.shape[1] :].any()
