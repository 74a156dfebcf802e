"""Work in a flow: the next items are read ahead, batches are computed, results are written behind."""
