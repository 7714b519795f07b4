"""How platforms start threads and put them to sleep, as LLVM IR: the words of `pool_text` that differ.

Linux is what the tests run on.  The words for macOS and Windows are written from those systems' documentation and
have only been compiled, never run.
"""

from __future__ import annotations

from dataclasses import dataclass

from jitorch.backends.cpu import seats

_STACK = 4 << 20  # bytes of a worker's stack: kernels keep scratch memory there


@dataclass(frozen=True)
class System:
    """How a platform starts threads and puts them to sleep.

    ``wait`` sleeps while the word ``@generation`` is ``%last``, ``wake`` wakes all that do, ``start`` starts a thread
    ``@worker(ptr %argument)`` and leaves in ``%started`` whether it could, ``prologue`` is what a worker does first.
    A thread has a value of its own under ``@key``: ``own`` gives it, ``set_own`` makes it ``%value``.
    ``seats`` keeps workers from waking up where their caller runs (`jitorch.backends.cpu.seats`).
    """

    declares: str
    wait: str
    wake: str
    start: str
    give_way: str
    make_key: str
    own: str
    set_own: str
    thread_result: str = "ptr"
    thread_value: str = "ptr null"
    prologue: str = ""
    helpers: str = ""
    seats: str = seats.NONE


_POSIX_DECLARES = """\
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_detach(ptr)
declare i32 @pthread_attr_init(ptr)
declare i32 @pthread_attr_setstacksize(ptr, i64)
declare i32 @pthread_attr_destroy(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @sigfillset(ptr)
declare i32 @sigdelset(ptr, i32)
declare i32 @sched_yield()
declare i32 @pthread_key_create(ptr, ptr)
declare ptr @pthread_getspecific(i64)
declare i32 @pthread_setspecific(i64, ptr)
"""

_POSIX_START = f"""\
  %handle = alloca ptr, align 8
  %attributes = alloca [128 x i8], align 16
  %r1 = call i32 @pthread_attr_init(ptr %attributes)
  %r2 = call i32 @pthread_attr_setstacksize(ptr %attributes, i64 {_STACK})
  %r3 = call i32 @pthread_create(ptr %handle, ptr %attributes, ptr @worker, ptr %argument)
  %r4 = call i32 @pthread_attr_destroy(ptr %attributes)
  %started = icmp eq i32 %r3, 0
  br i1 %started, label %detach, label %out
detach:
  %thread = load ptr, ptr %handle, align 8
  %r5 = call i32 @pthread_detach(ptr %thread)
  br label %out
out:
"""


# A key has four bytes or eight, of which the upper are zero then.
_POSIX_KEY = {
    "make_key": "call i32 @pthread_key_create(ptr @key, ptr null)",
    "own": "call ptr @pthread_getspecific(i64 %key)",
    "set_own": "call i32 @pthread_setspecific(i64 %key, ptr %value)",
}


def _no_signals(block: int, bus_error: int) -> str:
    """Signals are for the threads that the program knows; faults (4, 8, 11, SIGBUS) go to who made them."""
    faults = "\n".join(f"  %d{n} = call i32 @sigdelset(ptr %signals, i32 {n})" for n in (4, 8, 11, bus_error))
    return f"""\
  %signals = alloca [128 x i8], align 16
  %filled = call i32 @sigfillset(ptr %signals)
{faults}
  %masked = call i32 @pthread_sigmask(i32 {block}, ptr %signals, ptr null)
"""


_FUTEX = {"x86_64": 202, "aarch64": 98, "arm64": 98, "riscv64": 98, "powerpc64le": 221, "s390x": 238}
"""The number of Linux's futex system call, by processor."""

_ALL = 2**31 - 1


def _linux(processor: str) -> System:
    # 128: FUTEX_PRIVATE_FLAG; 0 is FUTEX_WAIT and 1 FUTEX_WAKE.
    rest, futex = "ptr null, ptr null, i32 0", _FUTEX[processor]
    return System(
        declares=_POSIX_DECLARES + "declare i64 @syscall(i64, ...)\n" + seats.DECLARES,
        wait=f"call i64 (i64, ...) @syscall(i64 {futex}, ptr @generation, i32 128, i32 %last, {rest})",
        wake=f"call i64 (i64, ...) @syscall(i64 {futex}, ptr @generation, i32 129, i32 {_ALL}, {rest})",
        start=_POSIX_START,
        give_way="call i32 @sched_yield()",
        **_POSIX_KEY,
        prologue=_no_signals(block=0, bus_error=7),
        seats=seats.seats_text(processor),
    )


# Not tried on either system.
_MACOS = System(
    declares=_POSIX_DECLARES
    + "declare i32 @__ulock_wait(i32, ptr, i64, i32)\ndeclare i32 @__ulock_wake(i32, ptr, i64)\n",
    # 1: UL_COMPARE_AND_WAIT; 256: ULF_WAKE_ALL; a timeout of 0 is none.
    wait="call i32 @__ulock_wait(i32 1, ptr @generation, i64 %last.wide, i32 0)",
    wake="call i32 @__ulock_wake(i32 257, ptr @generation, i64 0)",
    start=_POSIX_START,
    give_way="call i32 @sched_yield()",
    **_POSIX_KEY,
    prologue=_no_signals(block=1, bus_error=10),
)
_WINDOWS_HELPERS = """
define internal i32 @make_key() #0 {
  %key = call i32 @TlsAlloc()
  store i32 %key, ptr @key, align 8
  ret i32 0
}

define internal i32 @wake_all() #0 {
  call void @WakeByAddressAll(ptr @generation)
  ret i32 0
}
"""

_WINDOWS = System(
    declares="""\
declare ptr @CreateThread(ptr, i64, ptr, ptr, i32, ptr)
declare i32 @CloseHandle(ptr)
declare i32 @SwitchToThread()
declare i32 @WaitOnAddress(ptr, ptr, i64, i32)
declare void @WakeByAddressAll(ptr)
declare i32 @TlsAlloc()
declare ptr @TlsGetValue(i64)
declare i32 @TlsSetValue(i64, ptr)
""",
    wait="call i32 @WaitOnAddress(ptr @generation, ptr %seen, i64 4, i32 -1)",
    wake="call i32 @wake_all()",
    # 65536: STACK_SIZE_PARAM_IS_A_RESERVATION
    start=f"""\
  %thread = call ptr @CreateThread(ptr null, i64 {_STACK}, ptr @worker, ptr %argument, i32 65536, ptr null)
  %started = icmp ne ptr %thread, null
  br i1 %started, label %detach, label %out
detach:
  %r1 = call i32 @CloseHandle(ptr %thread)
  br label %out
out:
""",
    give_way="call i32 @SwitchToThread()",
    make_key="call i32 @make_key()",
    own="call ptr @TlsGetValue(i64 %key)",
    set_own="call i32 @TlsSetValue(i64 %key, ptr %value)",
    thread_result="i32",
    thread_value="i32 0",
    helpers=_WINDOWS_HELPERS,
)


def system_of(triple: str) -> System | None:
    """What the platform of an LLVM triple offers, or None where the pool has no words for it."""
    processor = triple.partition("-")[0]
    if "windows" in triple:
        return _WINDOWS
    if "darwin" in triple or "macos" in triple:
        return _MACOS
    if "linux" in triple and processor in _FUTEX:
        return _linux(processor)
    return None


def relax_of(triple: str) -> str:
    """What a spinning processor is told."""
    processor = triple.partition("-")[0]
    if processor in ("x86_64", "i686"):
        return "call void @llvm.x86.sse2.pause()"
    if processor in ("aarch64", "arm64"):
        return "call void @llvm.aarch64.isb(i32 15)"  # `yield` does nothing on most
    return "fence acquire"
