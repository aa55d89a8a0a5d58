"""Orbax for one process, and silent."""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import jax
import orbax.checkpoint as ocp

from cnnjax.errors import CnnjaxError


@contextmanager
def one_checkpointer() -> Iterator[ocp.StandardCheckpointer]:
    """Orbax, which would wait for the other processes where there are several.

    Nothing is heard of it meanwhile: what each of its threads meets on a full disk it would log,
    and print a traceback of, and then raise, which is said in one line by those who use it.
    """
    logger, hook = logging.getLogger("absl"), sys.unraisablehook
    level = logger.level
    alone = {}
    if jax.process_count() > 1:
        this = jax.process_index()
        processes = ocp.options.MultiprocessingOptions(primary_host=this, active_processes={this})
        alone = {"multiprocessing_options": processes}
    logger.setLevel(logging.CRITICAL + 1)
    sys.unraisablehook = lambda *_: None
    try:
        with ocp.StandardCheckpointer(**alone) as checkpointer:
            yield checkpointer
    except CnnjaxError:  # of those who use it
        raise
    except Exception:
        if getattr(hook, "func", None) is not _unless_late:
            hook = partial(_unless_late, hook)
        for late in (logger, logging.getLogger("asyncio")):
            late.addFilter(_is_not_late)
        raise
    finally:
        logger.setLevel(level)
        sys.unraisablehook = hook


def _unless_late(hook: Callable[..., None], raised: object) -> None:
    """Some of its threads find out only when the others have given up."""
    if str(raised.exc_value) != "Event loop is closed":
        hook(raised)


def _is_not_late(record: logging.LogRecord) -> bool:
    late = r"Task exception was never retrieved|_SignalingThread\.run\(\) raised"
    return not re.search(late, record.getMessage())
