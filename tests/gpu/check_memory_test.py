#!/usr/bin/env python3
"""check_memory.py on planted tables: what is right passes, and each kind of mistake is found."""

import csv
import pathlib
import subprocess
import sys
import tempfile

SCRIPT = pathlib.Path(__file__).with_name("check_memory.py")
GOOD = {"variant": "flash", "options": "{}", "direction": "forward", "dtype": "bfloat16",
        "status": "ok", "reason": "", "peak_bytes": "4194304", "predicted_bytes": "4194304",
        "input_bytes": "3145728", "output_bytes": "1048576", "saved_bytes": "0",
        "workspace_bytes": "0"}


def rows(**changes):
    short = dict(GOOD, seqlen_q="1024")
    long = {name: str(4 * int(value)) if name.endswith("_bytes") else value
            for name, value in short.items()}
    return [short, dict(long, seqlen_q="4096", **changes)]


CASES = {
    "right": (rows(), 0),
    "lower than predicted": (rows(predicted_bytes="33554432"), 0),
    "above the prediction": (rows(predicted_bytes="8388608"), 1),
    "not ok": (rows(status="oom"), 1),
    "parts are missing": (rows(input_bytes="1"), 1),
    "quadratic": (rows(peak_bytes="67108864", predicted_bytes="67108864",
                       workspace_bytes="67108864"), 1),
    "empty": ([], 1),
}


def main():
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        for name, (table, expected) in CASES.items():
            path = pathlib.Path(folder, "results.csv")
            with open(path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, rows()[0].keys())
                writer.writeheader()
                writer.writerows(table)
            code = subprocess.run([sys.executable, SCRIPT, path], capture_output=True).returncode
            if code != expected:
                failures += 1
                print(f"FAIL {name}: exit code {code}, expected {expected}")
    print(f"{len(CASES) - failures} of {len(CASES)} tables judged rightly")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
