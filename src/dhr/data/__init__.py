"""Photographs and their tags: from a folder (:class:`FolderDataSet`) or drawn (:class:`SceneDataSet`)."""

from dhr.data.folder import FolderDataSet
from dhr.data.image_files import MAX_PIXELS
from dhr.data.images import SUFFIXES, read_mask, read_rgb, read_size, write_mask
from dhr.data.open import READERS, open_data
from dhr.data.palette import palette
from dhr.data.samples import VOID, ClassTable, DataSet, Problem, Sample
from dhr.data.scenes import SceneDataSet

__all__ = [
    "MAX_PIXELS",
    "READERS",
    "SUFFIXES",
    "VOID",
    "ClassTable",
    "DataSet",
    "FolderDataSet",
    "Problem",
    "Sample",
    "SceneDataSet",
    "open_data",
    "palette",
    "read_mask",
    "read_rgb",
    "read_size",
    "write_mask",
]
