"""`wss.kind sam3`: SAM 3, which finds all instances of a name."""

from pathlib import Path

from dhr.models.remote import Remote
from dhr.models.words.sam3 import build_sam3, sam3_place
from dhr.sources.network import placed
from dhr.sources.prompts import PromptSource
from dhr.sources.protocol import Given, SourceSettings


class Sam3Source(PromptSource):
    """Maps of probabilities for the names of the tags."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.network = placed(build_sam3(given.settings.wss, given.names, given.device), given.device)

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`~dhr.sources.protocol.MapSource.remote`."""
        return sam3_place(settings.wss).remote
