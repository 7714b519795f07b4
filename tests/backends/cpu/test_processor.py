from __future__ import annotations

import sys
from pathlib import Path

import pytest

from jitorch import config
from jitorch.backends.cpu import native, processor
from jitorch.errors import ValueRangeError

TEXT = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: One
cpu MHz\t\t: {speed}
flags\t\t: fpu {flags}

processor\t: 1
flags\t\t: other
"""


def identity_of(folder: Path, monkeypatch: pytest.MonkeyPatch, speed: str = "1", flags: str = "avx2") -> object:
    (folder / "cpuinfo").write_text(TEXT.format(speed=speed, flags=flags))
    monkeypatch.setattr(processor, "_FILE", folder / "cpuinfo")
    return processor.identity()


@pytest.mark.skipif(sys.platform == "win32", reason="there is no such file")
def test_features_are_part_of_it_and_the_clock_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = identity_of(tmp_path, monkeypatch)
    assert first is not None
    assert identity_of(tmp_path, monkeypatch, speed="2") == first
    assert identity_of(tmp_path, monkeypatch, flags="avx2 avx512f") != first


def test_there_is_none_where_nothing_tells_the_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "_FILE", tmp_path / "absent")
    assert processor.identity() is None
    (tmp_path / "bare").write_text("processor\t: 0\n")
    monkeypatch.setattr(processor, "_FILE", tmp_path / "bare")
    assert processor.identity() is None


def test_the_machine_is_what_llvm_says_with_and_without_the_cache(tmp_path: Path) -> None:
    expected = native._host()
    with config.override(cache=True, cache_dir=tmp_path / "cache"):
        try:
            for _ in range(2):
                native._host.cache_clear()
                assert native._host() == expected
        finally:
            native._host.cache_clear()
    with config.override(cache=False):
        assert native._host() == expected


X86 = pytest.mark.skipif(not native.host().triple.startswith("x86_64"), reason="these are levels of x86-64")
COPY = """\
define void @copy(ptr noalias %to, ptr noalias %from) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %source = getelementptr float, ptr %from, i64 %i
  %target = getelementptr float, ptr %to, i64 %i
  %x = load float, ptr %source
  %y = fadd float %x, 1.0
  store float %y, ptr %target
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, 1024
  br i1 %done, label %end, label %loop
end:
  ret void
}
"""


@X86
@pytest.mark.parametrize("name", ["x86-64", "x86-64-v2"])
def test_code_for_a_lesser_processor(name: str) -> None:
    here = native.host()
    with config.override(processor=name):
        assert (native.host().cpu, native.host().triple) == (name, here.triple)
        assert f"cpu={name} " in native.fingerprint()
        made = native.assembly(COPY)
        assert "%xmm" in made
        assert "%ymm" not in made
        assert "%zmm" not in made
    assert native.host() == here
    assert f"cpu={name} " not in native.fingerprint()


@X86
def test_a_processor_must_be_known_and_have_no_more_than_this_one(monkeypatch: pytest.MonkeyPatch) -> None:
    with config.override(processor="pdp-11"), pytest.raises(ValueRangeError, match="no such processor"):
        native.host()
    monkeypatch.setitem(processor.LEVELS, "x86-64-v9", "+sse2,+time-travel")
    with config.override(processor="x86-64-v9"), pytest.raises(ValueRangeError, match="lacks features"):
        native.host()


GATHER = """
define void @gather(ptr noalias %to, ptr noalias %from, ptr noalias %places) {
entry:
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  %at = getelementptr i64, ptr %places, i64 %i
  %place = load i64, ptr %at
  %source = getelementptr float, ptr %from, i64 %place
  %target = getelementptr float, ptr %to, i64 %i
  %x = load float, ptr %source
  store float %x, ptr %target
  %next = add i64 %i, 1
  %done = icmp eq i64 %next, 1024
  br i1 %done, label %end, label %loop
end:
  ret void
}
"""


@pytest.mark.parametrize(("cpu", "gathers"), [("znver4", False), ("skylake-avx512", True)])
def test_lanes_are_gathered_where_that_is_fast(cpu: str, gathers: bool) -> None:
    features = processor.tuned(cpu, processor.LEVELS["x86-64-v4"])
    made = native.assembly(GATHER, target=native.Target("x86_64-unknown-linux-gnu", cpu, features))
    assert ("gatherqps" in made) == gathers
