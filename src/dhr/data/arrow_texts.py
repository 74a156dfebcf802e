"""Columns of texts of Arrow tables: each different text once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Int

from dhr.data.parquet import arrow


@dataclass(frozen=True)
class Texts:
    """A column of texts."""

    texts: Sequence[str | None]
    """Each different text once, then None."""
    of: Int[np.ndarray, " n"]
    """The position of each row's text; -1, that of None, for null."""


def texts_of(column: Any) -> Texts:
    """Return the texts of an Arrow column; bytes that are not UTF-8 become surrogates."""
    pa, column = arrow(), one_chunk(column)
    encoded = column if isinstance(column, pa.DictionaryArray) else column.dictionary_encode()
    codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False)
    used, of = np.unique(codes, return_inverse=True)  # a dictionary may hold many other texts
    start = int(used.size > 0 and used[0] == -1)
    taken = encoded.dictionary.take(pa.array(used[start:]))
    try:
        texts = taken.to_pylist()
    except UnicodeDecodeError:
        raw = taken.cast(pa.large_binary()).to_pylist()
        texts = [None if one is None else one.decode("utf-8", "surrogateescape") for one in raw]
    return Texts((*texts, None), of.reshape(-1) - start)


def one_chunk(column: Any) -> Any:
    """Return a column of a table as a single array."""
    return column.combine_chunks() if isinstance(column, arrow().ChunkedArray) else column
