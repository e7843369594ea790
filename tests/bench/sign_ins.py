"""Measures sign-ins at the cap on hashes: how many beside what libsodium alone does, what others notice, what memory they
take. The server has processor 0 alone, so one hash at once; the clients, PostgreSQL and Redis have the others."""

import contextlib
import json
import os
import re
import statistics
import subprocess
import threading
import time

from processes import pss_mib, tree
from servers import LOAD_CPUS, SERVER_CPU, TOP, prong

CREDENTIALS = {"email": "grace@example.com", "password": "violet tractor humming northward"}
QUEUED = 16  # clients: enough that a hash is always waiting, few enough that none waits for a second
CROWD = 64
PACE = 200  # other requests a second
OTHERS = {"/json": "GETs", "/computed": "GETs that prong_compute()"}
HASH_MIB = 19

# Whoever measures shares a processor with the crowd and PostgreSQL, and must not be what is waited for.
PROMPT = ["chrt", "-f", "1"] if os.geteuid() == 0 else []


def run(processors, *command):
    return subprocess.run(["taskset", "-c", ",".join(map(str, processors)), *map(str, command)],
                          capture_output=True, text=True, check=True).stdout


def hashes_alone(options):
    return float(run([SERVER_CPU], os.path.join(options.build, "tests", "bench_hashes"), 1, options.seconds))


def sign_ins(server, seconds, clients):
    """Those that succeeded in a second; the others were answered 503."""
    script = os.path.join(TOP, "tests", "bench", "sign_in.lua")
    out = run(LOAD_CPUS, "wrk", "-t1", f"-c{clients}", f"-d{seconds}s", "--timeout", "2s", "-s", script,
              f"http://127.0.0.1:{server.port}/v1/sessions", "--", json.dumps(CREDENTIALS))
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", out)
    rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out)[1])
    return rate - (int(refused[1]) / seconds if refused else 0)


def latency(options, server, path):
    """The median and the 99th percentile of a small public GET, in µs."""
    program = os.path.join(options.build, "tests", "bench_latency")
    out = run(LOAD_CPUS, *PROMPT, program, server.port, path, PACE, options.seconds)
    return [int(number) for number in out.split()[:2]]


@contextlib.contextmanager
def crowd(server, seconds):
    thread = threading.Thread(target=sign_ins, args=(server, seconds, CROWD))
    thread.start()
    try:
        yield
    finally:
        thread.join()


def latency_in_a_crowd(options, server, path):
    with crowd(server, options.seconds + 1):
        return latency(options, server, path)


def memory_in_a_crowd(server):
    """The most that was seen. In a crowd of its own: to read a process's memory maps holds it up for milliseconds."""
    pids, peak = tree(server.process.pid), 0
    with crowd(server, 2):
        for _ in range(20):
            time.sleep(0.05)
            peak = max(peak, pss_mib(pids))
    return peak


def measure(options, services, folder, program, secret):
    server = prong(options.build, services, "/json", "sign-ins", program, PRONG_SECRET=secret)
    rounds = []
    try:
        server.start(folder)
        server.ask("/v1/accounts", CREDENTIALS)
        sign_ins(server, 2, CROWD)
        for _ in range(options.rounds):
            alone, ours = hashes_alone(options), sign_ins(server, options.seconds, QUEUED)
            idle = {path: latency(options, server, path) for path in OTHERS}
            idle_mib = pss_mib(tree(server.process.pid))
            rounds.append({"hashes_alone": alone, "sign_ins": ours, "idle_us": idle,
                           "crowd_us": {path: latency_in_a_crowd(options, server, path) for path in OTHERS},
                           "idle_mib": idle_mib, "peak_mib": memory_in_a_crowd(server)})
    finally:
        if hasattr(server, "process"):
            server.stop()
    if not options.json:
        show(rounds, options)
    return rounds


def show(rounds, options):
    def median(figure, of=lambda value: value):
        return statistics.median(of(one[figure]) for one in rounds)

    alone, ours = median("hashes_alone"), median("sign_ins")
    print(f"sign-ins: one processor, so one hash at once; medians of {options.rounds} rounds of {options.seconds} s")
    print(f"  libsodium alone {alone:.1f}/s, sign-ins by {QUEUED} clients {ours:.1f}/s: {ours / alone:.1%}")
    for path, others in OTHERS.items():
        for name, index in (("median", 0), ("p99", 1)):
            idle, crowd = (median(figure, lambda pairs: pairs[path][index]) for figure in ("idle_us", "crowd_us"))
            print(f"  {name} of {PACE} {others} a second: idle {idle:.0f} µs, while {CROWD} sign in {crowd:.0f} µs:"
                  f" {crowd / idle:.2f} ×")
    grown = max(one["peak_mib"] - one["idle_mib"] for one in rounds)
    print(f"  memory while they do: at most {grown:.1f} MiB more than before, of {HASH_MIB} MiB for the hash", flush=True)
