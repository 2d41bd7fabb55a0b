"""The arguments of each command, which help and completion need without running the command.

The docstring of a module is the description of its command. ``add_arguments(parser)`` adds the
arguments. ``wrong(args)``, if a module has it, returns what is wrong with arguments that do not go
together, or None.
"""
