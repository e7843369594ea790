"""Measures Prong beside its peers on this machine, in interleaved rounds, and prints medians.

Every server runs on processor 0, the load generator (wrk) and PostgreSQL on the others. CPU per request is what the whole
process tree of a server used by the kernel's accounting, divided by the requests it answered. Figures of one run compare;
absolute ones say little about another machine.
"""

import argparse
import contextlib
import json
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "integration"))

from harness import Services, free_port  # noqa: E402
import jobs  # noqa: E402
from processes import cpu_seconds, pss_mib, tree  # noqa: E402

WORKS = ["json", "row", "jobs"]
DATABASE_CONNECTIONS = 4
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_CPU, LOAD_CPUS = PROCESSORS[0], PROCESSORS[1:] or PROCESSORS


class Server:
    """A server under test: how to start it, and its figures."""

    def __init__(self, name, command, env=None, path="/json"):
        self.name, self.command, self.env, self.path = name, command, env or {}, path
        self.port = free_port()
        self.rounds = []

    def start(self, folder):
        env = dict(os.environ, PORT=str(self.port), **self.env)
        log = open(os.path.join(folder, f"{self.name}.log"), "w")
        command = [part.replace("{port}", str(self.port)) for part in self.command]
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *command], env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + 20
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{self.path}", timeout=2) as answer:
                    self.answer = answer.read()
                    return
            except OSError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    with open(log.name) as f:
                        raise SystemExit(f"bench: {self.name} does not answer:\n{f.read()[-2000:]}")
                time.sleep(0.05)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def measure(self, seconds, connections):
        pids = tree(self.process.pid)
        before = cpu_seconds(pids)
        out = subprocess.run(
            ["taskset", "-c", ",".join(map(str, LOAD_CPUS)), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--latency",
             f"http://127.0.0.1:{self.port}{self.path}"],
            capture_output=True, text=True, check=True).stdout
        used = cpu_seconds(pids) - before
        if re.search(r"Non-2xx|Socket errors", out):
            raise SystemExit(f"bench: {self.name} failed requests:\n{out}")
        requests = int(re.search(r"(\d+) requests in", out).group(1))
        rate = float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1))
        p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", out)
        p99_ms = float(p99.group(1)) * {"us": 0.001, "ms": 1, "s": 1000}[p99.group(2)]
        self.rounds.append({"rate": rate, "cpu_us": used / requests * 1e6, "p99_ms": p99_ms, "pss_mib": pss_mib(pids)})

    def median(self, figure):
        return statistics.median(r[figure] for r in self.rounds)


def node_folder():
    """Where scripts/bench has installed the peers from npm."""
    return os.path.join(TOP, ".bench", "node_modules")


def nginx(folder):
    with open(os.path.join(folder, "nginx.conf"), "w") as f:
        f.write(
            "daemon off; worker_processes 1; pid nginx.pid; error_log stderr;\n"
            "events { worker_connections 1024; }\n"
            "http { access_log off; default_type application/json; keepalive_requests 1000000000;\n"
            "  server { listen 127.0.0.1:PORT; location /json { return 200 '{\"message\":\"hello\"}'; } } }\n")
    server = Server("nginx", ["nginx", "-p", folder, "-c", "nginx.conf"])
    with open(os.path.join(folder, "nginx.conf"), "r+") as f:
        text = f.read().replace("PORT", str(server.port))
        f.seek(0)
        f.write(text)
    return server


def kore(folder):
    module = os.path.join(folder, "kore.so")
    subprocess.run(["cc", "-O2", "-fPIC", "-shared", "-o", module, os.path.join(HERE, "peers", "kore.c")], check=True)
    server = Server("Kore", ["kore", "-fnr", "-c", "kore.conf"])
    with open(os.path.join(folder, "kore.conf"), "w") as f:
        f.write(f"load {module}\nworkers 1\nhttp_keepalive_time 3600\n"
                f"server notls {{\n\tbind 127.0.0.1 {server.port}\n\ttls no\n}}\n"
                "domain * {\n\tattach notls\n\troute /json json\n}\n")
    return server


def prong(build, services, path, **env):
    # One HTTP process, as the peers have; the job worker and the scheduler are there too, and counted.
    return Server("Prong", [os.path.join(build, "tests", "bench_app"), "serve"], path=path,
                  env=dict(WEB_CONCURRENCY="1", HOST="127.0.0.1", LOG_LEVEL="warning", DATABASE_URL=services.database_url,
                           REDIS_URL=services.redis_url, DATABASE_CONNECTIONS=str(DATABASE_CONNECTIONS), **env))


def peers(work, build, folder, services):
    modules = {"NODE_PATH": node_folder()}
    bun = os.path.join(node_folder(), ".bin", "bun")
    if work == "json":
        return [
            prong(build, services, "/json"),
            nginx(folder),
            kore(folder),
            Server("Bun", [bun, os.path.join(HERE, "peers", "bun.js")], modules),
            Server("Fastify", ["node", os.path.join(HERE, "peers", "fastify.js")], modules),
        ]
    database = dict(modules, DATABASE_CONNECTIONS=str(DATABASE_CONNECTIONS))
    return [
        prong(build, services, "/row/77"),
        Server("Bun.SQL", [bun, os.path.join(HERE, "peers", "bun.js")],
               dict(database, DATABASE_URL=services.database_url), "/row/77"),
        Server("Fastify + pg", ["node", os.path.join(HERE, "peers", "fastify.js")],
               dict(database, DATABASE_URL=services.database_url), "/row/77"),
    ]


def measure_servers(options, report):
    with tempfile.TemporaryDirectory(prefix="prong-bench-") as folder, contextlib.ExitStack() as stack:
        services = Services(tcp=True)
        stack.callback(services.stop)
        services.sql("CREATE TABLE bench (id integer PRIMARY KEY, title text NOT NULL, body text NOT NULL);"
                     "INSERT INTO bench SELECT i, 'Title ' || i, repeat('x', 100) FROM generate_series(1, 10000) i;"
                     "ANALYZE bench;")
        subprocess.run([os.path.join(options.build, "tests", "bench_app"), "migrate", "up"], check=True, cwd=folder,
                       stdout=subprocess.DEVNULL,
                       env=dict(os.environ, DATABASE_URL=services.database_url, REDIS_URL=services.redis_url))
        for work in (w for w in options.work if w != "jobs"):
            servers = peers(work, options.build, folder, services)
            try:
                for server in servers:
                    server.start(folder)
                answers = {json.dumps(json.loads(s.answer), sort_keys=True) for s in servers}
                if len(answers) != 1:
                    raise SystemExit(f"bench: the servers do not answer alike: {answers}")
                for server in servers:  # warm up
                    server.measure(1, options.connections)
                    server.rounds.clear()
                for _ in range(options.rounds):
                    for server in servers:
                        server.measure(options.seconds, options.connections)
            finally:
                for server in servers:
                    if hasattr(server, "process"):
                        server.stop()
            report[work] = {s.name: s.rounds for s in servers}
            if not options.json:
                first = servers[0]
                print(f"{work}: {options.connections} connections, medians of {options.rounds} rounds of {options.seconds} s")
                print(f"  {'':14}{'requests/s':>12}{'CPU µs/request':>16}{'against Prong':>15}{'p99 ms':>9}{'PSS MiB':>9}")
                for s in servers:
                    ratio = s.median("cpu_us") / first.median("cpu_us")
                    print(f"  {s.name:14}{s.median('rate'):>12,.0f}{s.median('cpu_us'):>16.2f}{ratio:>14.2f}×"
                          f"{s.median('p99_ms'):>9.2f}{s.median('pss_mib'):>9.1f}", flush=True)


def main():
    parser = argparse.ArgumentParser(description="Measures Prong beside its peers.")
    parser.add_argument("work", nargs="*", default=WORKS, help=f"{', '.join(WORKS)} (default: all)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4, help="of each round of each server")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--jobs", type=int, default=200_000, help="enqueued and run in each round")
    parser.add_argument("--waiting", type=int, default=1_000_000, help="most jobs that wait while others run")
    parser.add_argument("--full", action="store_const", const=5_000_000, dest="waiting", help="--waiting 5000000")
    parser.add_argument("--build", default=os.path.join(TOP, "build"))
    parser.add_argument("--json", action="store_true", help="print every round as JSON")
    options = parser.parse_args()
    for work in options.work:
        if work not in WORKS:
            parser.error(f"no work named {work}: {', '.join(WORKS)}")
    if options.jobs % jobs.STEP:
        parser.error(f"--jobs is a multiple of {jobs.STEP}")

    report = {}
    if options.work != ["jobs"]:
        measure_servers(options, report)
    if "jobs" in options.work:
        report["jobs"] = jobs.measure(options)
    if options.json:
        json.dump(report, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
