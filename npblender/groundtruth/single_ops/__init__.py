"""Single operations: every operation of a run as a case of its own, fed with recorded inputs ("re-fed").

In reading order:
    cases     which operations a run has, and which arrays and parameters each takes
    compute   what a case gives, in any dtype and in several summation orders
    rounding  how far correct programs round a single operation
    refed     `refed`: all cases of a run with inputs, outputs and noise, and their file
"""
