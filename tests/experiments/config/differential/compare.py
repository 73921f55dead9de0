"""Compares the configuration with Hydra on random, seeded cases.

    python compare.py COMPOSE_MANY [--cases 2000] [--seed 1] [--show 10] [--kind KIND] [--keep DIR]

Every case is a config tree with overrides. Both sides compose it; results must be equal in every
value and type, and errors must meet errors. What may differ is listed in intended.py, with reasons;
each use of such a rule is counted. Exit code: 0 no unexplained difference, 1 some, 77 no Hydra here.
"""

import argparse
import collections
import json
import math
import os
import pathlib
import random
import subprocess
import sys
import tempfile

try:
    import yaml
    from omegaconf._utils import get_yaml_loader

    import reference
except ModuleNotFoundError as error:
    print(f"skipped: {error}. Install differential/requirements.txt, or run "
          "'./attnlab test --with-python'.")
    sys.exit(77)

import intended
import trees

# Below this share of cases that compose on both sides, the cases would prove little.
LEAST_COMPOSED = 0.35


def same(ours, theirs):
    """Equal in value and type; NaN equals NaN, and zero has its sign."""
    if type(ours) is not type(theirs):
        return False
    if isinstance(ours, dict):
        return list(map(str, ours)) == list(map(str, theirs)) and all(
            same(ours[key], theirs[key]) for key in ours if key in theirs)
    if isinstance(ours, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    if isinstance(ours, float):
        return repr(ours) == repr(theirs) or (math.isnan(ours) and math.isnan(theirs))
    return ours == theirs


def write_case(folder, case):
    for name, text in case["files"].items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def ours_of(program, folders, cases):
    lines = [json.dumps({"dir": str(folder), "overrides": case["overrides"]})
             for folder, case in zip(folders, cases)]
    run = subprocess.run([program], input="\n".join(lines) + "\n", text=True, capture_output=True,
                         encoding="utf-8")
    results = [json.loads(line) for line in run.stdout.splitlines()]
    if run.returncode != 0 or len(results) != len(cases):
        sys.exit(f"{program} ended with {run.returncode} after {len(results)} of {len(cases)} cases; "
                 f"the next one: {folders[len(results)]}: {cases[len(results)]}\n{run.stderr}")
    loader = get_yaml_loader()
    for result in results:
        if "jobs" in result:
            result["jobs"] = [yaml.load(text, Loader=loader) for text in result["jobs"]]
    return results


def agree(ours, theirs):
    if "error" in ours or "error" in theirs:
        return "error" in ours and "error" in theirs
    return len(ours["jobs"]) == len(theirs["jobs"]) and all(map(same, ours["jobs"], theirs["jobs"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program")
    parser.add_argument("--cases", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=10, help="unexplained differences to print")
    parser.add_argument("--kind", help="only these cases: tree, value, interpolation, scalar")
    parser.add_argument("--keep", type=pathlib.Path, help="folder that keeps the cases")
    arguments = parser.parse_args()

    os.environ.update({"ATTNLAB_DIFF_A": "value a", "ATTNLAB_DIFF_N": "12"})
    os.environ.pop("ATTNLAB_NONE", None)
    rng = random.Random(arguments.seed)
    cases = [trees.case(rng, arguments.kind) for _ in range(arguments.cases)]
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.keep or pathlib.Path(temporary)
        folders = [root / f"{i:05}" for i in range(len(cases))]
        for folder, case in zip(folders, cases):
            write_case(folder, case)
        ours = ours_of(arguments.program, folders, cases)
        theirs = [reference.outcome(folder, case["overrides"])
                  for folder, case in zip(folders, cases)]

    counts, rules, shown = collections.Counter(), collections.Counter(), 0
    for folder, case, our, their in zip(folders, cases, ours, theirs):
        if agree(our, their):
            counts["error" if "error" in our else "composed"] += 1
            continue
        rule = intended.rule_of(case, our, their)
        if rule:
            counts["intended"] += 1
            rules[rule] += 1
            continue
        counts["unexplained"] += 1
        if shown < arguments.show:
            shown += 1
            print(f"--- {folder.name} {case['kind']} overrides: {case['overrides']}")
            for name, text in case["files"].items():
                print(f"[{name}]\n{text}", end="")
            print(f"ours:   {str(our)[:900]}\ntheirs: {str(their)[:900]}")
    print(f"{len(cases)} cases, seed {arguments.seed}: {counts['composed']} composed alike, "
          f"{counts['error']} errors on both sides, {counts['intended']} intended differences, "
          f"{counts['unexplained']} unexplained")
    for rule, count in sorted(rules.items()):
        print(f"  intended: {rule}: {count}")
    if counts["composed"] < LEAST_COMPOSED * len(cases):
        print(f"only {counts['composed']} cases compose, so this run proves little")
        return 1
    return 1 if counts["unexplained"] else 0


if __name__ == "__main__":
    sys.exit(main())
