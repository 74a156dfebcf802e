"""Notes what a process does to files, sockets and other programs, as Python's audit events report it.

A line for each: ``open PATH`` for reading, ``write PATH`` for anything that makes, changes or deletes it, ``list PATH``
for the names in a folder, ``socket.EVENT ...``, ``start ...`` for another program, ``unpickle ...`` for code that a
pickle names. Libraries in C can open files unseen; who watches also compares the folders before and after.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Any

_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WRITES = {  # which arguments are paths, and where their folder's descriptor stands
    "os.mkdir": ((0, 2),),
    "os.rename": ((0, 2), (1, 3)),
    "os.remove": ((0, 1),),
    "os.rmdir": ((0, 1),),
    "os.link": ((1, 3),),
    "os.symlink": ((1, 2),),
    "os.truncate": ((0, None),),
    "os.chmod": ((0, 2),),
    "os.chown": ((0, 3),),
    "os.utime": ((0, 3),),
    "os.setxattr": ((0, None),),
}
_STARTS = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.fork", "os.forkpty", "pty.spawn")


def lines(event: str, args: tuple[Any, ...]) -> list[str]:
    """What a trace holds of an event."""
    if event == "open":
        path, _, flags = args
        return [] if isinstance(path, int) else [f"{'write' if flags & _CHANGES else 'open'} {_whole(path, None)}"]
    if event in _WRITES:
        places = _WRITES[event]
        return [f"write {_whole(args[path], args[folder] if folder else None)}" for path, folder in places]
    if event in ("os.listdir", "os.scandir"):
        return [f"list {_whole(args[0], None)}"]
    if event.startswith("socket."):
        return [f"{event} {args[1:]}"]
    if event in _STARTS:
        return [f"start {event} {args}"]
    if event == "pickle.find_class" and not _in_numba():
        return [f"unpickle {args[0]}.{args[1]}"]
    return []


def _in_numba() -> bool:
    """Whether numba reads what it has compiled and kept itself."""
    frame = sys._getframe()
    while frame is not None and frame.f_globals.get("__name__") != "numba.core.caching":
        frame = frame.f_back  # type: ignore[assignment]
    return frame is not None


def _whole(path: Any, folder: Any) -> str:
    """The absolute path; a number is the descriptor of an open file."""
    if isinstance(path, int):
        return str(Path(f"/proc/self/fd/{path}").readlink())
    base = Path(f"/proc/self/fd/{folder}").readlink() if isinstance(folder, int) and folder >= 0 else Path.cwd()
    return os.path.normpath(base / os.fsdecode(path or "."))


def watch(trace: int) -> None:
    """Write what this process does from now on to an open file."""

    def note(event: str, args: tuple[Any, ...]) -> None:
        for line in lines(event, args):
            os.write(trace, (line.replace("\n", "\\n") + "\n").encode(errors="surrogateescape"))

    sys.addaudithook(note)
    socket.socket().close()  # the first line: the watch works
