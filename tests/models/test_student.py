"""The student network."""

from pathlib import Path

import pytest
import torch
from torch import nn

from dhr.data.samples import ClassTable
from dhr.errors import ConfigError, WeightsError
from dhr.models.student import DECODERS, StudentConfig
from dhr.models.student.network import Student
from dhr.models.wss import WssConfig, WssModel
from dhr.models.wss.classifier import TagClassifier
from dhr.train.student_file import read_student, write_student

WSS = WssConfig(backbone="test_resnet", weights="none", scales=(1.0,))


def tiny(decoder: str = "deeplabv3plus", classes: int = 5, background: bool = True, **options: object) -> Student:
    torch.manual_seed(0)
    config = StudentConfig(decoder=decoder, width=16, low_level=8, rates=(1, 2), **options)  # type: ignore[arg-type]
    return Student(TagClassifier(WSS, classes - int(background)), config, classes).eval()


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("size", [(32, 32), (33, 70), (64, 48)])
def test_what_it_gives(decoder: str, size: tuple[int, int]) -> None:
    student = tiny(decoder)
    assert isinstance(student, WssModel)
    images = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        seen, whole = student(images), student.segment(images)
    assert seen.cams.shape[:2] == (2, 4)
    assert seen.features.shape[:2] == (2, student.dim)
    assert seen.logits.shape[1] == 5
    assert whole.shape == (2, 5, *size)
    torch.testing.assert_close(whole.sum(dim=1), torch.ones(2, *size))
    with torch.no_grad():
        torch.testing.assert_close(student.segment(images[:1]), whole[:1], atol=1e-5, rtol=1e-4)
    maps = student.maps(images)
    assert maps.cams.shape[:2] == (2, 4)
    assert torch.isfinite(maps.cams).all()


def test_its_maps_are_the_decoders_or_the_cams() -> None:
    images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    by_decoder, by_cam = tiny(), tiny(maps="cam")
    assert torch.equal(by_cam.maps(images).cams, by_cam.tagger.maps(images).cams)
    seen = by_decoder(images)
    torch.testing.assert_close(by_decoder.maps(images).cams, seen.logits.softmax(dim=1)[:, 1:].detach())


@pytest.mark.parametrize("background", [False, True])
@pytest.mark.parametrize("maps", ["decoder", "cam"])
def test_its_probabilities_are_of_the_tags_and_the_background(background: bool, maps: str) -> None:
    student = tiny(background=background, maps=maps)
    images = torch.rand(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    whole = student(images).logits.softmax(dim=1).detach()
    found, every = student.maps(images, [2, 0]).probabilities, student.maps(images).probabilities
    assert found is not None and every is not None
    torch.testing.assert_close(found, whole[:, [0, 3, 1] if background else [2, 0]])
    torch.testing.assert_close(every, whole)


def test_maps_in_the_midst_of_training_leave_the_modes() -> None:
    student = tiny()
    student.set_modes(freeze_norm=True)
    modes = [module.training for module in student.modules()]
    student.maps(torch.rand(1, 3, 32, 32))
    assert [module.training for module in student.modules()] == modes


def test_saving_memory_changes_no_gradient() -> None:
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    gradients = []
    for save in (False, True):
        student = tiny()
        student.save_memory = save
        student.set_modes(freeze_norm=True)
        seen = student(images)
        (seen.logits.square().mean() + seen.cams.mean()).backward()
        gradients.append([one.grad.clone() for one in student.parameters() if one.grad is not None])
    assert len(gradients[0]) == len(gradients[1]) > 10
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


def test_group_norms_do_not_depend_on_the_batch() -> None:
    assert not any(isinstance(one, nn.BatchNorm2d) for one in tiny().decoder.modules())
    assert any(isinstance(one, nn.BatchNorm2d) for one in tiny(norm="batch").decoder.modules())


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_file_gives_the_same_student(decoder: str, tmp_path: Path) -> None:
    student = tiny(decoder)
    classes = ClassTable(("background", "cat", "dog", "ä;b", "=x"), background=True)
    write_student(tmp_path / "student.safetensors", student, classes, 64)
    read = read_student(tmp_path / "student.safetensors")
    assert (read.classes.names, read.classes.background, read.long_side) == (classes.names, True, 64)
    images = torch.rand(1, 3, 40, 40, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        assert torch.equal(read.student.segment(images), student.segment(images))


@pytest.mark.parametrize("damage", ["cut", "missing", "other"])
def test_a_file_that_is_none_is_refused(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "student.safetensors"
    write_student(path, tiny(), ClassTable(tuple("abcde"), background=True), 64)
    if damage == "missing":
        path.unlink()
    else:
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] if damage == "cut" else b"{}" * 20)
    with pytest.raises(WeightsError, match="not a usable student"):
        read_student(path)


@pytest.mark.parametrize(
    "wrong", [{"decoder": "unet"}, {"width": 0}, {"rates": ()}, {"rates": (0,)}, {"norm": "layer"}, {"maps": "mask"}]
)
def test_settings_that_cannot_work(wrong: dict[str, object], unchecked: None) -> None:
    with pytest.raises(ConfigError, match=f"student.{next(iter(wrong))}"):
        StudentConfig(**wrong)  # type: ignore[arg-type]
