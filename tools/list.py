"""Lists the parts that a config can name, with their arguments, and the plugins in ./plugins."""

import functools
import sys

from detkit.cli import run
from detkit.commands.line import call

main = functools.partial(call, "list")

if __name__ == "__main__":
    sys.exit(run(main))
