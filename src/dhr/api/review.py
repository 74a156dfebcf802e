"""The page on which a person reviews masks: ``dhr.review``."""

from dataclasses import dataclass
from html import escape
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dhr.api.data import Data
from dhr.errors import ConfigError
from dhr.progress import Progress, silent

if TYPE_CHECKING:
    from dhr.review.server import Server

_NEEDED = ("starlette", "uvicorn", "skimage")
_FRAME = 800  # pixels


@dataclass(frozen=True, repr=False)
class ReviewSession:
    """A page that is being served; also a context manager, which closes it at its end."""

    _server: "Server"
    run: Path
    photographs: int
    complete: bool = True

    @property
    def url(self) -> str:
        """The address of the page. Whoever knows it can change the masks, so keep it to yourself."""
        return self._server.url

    def wait(self) -> None:
        """Wait until the page is closed, such as by Ctrl-C."""
        self._server.wait()

    def close(self) -> None:
        """End the server. All decisions are saved already."""
        self._server.close()

    def __enter__(self) -> "ReviewSession":
        return self

    def __exit__(self, *error: Any) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"ReviewSession({self.photographs} photographs of {self.run})"

    def _repr_html_(self) -> str:
        url = escape(self.url, quote=True)
        link = f'<p><a href="{url}" target="_blank" rel="noopener noreferrer">Review in a tab of its own</a></p>'
        frame = f'<iframe src="{url}" title="Review" style="width:100%; height:{_FRAME}px; border:0"></iframe>'
        return link + frame


def review(
    run: Path | str,
    *,
    data: Data | None = None,
    port: int = 0,
    open_browser: bool = True,
    progress: Progress | None = None,
) -> ReviewSession:
    """Review the masks of a run in the browser, the most doubtful first: accept, mend or reject them.

    The page is served on this machine only. Its address holds a secret. Each decision is saved at once, in
    OUT/corrections. The machine's mask is kept beside it. docs/review.md explains the page.

    Args:
        run: the output folder of `dhr run`.
        data: the data folder, if it moved since the run.
        port: port of the server; 0 takes a free one.
        open_browser: whether to open the page in a browser.
        progress: called while records are read.

    Returns:
        The address of the page. It is served until the session is closed, or the program ends.

    Raises:
        ConfigError: a package is missing, or the port is out of range.
        DataError: the data set cannot be opened.
        OutputError: the folder holds no run, or the port is taken.
    """
    if missing := [name for name in _NEEDED if find_spec(name) is None]:
        raise ConfigError(f"the page needs {', '.join(missing)}; install them: pip install 'dhr[review]'")
    if not 0 <= port <= 65535:
        raise ConfigError(f"--port must be 0 to 65535; got {port}")
    from dhr.api.opened_run import opened_run
    from dhr.review.desk import Desk
    from dhr.review.server import Server

    desk = Desk.of(opened_run(Path(run), data, progress or silent))
    server = Server(desk, port)
    try:
        if open_browser:
            import webbrowser

            webbrowser.open(server.start_url)
        desk.photographs.read(progress or silent)
    except BaseException:
        server.close()
        raise
    return ReviewSession(server, Path(run), len(desk.photographs.entries))
