"""Decoding many pictures at once, in order: many small files by processes, others by threads.

Pillow decodes without Python's global lock, so threads suffice for large pictures. Opening a small
file is mostly work of Python, which only processes do at once.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from multiprocessing import parent_process

import torch
from joblib import Parallel, delayed, parallel_config

from genbench.data.pictures import (
    Decoded,
    Opener,
    PictureForm,
    decoded_block,
    decoded_in_process,
    decoded_picture,
)
from genbench.utils.pictures import PILLOW_WARNINGS
from genbench.utils.signals import check

BYTES_AT_ONCE, FILES_AT_ONCE = 2**22, 64  # that a thread decodes before it hands them over
MANY_PICTURES = 10_000  # for which starting processes pays, and keeping what was decoded
BLOCKS_OF_A_ROUND = 8  # for each process
IDLE_SECONDS = 2  # after which a process that has nothing to do ends


def decoded_pictures(
    openers: Sequence[Opener], bytes_each: int, form: PictureForm, by_processes: bool
) -> Iterator[Decoded]:
    """Every picture [H, W, C] in order, or why it is none.

    `bytes_each` is about how large pictures are, so that few bytes wait for who reads them.
    `by_processes` says whether the openers can be pickled, at little cost.
    """
    size = max(1, min(FILES_AT_ONCE, BYTES_AT_ONCE // bytes_each))
    blocks = (openers[start : start + size] for start in range(0, len(openers), size))
    workers = min(torch.get_num_threads(), -(-len(openers) // size))
    if workers <= 1:
        with PILLOW_WARNINGS.filtered():
            for block in blocks:
                yield from (decoded_picture(opened, form) for opened in block)
    elif by_processes and len(openers) >= MANY_PICTURES and parent_process() is None:
        yield from _by_processes(blocks, workers, form)
    else:
        yield from _by_threads(blocks, workers, form)


def _by_threads(
    blocks: Iterable[Sequence[Opener]], threads: int, form: PictureForm
) -> Iterator[Decoded]:
    with PILLOW_WARNINGS.filtered():
        pool = ThreadPoolExecutor(threads)
        waiting: deque[Future[list[Decoded]]] = deque()
        try:
            for block in blocks:
                waiting.append(pool.submit(decoded_block, block, form))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _by_processes(
    blocks: Iterator[Sequence[Opener]], processes: int, form: PictureForm
) -> Iterator[Decoded]:
    # By joblib, whose processes do not import the user's script again.
    with parallel_config("loky", n_jobs=processes, idle_worker_timeout=IDLE_SECONDS):
        pool = Parallel(return_as="generator", batch_size=1)
        # In rounds, because joblib goes on however many results wait for who reads them.
        while some := [*islice(blocks, BLOCKS_OF_A_ROUND * processes)]:
            results = pool(delayed(decoded_in_process)(block, form) for block in some)
            try:
                for block in results:
                    check()
                    yield from block
            finally:
                results.close()
