"""Tracing Python: source rewriting, guarded reads, a journal of writes.

`stage` runs a user's function once and gives a `Staged`: guards compiled to one function, and the
function that rebuilds what was returned and writes what was written.  Tensors are the business of a
`Recorder`.
"""

from jitorch.frontend.python.guards import (
    Failure as Failure,
)
from jitorch.frontend.python.guards import (
    Guard as Guard,
)
from jitorch.frontend.python.guards import (
    TensorKey as TensorKey,
)
from jitorch.frontend.python.guards import (
    changed_paths as changed_paths,
)
from jitorch.frontend.python.guards import (
    first_failure as first_failure,
)
from jitorch.frontend.python.objects import pure_getattr as pure_getattr
from jitorch.frontend.python.paths import Path as Path
from jitorch.frontend.python.protocol import Trace as Trace
from jitorch.frontend.python.recorder import Recorder as Recorder
from jitorch.frontend.python.recorder import Refuse as Refuse
from jitorch.frontend.python.rewritten import code_digest as code_digest
from jitorch.frontend.python.rewritten import store as store
from jitorch.frontend.python.scalars import RuntimeScalar as RuntimeScalar
from jitorch.frontend.python.stage import Staged as Staged
from jitorch.frontend.python.stage import stage as stage
