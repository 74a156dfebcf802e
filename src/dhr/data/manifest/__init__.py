"""Manifests: Parquet tables of photographs, each with its id, its place and its tags.

A manifest is a data set as any other. It names photographs wherever they are: files, object stores, web servers. Its
class table is in the metadata of the file, so nothing else is needed.
"""

from dhr.data.manifest.columns import SCHEMA_KEY as SCHEMA_KEY
from dhr.data.manifest.columns import check_columns as check_columns
from dhr.data.manifest.columns import class_table as class_table
from dhr.data.manifest.columns import schema_of as schema_of
from dhr.data.manifest.dataset import ManifestDataSet as ManifestDataSet
from dhr.data.manifest.row import Row as Row
from dhr.data.manifest.rows import RowReader as RowReader
from dhr.data.manifest.write import Entry as Entry
from dhr.data.manifest.write import write_manifest as write_manifest
