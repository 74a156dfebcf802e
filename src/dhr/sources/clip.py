"""`wss.kind clip`: CLIP, which finds classes by their names and is not trained."""

from pathlib import Path

from dhr.models.remote import Remote
from dhr.models.wss.clip_build import build_clip, clip_place
from dhr.sources.network import NetworkSource, placed
from dhr.sources.protocol import Given, SourceSettings


class ClipSource(NetworkSource):
    """Maps of CLIP for the names of the tags."""

    def __init__(self, given: Given) -> None:
        super().__init__(given)
        self.network = placed(build_clip(given.settings.wss, given.names), given.device)

    @classmethod
    def remote(cls, settings: SourceSettings, folder: Path | None) -> Remote | None:
        """See :meth:`~dhr.sources.protocol.MapSource.remote`."""
        return clip_place(settings.wss).remote
