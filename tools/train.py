"""Train a detector: python tools/train.py configs/faster_rcnn_vgg16.yaml"""

import argparse
import os
import sys

from detkit.cli import common_arguments, run
from detkit.config import load_config
from detkit.plugins import import_plugins


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
    common_arguments(parser)
    parser.add_argument("--work-dir", metavar="DIR")
    parser.add_argument("--resume", metavar="auto|PATH")
    args = parser.parse_args(argv)
    from detkit.runner.setup import Training

    config = load_config(args.config, args.overrides)
    plugins = import_plugins(config)
    training = Training(config)
    work_dir = args.work_dir or os.path.join(
        "work_dirs", os.path.splitext(os.path.basename(args.config))[0]
    )
    runner = training.runner(work_dir, args.resume)
    runner.run()
    print(runner.metrics)


if __name__ == "__main__":
    sys.exit(run(main))
