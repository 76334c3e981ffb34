"""Comparing a port with a trace: the first point that diverges, and why.

In reading order:
    compare         `compare` and `compare_refed`: pair the names, judge each point, report
    findings        `Report` and `PointReport`: what was found
    reading         one array against its reference, in the axis order in which it agrees
    axis_layouts    the axis orders that programs use
    point_names     names of points in transformers and ParlAI
    name_patterns   a port's own names: {pattern: point}
    diagnose        remarks on a wrong array: the mistake that explains it, or facts about it
    hypotheses      which mistake, recomputed, gives the wrong array; `mistakes` lists them by operation
    facts           what needs no weights: it would agree transposed, scaled, moved, or with other bytes
    causes          the usual causes, by point
    runs            two runs of one port: what differs is a race or memory not written
    commands        the command lines that answer what is left open
    text_report, json_report, html_report   the report for people, programs and browsers
"""
