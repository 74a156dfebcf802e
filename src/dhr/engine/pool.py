"""Work on a cluster: one task, or units spread over a pool of actors; facts and progress come back to the driver."""

import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from dhr import errors
from dhr.engine.cluster import Share, cause
from dhr.errors import ConflictError, DhrError, WorkerError
from dhr.progress import Progress, Step

_OFTEN = 0.5  # seconds between two steps that are shown
_ATTEMPTS = 2  # at an item; its process ended at each
_DEATHS = 3  # of actors, one after the other, before their first item
_MEMORY = "; if it is killed for lack of memory, give it more, such as with fewer --workers, and start again"


def in_task(ray: Any, resources: dict[str, Any], work: Callable[[Progress], Any], progress: Progress) -> Any:
    """Do work in a task of Ray, and wait for its result. If its process ends by itself, the task begins once more.

    Args:
        ray: the package, connected.
        resources: of the task.
        work: the work; it gets a progress, whose steps come back to the driver.
        progress: called in the driver.

    Raises:
        DhrError: as ``work``.
        WorkerError: its process ended twice.
    """
    from ray.util.queue import Queue

    steps = Queue(actor_options={"num_cpus": 0})
    waiting = ray.remote(_with_steps).options(**resources, max_retries=1).remote(work, steps)
    done: list[Any] = []
    try:
        while not done:
            done, _ = ray.wait([waiting], timeout=_OFTEN)
            for step in steps.get_nowait_batch(steps.qsize()):
                progress(step)
        return ray.get(waiting)
    except (ray.exceptions.WorkerCrashedError, ray.exceptions.OutOfMemoryError, ray.exceptions.NodeDiedError) as error:
        raise WorkerError(f"the process that opens or fits the networks ended twice by itself{_MEMORY}") from error
    except ray.exceptions.RayError as error:
        raise cause(error) from None
    finally:
        steps.shutdown(force=True)


def _with_steps(work: Callable[[Progress], Any], steps: Any) -> Any:
    return work(_Sender(steps))


@dataclass
class _Sender:
    """Sends progress to the driver, and not more often than can be seen."""

    steps: Any
    last: float = 0.0

    def __call__(self, step: Step) -> None:
        now = time.monotonic()
        if now - self.last > _OFTEN or step.done == step.total or step.note:
            self.last = now
            self.steps.put(step)


class Attempts:
    """An actor of Ray that counts how often each item was begun."""

    def __init__(self) -> None:
        self.counts = Counter[int]()

    def begin(self, item: int) -> int:
        """Count an item, and return its number of attempts."""
        self.counts[item] += 1
        return self.counts[item]


class Guarded:
    """An actor of Ray that gives up an item at which its process ended twice. Its errors come back as values."""

    def __init__(self, actor: type, work: Any, attempts: Any) -> None:
        self.attempts = attempts
        self.failure: dict[str, str] | None = None
        try:
            self.actor = actor(work)
        except Exception as error:
            self.failure = _told(error)

    def __call__(self, batch: dict[str, np.ndarray]) -> dict[str, list[Any]]:
        """Work on one item."""
        import ray

        item, facts, failure = int(batch["item"][0]), None, self.failure
        lost = ray.get(self.attempts.begin.remote(item)) > _ATTEMPTS
        if failure is None and not lost:
            try:
                (facts,) = self.actor(batch)["facts"]
            except Exception as error:
                failure = _told(error)
        return {"item": [item], "facts": [facts], "lost": [lost], "failure": [failure]}


def mapped(
    ray: Any,
    part: Share,
    actor: type,
    work: Any,
    items: Sequence[Mapping[str, Any]],
    lost: list[int] | None = None,
) -> Iterator[Any]:
    """Have a pool of actors work on items, such as units; yield what is found for each, as it is finished.

    An actor that ends by itself, or is killed, is replaced, and its item is tried once more.

    Args:
        ray: the package, connected.
        part: number and resources of the actors.
        actor: a class; ``actor(work)`` is called with items as columns, and returns a column `facts`.
        work: all that an actor needs.
        items: what to work on; it may be empty.
        lost: gets the places in ``items`` of those at which an actor ended twice.

    Raises:
        DhrError: as the actor.
        WorkerError: an actor ended twice at an item, and ``lost`` is not given; or it ends before its first item.
    """
    if not items:
        return
    numbered = [{**item, "item": number} for number, item in enumerate(items)]
    attempts = ray.remote(Attempts).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
    with _settings(ray):
        made = ray.data.from_items(numbered, override_num_blocks=len(items)).map_batches(
            Guarded,
            fn_constructor_args=(actor, work, attempts),
            batch_size=1,
            compute=ray.data.ActorPoolStrategy(size=min(part.workers, len(items)), max_tasks_in_flight_per_actor=2),
            **part.each,
        )
    try:
        for row in made.iter_rows():
            if row["failure"] is not None:
                raise _error(**row["failure"])
            if not row["lost"]:
                yield row["facts"]
            elif lost is None:
                raise WorkerError(f"a worker ended twice by itself at the same part of the work{_MEMORY}")
            else:
                lost.append(row["item"])
    except ray.exceptions.ActorDiedError as error:
        raise WorkerError(f"the workers end by themselves while they start{_MEMORY}") from error
    except (ray.exceptions.RayError, DhrError) as error:
        raise cause(error) from None


def in_tasks(ray: Any, work: Callable[[str], str], items: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Do short work on items in tasks of Ray; yield each item with the result, as it is finished.

    Raises:
        DhrError: as ``work``.
    """
    if not items:
        return
    with _settings(ray):
        made = ray.data.from_items([{"item": item} for item in items], override_num_blocks=len(items)).map_batches(
            _each, fn_args=(work,), batch_size=1
        )
    try:
        for row in made.iter_rows():
            yield str(row["item"]), str(row["found"])
    except (ray.exceptions.RayError, DhrError) as error:
        raise cause(error) from None


def _each(batch: Mapping[str, Any], work: Callable[[str], str]) -> dict[str, list[str]]:
    items = [str(one) for one in batch["item"]]
    return {"item": items, "found": [work(one) for one in items]}


@contextmanager
def _settings(ray: Any) -> Iterator[None]:
    """Set what a new pipeline of Ray Data takes over; the settings of the process come back afterwards."""
    context = ray.data.DataContext.get_current()
    quiet = ("enable_progress_bars", "enable_operator_progress_bars", "print_on_execution_start")
    wanted = {**dict.fromkeys(quiet, False), "max_consecutive_actor_init_deaths": _DEATHS}
    before = {name: getattr(context, name) for name in wanted if hasattr(context, name)}
    try:
        for name in before:
            setattr(context, name, wanted[name])
        yield
    finally:
        for name, value in before.items():
            setattr(context, name, value)


def _told(error: Exception) -> dict[str, str]:
    """Return the kind and the text of an error; of one that is a mistake of the program, where it was raised."""
    if not isinstance(error, DhrError):
        return {"kind": "", "text": "".join(traceback.format_exception(error))}
    kinds = (kind.__name__ for kind in type(error).__mro__ if kind is not ConflictError)  # which has two arguments
    return {"kind": next(name for name in kinds if hasattr(errors, name)), "text": str(error)}


def _error(kind: str, text: str) -> Exception:
    made: Exception = getattr(errors, kind)(text) if kind else RuntimeError(text)
    return made
