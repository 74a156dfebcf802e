"""A student as an ONNX file, for runtimes without PyTorch."""

import io
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from dhr.errors import ConfigError, WeightsError
from dhr.files import write_output
from dhr.job.predict import student_digest
from dhr.train.student_file import read_student

_TOLERANCE = 1e-3


class _Segment(nn.Module):
    """Images (b, 3, h, w), RGB in 0..1, to probabilities (b, c, h, w)."""

    def __init__(self, student: nn.Module) -> None:
        super().__init__()
        self.student = student

    def forward(self, images: Tensor) -> Tensor:
        scores: Tensor = self.student.segment(images)  # type: ignore[operator]
        return scores


def export_onnx(student: Path, out: Path, height: int, width: int) -> float:
    """Write ``student`` as ONNX: `images` (batch, 3, height, width), RGB in 0..1, to `probabilities` of all classes.

    The batch is free, the size is fixed. The names of the classes are in the file's metadata (`classes`, one per line).
    The file is written only if onnxruntime agrees with PyTorch on random images.

    Returns:
        The largest difference of probabilities.

    Raises:
        ConfigError: onnx, onnxscript or onnxruntime are not installed, or the network cannot be exported.
        WeightsError: ``student`` is not the file of a student, or onnxruntime disagrees with PyTorch.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # read at its import; it would keep a number of this machine
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401  PyTorch's exporter needs it
    except ImportError as error:
        raise ConfigError(f"{error.name} is not installed; pip install 'dhr[onnx]'") from error
    student_digest(student)  # refuses a pipe, for which a reader would wait
    read = read_student(student)
    network = _Segment(read.student).eval()
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(2, 3, height, width, generator=generator)
    batch = torch.export.Dim("batch", min=1, max=4096)
    try:
        with torch.no_grad():
            program = torch.onnx.export(
                network, (images,), dynamo=True, input_names=["images"], output_names=["probabilities"],
                dynamic_shapes=({0: batch},), verbose=False,
            )  # fmt: skip
    except Exception as error:  # the exporter raises any exception
        reason = " ".join(str(error).split())[:200]
        raise ConfigError(f"{student} cannot be exported at {height}x{width} ({reason}); try another size") from error
    assert program is not None
    model = program.model_proto
    for key, value in (("classes", "\n".join(read.classes.names)), ("background", str(read.classes.background))):
        onnx.helper.set_model_props(model, {**{one.key: one.value for one in model.metadata_props}, key: value})
    buffer = io.BytesIO()
    onnx.save_model(model, buffer)
    session = onnxruntime.InferenceSession(buffer.getvalue(), providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (1, 2, 3):
        some = torch.rand(count, 3, height, width, generator=generator)
        (theirs,) = session.run(None, {"images": some.numpy()})
        with torch.no_grad():
            ours = network(some).numpy()
        worst = max(worst, float(np.abs(ours - theirs).max()))
    if not worst <= _TOLERANCE:
        raise WeightsError(f"onnxruntime computes probabilities that differ by {worst:.2g} from PyTorch's; not written")
    write_output(out, lambda file: file.write(buffer.getvalue()))
    return worst
