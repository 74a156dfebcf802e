"""Networks that find names, small random ones of the real classes: against transformers' own results, and bad input."""

import json
import shutil
import sys
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn.functional import interpolate, normalize

from dhr.data.image_config import ImageConfig
from dhr.data.samples import ClassTable, Sample
from dhr.errors import ConfigError, DhrError, WeightsError
from dhr.job.settings import RunConfig
from dhr.models.config import WssConfig
from dhr.models.words.texts import Word
from dhr.models.words.vocabulary import Vocabulary
from dhr.sources import Given, MapSource, build_source

from .damaged import damaged
from .word_models import SIDE, WORD_MODELS, write_word_model

NAMES = ("background", "cat", "dog", "tv_monitor", "sky", "tree", "boat", "bird", "cow")
CLASSES = ClassTable(NAMES, background=True)
FIRST = {kind: name for name, (kind, _) in reversed(WORD_MODELS.items())}
"""One network of each kind; the others of a kind are read by the same functions."""
every_model = pytest.mark.parametrize("name", WORD_MODELS)
prompted = pytest.mark.parametrize("name", ["CLIPSegForImageSegmentation", "Sam3Model", "Sam3LiteTextModel"])


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of each network, written once."""
    root, made = tmp_path_factory.mktemp("words"), dict[str, Path]()

    def folder(name: str) -> Path:
        if name not in made:
            made[name] = write_word_model(name, root / name)
        return made[name]

    return folder


def source(name: str, folder: Path | str, **changes: Any) -> Any:
    wss = WssConfig(**{"kind": WORD_MODELS[name][0], "backbone": str(folder), "scales": (1.0,), **changes})
    settings = RunConfig(wss=wss, image=ImageConfig(long_side=64), precision="float32")
    return build_source(Given(settings, CLASSES, torch.device("cpu")))


@pytest.fixture(scope="session")
def usual(folders: Callable[[str], Path]) -> Callable[[str], Any]:
    """The source of each network with settings that most tests share, built once; tests leave it as it is."""
    made = dict[str, Any]()

    def build(name: str) -> Any:
        if name not in made:
            made[name] = source(name, folders(name))
        return made[name]

    return build


def images(b: int = 2, h: int = 48, w: int = 64) -> Tensor:
    return torch.rand(b, 3, h, w, generator=torch.Generator().manual_seed(0))


def sample(*tags: int) -> Sample:
    return Sample("one", "one.png", tags, False)


def refused(error: type[DhrError], name: str, folder: Path | str, *words: str, **changes: Any) -> None:
    with pytest.raises(error) as found:
        source(name, folder, **changes)
    assert "\n" not in str(found.value)
    for word in words:
        assert word in str(found.value), found.value


def theirs(name: str, folder: Path, texts: list[str], side: int = 0) -> tuple[Any, Mapping[str, Tensor]]:
    """The network as transformers loads it, and its inputs for :func:`rounded`, of the real processors."""
    import transformers

    network = getattr(transformers, name).from_pretrained(folder).eval()
    pixels = transformers.AutoImageProcessor.from_pretrained(folder)
    picture = (rounded(side)[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    padded = {"padding": "max_length", "max_length": 32} if name not in ("CLIPModel", "MetaClip2Model") else {}
    inputs = dict(tokenizer(texts, return_tensors="pt", **(padded or {"padding": True})))
    return network, {**inputs, **pixels(images=picture, return_tensors="pt")}


def rounded(side: int = 0) -> Tensor:
    """An image as 8 bits hold it."""
    return (images(1, side or 48, side or 64) * 255).round() / 255


# Maps


def test_clipseg_against_transformers(folders: Callable[[str], Path]) -> None:
    name = "CLIPSegForImageSegmentation"
    folder = folders(name)
    network, inputs = theirs(name, folder, ["a cat", "a tv monitor"], SIDE)
    pixels = inputs["pixel_values"]
    with torch.no_grad():
        logits = network(input_ids=inputs["input_ids"], pixel_values=pixels.expand(2, -1, -1, -1)).logits
    mine = source(name, folder, prompt="a {}")
    encoded = mine.network.encode(rounded(SIDE))
    torch.testing.assert_close(mine.network.ask(encoded, 0, [0, 2]), logits.sigmoid(), rtol=1e-3, atol=1e-4)


def test_sam3_against_transformers(folders: Callable[[str], Path], usual: Callable[[str], Any]) -> None:
    folder = folders("Sam3Model")
    network, inputs = theirs("Sam3Model", folder, ["cat", "tv monitor"], SIDE)
    pixels = inputs["pixel_values"].expand(2, -1, -1, -1)
    with torch.no_grad():
        made = network(pixels, input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])
    scores = (made.pred_logits.sigmoid() * made.presence_logits.sigmoid())[:, :, None, None]
    instances = (made.pred_masks.sigmoid() * scores).amax(dim=1)
    area = made.semantic_seg[:, 0].sigmoid() * made.presence_logits.sigmoid()[:, :, None]
    mine = usual("Sam3Model")
    found = mine.network.ask(mine.network.encode(rounded(SIDE)), 0, [0, 2])
    torch.testing.assert_close(found, torch.maximum(instances, area), rtol=1e-3, atol=1e-5)
    seen = mine.see(rounded(SIDE), [sample(1, 3)], (6, 8)).cams
    expected = interpolate(found[None], (6, 8), mode="bilinear", antialias=True)
    torch.testing.assert_close(seen, expected)


@prompted
def test_images_are_stretched_as_the_processor_does(
    name: str, folders: Callable[[str], Path], usual: Callable[[str], Any]
) -> None:
    _, inputs = theirs(name, folders(name), ["a"])
    found = usual(name).network.pixels.sized(rounded())
    torch.testing.assert_close(found, inputs["pixel_values"], rtol=0, atol=0.02)  # it rounds to 8 bits between


def test_sentences_of_sam3_are_averaged(folders: Callable[[str], Path]) -> None:
    found = [
        source("Sam3Model", folders("Sam3Model"), prompt=prompt).see(images(1), [sample(1)], (6, 8)).cams
        for prompt in ("{}", "a {}", ("{}", "a {}"))
    ]
    torch.testing.assert_close(found[2], (found[0] + found[1]) / 2)


@pytest.mark.parametrize("name", ["CLIPModel", "MetaClip2Model"])
def test_values_of_the_last_block_against_its_attention(name: str, folders: Callable[[str], Path]) -> None:
    """A patch that attends to itself alone has its own value."""
    network, inputs = theirs(name, folders(name), ["a photo of a cat.", "a photo of a dog."])
    mine = source(name, folders(name), backgrounds=())
    states = network.vision_model(
        mine.network.pixels.scaled(images()), interpolate_pos_encoding=True, output_hidden_states=True
    ).hidden_states
    last, expected = network.vision_model.encoder.layers[-1], []
    for patch in states[-2][:, 1:].unbind(1):
        value = last.self_attn(hidden_states=last.layer_norm1(patch[:, None]), attention_mask=None)[0]
        expected.append(normalize(network.visual_projection(network.vision_model.post_layernorm(value))[:, 0]))
    texts = normalize(network.get_text_features(inputs["input_ids"], inputs["attention_mask"]).pooler_output)
    cosines = (torch.stack(expected, dim=1) @ texts.T).transpose(1, 2).unflatten(2, (6, 8)).detach()
    torch.testing.assert_close(mine.network.maps(images(), [0, 1]).cams, cosines, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", ["SiglipModel", "Siglip2Model"])
def test_pooled_patches_against_the_head(name: str, folders: Callable[[str], Path]) -> None:
    """A picture of one patch only is pooled to what the patch shows."""
    network, inputs = theirs(name, folders(name), ["a photo of a cat."])
    mine = source(name, folders(name), backgrounds=())
    picture = images(2, 8, 8)
    pixels = mine.network.pixels.scaled(picture)
    if name == "Siglip2Model":
        rows = pixels.permute(0, 2, 3, 1).reshape(2, 1, -1)
        given = {
            "pixel_values": rows,
            "pixel_attention_mask": torch.ones(2, 1),
            "spatial_shapes": torch.ones(2, 2).long(),
        }
        pooled = network.vision_model(**given).pooler_output
    else:
        pooled = network.vision_model(pixels, interpolate_pos_encoding=True).pooler_output
    asked = {key: inputs[key] for key in ("input_ids", "attention_mask") if key in inputs}
    text = normalize(network.get_text_features(**asked).pooler_output)
    cosines = (normalize(pooled) @ text.T)[:, :, None, None].detach()
    torch.testing.assert_close(mine.network.maps(picture, [0]).cams, cosines, rtol=1e-3, atol=1e-4)
    large = mine.network.maps(images(), [0])
    assert large.cams.shape == (2, 1, 6, 8) and float(large.cams.std()) > 1e-3


def test_rows_of_patches_are_those_of_the_processor(
    folders: Callable[[str], Path], usual: Callable[[str], Any]
) -> None:
    name = "Siglip2Model"
    network, inputs = theirs(name, folders(name), ["a"])
    rows, columns = inputs["spatial_shapes"][0].tolist()
    import transformers

    resized = transformers.SiglipImageProcessor(size={"height": 8 * rows, "width": 8 * columns}, do_normalize=False)
    picture = (images()[0].permute(1, 2, 0) * 255).round().to(torch.uint8).numpy()
    pixels = resized(images=picture, resample=2, return_tensors="pt")["pixel_values"]
    mine = usual(name).network
    own = mine.tower._embedded(mine.pixels.scaled(pixels))
    expected = network.vision_model.embeddings(inputs["pixel_values"], inputs["spatial_shapes"])[:, : rows * columns]
    torch.testing.assert_close(own, expected, rtol=1e-2, atol=3e-2)


def test_tips_compares_patches_with_texts(folders: Callable[[str], Path]) -> None:
    network, inputs = theirs("Tipsv2Model", folders("Tipsv2Model"), ["a photo of a cat.", "a photo of a tree."])
    mine = source("Tipsv2Model", folders("Tipsv2Model"), backgrounds=("sky", "river"))
    patches = normalize(network.vision_model(images(2, 56, 70)).last_hidden_state[:, 2:], dim=2)
    texts = normalize(network.get_text_features(inputs["input_ids"], inputs["attention_mask"]).pooler_output)
    _, river = theirs("Tipsv2Model", folders("Tipsv2Model"), ["a photo of a river."])
    usual = normalize(network.get_text_features(river["input_ids"], river["attention_mask"]).pooler_output)
    expected = (patches @ (texts - usual).T).transpose(1, 2).unflatten(2, (4, 5)).detach()  # the sky is a class
    found = mine.network.maps(images(2, 56, 70), [0, 4])
    torch.testing.assert_close(found.cams, expected, rtol=1e-3, atol=1e-5)
    torch.testing.assert_close(found.features.flatten(2).transpose(1, 2), patches.detach(), rtol=1e-3, atol=1e-5)


def test_synonyms_give_the_highest_and_negatives_are_subtracted() -> None:
    vocabulary = Vocabulary.of([Word("a", ("x", "y"), ("z",)), Word("b", ("y",)), Word("c", ("z",), ("x", "y"))])
    assert vocabulary.names == ("x", "y", "z")
    maps = torch.tensor([[[0.1, 0.6], [0.5, 0.2], [0.3, -0.4]]])[..., None]  # x, y, z
    assert vocabulary.needed([1]) == [1] and vocabulary.needed([0]) == [0, 1, 2]
    found = vocabulary.joined(maps, [0, 1, 2], [0, 1, 2])[..., 0]
    torch.testing.assert_close(found, torch.tensor([[[0.2, 0.6], [0.5, 0.2], [-0.2, -1.0]]]))
    assert torch.equal(vocabulary.joined(maps[:, 1:2], [1], [1])[..., 0], maps[:, 1:2, :, 0])


# Every network


@every_model
def test_a_batch_is_like_each_photograph_alone(name: str, folders: Callable[[str], Path]) -> None:
    mine = source(name, folders(name), flip=True)
    samples = [sample(1, 3, 8), sample(2)]
    both = mine.see(images(), samples, (6, 8))
    assert both.cams.shape == (2, 3, 6, 8) and float(both.cams[1, 1:].abs().max()) == 0
    for index, one in enumerate(samples):
        alone = mine.see(images()[index : index + 1], [one], (6, 8))
        torch.testing.assert_close(both.cams[index : index + 1, : len(one.tags)], alone.cams, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(both.features[index : index + 1], alone.features, rtol=1e-4, atol=1e-5)


@every_model
@pytest.mark.parametrize("size", [(32, 2000), (2000, 32), (1, 1), (33, 47)])
def test_photographs_of_any_shape(name: str, size: tuple[int, int], usual: Callable[[str], Any]) -> None:
    mine: MapSource = usual(name)
    grid = (max(1, size[0] // 8), max(1, size[1] // 8))
    seen = mine.see(images(1, *size), [sample(1, 2)], grid)
    assert seen.cams.shape == (1, 2, *grid) and bool(seen.cams.isfinite().all())
    assert seen.features is not None and seen.features.shape[-2:] == grid


@every_model
@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_sixteen_bits_are_almost_as_good(precision: Any, name: str, usual: Callable[[str], Any]) -> None:
    exact = usual(name)
    half = copy(exact)
    half.given = replace(half.given, settings=replace(half.given.settings, precision=precision))
    expected, found = (one.see(images(1), [sample(1, 2)], (6, 8)) for one in (exact, half))
    for one, other in ((expected.cams, found.cams), (expected.features, found.features)):
        assert other.dtype == torch.float32
        assert float((one - other).abs().mean()) < 0.1 * float(one.abs().mean())


@every_model
def test_maps_are_not_divided_by_their_peaks(name: str, usual: Callable[[str], Any]) -> None:
    """Maps of one class in two photographs can be compared: their peaks differ."""
    cams = usual(name).see(images(), [sample(1), sample(1)], (6, 8)).cams
    peaks = cams.amax(dim=(1, 2, 3))
    assert float((peaks[0] - peaks[1]).abs()) > 1e-6


@prompted
def test_a_photograph_is_encoded_once_for_all_its_tags(name: str, folders: Callable[[str], Path]) -> None:
    mine = source(name, folders(name))
    network = mine.network
    encoder, decoder = (network.vision, network.decoder) if not name.startswith("Sam3") else (
        network.network.vision_encoder, network.network.detr_decoder
    )  # fmt: skip
    seen: dict[str, list[int]] = {"images": [], "prompts": []}

    def count(kind: str) -> Any:
        def hook(module: Any, given: Any, named: Any, made: Any) -> None:
            value = next(one for one in (*given, *named.values()) if one is not None)
            seen[kind].append(len(value[0] if isinstance(value, tuple | list) else value))

        return hook

    encoder.register_forward_hook(count("images"), with_kwargs=True)
    decoder.register_forward_hook(count("prompts"), with_kwargs=True)
    if name.startswith("Sam3"):
        assert network.network.text_encoder is None  # texts were embedded when it was built
    mine.see(images(1), [sample(*range(1, 9))], (6, 8))
    assert (sum(seen["images"]), sum(seen["prompts"])) == (1, 8)


@pytest.mark.parametrize("name", ["CLIPSegForImageSegmentation", "Sam3Model"])
def test_two_hundred_tags(name: str, folders: Callable[[str], Path]) -> None:
    letters = "abcdefghijklmnopqrst"
    names = tuple(f"{one}{other}" for one in letters for other in letters[:10])
    wss = WssConfig(kind=WORD_MODELS[name][0], backbone=str(folders(name)))
    mine = build_source(Given(RunConfig(wss=wss), ClassTable(names, background=False), torch.device("cpu")))
    assert mine.see(images(1), [sample(*range(200))], (3, 4)).cams.shape == (1, 200, 3, 4)


@every_model
def test_words_of_the_settings_change_the_maps(
    name: str, folders: Callable[[str], Path], usual: Callable[[str], Any]
) -> None:
    before = usual(name).see(images(1), [sample(1, 2)], (6, 8)).cams
    words: Any = {"cat": {"names": ("kitten",), "not": ("cow",)}}
    other = source(name, folders(name), words=words).see(images(1), [sample(1, 2)], (6, 8)).cams
    assert not torch.allclose(before[:, 0], other[:, 0], atol=1e-6)
    torch.testing.assert_close(before[:, 1], other[:, 1], rtol=1e-4, atol=1e-6)


@every_model
def test_a_name_without_tokens_is_one_line(name: str, folders: Callable[[str], Path]) -> None:
    refused(ConfigError, name, folders(name), "no token", "'猫'", "wss.words", words={"cat": "猫"})
    refused(ConfigError, name, folders(name), "tokens", "reads", "wss.words", words={"cat": "cat " * 20})
    refused(ConfigError, name, folders(name), "no class zebra", words={"zebra": "horse"})


# Folders


@every_model
@pytest.mark.usefixtures("no_network")
def test_what_is_another_network(
    name: str, folders: Callable[[str], Path], usual: Callable[[str], Any], tmp_path: Path
) -> None:
    other = "CLIPModel" if name.startswith("Sam3") else "Sam3Model"
    refused(ConfigError, name, folders(other), "wss.backbone", "expected a", name)
    refused(ConfigError, name, "resnet50", "wss.backbone", "such as", "'resnet50'")
    refused(WeightsError, name, "someone/model", "'someone/model'", "--wss.weights DIR")
    refused(WeightsError, name, tmp_path, "no config.json", str(tmp_path))
    refused(WeightsError, name, "someone/model", "no folder", weights=str(tmp_path / "nowhere"))
    found = source(name, "someone/model", weights=str(folders(name)))
    assert torch.equal(
        found.see(images(1), [sample(1)], (6, 8)).cams,
        usual(name).see(images(1), [sample(1)], (6, 8)).cams,
    )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=() if name in (*FIRST.values(), "SiglipModel") else pytest.mark.slow)
        for name in WORD_MODELS
    ],
)
@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("damage", ["cut", "pickle only", "half", "no tokenizer", "no processor", "part", "code"])
def test_a_folder_that_is_damaged(damage: str, name: str, folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder, error = tmp_path / "model", WeightsError
    words = damaged(folders(name), folder, damage, "vision")
    weights = folder / "model.safetensors"
    match damage:
        case "half":
            weights.rename(folder / "model-00001-of-00002.safetensors")
            index = {"weight_map": {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}
            (folder / "model.safetensors.index.json").write_text(json.dumps(index))
            words.append("lacks model-00002-of-00002.safetensors")
        case "code":
            settings = json.loads((folder / "config.json").read_text())
            marker = tmp_path / "marker"
            (folder / "evil.py").write_text(f"open({str(marker)!r}, 'w')\n")
            settings |= {"model_type": "evil", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}}
            (folder / "config.json").write_text(json.dumps(settings))
            words, error = ["evil"], ConfigError
    refused(error, name, folder, *words)
    assert not (tmp_path / "marker").exists()


def test_a_size_that_the_network_cannot_take(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(folders("Sam3Model"), folder)
    path = folder / "preprocessor_config.json"
    kept = json.loads(path.read_text())
    path.write_text(json.dumps({**kept, "size": {"height": 2 * SIDE, "width": SIDE}}))
    refused(WeightsError, "Sam3Model", folder, "112 x 56", "56 x 56")


def test_weights_may_be_random(folders: Callable[[str], Path], usual: Callable[[str], Any]) -> None:
    for name in ("CLIPSegForImageSegmentation", "Sam3Model", "SiglipModel"):
        found = [source(name, folders(name), weights="none").see(images(1), [sample(1)], (6, 8)) for _ in range(2)]
        assert torch.equal(found[0].cams, found[1].cams)
        assert not torch.equal(found[0].cams, usual(name).see(images(1), [sample(1)], (6, 8)).cams)


def test_the_file_of_the_video_model_holds_that_of_images(folders: Callable[[str], Path], tmp_path: Path) -> None:
    folder = tmp_path / "video"
    shutil.copytree(folders("Sam3Model"), folder)
    state = {f"detector_model.{key}": value for key, value in load_file(folder / "model.safetensors").items()}
    save_file({**state, "tracker_model.a": torch.zeros(3)}, folder / "model.safetensors", {"format": "pt"})
    detector = json.loads((folder / "config.json").read_text())
    video = {"model_type": "sam3_video", "architectures": ["Sam3VideoModel"], "detector_config": detector}
    (folder / "config.json").write_text(json.dumps(video))
    found, expected = (
        source("Sam3Model", one).see(images(1), [sample(1)], (6, 8)).cams for one in (folder, folders("Sam3Model"))
    )
    assert torch.equal(found, expected)
    random = source("Sam3Model", folder, weights="none").see(images(1), [sample(1)], (6, 8)).cams
    assert random.shape == expected.shape and not torch.equal(random, expected)


def test_a_model_on_request_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import httpx
    import transformers
    from huggingface_hub.errors import GatedRepoError

    answer = httpx.Response(403, request=httpx.Request("GET", "https://huggingface.co"))

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise OSError("You are trying to access a gated repo.\nAsk.") from GatedRepoError("no", response=answer)

    monkeypatch.setattr(sys.modules["dhr.models.pretrained"], "local_only", lambda remote: {"local_files_only": False})
    monkeypatch.setattr(transformers.PreTrainedConfig, "get_config_dict", refuse)
    refused(WeightsError, "Sam3Model", "facebook/sam3", "accept the licence", "huggingface.co/facebook/sam3", "DIR")


# Runs


def test_a_run_needs_no_training(
    folders: Callable[[str], Path], fresh: Any, dhr: Any, made: Any, tmp_path: Path
) -> None:
    folder = tmp_path / "sam3"
    shutil.copytree(folders("Sam3Model"), folder)
    network = ("--wss.kind", "sam3", "--wss.backbone", str(folder), "--wss.weights", "hub")
    call = fresh.run(*network, "--wss.prompt", "['a {}', 'b {}']")
    ended = dhr(call)
    assert ended.code == 0, ended.err
    first = made(fresh.out)
    assert sum(name.startswith("masks/") for name in first) == 5
    shutil.rmtree(fresh.out)
    assert dhr(call).code == 0 and made(fresh.out) == first
    state = load_file(folder / "model.safetensors")
    save_file({key: value + 1e-3 for key, value in state.items()}, folder / "model.safetensors", {"format": "pt"})
    ended = dhr(call)  # finished, but with other weights
    assert ended.code == 2 and "wss.backbone changed" in ended.err, ended.err
    shutil.rmtree(fresh.out)
    ended = dhr([*call, "--wss.words", "{nothing: crane}"])
    assert ended.code == 2 and "no class nothing" in ended.err and ended.err.count("\n") == 1, ended.err
