"""A detector and a dataset -> detections of every image."""


def detect_dataset(detector, loader, interrupt=None):
    """{image_id: Detections} of all the loader's images, whole batches at a time.

    None if ``interrupt`` (see detkit/runner/interrupt.py) was signalled on the way. Images that
    cannot be decoded are missing; ``loader.skipped`` lists them.
    """
    detections = {}
    for batch in loader.batches(epoch=0):
        if interrupt is not None and interrupt.signal is not None:
            return None
        detections.update(zip(batch.image_ids, detector.detect_batch(batch)))
    return detections
