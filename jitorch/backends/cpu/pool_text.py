"""The thread pool as LLVM IR: a fork-join of one parallel loop, made of atomics and one system call.

    void jitorch_pool_enter(task, arguments, extent, grain, work)

runs ``void task(arguments, low, high)`` over ``[0, extent)``, cut into ranges whose ends are multiples of ``grain``
(but for the last), and returns when all have run.  ``work`` is the estimated time of the whole, in picoseconds.

How it works.  A caller takes ``busy``; who does not get it runs its loop itself.  It describes the loop in ``region``,
opens the ``door``, and adds one to ``generation``, which the workers watch: first spinning, then asleep in the
kernel.  A worker that sees a new generation enters the door if it is open, takes ranges until there are none, and
leaves.  The caller takes ranges as well, closes the door, and waits for those inside: never for one that has not
come.  So a worker that sleeps, or that the system runs somewhere else, costs nothing.

The ranges are dealt out in contiguous parts, one a thread, each with a counter of its own: a thread works through its
part, the same one each time, and then helps with others.  Which thread runs a range cannot change its results.

Words that several threads write stand in cache lines of their own.
"""

from __future__ import annotations

from jitorch.backends.cpu.systems import relax_of, system_of

ENTER = "jitorch_pool_enter"
RESIZE = "jitorch_pool_resize"
FORGET = "jitorch_pool_forget"
TUNE = "jitorch_pool_tune"
PAUSES = "jitorch_pool_pauses"
OWN = "jitorch_pool_own"
SYMBOLS = (ENTER, RESIZE, FORGET, TUNE, PAUSES, OWN)

MAX_THREADS = 256

COLD_WORK = 25_000_000
"""Picoseconds below which a loop does not wake workers that sleep: waking costs the caller some microseconds."""
WORTH_A_WAKE = 100_000_000
"""Picoseconds of such loops after which the workers are woken after all: more are to be expected."""
RANGE_WORK = 1_500_000
"""Picoseconds that a range should take at least."""
RANGES_A_THREAD = 4
LONG_RANGE_WORK, LONG_RANGES_A_THREAD = 20_000_000, 16
"""The same for long loops, at whose end a thread would else wait long for the last range of another."""
_WAITS = 2000  # pauses for the others at the end of a loop before the processor is offered to them


def pool_text(triple: str) -> str | None:
    """The module of the pool for an LLVM triple, or None where there is none."""
    system = system_of(triple)
    if system is None:
        return None
    text = _TEXT + system.seats + system.helpers
    words = {
        "DECLARES": system.declares, "WAIT": system.wait, "WAKE": system.wake, "START": system.start,
        "GIVE_WAY": system.give_way, "RESULT": system.thread_result, "VALUE": system.thread_value,
        "PROLOGUE": system.prologue, "RELAX": relax_of(triple), "ENTER": ENTER, "RESIZE": RESIZE, "FORGET": FORGET,
        "MAKE_KEY": system.make_key, "GET_OWN": system.own, "SET_OWN": system.set_own,
        "TUNE": TUNE, "PAUSES": PAUSES, "OWN": OWN, "MAX": str(MAX_THREADS), "ALIVE": str(4 * MAX_THREADS),
        "COLD": str(COLD_WORK), "WORTH": str(WORTH_A_WAKE), "RANGE_WORK": str(RANGE_WORK),
        "RANGES": str(RANGES_A_THREAD), "LONG_RANGE_WORK": str(LONG_RANGE_WORK),
        "LONG_RANGES": str(LONG_RANGES_A_THREAD), "WAITS": str(_WAITS),
    }  # fmt: skip
    for name, word in words.items():
        text = text.replace(f"<{name}>", word.strip("\n"))
    return text


_TEXT = """\
<DECLARES>

; Words of several threads, each alone in two cache lines: processors fetch them in pairs.
@generation = internal global [32 x i32] zeroinitializer, align 128
@door = internal global [32 x i32] zeroinitializer, align 128
@sleepers = internal global [32 x i32] zeroinitializer, align 128
@busy = internal global [32 x i32] zeroinitializer, align 128
; how many threads a loop may have, how many workers there should be (one more), how many were started for that,
; pauses before a worker sleeps, work not thought worth a wake
@settings = internal global { i32, i32, i32, i32, i64 } { i32 1, i32 1, i32 1, i32 0, i64 0 }, align 128
; task, arguments, extent, elements of a range, ranges, parts
@region = internal global { ptr, ptr, i64, i64, i64, i64, [10 x i64] } zeroinitializer, align 128
; the next range of each part
@next = internal global [<MAX> x [16 x i64]] zeroinitializer, align 128
; under which key a thread keeps how many threads its loops may have, if that is its own number
@key = internal global i64 0, align 8
; whether a worker of this number lives
@alive = internal global [<MAX> x i32] zeroinitializer, align 128

; 65536 in @door: open; the rest counts who is inside.

define internal void @take_ranges(i64 %me) #0 {
entry:
  %task = load ptr, ptr @region, align 8
  %arguments = load ptr, ptr getelementptr (i8, ptr @region, i64 8), align 8
  %extent = load i64, ptr getelementptr (i8, ptr @region, i64 16), align 8
  %size = load i64, ptr getelementptr (i8, ptr @region, i64 24), align 8
  %ranges = load i64, ptr getelementptr (i8, ptr @region, i64 32), align 8
  %parts = load i64, ptr getelementptr (i8, ptr @region, i64 40), align 8
  %here = icmp ult i64 %me, %parts
  br i1 %here, label %part, label %done
part:
  %turn = phi i64 [ 0, %entry ], [ %turn.next, %empty ]
  %p.raw = add i64 %me, %turn
  %wrap = icmp uge i64 %p.raw, %parts
  %p.less = sub i64 %p.raw, %parts
  %p = select i1 %wrap, i64 %p.less, i64 %p.raw
  %p.after = add i64 %p, 1
  %scaled = mul i64 %p.after, %ranges
  %end = udiv i64 %scaled, %parts
  %counter = getelementptr [16 x i64], ptr @next, i64 %p
  br label %look
look:
  %seen = load atomic i64, ptr %counter monotonic, align 8
  %any = icmp ult i64 %seen, %end
  br i1 %any, label %take, label %empty
take:
  %range = atomicrmw add ptr %counter, i64 1 monotonic, align 8
  %got = icmp ult i64 %range, %end
  br i1 %got, label %run, label %empty
run:
  %low = mul i64 %range, %size
  %high.raw = add i64 %low, %size
  %high = call i64 @llvm.umin.i64(i64 %high.raw, i64 %extent)
  call void %task(ptr %arguments, i64 %low, i64 %high)
  br label %look
empty:
  %turn.next = add i64 %turn, 1
  %more = icmp ult i64 %turn.next, %parts
  br i1 %more, label %part, label %done
done:
  ret void
}

define internal <RESULT> @worker(ptr %argument) #0 {
entry:
  %index = ptrtoint ptr %argument to i64
  %number = trunc i64 %index to i32
  %seen = alloca i32, align 4
  %mine = getelementptr i32, ptr @alive, i64 %index
<PROLOGUE>
  %first = load atomic i32, ptr @generation acquire, align 4
  ; what was opened while this thread started is news to it
  %before = sub i32 %first, 1
  br label %watch
watch:
  %last = phi i32 [ %before, %entry ], [ %now, %left ], [ %last, %slept ], [ %last, %stay ]
  %patience = load atomic i32, ptr getelementptr (i8, ptr @settings, i64 12) monotonic, align 4
  br label %spin
spin:
  %spins = phi i32 [ 0, %watch ], [ %spins.next, %pause ]
  %now = load atomic i32, ptr @generation acquire, align 4
  %news = icmp ne i32 %now, %last
  br i1 %news, label %check, label %still
still:
  %tired = icmp uge i32 %spins, %patience
  br i1 %tired, label %sleep, label %pause
pause:
  <RELAX>
  %spins.next = add i32 %spins, 1
  br label %spin
sleep:
  %wanted.asleep = load atomic i32, ptr getelementptr (i8, ptr @settings, i64 4) seq_cst, align 4
  %useless = icmp sge i32 %number, %wanted.asleep
  br i1 %useless, label %retire, label %count
count:
  call void @settle(i64 %index)
  %counted = atomicrmw add ptr @sleepers, i32 1 seq_cst, align 4
  store i32 %last, ptr %seen, align 4
  %last.wide = zext i32 %last to i64
  %woken = <WAIT>
  call void @rise(i64 %index)
  br label %slept
slept:
  br label %watch
check:
  %wanted.now = load atomic i32, ptr getelementptr (i8, ptr @settings, i64 4) seq_cst, align 4
  %surplus = icmp sge i32 %number, %wanted.now
  br i1 %surplus, label %retire, label %knock
knock:
  %state = load atomic i32, ptr @door acquire, align 4
  %open = icmp uge i32 %state, 65536
  br i1 %open, label %enter, label %left
enter:
  %inside = add i32 %state, 1
  %pair = cmpxchg ptr @door, i32 %state, i32 %inside acq_rel acquire, align 4
  %entered = extractvalue { i32, i1 } %pair, 1
  br i1 %entered, label %work, label %knock
work:
  call void @take_ranges(i64 %index)
  %leave = atomicrmw sub ptr @door, i32 1 release, align 4
  br label %left
left:
  br label %watch
retire:
  ; Whoever wants more workers again sees this one gone, or this one sees that and stays: not both.
  store atomic i32 0, ptr %mine seq_cst, align 4
  %wanted.again = load atomic i32, ptr getelementptr (i8, ptr @settings, i64 4) seq_cst, align 4
  %back = icmp slt i32 %number, %wanted.again
  br i1 %back, label %return, label %end
return:
  %again = cmpxchg ptr %mine, i32 0, i32 1 seq_cst seq_cst, align 4
  %mine.again = extractvalue { i32, i1 } %again, 1
  br i1 %mine.again, label %stay, label %end
stay:
  br label %watch
end:
  ret <VALUE>
}

define internal i1 @start_thread(ptr %argument) #0 {
entry:
<START>
  ret i1 %started
}

; Start the workers that are wanted and do not live.  Only who holds @busy calls this.
define internal void @start_workers(i32 %wanted) #1 {
entry:
  br label %each
each:
  %number = phi i32 [ 1, %entry ], [ %following, %next ]
  %more = icmp slt i32 %number, %wanted
  br i1 %more, label %one, label %done
one:
  %index = zext i32 %number to i64
  %place = getelementptr i32, ptr @alive, i64 %index
  %pair = cmpxchg ptr %place, i32 0, i32 1 seq_cst seq_cst, align 4
  %missing = extractvalue { i32, i1 } %pair, 1
  br i1 %missing, label %start, label %next
start:
  %argument = inttoptr i64 %index to ptr
  %started = call i1 @start_thread(ptr %argument)
  br i1 %started, label %next, label %failed
failed:
  ; the system has no more threads: do with those that there are
  store atomic i32 0, ptr %place seq_cst, align 4
  br label %done
next:
  %following = add i32 %number, 1
  br label %each
done:
  store atomic i32 %wanted, ptr getelementptr (i8, ptr @settings, i64 8) monotonic, align 4
  ret void
}

define void @<ENTER>(ptr %task, ptr %arguments, i64 %extent, i64 %grain, i64 %work) #0 {
entry:
  %key = load i64, ptr @key, align 8
  %own = <GET_OWN>
  %own.bits = ptrtoint ptr %own to i64
  %own.count = trunc i64 %own.bits to i32
  %shared.limit = load atomic i32, ptr @settings monotonic, align 4
  %has.own = icmp ne i32 %own.count, 0
  %limit = select i1 %has.own, i32 %own.count, i32 %shared.limit
  %several = icmp sgt i32 %limit, 1
  %divisible = icmp sgt i64 %extent, 1
  %sensible = and i1 %several, %divisible
  br i1 %sensible, label %ask, label %serial
ask:
  %held = load atomic i32, ptr @busy monotonic, align 4
  %free = icmp eq i32 %held, 0
  br i1 %free, label %lock, label %serial
lock:
  %pair = cmpxchg ptr @busy, i32 0, i32 1 acquire monotonic, align 4
  %locked = extractvalue { i32, i1 } %pair, 1
  br i1 %locked, label %plan, label %serial
plan:
  ; ranges long enough to be worth a step of a counter, four a thread where there is that much work, or more
  %threads = zext i32 %limit to i64
  %most = mul i64 %threads, <RANGES>
  %worth = udiv i64 %work, <RANGE_WORK>
  %worth.one = call i64 @llvm.umax.i64(i64 %worth, i64 1)
  %aim.short = call i64 @llvm.umin.i64(i64 %most, i64 %worth.one)
  %most.long = mul i64 %threads, <LONG_RANGES>
  %worth.long = udiv i64 %work, <LONG_RANGE_WORK>
  %aim.long = call i64 @llvm.umin.i64(i64 %most.long, i64 %worth.long)
  %aim = call i64 @llvm.umax.i64(i64 %aim.short, i64 %aim.long)
  %up = add i64 %extent, %aim
  %up.less = sub i64 %up, 1
  %even = udiv i64 %up.less, %aim
  %even.up = add i64 %even, %grain
  %even.less = sub i64 %even.up, 1
  %grains = udiv i64 %even.less, %grain
  %size = mul i64 %grains, %grain
  %reach = add i64 %extent, %size
  %reach.less = sub i64 %reach, 1
  %ranges = udiv i64 %reach.less, %size
  %parts = call i64 @llvm.umin.i64(i64 %threads, i64 %ranges)
  %shared = icmp ugt i64 %parts, 1
  br i1 %shared, label %sleepy, label %unlock
sleepy:
  %asleep = load atomic i32, ptr @sleepers monotonic, align 4
  %awake = icmp eq i32 %asleep, 0
  %large = icmp uge i64 %work, <COLD>
  %at.once = or i1 %awake, %large
  br i1 %at.once, label %open, label %weigh
weigh:
  %missed = load i64, ptr getelementptr (i8, ptr @settings, i64 16), align 8
  %missed.now = add i64 %missed, %work
  store i64 %missed.now, ptr getelementptr (i8, ptr @settings, i64 16), align 8
  %enough = icmp uge i64 %missed.now, <WORTH>
  br i1 %enough, label %open, label %unlock
open:
  call void @note_caller()
  store i64 0, ptr getelementptr (i8, ptr @settings, i64 16), align 8
  %ready = load atomic i32, ptr getelementptr (i8, ptr @settings, i64 8) monotonic, align 4
  %wanted = load atomic i32, ptr getelementptr (i8, ptr @settings, i64 4) seq_cst, align 4
  %complete = icmp eq i32 %ready, %wanted
  br i1 %complete, label %describe, label %start
start:
  call void @start_workers(i32 %wanted)
  br label %describe
describe:
  store ptr %task, ptr @region, align 8
  store ptr %arguments, ptr getelementptr (i8, ptr @region, i64 8), align 8
  store i64 %extent, ptr getelementptr (i8, ptr @region, i64 16), align 8
  store i64 %size, ptr getelementptr (i8, ptr @region, i64 24), align 8
  store i64 %ranges, ptr getelementptr (i8, ptr @region, i64 32), align 8
  store i64 %parts, ptr getelementptr (i8, ptr @region, i64 40), align 8
  br label %deal
deal:
  %p = phi i64 [ 0, %describe ], [ %p.next, %deal ]
  %scaled = mul i64 %p, %ranges
  %begin = udiv i64 %scaled, %parts
  %counter = getelementptr [16 x i64], ptr @next, i64 %p
  store atomic i64 %begin, ptr %counter monotonic, align 8
  %p.next = add i64 %p, 1
  %dealt = icmp uge i64 %p.next, %parts
  br i1 %dealt, label %announce, label %deal
announce:
  store atomic i32 65536, ptr @door release, align 4
  %old = atomicrmw add ptr @generation, i32 1 seq_cst, align 4
  %sleeping = load atomic i32, ptr @sleepers seq_cst, align 4
  %any = icmp ne i32 %sleeping, 0
  br i1 %any, label %wake, label %work.self
wake:
  call void @make_way(i32 %wanted)
  %woken = atomicrmw xchg ptr @sleepers, i32 0 seq_cst, align 4
  %called = <WAKE>
  br label %work.self
work.self:
  call void @take_ranges(i64 0)
  %closed = atomicrmw and ptr @door, i32 65535 acq_rel, align 4
  br label %join
join:
  %turns = phi i32 [ 0, %work.self ], [ %turns.next, %again ]
  %inside = load atomic i32, ptr @door acquire, align 4
  %alone = icmp eq i32 %inside, 0
  br i1 %alone, label %finish, label %wait
wait:
  %long = icmp ugt i32 %turns, <WAITS>
  br i1 %long, label %yield, label %relax
yield:
  %given = <GIVE_WAY>
  br label %again
relax:
  <RELAX>
  br label %again
again:
  %turns.next = add i32 %turns, 1
  br label %join
finish:
  store atomic i32 0, ptr @busy release, align 4
  ret void
unlock:
  store atomic i32 0, ptr @busy release, align 4
  br label %serial
serial:
  call void %task(ptr %arguments, i64 0, i64 %extent)
  ret void
}

; How many threads a loop has from now on; surplus workers go home, new ones start with the next loop.
define i32 @<RESIZE>(i32 %threads) #1 {
entry:
  store atomic i32 %threads, ptr @settings seq_cst, align 4
  store atomic i32 %threads, ptr getelementptr (i8, ptr @settings, i64 4) seq_cst, align 4
  store atomic i32 0, ptr getelementptr (i8, ptr @settings, i64 8) seq_cst, align 4
  %old = atomicrmw add ptr @generation, i32 1 seq_cst, align 4
  %woken = atomicrmw xchg ptr @sleepers, i32 0 seq_cst, align 4
  %called = <WAKE>
  ret i32 0
}

; In a child after fork: there are no workers, and nobody is inside.
define i32 @<FORGET>() #1 {
entry:
  store atomic i32 0, ptr @door seq_cst, align 4
  store atomic i32 0, ptr @sleepers seq_cst, align 4
  call void @llvm.memset.p0.i64(ptr align 128 @alive, i8 0, i64 <ALIVE>, i1 false)
  call void @leave_seats()
  store atomic i32 0, ptr getelementptr (i8, ptr @settings, i64 8) seq_cst, align 4
  store atomic i32 0, ptr @busy seq_cst, align 4
  ret i32 0
}

; How many threads the loops of the calling thread may have; 0: as many as everybody's.
define i32 @<OWN>(i32 %threads) #1 {
entry:
  %key = load i64, ptr @key, align 8
  %wide = zext i32 %threads to i64
  %value = inttoptr i64 %wide to ptr
  %done = <SET_OWN>
  %before = atomicrmw max ptr getelementptr (i8, ptr @settings, i64 4), i32 %threads seq_cst, align 4
  ret i32 0
}

; Once, after loading: pauses before a worker sleeps.
define i32 @<TUNE>(i32 %pauses) #1 {
entry:
  %made = <MAKE_KEY>
  store atomic i32 %pauses, ptr getelementptr (i8, ptr @settings, i64 12) seq_cst, align 4
  ret i32 0
}

; To measure how long a pause takes.
define i32 @<PAUSES>(i32 %count) #1 {
entry:
  br label %loop
loop:
  %i = phi i32 [ 0, %entry ], [ %following, %loop ]
  %seen = load atomic i32, ptr @generation acquire, align 4
  <RELAX>
  %following = add i32 %i, 1
  %more = icmp ult i32 %following, %count
  br i1 %more, label %loop, label %done
done:
  ret i32 0
}

attributes #0 = { nounwind }
attributes #1 = { nounwind noinline }
"""
