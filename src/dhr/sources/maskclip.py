"""`wss.kind maskclip`: MaskCLIP: the patches of CLIP, MetaCLIP 2 or SigLIP, compared with the names of the classes."""

from pathlib import Path

from dhr.models.remote import Remote
from dhr.models.words.cosines import build_cosines, cosines_place
from dhr.sources.network import NetworkSource, placed
from dhr.sources.protocol import Given, SourceSettings


class MaskclipSource(NetworkSource):
    """Maps of cosines for the names of the tags."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.network = placed(build_cosines(given.settings.wss, given.names, given.device), given.device)

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`~dhr.sources.protocol.MapSource.remote`."""
        return cosines_place(settings.wss).remote
