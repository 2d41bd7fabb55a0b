"""The arguments that change the configs of all trainings of a tool."""

import argparse


def config_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds --weights and --set."""
    parser.add_argument(
        "--weights", metavar="PATH", help="of the backbone on ImageNet; default: the configs'"
    )
    parser.add_argument(
        "--set",
        dest="overrides",
        metavar="KEY=VALUE",
        nargs="+",
        action="extend",
        default=[],
        help="values of all configs, for example data.workers=1",
    )
