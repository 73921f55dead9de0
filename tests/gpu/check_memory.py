#!/usr/bin/env python3
"""Reads a results.csv of device=cuda and compares the measured peak with the predicted one.

  check_memory.py results.csv     one line per row; exit 1 if a row is not ok or a peak is off

A peak may be lower than predicted (forward's scratch and the gradients are not alive together), never
more than 1 % + 1 MiB higher, and of attention that claims linear memory it must stay linear in the length.
"""

import csv
import sys

LINEAR = {"flash", "sliding_window", "linear"}


def check_row(row):
    if row["status"] != "ok":
        return f"status {row['status']}: {row['reason']}"
    peak, predicted = int(row["peak_bytes"]), int(row["predicted_bytes"])
    if peak > predicted * 1.01 + 2**20:
        return f"peak {peak} is above the prediction {predicted}"
    parts = sum(int(row[name]) for name in ("input_bytes", "output_bytes", "saved_bytes",
                                            "workspace_bytes"))
    return "" if parts >= peak else f"the parts sum to {parts}, less than the peak {peak}"


def check_growth(rows):
    """Bytes per token of the longest rows at most 5 % above those of the shortest."""
    groups = {}
    for row in rows:
        if row["status"] == "ok" and row["variant"] in LINEAR:
            key = (row["variant"], row["options"], row["direction"], row["dtype"])
            groups.setdefault(key, []).append((int(row["seqlen_q"]), int(row["peak_bytes"])))
    problems = []
    for key, points in groups.items():
        points.sort()
        (short, few), (long, many) = points[0], points[-1]
        if many / long > 1.05 * few / short:
            problems.append(f"{' '.join(key)}: {few / short:.0f} bytes a token at {short}, "
                            f"{many / long:.0f} at {long}")
    return problems


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    with open(sys.argv[1], newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    failed = 0
    for row in rows:
        problem = check_row(row)
        failed += bool(problem)
        print(f"{'FAIL' if problem else 'ok':4}  {row['variant']} n={row['seqlen_q']} "
              f"{row['direction']}: peak {row['peak_bytes']} predicted {row['predicted_bytes']}  "
              f"{problem}")
    growth = check_growth(rows)
    for problem in growth:
        print("FAIL  growth:", problem)
    print(f"{len(rows) - failed} of {len(rows)} rows as predicted, {len(growth)} grow too fast")
    sys.exit(1 if failed or growth or not rows else 0)


if __name__ == "__main__":
    main()
