"""Exercises: eight empty functions of the model, ten tasks, and a grader that names the first wrong number.

In reading order:
    skeleton        the eight functions, without their bodies
    tasks           the ten tasks: what each function is given, what is right
    mistakes        usual wrong solutions, each with the words that name it
    encoder_pass    the demo's encoder, computed with the functions of a file
    grading         runs a file's functions and says what is right
"""

from npblender.groundtruth.exercises.grading import Finding, check_file
from npblender.groundtruth.exercises.tasks import TASKS

__all__ = ["TASKS", "Finding", "check_file"]
