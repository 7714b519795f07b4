"""jitorch in one file: a tour.

This program is a miniature of jitorch.  It defines ops, runs them, records a tape, builds graphs, prints and rewrites
them, takes their gradients, lowers them to loops, renders the loops as LLVM and runs that; at the end stands a `jit`
with guards.  Names are those of jitorch wherever it has a counterpart, and each part says in which file that stands.
Left out: dtypes (all is float64), symbolic sizes, broadcasting, views, writes, functions inside of functions.  It needs
numpy and llvmlite; `python docs/tour.py` prints each layer.
"""

# fmt: off
# ruff: noqa: E701 - short cases stand on one line
from __future__ import annotations

import ast
import builtins
import ctypes
import functools
import inspect
import itertools
import struct
import textwrap
import warnings
from collections import ChainMap, namedtuple
from contextlib import contextmanager

import numpy as np
from llvmlite import binding as llvm


# -- 1. An op is a name and its rules ---------------------------------------------------------------------
# jitorch/ir/op.py and jitorch/ops/registry.py.  The rules say everything about an op, and stand together; whoever
# needs one asks for it by name.  A composite's body is its definition, and everything else follows from that.  Here the
# body runs at once; there a graph keeps the composite whole until a backend wants it decomposed.
class Op:
    def __init__(self, name, body=None):
        self.name, self.body, self.rules = name, body, {}
    def rule(self, name): return lambda function: self.rules.setdefault(name, function)
    def __call__(self, *operands, **attrs):
        if self.body is not None:
            return self.body(*operands, **attrs)
        return interpreters[-1].apply(self, operands, attrs)

def op(body): return Op(body.__name__, body)

def primitive(numpy, **rules):
    entry = Op(numpy.__name__)
    entry.rules.update(rules, numpy=numpy)
    return entry

def elementwise(numpy): return primitive(numpy, type=same_shape, scalar=numpy.__name__)

def same_shape(*shapes):
    if len(set(shapes)) != 1:
        raise ValueError(f"shapes differ: {shapes}")
    return shapes[0]

# -- 2. The ops of this tour ------------------------------------------------------------------------------
# jitorch/ops/: math.py, structure.py, reduce.py, linalg.py.  `vjp` gives, for the cotangent `g` of the result, one
# cotangent for each operand.  It is written over tensors, with ops, so it can be run, recorded or compiled itself.
@elementwise
def add(x, y): return x + y
@add.rule("vjp")
def _(g, out, x, y): return g, g

@elementwise
def mul(x, y): return x * y
@mul.rule("vjp")
def _(g, out, x, y): return g * y, g * x

@elementwise
def tanh(x): return np.tanh(x)
@tanh.rule("vjp")
def _(g, out, x): return (g - g * out * out,)

@primitive
def constant(*, value, shape): return np.full(shape, value)
@constant.rule("type")
def _(*, value, shape): return shape
@constant.rule("pull")  # what is the element at `index` of the result?
def _(index, *, value, shape): return Const(value, "f64")

@primitive
def expand(x, *, axis, size):
    """A new axis, along which the elements repeat."""
    return np.repeat(np.expand_dims(x, axis), size, axis)
@expand.rule("type")
def _(shape, *, axis, size): return (*shape[:axis], size, *shape[axis:])
@expand.rule("vjp")
def _(g, out, x, *, axis, size): return (reduce_sum(g, axis=axis),)
@expand.rule("pull")  # nothing is copied: a read of the result is a read of `x` elsewhere
def _(index, x, *, axis, size): return x((*index[:axis], *index[axis + 1 :]))

@primitive
def reduce_sum(x, *, axis): return np.sum(x, axis)
@reduce_sum.rule("type")
def _(shape, *, axis): return (*shape[:axis], *shape[axis + 1 :])
@reduce_sum.rule("vjp")
def _(g, out, x, *, axis): return (expand(g, axis=axis, size=x.shape[axis]),)

@op
def matmul(x, w):
    """``[n, k] @ [k, m]``.  The intermediate ``[n, k, m]`` is never stored: see part 7."""
    return reduce_sum(expand(x, axis=2, size=w.shape[1]) * expand(w, axis=0, size=x.shape[0]), axis=1)

@op
def mean_square(x):
    total = reduce_sum(reduce_sum(x * x, axis=1), axis=0)
    return total * (1.0 / (x.shape[0] * x.shape[1]))

# -- 3. A tensor, and two interpreters: eager and tape ----------------------------------------------------
# jitorch/tensor.py, jitorch/ops/dispatch.py, jitorch/frontend/eager/interpreter.py, jitorch/frontend/eager/tape.py.
# A tensor knows no arithmetic: its operators call ops, and an op asks the interpreter in force what to do.  Eager
# computes.  The tape passes on and keeps what backward needs; backward calls the vjp rules, which are ops again.
class Tensor:
    def __init__(self, array=None, requires_grad=False, value=None):
        self.array = None if array is None else np.asarray(array, float)
        self.value, self.requires_grad, self.grad, self.node = value, requires_grad, None, None
        self.shape = self.array.shape if value is None else value.shape
    def __add__(self, other): return add(self, as_tensor(other, self.shape))
    def __mul__(self, other): return mul(self, as_tensor(other, self.shape))
    def __sub__(self, other): return self + as_tensor(other, self.shape) * -1.0
    def __matmul__(self, other): return matmul(self, other)
    def __bool__(self):
        if self.array is None:
            raise StagingError("a test of a traced tensor")
        return bool(self.array)
    def backward(self):
        cotangents, nodes = {id(self): constant(value=1.0, shape=self.shape)}, {self.node}
        while nodes:
            node = max(nodes, key=lambda n: n.number)  # the last one recorded: all that reads its result is done
            nodes.discard(node)
            g = cotangents.pop(id(node.out))
            for x, part in zip(node.operands, node.op.rules["vjp"](g, node.out, *node.operands, **node.attrs)):
                if x.node is not None:
                    cotangents[id(x)] = cotangents[id(x)] + part if id(x) in cotangents else part
                    nodes.add(x.node)
                elif x.requires_grad:
                    x.grad = part if x.grad is None else x.grad + part

def as_tensor(x, shape): return x if isinstance(x, Tensor) else constant(value=float(x), shape=shape)

class Eager:
    def apply(self, op, operands, attrs):
        op.rules["type"](*(x.shape for x in operands), **attrs)  # refuses what does not fit
        return Tensor(op.rules["numpy"](*(x.array for x in operands), **attrs))

class GradNode:
    def __init__(self, number, op, operands, attrs, out):
        self.number, self.op, self.operands, self.attrs, self.out = number, op, operands, attrs, out

class Tape:
    def __init__(self, inner):
        self.inner, self.numbers = inner, itertools.count()
    def apply(self, op, operands, attrs):
        out = self.inner.apply(op, operands, attrs)
        if any(x.requires_grad or x.node is not None for x in operands):
            out.node = GradNode(next(self.numbers), op, operands, attrs, out)
        return out

interpreters = [Tape(Eager())]

@contextmanager
def interpreting(interpreter):
    interpreters.append(interpreter)
    try:
        yield
    finally:
        interpreters.pop()

# -- 4. A graph, its text, and the interpreter that builds it ---------------------------------------------
# jitorch/ir/graph.py, jitorch/ir/printer.py, jitorch/builder.py.  While the builder is in force nothing is computed:
# each op becomes a node, and the tensors in the user's hands stand for values of the graph.
class Value:
    def __init__(self, shape, node=None): self.shape, self.node = shape, node

class Node:
    def __init__(self, op, inputs, attrs, shape):
        self.op, self.inputs, self.attrs, self.output = op, inputs, attrs, Value(shape, self)

class Graph:
    def __init__(self, name, shapes=()):
        self.name, self.inputs, self.nodes, self.outputs = name, [Value(s) for s in shapes], [], []
    def append(self, op, inputs, attrs, shape):
        self.nodes.append(Node(op, inputs, attrs, shape))
        return self.nodes[-1].output
    def replace(self, old, new):
        for node in self.nodes:
            node.inputs = [new if v is old else v for v in node.inputs]
        self.outputs = [new if v is old else v for v in self.outputs]
    def __str__(self):
        names = {v: f"%in{i}" for i, v in enumerate(self.inputs)}
        names |= {node.output: f"%{i}" for i, node in enumerate(self.nodes)}
        typed = ", ".join(f"{names[v]}: f64{list(v.shape)}" for v in self.inputs)
        lines = [f"graph @{self.name}({typed}) {{"]
        for node in self.nodes:
            arguments = [names[v] for v in node.inputs] + [f"{k}={v}" for k, v in node.attrs.items()]
            call = f"{node.op.name}({', '.join(arguments)})"
            lines.append(f"  {names[node.output]}: f64{list(node.output.shape)} = {call}")
        return "\n".join([*lines, f"  return {', '.join(names[v] for v in self.outputs)}", "}"])

class GraphBuilder:
    def __init__(self, graph):
        self.graph = graph
    def apply(self, op, operands, attrs):
        shape = op.rules["type"](*(x.shape for x in operands), **attrs)
        return Tensor(value=self.graph.append(op, [x.value for x in operands], attrs, shape))

# -- 5. Passes change a graph -----------------------------------------------------------------------------
# jitorch/passes/: clean.py, simplify.py, decompose.py, pipeline.py.  A pass is a function that changes a graph in
# place; there it also says whether it did, and a verifier runs after each in the tests.
def cse(graph):
    """One node for equal nodes."""
    seen = {}
    for node in graph.nodes:
        key = (node.op, tuple(node.inputs), tuple(node.attrs.items()))
        graph.replace(node.output, seen.setdefault(key, node.output))

def dce(graph):
    """Drop nodes that no output needs."""
    needed = set(graph.outputs)
    for node in reversed(graph.nodes):
        if node.output in needed:
            needed.update(node.inputs)
    graph.nodes = [node for node in graph.nodes if node.output in needed]

# -- 6. The gradient of a graph is a graph ----------------------------------------------------------------
# jitorch/passes/grad.py.  The same vjp rules as in part 3, run while the builder is in force.
def vjp(graph):
    """``(inputs, g) -> cotangents of the inputs`` for a graph with one output."""
    result = Graph(f"{graph.name}_vjp", [*(v.shape for v in graph.inputs), graph.outputs[0].shape])
    stands = {v: Tensor(value=w) for v, w in zip(graph.inputs, result.inputs)}
    cotangents = {graph.outputs[0]: Tensor(value=result.inputs[-1])}
    with interpreting(GraphBuilder(result)):
        for node in graph.nodes:
            stands[node.output] = node.op(*(stands[v] for v in node.inputs), **node.attrs)
        for node in reversed(graph.nodes):
            if node.output in cotangents and node.inputs:
                operands = [stands[v] for v in node.inputs]
                parts = node.op.rules["vjp"](cotangents[node.output], stands[node.output], *operands, **node.attrs)
                for v, part in zip(node.inputs, parts):
                    cotangents[v] = cotangents[v] + part if v in cotangents else part
        for v in graph.inputs:
            result.outputs.append((cotangents[v] if v in cotangents else constant(value=0.0, shape=v.shape)).value)
    return result

# -- 7. From graphs to loops ------------------------------------------------------------------------------
# jitorch/ir/kernel.py (the language), jitorch/lower/pull.py, jitorch/lower/fuse.py.  Lowering pulls: ask for one
# element of a result, and the question passes on to the operands until it reaches memory.  So everything between two
# stored values is one kernel.  Here outputs and sums are stored; the real `fuse` weighs more.
Const = namedtuple("Const", "value dtype")  # expressions; a dtype is f64 or i64
Var = namedtuple("Var", "name dtype")
Load = namedtuple("Load", "buffer index dtype")
Call = namedtuple("Call", "fn args dtype")
Let = namedtuple("Let", "var value")  # statements; there: Let, Local and Assign
Store = namedtuple("Store", "buffer index value")
For = namedtuple("For", "var extent body")

class Kernel(namedtuple("Kernel", "name params body")):
    def __str__(self):
        return "\n".join([f"kernel @{self.name}({', '.join(self.params)}) {{", *lines_of(self.body, "  "), "}"])

def text_of(e):
    match e:
        case Const(value, _): return str(value)
        case Var(name, _): return name
        case Load(buffer, index, _): return f"{buffer}[{text_of(index)}]"
    return f"{e.fn}({', '.join(map(text_of, e.args))})"

def lines_of(body, indent):
    for stmt in body:
        match stmt:
            case Let(var, value): yield f"{indent}{var.name} = {text_of(value)}"
            case Store(buffer, index, value): yield f"{indent}{buffer}[{text_of(index)}] = {text_of(value)}"
            case For(var, extent, inner):
                yield f"{indent}for {var.name} in {extent} {{"
                yield from lines_of(inner, indent + "  ")
                yield indent + "}"

def flat(index, shape):
    """The row-major position of an index."""
    position = None
    for i, size in zip(index, shape):
        scaled = position and Call("mul", (position, Const(size, "i64")), "i64")
        position = i if scaled is None else Call("add", (scaled, i), "i64")
    return position or Const(0, "i64")

class Puller:
    def __init__(self, buffers):
        self.buffers, self.used, self.count, self.block, self.known = buffers, [], itertools.count(), [], ChainMap()
    def pull(self, value, index):
        """An expression for the element of ``value`` at ``index``."""
        if value in self.buffers:
            self.used.append(self.buffers[value])
            return Load(self.buffers[value], flat(index, value.shape), "f64")
        if (value, index) not in self.known:
            self.known[value, index] = self.let(self.compute(value.node, index))
        return self.known[value, index]
    def compute(self, node, index):
        operands = [lambda at, v=v: self.pull(v, at) for v in node.inputs]
        if "scalar" in node.op.rules:
            return Call(node.op.rules["scalar"], tuple(x(index) for x in operands), "f64")
        if node.op is not reduce_sum:
            return node.op.rules["pull"](index, *operands, **node.attrs)
        total, axis = self.let(Const(0.0, "f64")), node.attrs["axis"]

        def body(i):
            element = operands[0]((*index[:axis], i, *index[axis:]))
            self.block.append(Let(total, Call("add", (total, element), "f64")))

        self.loop(node.inputs[0].shape[axis], body)
        return total
    def let(self, value):
        var = Var(f"t{next(self.count)}", value.dtype)
        self.block.append(Let(var, value))
        return var
    def loop(self, extent, body):
        var = Var(f"i{next(self.count)}", "i64")
        outer, self.block, self.known = self.block, [], self.known.new_child()
        body(var)
        outer.append(For(var, extent, tuple(self.block)))
        self.block, self.known = outer, self.known.parents

def lower(graph):
    """One kernel for each value that is stored, in order, and the buffers' names."""
    buffers = {v: f"in{i}" for i, v in enumerate(graph.inputs)}
    stored = [n.output for n in graph.nodes if n.op is reduce_sum or n.output in graph.outputs]
    kernels = []
    for number, value in enumerate(stored):
        puller, name = Puller(buffers), f"buf{number}"

        def nest(index, value=value, puller=puller, name=name):
            if len(index) < len(value.shape):
                puller.loop(value.shape[len(index)], lambda i: nest((*index, i)))
            else:
                puller.block.append(Store(name, flat(index, value.shape), puller.compute(value.node, index)))

        nest(())
        buffers = {**buffers, value: name}
        params = (*dict.fromkeys(puller.used), name)
        kernels.append(Kernel(f"{value.node.op.name}_{number}", params, tuple(puller.block)))
    return kernels, buffers

# -- 8. From loops to machine code ------------------------------------------------------------------------
# jitorch/lower/source/render.py, jitorch/backends/cpu/ (llvm.py, words.py, native.py).  A renderer holds words, not
# decisions.  Names are cells of the stack here; LLVM turns them into registers.
TYPES = {"f64": "double", "i64": "i64"}
WORDS = {
    ("add", "f64"): "fadd double {}, {}", ("mul", "f64"): "fmul double {}, {}",
    ("add", "i64"): "add i64 {}, {}", ("mul", "i64"): "mul i64 {}, {}", ("tanh", "f64"): "call double @tanh(double {})",
}

class KernelWriter:
    def __init__(self):
        self.count, self.cells, self.lines = itertools.count(), {}, []
    def source(self, kernel):
        self.block(kernel.body)
        head = f"define void @{kernel.name}({', '.join(f'ptr noalias %{p}' for p in kernel.params)}) {{"
        cells = [f"  %{name} = alloca {TYPES[dtype]}" for name, dtype in self.cells.items()]
        return "\n".join([head, "entry:", *cells, *self.lines, "  ret void", "}"])
    def do(self, instruction):
        name = f"%v{next(self.count)}"
        self.lines.append(f"  {name} = {instruction}")
        return name
    def expression(self, e):
        match e:
            case Const(value, "i64"): return str(value)
            case Const(value, _): return "0x" + struct.pack(">d", value).hex()
            case Var(name, dtype): return self.do(f"load {TYPES[dtype]}, ptr %{name}")
            case Load(buffer, index, _): return self.do(f"load double, ptr {self.address(buffer, index)}")
        return self.do(WORDS[e.fn, e.dtype].format(*map(self.expression, e.args)))
    def address(self, buffer, index):
        return self.do(f"getelementptr double, ptr %{buffer}, i64 {self.expression(index)}")
    def assign(self, var, value):
        self.cells[var.name] = var.dtype
        self.lines.append(f"  store {TYPES[var.dtype]} {self.expression(value)}, ptr %{var.name}")
    def block(self, body):
        for stmt in body:
            match stmt:
                case Let(var, value): self.assign(var, value)
                case Store(buffer, index, value):
                    self.lines.append(f"  store double {self.expression(value)}, ptr {self.address(buffer, index)}")
                case For(var, extent, inner):
                    n = next(self.count)
                    self.assign(var, Const(0, "i64"))
                    self.lines += [f"  br label %head{n}", f"head{n}:"]
                    test = self.do(f"icmp slt i64 {self.expression(var)}, {extent}")
                    self.lines += [f"  br i1 {test}, label %body{n}, label %done{n}", f"body{n}:"]
                    self.block(inner)
                    self.assign(var, Call("add", (var, Const(1, "i64")), "i64"))
                    self.lines += [f"  br label %head{n}", f"done{n}:"]

# jitorch/ir/program.py, jitorch/lower/program.py, jitorch/lower/memory/arena.py.  A program calls the kernels in order
# and owns what lies between them; there it is one native function too, with one block of memory planned ahead.

class Program:
    def __init__(self, graph):
        self.graph, (self.kernels, self.buffers) = graph, lower(graph)
        self.shapes = {name: v.shape for v, name in self.buffers.items()}
        self.text = "\n\n".join(["declare double @tanh(double)", *(KernelWriter().source(k) for k in self.kernels)])
        llvm.initialize_native_target()
        llvm.initialize_native_asmprinter()
        machine = llvm.Target.from_default_triple().create_target_machine(opt=2)
        module = llvm.parse_assembly(self.text)
        builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=2))
        builder.getModulePassManager().run(module, builder)
        self.engine = llvm.create_mcjit_compiler(module, machine)
        self.functions = [
            ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * len(k.params))(self.engine.get_function_address(k.name))
            for k in self.kernels
        ]
    def __call__(self, arrays):
        memory = {f"in{i}": np.ascontiguousarray(array) for i, array in enumerate(arrays)}
        for kernel, function in zip(self.kernels, self.functions):
            memory[kernel.params[-1]] = np.empty(self.shapes[kernel.params[-1]])
            function(*(memory[name].ctypes.data for name in kernel.params))
        return [memory[self.buffers[v]] for v in self.graph.outputs]

def compile_graph(graph):  # jitorch/compiler.py
    cse(graph)
    dce(graph)
    return Program(graph)

# jitorch/frontend/eager/differentiable.py.  The compiled graph as an op with a gradient.  There forward keeps what
# backward needs, and the gradient has gradients itself.

def differentiable(graph):
    forward, derivative, entry = compile_graph(graph), vjp(graph), Op(graph.name)
    backward = functools.cache(lambda: compile_graph(derivative))
    entry.rules["type"] = lambda *shapes: graph.outputs[0].shape
    entry.rules["numpy"] = lambda *arrays: forward(arrays)[0]
    entry.rules["vjp"] = lambda g, out, *operands: map(Tensor, backward()([x.array for x in (*operands, g)]))
    return forward, entry

# -- 9. @jit: trace once, guard what was read -------------------------------------------------------------
# jitorch/frontend/python/ (rewrite.py, guards.py), jitorch/frontend/{entry,jitted}.py.  The source is rewritten so
# that each read of a global asks first.  What was read becomes a guard; a call for which one fails is traced again.
# The real one also follows calls, attributes, items and closures, keeps floats as run-time values, and replays
# writes.
class StagingError(Exception):
    """Python wants to know what only the running program will know."""

class Rewriter(ast.NodeTransformer):
    def __init__(self, local):
        self.local = local
    def visit_Name(self, node):
        return node if node.id in self.local else ast.Call(ast.Name("read", node.ctx), [ast.Constant(node.id)], [])

def rewrite(function, read):
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    definition, code, namespace = tree.body[0], function.__code__, {"read": read}
    definition.decorator_list = []
    definition.body = [Rewriter(code.co_varnames).visit(stmt) for stmt in definition.body]
    exec(compile(ast.fix_missing_locations(tree), code.co_filename, "exec"), namespace)
    return namespace[function.__name__]

class Entry:
    def __init__(self, guards, cause):
        self.guards, self.cause, self.program, self.op = guards, cause, None, None  # a guard is (kind, which, expected)

class Jitted:
    def __init__(self, function):
        self.function, self.entries = function, []
    def __call__(self, *args):
        entry = next((e for e in self.entries if self.failure(e, args) is None), None) or self.trace(args)
        return self.function(*args) if entry.op is None else entry.op(*args)
    def now(self, kind, which, args):
        return args[which].shape if kind == "shape" else (
            self.function.__globals__.get(which, getattr(builtins, which, None)))
    def failure(self, entry, args):
        actual = ((guard, self.now(*guard[:2], args)) for guard in entry.guards)
        return next((f"{k} {which} was {old}, is {new}" for (k, which, old), new in actual if new != old), None)
    def trace(self, args):
        cause = self.failure(self.entries[0], args) if self.entries else "first call"
        entry = Entry([("shape", i, x.shape) for i, x in enumerate(args)], cause)
        self.entries.insert(0, entry)

        def read(name):
            entry.guards.append(("global", name, self.now("global", name, args)))
            return entry.guards[-1][2]

        graph = Graph(self.function.__name__, [x.shape for x in args])
        try:
            with interpreting(GraphBuilder(graph)):
                graph.outputs = [rewrite(self.function, read)(*(Tensor(value=v) for v in graph.inputs)).value]
            entry.program, entry.op = differentiable(graph)
        except StagingError as refused:
            warnings.warn(f"{graph.name} runs eagerly: {refused}", RuntimeWarning, stacklevel=3)
        return entry
    def explain(self): return "\n".join(f"trace {i}: {e.cause}" for i, e in enumerate(reversed(self.entries), 1))

jit = Jitted

# -- 10. All of it ----------------------------------------------------------------------------------------

scale = 1.0

@jit
def loss(w, x, y): return mean_square(tanh(x @ w) * scale - y)

def main():
    rng = np.random.default_rng(0)
    w, x, y = (Tensor(rng.normal(size=shape), requires_grad=True) for shape in ((3, 2), (4, 3), (4, 2)))
    loss(w, x, y).backward()
    program = loss.entries[0].program
    print(program.graph, *program.kernels, program.text, f"gradient of w:\n{w.grad.array}", loss.explain(), sep="\n\n")

if __name__ == "__main__":
    main()
