#!/usr/bin/env python3
"""panfuse and `rclone mount` over the same two local directories; called by compare.sh.

Each part runs on a fresh mount of either side in turn, three times; the best run counts.
Prints one line per part: how many times faster panfuse is.
"""
import argparse
import json
import os
import shutil
import subprocess
import time

from mountlib import Mount

MIB = 1 << 20
ROUNDS = 3


def make_data(work, mib):
    a, b = os.path.join(work, "a"), os.path.join(work, "b")
    os.makedirs(a)
    os.makedirs(b)
    with open(os.path.join(a, "big.bin"), "wb") as f:
        for _ in range(mib):
            f.write(os.urandom(MIB))
    for d in range(20):
        os.makedirs(os.path.join(a, "tree", f"d{d:02}"))
        for i in range(100):
            with open(os.path.join(a, "tree", f"d{d:02}", f"f{i:03}.txt"), "wb") as f:
                f.write(os.urandom(512 + i))
    return a, b


def panfuse(binary, work, a, b):
    """A panfuse of its own: nothing of the user's is touched. Returns command and environment."""
    home = os.path.join(work, "home")
    os.makedirs(home)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("XDG_", "PANFUSE_"))}
    env["HOME"] = home
    for name, path in (("a", a), ("b", b)):
        subprocess.run([binary, "profile", "add", name, "--provider", "local", "--json", "-"],
                       input=json.dumps({"auth_mode": "none", "fields": {"path": path}}), text=True,
                       env=env, check=True, stdout=subprocess.DEVNULL, timeout=60)
    clean = " ".join(f"-u {k}" for k in os.environ if k.startswith(("XDG_", "PANFUSE_")))
    return f"env {clean} HOME={home} {binary} mount {{mnt}} --foreground"


def rclone(binary, work, a, b):
    conf = os.path.join(work, "rclone.conf")
    with open(conf, "w") as f:
        f.write(f"[ab]\ntype = combine\nupstreams = a={a} b={b}\n")
    return (f"{binary} mount --config {conf} --cache-dir {{cache}} --vfs-cache-mode full "
            "--dir-cache-time 1h --attr-timeout 1h ab: {mnt}")


def timed(work):
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def run(*command):
    subprocess.run(["timeout", "300", *command], check=True, stdout=subprocess.DEVNULL)


def read_all(path):
    buf = memoryview(bytearray(MIB))
    fd = os.open(path, os.O_RDONLY)
    while os.readv(fd, [buf]):
        pass
    os.close(fd)


def write_file(path, mib):
    block = os.urandom(MIB)
    with open(path, "wb", buffering=0) as f:
        for _ in range(mib):
            f.write(block)


def parts(mib):
    """Name, what is timed (given the mount point), what is removed again."""
    return [
        ("read a big file", lambda m: read_all(f"{m}/a/big.bin"), None),
        ("find 2,000 files", lambda m: run("find", f"{m}/a/tree", "-type", "f"), None),
        ("ls -lR of 2,000 files", lambda m: run("ls", "-lR", f"{m}/a/tree"), None),
        ("write a big file", lambda m: write_file(f"{m}/b/w.bin", mib), "b/w.bin"),
        ("cp a big file between drives", lambda m: run("cp", f"{m}/a/big.bin", f"{m}/b/c.bin"), "b/c.bin"),
        ("cp -r 100 small files in", lambda m: run("cp", "-r", f"{m}/a/tree/d00", f"{m}/b/small"), "b/small"),
    ]


def measure(command, mnt, cache, log, rel, work):
    best = None
    for _ in range(ROUNDS):
        shutil.rmtree(cache, ignore_errors=True)
        with Mount(command, mnt, cache, log=log):
            seconds = timed(lambda: work(mnt))
            best = seconds if best is None else min(best, seconds)
            path = os.path.join(mnt, rel) if rel else None
            if path and os.path.isdir(path):
                shutil.rmtree(path)
            elif path:
                os.unlink(path)
    return best


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--panfuse", required=True)
    ap.add_argument("--rclone", required=True)
    ap.add_argument("--work", required=True)
    ap.add_argument("--mib", type=int, default=256)
    args = ap.parse_args()
    a, b = make_data(args.work, args.mib)
    sides = {"ours": panfuse(args.panfuse, args.work, a, b), "theirs": rclone(args.rclone, args.work, a, b)}
    for name, work, rel in parts(args.mib):
        seconds = {}
        for side, command in sides.items():
            mnt, cache = os.path.join(args.work, side), os.path.join(args.work, "cache-" + side)
            try:
                seconds[side] = measure(command, mnt, cache, os.path.join(args.work, side + ".log"), rel, work)
            except (OSError, RuntimeError, subprocess.SubprocessError) as error:
                print(f"{name:32} {side} failed: {error}")
        if len(seconds) == 2:
            print(f"{name:32} x {seconds['theirs'] / seconds['ours']:.1f}", flush=True)


if __name__ == "__main__":
    main()
