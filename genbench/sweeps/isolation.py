"""Jobs that share a process: what one of them changed there is restored before the next starts."""

import gc
import os
import random
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib
import numpy as np
import torch
from threadpoolctl import threadpool_limits


def _set_environment(wanted: dict[str, str]) -> None:
    for name in os.environ.keys() - wanted.keys():
        del os.environ[name]
    os.environ.update(wanted)


SHARED_STATE: tuple[
    tuple[Callable[[], Any], Callable[[Any], object]], ...
] = (  # how to read each, and how to put back what was read
    (os.getcwd, os.chdir),
    (lambda: dict(os.environ), _set_environment),
    (random.getstate, random.setstate),
    (np.random.get_state, np.random.set_state),
    (np.geterr, lambda old: np.seterr(**old)),
    (torch.get_rng_state, torch.set_rng_state),
    (torch.get_default_dtype, torch.set_default_dtype),
    (torch.get_num_threads, torch.set_num_threads),
    (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    (torch.get_deterministic_debug_mode, torch.set_deterministic_debug_mode),
    (torch.is_grad_enabled, torch.set_grad_enabled),
)


# What libraries read that are loaded later; torch has been loaded.
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@contextmanager
def isolated(threads: int | None = None) -> Iterator[None]:
    """Whatever is done inside leaves the process as it was: its memory on the GPU is freed, too.

    It uses so many threads. None leaves them to the libraries.
    """
    before = [(read(), put_back) for read, put_back in SHARED_STATE]
    imported = len(sys.modules)
    try:
        with warnings.catch_warnings(), matplotlib.rc_context(), threadpool_limits(threads):
            if threads is not None:
                torch.set_num_threads(threads)
                os.environ.update(dict.fromkeys(THREADS, str(threads)))
            yield
    finally:
        for value, put_back in before:
            put_back(value)
        gc.collect()  # a model is often part of a cycle
        if len(sys.modules) > imported:
            gc.freeze()  # what libraries have made stays, and later jobs need not go through it
        if torch.cuda.is_initialized():
            torch.cuda.empty_cache()
