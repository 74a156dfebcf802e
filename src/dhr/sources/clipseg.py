"""`wss.kind clipseg`: CLIPSeg, which was trained to segment what a text says."""

from pathlib import Path

from dhr.models.remote import Remote
from dhr.models.words.clipseg import build_clipseg, clipseg_place
from dhr.sources.network import placed
from dhr.sources.prompts import PromptSource
from dhr.sources.protocol import Given, SourceSettings


class ClipSegSource(PromptSource):
    """Maps of probabilities for the names of the tags."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.network = placed(build_clipseg(given.settings.wss, given.names, given.device), given.device)

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`~dhr.sources.protocol.MapSource.remote`."""
        return clipseg_place(settings.wss).remote
