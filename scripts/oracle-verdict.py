#!/usr/bin/env python3
"""oracle-verdict.py COMPARISON LABELS [all]: the last word on a comparison by the recordings' compare.py.

compare.py explains changed lines by deviations.jsonl, but not that a file or connection is there on one side only. Its
lines that say so ("5 files, expected 4", "... missing", "... unexpected") are explained by LABELS, one JSON object a
line: scenario and label (patterns for the whole name and line), category, decision. A scenario fails if any changed
line or such a line is unexplained. Prints those, then "N passed, M failed"; the exit status says whether M is 0.
COMPARISON must hold all lines (--max-diff-lines large enough). With `all` the comparison is of all scenarios, and a
rule that explained nothing fails, unless it is about chance.
"""
import json
import re
import sys

# compare.py sees one connection where the recording has four, because ours goes on where XMail's was closed (decision
# 15). tests/compat compares it command by command, and notices rows that are no longer needed.
REPLAYED = "ctrl_commands"

STATES = re.compile(r".*: \d+ files, expected \d+|.*\bmissing( \(expected, not there\))?|.*\bunexpected( file)?")


def may_be_unused(path, number):
    """A rule that the replay checks, or one for what happens by chance, as its reason says."""
    with open(path, encoding="utf-8") as file:
        row = json.loads(file.read().split("\n")[number - 1])
    return bool(re.fullmatch(row["scenario"], REPLAYED)) or row.get("why", "").startswith("by chance:")


def main():
    rows = [json.loads(line) for line in open(sys.argv[2], encoding="utf-8") if line.strip()]

    def explained(scenario, category, line):
        return any(
            row["category"] == category and re.fullmatch(row["scenario"], scenario) and re.fullmatch(row["label"], line)
            for row in rows
        )

    passed = failed = 0
    scenario, left = None, []

    def close():
        nonlocal passed, failed
        if scenario is None:
            return
        failed += bool(left)
        passed += not left
        if left:
            print("FAIL %s" % scenario, *left, sep="\n    ")

    for line in open(sys.argv[1], encoding="utf-8", errors="replace").read().split("\n"):
        if match := re.match(r"(PASS|FAIL) (\w+)(.*)", line):
            close()
            whole = ": not in " in match[3]
            scenario, left = match[2], [match[3]] if whole else []
        elif match := re.match(r"UNUSED (.*):(\d+)$", line):
            close()
            scenario = None
            if sys.argv[3:] == ["all"] and not may_be_unused(match[1], int(match[2])):
                failed += 1
                print(line)
        elif match := re.match(r"    (\w+)\| (.*)", line):
            category, text = match.groups()
            if text.startswith(("-", "+", "server exit codes", "comparison error", "...")):
                left.append(line.strip())
            elif not text.startswith((" ", "@@")) and STATES.fullmatch(text) and not explained(scenario, category, text):
                left.append(line.strip())
    close()
    print("%d passed, %d failed" % (passed, failed))
    sys.exit(failed > 0)


main()
