"""Lists the parts that a config can name, with their arguments, and the plugins in ./plugins."""

import functools
import sys

from detkit.commands.line import call

from detkit.cli import run

main = functools.partial(call, "list")

if __name__ == "__main__":
    sys.exit(run(main))
