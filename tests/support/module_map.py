"""detkit/MODULES.md: each module, what it is, and its test; ``python tests/support/module_map.py``.

A test has its module's name, in the folder of the same name. ELSEWHERE lists the modules, and the
folders of modules, that are tested by another file, because several modules are one idea for a
test.
"""

import ast
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MAP = ROOT / "detkit/MODULES.md"
HEAD = """# The modules of detkit

Each module, what it is, and the file that tests it. `python tests/support/module_map.py` writes
this page, and a test compares it with the tree.

"""
ELSEWHERE = {
    "__main__.py": "commands/test_line.py",
    "build/maps.py": "build/test_model.py",
    "build/resume.py": "faults/test_changed_config.py",
    "build/stage.py": "build/test_stages.py",
    "build/stage_checks.py": "build/test_stages.py",
    "build/stage_proposals.py": "build/test_staged.py",
    "build/train_step.py": "models/test_kinds_with_a_default.py",
    "build/training.py": "runner/test_resume.py",
    "commands/anchors.py": "commands/test_anchors_command.py",
    "commands/anchors_plot.py": "commands/test_anchors_command.py",
    "commands/arguments/": "commands/test_arguments.py",
    "commands/forms/": "commands/test_forms.py",
    "commands/browse_inputs.py": "commands/test_browse.py",
    "commands/browse_page.py": "commands/test_browse.py",
    "commands/browse_samples.py": "commands/test_browse.py",
    "commands/benchmark.py": "commands/test_benchmark_command.py",
    "commands/timing.py": "commands/test_benchmark_command.py",
    "commands/box_statistics.py": "tools/test_box_statistics.py",
    "commands/compress.py": "tools/test_compress.py",
    "commands/config.py": "test_cli.py",
    "commands/convert.py": "tools/test_convert.py",
    "commands/convert_weights.py": "tools/test_convert_weights.py",
    "commands/doctor.py": "tools/test_doctor.py",
    "commands/evaluate.py": "tools/test_tools.py",
    "commands/export.py": "tools/test_export.py",
    "commands/fit_svms.py": "tools/test_fit_svms.py",
    "commands/list.py": "test_plugins.py",
    "commands/propose.py": "tools/test_propose.py",
    "commands/sources.py": "commands/test_anchors_command.py",
    "commands/test.py": "commands/test_splits.py",
    "commands/train.py": "tools/test_tools.py",
    "checkpoints/branches.py": "faults/test_branches.py",
    "checkpoints/arrays.py": "checkpoints/test_checkpoint.py",
    "checkpoints/state.py": "checkpoints/test_checkpoint.py",
    "config/nodes.py": "config/test_config.py",
    "construct.py": "test_registry.py",
    "converters/recipes.py": "converters/test_gluoncv.py",
    "converters/run_folder.py": "tools/test_convert_weights.py",
    "data/arguments.py": "data/augment/test_geometry.py",
    "data/augment/affine.py": "data/augment/test_geometry.py",
    "data/augment/copy_paste.py": "data/augment/test_mosaic.py",
    "data/augment/cutout.py": "data/augment/test_quality.py",
    "data/augment/mix_up.py": "data/augment/test_mosaic.py",
    "data/augment/scale_jitter.py": "data/augment/test_geometry.py",
    "data/faults/": "data/faults/test_faults.py",
    "data/image_headers.py": "faults/test_hostile_data.py",
    "data/layout_files.py": "data/test_recognise.py",
    "data/layouts.py": "data/test_recognise.py",
    "data/names.py": "faults/test_hostile_data.py",
    "data/own_data.py": "commands/test_init.py",
    "data/proposed.py": "data/test_precomputed.py",
    "data/readers/coco_images.py": "data/readers/test_coco.py",
    "data/readers/files.py": "data/readers/test_labelme.py",
    "data/readers/lists.py": "data/readers/test_dataset.py",
    "data/readers/masks.py": "data/readers/test_dataset.py",
    "data/readers/records.py": "data/readers/test_dataset.py",
    "data/readers/recordio.py": "data/readers/test_recordio_reader.py",
    "data/readers/tables.py": "data/readers/test_csv_table.py",
    "data/readers/voc_xml.py": "data/readers/test_voc_folder.py",
    "data/detect_images.py": "data/test_given_images.py",
    "data/views.py": "test_tta.py",
    "report/learning.py": "report/test_page.py",
    "report/pack.py": "report/test_page.py",
    "report/pictures.py": "report/test_page.py",
    "commands/judged.py": "commands/test_report.py",
    "data/workers.py": "data/test_loader.py",
    "data/resize.py": "data/test_transforms.py",
    "data/sample.py": "data/test_transforms.py",
    "data/textures.py": "data/test_shapes.py",
    "data/writers/coco.py": "data/writers/test_round_trips.py",
    "data/writers/csv_table.py": "data/writers/test_round_trips.py",
    "data/writers/labelme.py": "data/writers/test_round_trips.py",
    "data/writers/recordio.py": "data/writers/test_round_trips.py",
    "data/writers/voc.py": "data/writers/test_round_trips.py",
    "data/writers/yolo.py": "data/writers/test_round_trips.py",
    "detections/coco_labels.py": "detections/test_detections.py",
    "detections/detection.py": "detections/test_detections.py",
    "detections/of_dataset.py": "tools/test_tools.py",
    "detections/overlap.py": "evaluate/test_metrics.py",
    "detections/skeletons.py": "detections/test_keypoints.py",
    "detector.py": "models/detectors/test_fast_rcnn.py",
    "errors.py": "test_cli.py",
    "export/graph/checked.py": "export/test_hostile_folders.py",
    "export/graph/graph.py": "export/graph/test_simplify.py",
    "export/graph/kernels.py": "faults/test_hostile_graphs.py",
    "export/graph/nodes.py": "faults/test_hostile_graphs.py",
    "export/graph/shapes.py": "faults/test_hostile_graphs.py",
    "export/graph/operators.py": "export/test_hostile_folders.py",
    "export/graph/variables.py": "export/test_hostile_folders.py",
    "export/manifest_rules.py": "export/test_hostile_folders.py",
    "export/network_files.py": "export/test_exported.py",
    "export/onnx/__init__.py": "export/onnx/test_model.py",
    "export/onnx/builder.py": "export/onnx/test_translate.py",
    "export/onnx/detection.py": "export/onnx/test_translate.py",
    "export/onnx/elementwise.py": "export/onnx/test_translate.py",
    "export/onnx/layers.py": "export/onnx/test_translate.py",
    "export/onnx/roi.py": "export/onnx/test_translate.py",
    "export/onnx/shapes.py": "export/onnx/test_translate.py",
    "export/onnx_manifest.py": "export/test_onnx_files.py",
    "export/outputs.py": "export/test_exported.py",
    "export/runtimes/": "export/runtimes/test_runtimes.py",
    "export/precision/int8.py": "export/precision/test_quantize.py",
    "export/strict_json.py": "export/test_hostile_folders.py",
    "files/lock.py": "faults/test_lock.py",
    "models/backbones/residual.py": "models/backbones/test_resnet.py",
    "models/blocks.py": "models/necks/test_fpn.py",
    "models/detectors/cascade_mask_rcnn.py": "models/detectors/test_cascade_rcnn.py",
    "models/levels.py": "models/test_anchors.py",
    "models/roi_pools.py": "models/test_roi_extractors.py",
    "models/suppression.py": "models/test_nms_choices.py",
    "models/voting.py": "models/test_nms_choices.py",
    "naming.py": "models/roi_heads/test_mask.py",
    "plugins/imports.py": "test_plugins.py",
    "ops/build.py": "tools/test_doctor.py",
    "ops/fallback/masks.py": "ops/test_masks.py",
    "ops/fallback/match.py": "ops/test_match.py",
    "ops/fallback/proposals.py": "ops/test_proposals.py",
    "ops/fallback/roi_pooling.py": "ops/test_roi_pooling.py",
    "ops/fallback/separable.py": "ops/test_roi_pooling.py",
    "shipped/__init__.py": "test_shipped.py",
    "parts.py": "house/test_house.py",
    "predictions/captures.py": "predictions/test_frames.py",
    "predictions/saves/__init__.py": "predictions/test_run.py",
    "predictions/saves/coco.py": "predictions/saves/test_layouts.py",
    "predictions/saves/csv_table.py": "predictions/saves/test_layouts.py",
    "predictions/saves/cvat.py": "commands/test_label.py",
    "predictions/saves/label_studio.py": "commands/test_label.py",
    "predictions/saves/pictures.py": "predictions/saves/test_video.py",
    "predictions/saves/result.py": "predictions/saves/test_layouts.py",
    "runner/hooks.py": "runner/test_loop.py",
    "runner/loss_window.py": "runner/test_loop.py",
    "runner/options.py": "config/test_bad_config.py",
    "runner/stopwatch.py": "runner/test_time_budget.py",
    "runner/trackers/clearml.py": "runner/trackers/test_services.py",
    "runner/trackers/mlflow.py": "runner/trackers/test_services.py",
    "runner/trackers/tensorboard.py": "runner/trackers/test_services.py",
    "runner/trackers/wandb.py": "runner/trackers/test_services.py",
    "targets/dense_targets.py": "targets/test_rpn_targets.py",
    "train_steps/cascade_mask_rcnn.py": "train_steps/test_cascade_rcnn.py",
    "train_steps/fast_rcnn.py": "models/detectors/test_fast_rcnn.py",
    "train_steps/keypoint_rcnn.py": "models/detectors/test_keypoint_rcnn.py",
    "train_steps/mask_rcnn.py": "models/detectors/test_mask_rcnn.py",
    "train_steps/mask_rcnn_c4.py": "models/detectors/test_mask_rcnn_c4.py",
    "train_steps/rcnn.py": "models/detectors/test_rcnn.py",
    "train_steps/retina_net.py": "models/detectors/test_retina_net.py",
    "train_steps/rpn.py": "models/detectors/test_rpn.py",
    "train_steps/stages.py": "train_steps/test_faster_rcnn.py",
    "typing.py": "house/test_house.py",
    "weights/download.py": "weights/test_published.py",
    "weights/machine.py": "weights/test_unpickle.py",
}


def modules():
    """The paths of the modules below detkit/ that hold code, in the order of their names."""
    for path in sorted((ROOT / "detkit").rglob("*.py")):
        if path.name != "__init__.py" or public_names(path):
            yield path.relative_to(ROOT / "detkit")


def public_names(path):
    """The classes, functions and constants that a module defines for others."""
    names = []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return [name for name in names if not name.startswith("_")]


def test_of(module):
    """The path of a module's test, relative to tests/."""
    own = module.with_name(f"test_{module.name}").as_posix()
    folder = f"{module.parent.as_posix()}/"
    return Path(ELSEWHERE.get(module.as_posix()) or ELSEWHERE.get(folder) or own)


def summary(module):
    """The first line of a module's docstring."""
    text = (ROOT / "detkit" / module).read_text(encoding="utf-8")
    return ast.get_docstring(ast.parse(text)).splitlines()[0]


def module_map():
    """The text of detkit/MODULES.md."""
    lines = [HEAD.rstrip() + "\n"]
    folder = None
    for module in sorted(modules(), key=lambda path: (path.parent.as_posix(), path.name)):
        if module.parent != folder:
            folder = module.parent
            title = "detkit" if folder == Path() else f"detkit/{folder.as_posix()}"
            lines += [f"\n## {title}\n", "| module | what it is | test |", "|---|---|---|"]
        link = f"[{test_of(module).as_posix()}](../tests/{test_of(module).as_posix()})"
        lines.append(f"| [{module.name}]({module.as_posix()}) | {summary(module)} | {link} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    MAP.write_text(module_map(), encoding="utf-8")
