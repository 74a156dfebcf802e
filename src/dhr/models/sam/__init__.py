"""Networks that segment anything that a prompt points to: SAM and its successors, of transformers."""

from dhr.models.sam.protocol import Embedding, Segmenter

__all__ = ["Embedding", "Segmenter"]
