"""One module of Django's tests in one process: ``python -m tests.django_suite.child FOLDER MODULE``."""

from __future__ import annotations

import os
import runpy
import sys

from tests.django_suite import glue


def main() -> None:
    """Declare the models, then be Django's own ``runtests.py``."""
    folder, module = sys.argv[1:]
    sys.path.insert(0, folder)
    os.chdir(folder)
    glue.install(os.environ["DJANGO_SUITE_MODE"])
    if os.environ.get("DJANGO_SUITE_COUNT") == "once":
        glue.count_once()
    sys.argv = ["runtests.py", module, "--settings=tests.django_suite.settings", "--parallel=1", "--verbosity=0"]
    runpy.run_path(os.path.join(folder, "runtests.py"), run_name="__main__")


if __name__ == "__main__":
    main()
