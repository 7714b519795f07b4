"""Blocks of memory are used again, never while an array over them lives, and are given back."""

import gc
import multiprocessing
import os
import threading
import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import jitorch
from jitorch.allocator import SMALLEST, BlockAllocator, class_of, scratch

F32 = np.dtype(np.float32)
ROWS = 1 << 15  # 128 KiB of float32


@given(st.integers(SMALLEST, 1 << 40))
def test_size_classes_waste_little(count):
    size = class_of(count)
    assert size >= count
    assert size % 4096 == 0
    assert size - count <= max(4096, count // 8)
    assert class_of(size) == size


def test_small_results_come_from_numpy():
    allocator = BlockAllocator()
    assert allocator.empty((10,), F32).base is None
    assert allocator.empty((0,), F32).shape == (0,)
    assert allocator.statistics().reserved == 0


def test_an_array_is_like_any_other():
    array = BlockAllocator().empty((ROWS, 3), F32)
    assert type(array) is np.ndarray
    assert array.shape == (ROWS, 3) and array.dtype == F32 and array.flags.c_contiguous and array.flags.writeable
    assert array.ctypes.data % 64 == 0
    array[:] = 1
    assert array.sum(dtype=np.float64) == 3 * ROWS


def test_a_block_is_used_again_when_its_last_array_is_gone():
    allocator = BlockAllocator()
    array = allocator.empty((ROWS,), F32)
    view = array[5:10].reshape(5, 1)
    view[:] = 7
    place = array.ctypes.data
    del array
    other = allocator.empty((ROWS,), F32)
    assert other.ctypes.data != place
    other[:] = 0
    assert view.tolist() == [[7]] * 5
    del view
    assert allocator.empty((ROWS,), F32).ctypes.data == place


def test_statistics_and_bound():
    allocator = BlockAllocator()
    size = ROWS * 4
    arrays = [allocator.empty((ROWS,), F32) for _ in range(3)]
    found = allocator.statistics()
    assert (found.allocated, found.reserved, found.peak) == (3 * size, 3 * size, 3 * size)
    del arrays
    found = allocator.statistics()
    assert (found.allocated, found.reserved, found.peak) == (0, 3 * size, 3 * size)
    big = allocator.empty((ROWS * 2,), F32)
    allocator.reset_peak()
    assert allocator.statistics().peak == 2 * size
    del big
    # What waits is never more than what was in use at one time.
    assert allocator.statistics().reserved <= 3 * size
    allocator.empty_cache()
    assert allocator.statistics().reserved == 0


def test_the_least_recently_used_sizes_are_given_up_first():
    allocator = BlockAllocator()
    for rows in (ROWS, ROWS, 2 * ROWS):
        allocator.empty((rows,), F32)
    # The largest took the place of the smaller ones.
    assert allocator.statistics().reserved == 2 * ROWS * 4
    place = allocator.empty((2 * ROWS,), F32).ctypes.data
    assert allocator.empty((2 * ROWS,), F32).ctypes.data == place


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes are not forked here")
def test_a_forked_process_has_memory_of_its_own():
    array = BlockAllocator().empty((ROWS,), F32)
    array[:] = 1
    context = multiprocessing.get_context("fork")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that other threads are running
        process = context.Process(target=array.fill, args=(2,))
        process.start()
    process.join()
    assert process.exitcode == 0
    assert array[0] == 1


def test_threads_share_blocks_without_sharing_contents():
    allocator = BlockAllocator()
    wrong = []

    def work(number):
        for _ in range(200):
            array = allocator.empty((ROWS,), F32)
            array[:: ROWS // 8] = number
            if (array[:: ROWS // 8] != number).any():
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not wrong
    assert allocator.statistics().allocated == 0


def test_memory_that_cannot_be_had_is_an_error():
    with pytest.raises(MemoryError, match="cannot allocate"):
        BlockAllocator().empty((1 << 58,), F32)


def test_results_of_compiled_functions_lie_in_blocks():
    double = jitorch.jit(lambda x: x + x)
    x = jitorch.ones(ROWS)
    jitorch.cpu.empty_cache()
    before = jitorch.cpu.memory_allocated()
    y = double(x)
    assert jitorch.cpu.memory_allocated() == before + ROWS * 4
    assert jitorch.cpu.max_memory_allocated() >= before + ROWS * 4
    place = y.data_ptr()
    z = y.detach()
    del y
    assert double(x).data_ptr() != place
    assert (z == 2).all()
    del z
    assert jitorch.cpu.memory_allocated() == before
    assert jitorch.cpu.memory_reserved() >= before + ROWS * 4
    assert jitorch.cpu.memory_stats()["allocated_bytes.all.current"] == before
    jitorch.cpu.reset_peak_memory_stats()
    assert jitorch.cpu.max_memory_allocated() == before


def test_scratch_memory_is_not_kept():
    before = jitorch.cpu.memory_reserved()
    for size in (10, SMALLEST, 5 << 20):
        memory = scratch(size)
        assert memory.shape == (size,) and memory.dtype == np.uint8
        memory[:] = 1
        assert memory[-1] == 1
    assert jitorch.cpu.memory_reserved() == before
