"""`wss.kind tips`: TIPS v2, whose patches are compared with the names of the classes."""

from dhr.sources.maskclip import MaskclipSource


class TipsSource(MaskclipSource):
    """Maps of cosines, as in `maskclip`, of another class of network, which `wss.kind` names."""
