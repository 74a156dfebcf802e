"""Work on a cluster: one task, or units spread over a pool of actors; facts and progress come back to the driver."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dhr.engine.cluster import Share, cause
from dhr.errors import DhrError
from dhr.progress import Progress, Step

_OFTEN = 0.5  # seconds between two steps that are shown


def in_task(ray: Any, resources: dict[str, Any], work: Callable[[Progress], Any], progress: Progress) -> Any:
    """Do work in a task of Ray, and wait for its result.

    Args:
        ray: the package, connected.
        resources: of the task.
        work: the work; it gets a progress, whose steps come back to the driver.
        progress: called in the driver.

    Raises:
        DhrError: as ``work``.
    """
    from ray.util.queue import Queue

    steps = Queue(actor_options={"num_cpus": 0})
    waiting = ray.remote(_with_steps).options(**resources, max_retries=0).remote(work, steps)
    done: list[Any] = []
    try:
        while not done:
            done, _ = ray.wait([waiting], timeout=_OFTEN)
            for step in steps.get_nowait_batch(steps.qsize()):
                progress(step)
        return ray.get(waiting)
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


def mapped(ray: Any, part: Share, actor: type, work: Any, items: Sequence[Mapping[str, Any]]) -> Iterator[Any]:
    """Have a pool of actors work on items, such as units; yield what is found for each, as it is finished.

    Args:
        ray: the package, connected.
        part: number and resources of the actors.
        actor: a class; ``actor(work)`` is called with items as columns, and returns a column `facts`.
        work: all that an actor needs.
        items: one or more.

    Raises:
        DhrError: as the actor.
    """
    _quiet(ray)
    made = ray.data.from_items([*items], override_num_blocks=len(items)).map_batches(
        actor,
        fn_constructor_args=(work,),
        batch_size=1,
        compute=ray.data.ActorPoolStrategy(size=min(part.workers, len(items)), max_tasks_in_flight_per_actor=2),
        **part.each,
    )
    try:
        for row in made.iter_rows():
            yield row["facts"]
    except (ray.exceptions.RayError, DhrError) as error:
        raise cause(error) from None


def in_tasks(ray: Any, work: Callable[[str], str], items: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Do short work on items in tasks of Ray; yield each item with the result, as it is finished.

    Raises:
        DhrError: as ``work``.
    """
    if not items:
        return
    _quiet(ray)
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


def _quiet(ray: Any) -> None:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = context.enable_operator_progress_bars = context.print_on_execution_start = False
