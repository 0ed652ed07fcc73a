"""Random experiment files and damaged files of every kind: each gives a valid outcome, or is refused in one sentence.

    case(seed, number) -> what is tried -> Verdict: "valid" | "refused" | "unfinished" | "stopped", and what is wrong

A case is a function of seed and number alone, so that a failing one is tried again by its two numbers. `make fuzz` and
the suite take their cases from here.

    odd.py             values that no setting expects
    settings.py        settings that are valid, or nearly
    spoiling.py        what goes wrong in them
    configurations.py  cases of `maskcl run FILE`
    damage.py          bytes and tables with damage
    headers.py         files whose headers say something else, and are well-formed
    files.py           cases of data, weights, learners, checkpoints, results
    judging.py         what is promised, as one function
"""
