"""A student for other runtimes: ``dhr.onnx``."""

from pathlib import Path

from dhr.api.result import TableResult
from dhr.files import check_output


def onnx(student: Path | str, file: Path | str, *, height: int = 320, width: int = 320) -> TableResult:
    """Write a student as an ONNX file.

    It takes `images` (batch, 3, height, width), RGB in 0..1, and gives `probabilities` of all classes. The file is
    written if onnxruntime agrees with PyTorch on it.

    Args:
        student: student.safetensors of `dhr train` or `dhr run`.
        file: the file to write.
        height: height of the images, pixels.
        width: width of the images, pixels.

    Returns:
        The file, and the largest difference of its probabilities from PyTorch's.

    Raises:
        WeightsError: ``student`` is not the file of a student, or onnxruntime disagrees with PyTorch.
        OutputError: the file cannot be written.
    """
    file = Path(file)
    check_output(file)
    from dhr.job.onnx import export_onnx

    worst = export_onnx(Path(student), file, height, width)
    text = f"{file}: probabilities differ from PyTorch's by at most {worst:.1g}"
    return TableResult([{"file": str(file), "difference": worst}], text, files=(file,))
