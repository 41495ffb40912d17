"""What the Python clients share: their config and the way they report."""

import json
import sys
import traceback
import uuid

cfg = json.load(sys.stdin)


def case(name):
    """Runs the decorated function at once and reports its end as one line."""

    def run(f):
        line = {"case": name}
        try:
            line.update(f() or {})
        except Exception:
            line["error"] = traceback.format_exc()
        print(json.dumps(line), flush=True)
        return f

    return run


def equal(got, want, what="got"):
    if got != want:
        raise AssertionError("%s: %r, want %r" % (what, got, want))


def contains(text, *parts):
    for p in parts:
        if str(p) not in str(text):
            raise AssertionError("%r is not in %r" % (p, text))


def guide_line(row):
    """The guide's row as all clients print it."""
    out = []
    for v in row:
        if v is None:
            out.append("NULL")
        elif isinstance(v, uuid.UUID):
            out.append(str(v).upper())
        else:
            out.append(str(v))
    return "|".join(out)


def fails(f, *parts):
    """f must fail with an error that says all parts."""
    try:
        f()
    except Exception as e:
        contains(e, *parts)
        return
    raise AssertionError("no error, want one that says %r" % (parts,))
