"""Ways to read a class's map from a tag classifier: CAM, Grad-CAM, LayerCAM, and CAM refined by attention."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from dhr.errors import ConfigError
from dhr.models.wss.attention import averaged_attention, spread
from dhr.models.wss.encoders import blocks_of, tap

Seen = tuple[Tensor, list[Tensor]]
"""Maps of the classes (b, t, u, v), and the encoder's feature maps."""


def plain(model: Any, images: Float[Tensor, "b 3 h w"], tags: Sequence[int]) -> Seen:
    """CAM (Zhou et al. 2016): the classifier's weights applied at every position of the last map."""
    levels = model.encode(images)
    return _logits(model, levels[-1])[:, list(tags)], levels


def gradcam(model: Any, images: Float[Tensor, "b 3 h w"], tags: Sequence[int]) -> Seen:
    """Grad-CAM (Selvaraju et al. 2017): channels weighted by their summed gradients of the class's logit.

    Sums, where the paper has means, make it the CAM itself at the last map of a convolutional encoder.
    """
    return _from_gradients(model, images, tags, lambda part, slope: part * slope.sum(dim=(2, 3), keepdim=True))


def layercam(model: Any, images: Float[Tensor, "b 3 h w"], tags: Sequence[int]) -> Seen:
    """LayerCAM (Jiang et al. 2021): each position weighted by its own positive gradients, times their number."""
    return _from_gradients(
        model, images, tags, lambda part, slope: part * slope.relu() * (slope.shape[2] * slope.shape[3])
    )


def attention(model: Any, images: Float[Tensor, "b 3 h w"], tags: Sequence[int]) -> Seen:
    """CAM spread by the mean attention of all blocks between patches, as TS-CAM, TransCAM and MCTformer do."""
    with averaged_attention(blocks_of(model.encoder)) as between:
        cams, levels = plain(model, images, tags)
    return spread(cams, between()), levels


CAMS: Mapping[str, Callable[[Any, Tensor, Sequence[int]], Seen]] = {
    "cam": plain,
    "gradcam": gradcam,
    "layercam": layercam,
    "attention": attention,
}
"""By the name that `wss.cam` takes."""


def check_cam(encoder: Any, cam: str, layer: int) -> None:
    """Refuse a way that ``encoder`` does not have.

    Raises:
        ConfigError: there is no attention, or no such layer.
    """
    if cam in ("gradcam", "layercam"):
        tap(encoder, layer)
    blocks = blocks_of(encoder)
    if cam == "attention" and not (
        blocks and all(hasattr(getattr(block, "attn", None), "attn_drop") for block in blocks)
    ):
        raise ConfigError("wss.cam attention needs a Vision Transformer as wss.backbone; or choose cam or layercam")


def _logits(model: Any, level: Tensor) -> Tensor:
    maps: Tensor = model.classifier(level)
    return maps


def _from_gradients(model: Any, images: Tensor, tags: Sequence[int], join: Callable[[Tensor, Tensor], Tensor]) -> Seen:
    with torch.inference_mode(False), torch.enable_grad(), frozen(model):
        levels, part = _rooted(model, images.clone() if images.is_inference() else images.detach())
        scores = _logits(model, levels[-1]).mean(dim=(2, 3))  # (b, c)
        cams = []
        for tag in tags:
            # An image's logit depends on this image only, so the gradient of the sum is each one's own.
            (slope,) = torch.autograd.grad(scores[:, tag].sum(), part, retain_graph=True)
            cams.append(join(_map(model, part, levels), _map(model, slope, levels)).sum(dim=1).detach())
        grid = _map(model, part, levels).shape[-2:]
    maps = torch.stack(cams, dim=1) if cams else scores.new_zeros(len(images), 0, *grid)
    return maps, [level.detach() for level in levels]


def _rooted(model: Any, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Return the encoder's maps, and the one at `wss.layer`; gradients are kept from there on if possible."""
    caught: list[Tensor] = []

    def root(module: nn.Module, given: Any, output: Any) -> Any:
        if not isinstance(output, Tensor):
            return None
        caught.append(output.detach().requires_grad_())
        return caught[-1]

    layer = model.config.layer
    module = tap(model.encoder, layer)
    if module is not None:
        handle = module.register_forward_hook(root)
        try:
            levels = model.encode(images)
        finally:
            handle.remove()
        if caught and (blocks_of(model.encoder) or caught[-1] is levels[layer]):
            return levels, caught[-1]
    levels = model.encode(images.requires_grad_())  # timm does something else to this map: keep all
    images.requires_grad_(False)
    return levels, levels[layer]


def _map(model: Any, values: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """Return values of a transformer's tokens on their grid; others are maps already."""
    if values.dim() != 3:
        return values
    grid: Tensor = model.encoder.grid(values, tuple(levels[-1].shape[-2:]))
    return grid


@contextmanager
def frozen(model: nn.Module) -> Iterator[None]:
    """While it lasts, without gradients of parameters, so that nothing is kept for them."""
    with ExitStack() as stack:
        for parameter in model.parameters():
            if parameter.requires_grad:
                stack.callback(parameter.requires_grad_, True)
                parameter.requires_grad_(False)
        yield
