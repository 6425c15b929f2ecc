#!/usr/bin/env python3
"""Markdown table of bench JSON files, one column per file:  table.py OUT/*.json"""
import json
import sys

runs = [json.load(open(f)) for f in sys.argv[1:]]
keys = []


def flat(d, pre=""):
    o = {}
    for k, v in d.items():
        if isinstance(v, dict):
            o.update(flat(v, f"{pre}{k}."))
        else:
            o[pre + k] = v
    return o


rows = [flat(r) for r in runs]
for r in rows:
    for k in r:
        if k != "name" and k not in keys:
            keys.append(k)
print("| | " + " | ".join(r["name"] for r in rows) + " |")
print("|---|" + "---|" * len(rows))
for k in keys:
    print(f"| {k} | " + " | ".join("" if r.get(k) is None else str(r[k]) for r in rows) + " |")
