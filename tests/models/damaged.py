"""Damaged copies of folders of weights, as `save_pretrained` writes them."""

import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file


def damaged(origin: Path, folder: Path, damage: str, part: str) -> list[str]:
    """Copy a folder and damage the copy; return the words that the message must hold.

    Args:
        origin: the folder.
        folder: where the copy goes.
        damage: "cut", "pickle only", "part", "no tokenizer" or "no processor"; another word only copies.
        part: a part of the name of the tensor that is left out.
    """
    shutil.copytree(origin, folder)
    weights = folder / "model.safetensors"
    match damage:
        case "cut":
            weights.write_bytes(weights.read_bytes()[:-100])
        case "pickle only":
            torch.save(load_file(weights), folder / "pytorch_model.bin")
            weights.unlink()
            return [str(folder), "no safetensors"]
        case "part":
            state = load_file(weights)
            gone = next(key for key in sorted(state) if part in key)
            save_file({key: value for key, value in state.items() if key != gone}, weights, {"format": "pt"})
            return [str(folder), "another architecture", gone.split(".")[-1]]
        case "no tokenizer" | "no processor":
            for path in folder.glob(f"*{damage.removeprefix('no ')}*"):
                path.unlink()
    return [str(folder)]
