"""Work in a flow: what comes next is read ahead, batches are computed, results are written behind."""
