"""Pure tensor functions: batched, on any device, without host synchronisation."""
