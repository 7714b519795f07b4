"""On which processor a worker wakes up: on Linux, never on its caller's.

A system that wakes a thread takes an idle processor if it finds one.  A virtual machine's idle processors look as if
they ran something else, so there the system often puts a worker beside its caller, where it gets no time
until the next tick of the clock, milliseconds later, and then hinders the caller.  So a worker that goes to sleep
takes the processor of its caller from the list of those it may use, and takes the whole list back when it
wakes.  A caller that runs elsewhere by then corrects the lists of those that sleep before it wakes them.

A list that somebody else changed meanwhile is left alone.  With more than 1024 processors nothing is done.
"""

from __future__ import annotations

GETTID = {"x86_64": 186, "aarch64": 178, "arm64": 178, "riscv64": 178, "powerpc64le": 207, "s390x": 236}
"""The number of Linux's gettid system call, by processor."""

DECLARES = """\
declare i32 @sched_getcpu()
declare i32 @sched_getaffinity(i32, i64, ptr)
declare i32 @sched_setaffinity(i32, i64, ptr)
declare i32 @memcmp(ptr, ptr, i64)
"""

NONE = """
define internal void @note_caller() #1 {
  ret void
}

define internal void @settle(i64 %index) #1 {
  ret void
}

define internal void @rise(i64 %index) #1 {
  ret void
}

define internal void @make_way(i32 %workers) #1 {
  ret void
}

define internal void @leave_seats() #1 {
  ret void
}
"""
"""For systems that offer nothing of the kind."""


def seats_text(machine: str) -> str:
    """The functions for Linux; ``machine`` is the first part of its triple."""
    return _TEXT.replace("<GETTID>", str(GETTID[machine]))


_TEXT = """
; the processor on which the last loop was started
@caller = internal global [32 x i32] zeroinitializer, align 128
; of each worker: its state, its number in the system, the processor that it avoids, and at byte 64 its whole list.
; State 0: awake, 1: settled, 2: somebody changes the list
%seat = type { i32, i32, i32, [52 x i8], [128 x i8], [64 x i8] }
@seats = internal global [<MAX> x %seat] zeroinitializer, align 128

define internal void @note_caller() #1 {
entry:
  %here = call i32 @sched_getcpu()
  store atomic i32 %here, ptr @caller monotonic, align 4
  ret void
}

; The list of a seat without a processor.
define internal void @without(ptr %less, ptr %seat, i32 %processor) #1 {
entry:
  %list = getelementptr i8, ptr %seat, i64 64
  call void @llvm.memcpy.p0.p0.i64(ptr align 16 %less, ptr align 16 %list, i64 128, i1 false)
  %known = icmp ult i32 %processor, 1024
  br i1 %known, label %drop, label %done
drop:
  %wide = zext i32 %processor to i64
  %word = lshr i64 %wide, 6
  %place = getelementptr i64, ptr %less, i64 %word
  %bits = load i64, ptr %place, align 8
  %shift = and i64 %wide, 63
  %bit = shl i64 1, %shift
  %others = xor i64 %bit, -1
  %kept = and i64 %bits, %others
  store i64 %kept, ptr %place, align 8
  br label %done
done:
  ret void
}

; Before a worker sleeps.
define internal void @settle(i64 %index) #1 {
entry:
  %less = alloca [128 x i8], align 16
  %seat = getelementptr %seat, ptr @seats, i64 %index
  %list = getelementptr i8, ptr %seat, i64 64
  call void @llvm.memset.p0.i64(ptr align 16 %list, i8 0, i64 128, i1 false)
  %got = call i32 @sched_getaffinity(i32 0, i64 128, ptr %list)
  %failed = icmp slt i32 %got, 0
  br i1 %failed, label %done, label %avoid
avoid:
  %number = call i64 (i64, ...) @syscall(i64 <GETTID>)
  %number.short = trunc i64 %number to i32
  %number.place = getelementptr i8, ptr %seat, i64 4
  store i32 %number.short, ptr %number.place, align 4
  %there = load atomic i32, ptr @caller monotonic, align 4
  %avoided = getelementptr i8, ptr %seat, i64 8
  store i32 %there, ptr %avoided, align 4
  call void @without(ptr %less, ptr %seat, i32 %there)
  ; fails, and changes nothing, where no other processor is left
  %set = call i32 @sched_setaffinity(i32 0, i64 128, ptr %less)
  store atomic i32 1, ptr %seat release, align 4
  br label %done
done:
  ret void
}

; After it slept.
define internal void @rise(i64 %index) #1 {
entry:
  %less = alloca [128 x i8], align 16
  %now = alloca [128 x i8], align 16
  %seat = getelementptr %seat, ptr @seats, i64 %index
  br label %look
look:
  %pair = cmpxchg ptr %seat, i32 1, i32 0 acq_rel acquire, align 4
  %settled = extractvalue { i32, i1 } %pair, 1
  br i1 %settled, label %compare, label %other
other:
  %state = extractvalue { i32, i1 } %pair, 0
  %awake = icmp eq i32 %state, 0
  br i1 %awake, label %done, label %wait
wait:
  <RELAX>
  br label %look
compare:
  %avoided = getelementptr i8, ptr %seat, i64 8
  %processor = load i32, ptr %avoided, align 4
  call void @without(ptr %less, ptr %seat, i32 %processor)
  call void @llvm.memset.p0.i64(ptr align 16 %now, i8 0, i64 128, i1 false)
  %got = call i32 @sched_getaffinity(i32 0, i64 128, ptr %now)
  %difference = call i32 @memcmp(ptr %now, ptr %less, i64 128)
  %mine = icmp eq i32 %difference, 0
  br i1 %mine, label %restore, label %done
restore:
  %list = getelementptr i8, ptr %seat, i64 64
  %set = call i32 @sched_setaffinity(i32 0, i64 128, ptr %list)
  br label %done
done:
  ret void
}

; Before a caller wakes workers.
define internal void @make_way(i32 %workers) #1 {
entry:
  %less = alloca [128 x i8], align 16
  %here = load atomic i32, ptr @caller monotonic, align 4
  br label %each
each:
  %number = phi i32 [ 1, %entry ], [ %following, %next ]
  %more = icmp slt i32 %number, %workers
  br i1 %more, label %one, label %done
one:
  %index = zext i32 %number to i64
  %seat = getelementptr %seat, ptr @seats, i64 %index
  %pair = cmpxchg ptr %seat, i32 1, i32 2 acq_rel acquire, align 4
  %settled = extractvalue { i32, i1 } %pair, 1
  br i1 %settled, label %ask, label %next
ask:
  %avoided = getelementptr i8, ptr %seat, i64 8
  %processor = load i32, ptr %avoided, align 4
  %right = icmp eq i32 %processor, %here
  br i1 %right, label %leave, label %correct
correct:
  call void @without(ptr %less, ptr %seat, i32 %here)
  %number.place = getelementptr i8, ptr %seat, i64 4
  %thread = load i32, ptr %number.place, align 4
  %set = call i32 @sched_setaffinity(i32 %thread, i64 128, ptr %less)
  store i32 %here, ptr %avoided, align 4
  br label %leave
leave:
  store atomic i32 1, ptr %seat release, align 4
  br label %next
next:
  %following = add i32 %number, 1
  br label %each
done:
  ret void
}

; In a child after fork: the workers' numbers are those of the parent.
define internal void @leave_seats() #1 {
entry:
  br label %each
each:
  %index = phi i64 [ 0, %entry ], [ %following, %each ]
  %seat = getelementptr %seat, ptr @seats, i64 %index
  store atomic i32 0, ptr %seat seq_cst, align 4
  %following = add i64 %index, 1
  %more = icmp ult i64 %following, <MAX>
  br i1 %more, label %each, label %done
done:
  ret void
}
"""
