"""Changes that no test can notice, with the reason. They do not count."""

_BANDS = "bands of rows bound the memory; the labels are the same for any number of rows"
EQUIVALENT = {
    ("ops/upsample.py", "rows = max(1, band // width) -> rows = max( 2, band // width)"): _BANDS,
}
