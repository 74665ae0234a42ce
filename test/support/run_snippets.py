"""Runs the examples in the given files, one after the other. Prints a line for each: `ok` or `failed`, and the base64 of
what it printed."""

import contextlib, io, sys
from base64 import b64encode

for file in sys.argv[1:]:
    printed = io.StringIO()
    outcome = "ok"
    with open(file) as source:
        code = compile(source.read(), file, "exec")
    with contextlib.redirect_stdout(printed):
        try:
            exec(code, {"__name__": "__main__"})
        except Exception:
            outcome = "failed"
    print(outcome, b64encode(printed.getvalue().encode()).decode())
