"""``detkit benchmark --forms``: which of a detector's forms to use on this machine.

    candidates.py   the forms: files of an export, each with a runtime
    exporting.py    a run -> its forms, in a folder
    worker.py       the process of a form, which detects and is timed
    measured.py     what the processes find and take, the forms in turns
    judging.py      the images, and the figures of detections
    verdict.py      the form that is recommended, and the warnings
    compare.py      the command; its table and its JSON

A form is a file and the runtime that runs it. Each has a process of its own, so that the memory of
one is not counted for another, and a form that crashes ends none of the others.
"""
