"""The commands: what ``detkit NAME``, and ``python tools/NAME.py`` in the checkout, do.

``line.py`` reads the command line. A command has two modules of one name. The one in ``arguments/``
describes what the command is called with; it imports nothing that is slow or may be missing. The
one beside this file does the work, and is imported when the command is called.
"""
