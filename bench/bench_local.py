#!/usr/bin/env python3
"""Ceilings of a mount whose data is already local (page cache / warm disk cache).

  bench_local.py --name native --cmd '' --mnt DATA_DIR --file big.bin --tree tree
  bench_local.py --name ours   --cmd 'panfuse mount {mnt} --foreground' \
                 --mnt /tmp/m --file drive/big.bin --tree drive/tree --wdir drive/w

Prints one JSON object (also to --out). MiB/s, IOPS, seconds, calls/s.
Paths are relative to the mount point. A part whose path is not given is skipped.
Needs fio for the random reads.
"""
import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time

from mountlib import Mount

MIB = 1 << 20


def read_all(path, bs=MIB):
    buf = memoryview(bytearray(bs))
    fd = os.open(path, os.O_RDONLY)
    t = time.perf_counter()
    n = 0
    while True:
        k = os.readv(fd, [buf])
        if k == 0:
            break
        n += k
    dt = time.perf_counter() - t
    os.close(fd)
    return n / MIB / dt


def drop_pages(path):
    fd = os.open(path, os.O_RDONLY)
    os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    os.close(fd)


def fio_rand(path, jobs, secs=0, reads=0, bs="4k"):
    """secs: run for that long, blocks may repeat. reads: that many per job, no block twice."""
    how = (["--time_based", f"--runtime={secs}", "--norandommap"] if secs
           else [f"--io_size={reads * 4096}"])
    out = subprocess.run(
        ["fio", "--name=r", f"--filename={path}", "--rw=randread", f"--bs={bs}",
         "--ioengine=psync", f"--numjobs={jobs}", "--thread", "--group_reporting",
         "--randrepeat=0", "--output-format=json", "--readonly", "--invalidate=0", *how],
        capture_output=True, text=True, timeout=secs + 300)
    job = json.loads(out.stdout[out.stdout.index("{"):])["jobs"][0]
    if out.returncode or job.get("error"):
        raise RuntimeError(f"fio failed: {out.stderr[-300:]}")
    r = job["read"]
    return {"iops": round(r["iops"]), "p50_us": r["clat_ns"]["percentile"]["50.000000"] / 1e3,
            "p99_us": r["clat_ns"]["percentile"]["99.000000"] / 1e3}


def write_file(path, total, bs=MIB, fsync=False):
    buf = memoryview(os.urandom(bs))
    t = time.perf_counter()
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    for _ in range(total // bs):
        os.write(fd, buf)
    if fsync:
        os.fsync(fd)
    os.close(fd)
    return total / MIB / (time.perf_counter() - t)


def timed(cmd, timeout=600):
    # `timeout` bounds it: run(timeout=) would poll the child every 50 ms.
    t = time.perf_counter()
    subprocess.run(["timeout", str(timeout), "bash", "-c", cmd], check=True, stdout=subprocess.DEVNULL)
    return round(time.perf_counter() - t, 3)


def stat_storm(paths, rounds=1):
    t = time.perf_counter()
    st = os.stat
    for _ in range(rounds):
        for p in paths:
            st(p)
    return round(len(paths) * rounds / (time.perf_counter() - t))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--name", required=True)
    ap.add_argument("--cmd", default="", help="mount command template; empty = native directory")
    ap.add_argument("--mnt", required=True)
    ap.add_argument("--file", help="large file for the read tests (2 GiB is meant)")
    ap.add_argument("--tree", help="directory tree for the metadata tests (100x1000 files)")
    ap.add_argument("--wdir", help="writable directory for the write test")
    ap.add_argument("--write-mib", type=int, default=1024)
    ap.add_argument("--repeat", type=int, default=3, help="runs of the page-cache-cold sequential read; the median is kept")
    ap.add_argument("--fio-secs", type=int, default=4)
    ap.add_argument("--fio-reads", type=int, default=60000)
    ap.add_argument("--after-mount", default="", help="shell command run after each mount; {mnt} is replaced")
    ap.add_argument("--cache", help="cache directory given to the mount command as {cache}; kept")
    ap.add_argument("--prime", action="store_true", help="read FILE and TREE once first, so that the daemon's own cache is warm")
    ap.add_argument("--out")
    a = ap.parse_args()
    cache = a.cache or tempfile.mkdtemp(prefix="bench-cache-")
    r = {"name": a.name}
    m = Mount(a.cmd, a.mnt, cache, log=os.path.join(tempfile.gettempdir(), f"bench-{a.name}.log"))

    def cyc():
        m.cycle()
        if a.after_mount:
            subprocess.run(a.after_mount.replace("{mnt}", m.mnt), shell=True, check=True)

    p = lambda rel: os.path.join(m.mnt, rel)
    m.up()
    try:
        if a.prime:
            if a.file:
                read_all(p(a.file))
            if a.tree:
                timed(f"ls -lR {p(a.tree)}")
        if a.file:
            f = p(a.file)
            cyc()
            r["seq_cold_MiBs"] = round(read_all(f))
            r["seq_2nd_MiBs"] = round(read_all(f))      # shows whether the page cache survives open()
            v, c0 = [], m.cpu_seconds()
            for _ in range(a.repeat):
                drop_pages(f)
                v.append(round(read_all(f)))
            c1 = m.cpu_seconds()
            r["seq_dropped_MiBs"] = sorted(v)[len(v) // 2]
            if c0 is not None:
                r["daemon_cpu_s_per_GiB"] = round((c1 - c0) / a.repeat / (os.path.getsize(f) / 2**30), 3)
            drop_pages(f)
            r["rand4k_1job_cold"] = fio_rand(f, 1, reads=a.fio_reads)
            drop_pages(f)
            r["rand4k_4job_cold"] = fio_rand(f, 4, reads=a.fio_reads // 4)
            read_all(f)
            r["rand4k_4job_warm"] = fio_rand(f, 4, secs=a.fio_secs)
        if a.wdir:
            os.makedirs(p(a.wdir), exist_ok=True)
            w = os.path.join(p(a.wdir), "bench.w")
            cyc()
            r["write_MiBs"] = round(write_file(w, a.write_mib * MIB))
            os.unlink(w)
            r["write_fsync_MiBs"] = round(write_file(w, a.write_mib * MIB, fsync=True))
            os.unlink(w)
        if a.tree:
            t = p(a.tree)
            cyc()
            r["find_cold_s"] = timed(f"find {t} -type f | wc -l")
            r["find_warm_s"] = timed(f"find {t} -type f | wc -l")
            cyc()
            r["lslR_cold_s"] = timed(f"ls -lR {t}")
            r["lslR_warm_s"] = timed(f"ls -lR {t}")
            paths = [os.path.join(d, x) for d, _, fs in os.walk(t) for x in fs]
            r["files"] = len(paths)
            cyc()
            r["stat_cold_per_s"] = stat_storm(paths)
            r["stat_warm_per_s"] = stat_storm(paths)
        r["rss_peak_mib"] = m.rss_mib()
    finally:
        m.down()
        if not a.cache:
            shutil.rmtree(cache, ignore_errors=True)
    print(json.dumps(r))
    if a.out:
        json.dump(r, open(a.out, "w"))


if __name__ == "__main__":
    main()
