"""Detectors of transformers that are asked for names, and answer with boxes."""
