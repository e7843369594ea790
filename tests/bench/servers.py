"""A server under test, and servers measured beside each other in interleaved rounds."""

import json
import os
import re
import signal
import statistics
import subprocess
import time
import urllib.request

from harness import free_port
from processes import cpu_seconds, pss_mib, tree

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
DATABASE_CONNECTIONS = 4
PROCESSORS = sorted(os.sched_getaffinity(0))
SERVER_CPU, LOAD_CPUS = PROCESSORS[0], PROCESSORS[1:] or PROCESSORS


class Server:
    """A server under test: how to start it, and its figures. Once /json answers, `prepare(server)` may set its headers."""

    def __init__(self, name, command, env=None, path="/json", prepare=None):
        self.name, self.command, self.env, self.path, self.prepare = name, command, env or {}, path, prepare
        self.port = free_port()
        self.headers = {}
        self.rounds = []

    def ask(self, path, body=None):
        """One request, a POST of JSON where there is a body; returns the answer's content."""
        data = None if body is None else json.dumps(body).encode()
        headers = self.headers if body is None else {**self.headers, "Content-Type": "application/json"}
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", data, headers)
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.read()

    def start(self, folder):
        env = dict(os.environ, PORT=str(self.port), **self.env)
        log = open(os.path.join(folder, f"{self.name}.log"), "w")
        command = [part.replace("{port}", str(self.port)) for part in self.command]
        self.process = subprocess.Popen(
            ["taskset", "-c", str(SERVER_CPU), *command], env=env, cwd=folder, stdout=log, stderr=log, start_new_session=True
        )
        deadline = time.monotonic() + 20
        while not self.answers():
            if time.monotonic() > deadline or self.process.poll() is not None:
                with open(log.name) as f:
                    raise SystemExit(f"bench: {self.name} does not answer:\n{f.read()[-2000:]}")
            time.sleep(0.05)
        if self.prepare:
            self.prepare(self)
        self.answer = self.ask(self.path)

    def answers(self):
        try:
            return self.ask("/json")
        except OSError:
            return None

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
             *(part for name, value in self.headers.items() for part in ("-H", f"{name}: {value}")),
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


def prong(build, services, path, name="Prong", program="bench_app", prepare=None, **env):
    # One HTTP process, as the peers have; the job worker and the scheduler are there too, and counted.
    return Server(name, [os.path.join(build, "tests", program), "serve"], path=path, prepare=prepare,
                  env=dict(WEB_CONCURRENCY="1", HOST="127.0.0.1", LOG_LEVEL="warning", RATE_LIMITS="off",
                           DATABASE_URL=services.database_url,
                           REDIS_URL=services.redis_url, DATABASE_CONNECTIONS=str(DATABASE_CONNECTIONS), **env))


def migrate(build, services, folder, program="bench_app"):
    subprocess.run([os.path.join(build, "tests", program), "migrate", "up"], check=True, cwd=folder,
                   stdout=subprocess.DEVNULL,
                   env=dict(os.environ, DATABASE_URL=services.database_url, REDIS_URL=services.redis_url))


def compare(work, servers, folder, options):
    """Starts the servers, measures them in turn, prints medians against the first, and returns the rounds."""
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
    if not options.json:
        first = servers[0]
        print(f"{work}: {options.connections} connections, medians of {options.rounds} rounds of {options.seconds} s")
        print(f"  {'':14}{'requests/s':>12}{'CPU µs/request':>16}{'against ' + first.name:>18}{'p99 ms':>9}{'PSS MiB':>9}")
        for s in servers:
            ratio = s.median("cpu_us") / first.median("cpu_us")
            print(f"  {s.name:14}{s.median('rate'):>12,.0f}{s.median('cpu_us'):>16.2f}{ratio:>17.2f}×"
                  f"{s.median('p99_ms'):>9.2f}{s.median('pss_mib'):>9.1f}", flush=True)
    return {s.name: s.rounds for s in servers}
