"""``python -m tests.servers``: whether the server that SHARDS_ENGINE names answers; with a word, clusters for tests."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # The clusters need MySQL's driver, the question does not.
    if len(sys.argv) > 1:
        from tests.servers.command import main
    else:
        from tests.servers.answering import main
    sys.exit(main())
