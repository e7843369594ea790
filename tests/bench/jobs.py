"""Measures Prong's job queue beside BullMQ's and graphile-worker's: jobs of 1 KB that do nothing.

Each peer has a producer, which enqueues on demand by HTTP, and one worker process; both run on processor 0, one after the
other, Redis and PostgreSQL on the others. What ran when is told by the jobs themselves, in a file: its first and last
times, by one clock of the machine, bound the run, which ends when the queue is seen empty. Redis keeps an append-only
file, synced every second; PostgreSQL does not wait for the disk either.
"""

import contextlib
import math
import os
import selectors
import socket
import statistics
import subprocess
import tempfile
import time

from harness import Process, Services, free_port
from processes import tree, tree_seconds

HERE = os.path.dirname(os.path.abspath(__file__))
PROCESSORS = sorted(os.sched_getaffinity(0))
WORKER_CPU, SERVER_CPUS = PROCESSORS[0], PROCESSORS[1:] or PROCESSORS
STEP = 1000  # jobs between two notes in the ledger
RATE = 1000  # jobs a second where latency is measured
CONNECTIONS = 4  # of clients that enqueue at once
DEPTHS = (1_000, 10_000, 100_000, 1_000_000, 5_000_000)  # jobs that wait while SLICE more come and go
SLICE = 50_000
LIMIT = 600  # seconds that nothing may exceed


class Ledger:
    """The file in which jobs note what they did."""

    def __init__(self, folder):
        self.path = os.path.join(folder, "ledger")
        self.clear()

    def clear(self):
        open(self.path, "w").close()

    def lines(self):
        with open(self.path) as f:
            return f.read().splitlines()

    def times(self):
        """Count of jobs → µs at which that many had run."""
        return {int(count): int(at) for count, at in (line.split() for line in self.lines() if line)}

    def latencies(self):
        return [int(line) for line in self.lines()]


def wait_until(condition, what):
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"bench: not within {LIMIT} s: {what}")
        time.sleep(0.005)


class Peer:
    """A job queue under test: how its producer and its worker start, where its jobs wait, and its figures."""

    def __init__(self, name, bench, producer, worker, env):
        self.name, self.bench, self.producer_command, self.worker_command, self.env = name, bench, producer, worker, env
        self.producer = self.worker = None
        self.rounds = []

    def server(self):
        """The process of the server whose processor time its jobs cost."""
        return self.bench.services.redis.pid

    def waiting(self):
        raise NotImplementedError

    def start(self, command, env):
        env = dict(os.environ, BENCH_LEDGER=self.bench.ledger.path, BENCH_STEP=str(STEP), **self.env, **env)
        return Process(["taskset", "-c", str(WORKER_CPU), *command], env=env, cwd=self.bench.folder)

    def start_producer(self):
        self.port = free_port()
        self.producer = self.start(self.producer_command, {"PORT": str(self.port), "JOB_PROCESSES": "0"})
        wait_until(self.producer_answers, f"{self.name}'s producer answers")

    def producer_answers(self):
        self.check(self.producer)
        try:
            socket.create_connection(("127.0.0.1", self.port)).close()
            return True
        except OSError:
            return False

    def start_worker(self, **env):
        self.bench.ledger.clear()
        self.worker = self.start(self.worker_command, {"PORT": "0", "JOB_PROCESSES": "1", **env})

    def check(self, process):
        if process.exit_status() is not None:
            raise SystemExit(f"bench: a process of {self.name} ended:\n{process.output()[-2000:]}")

    def stop_worker(self):
        self.worker.stop()
        self.worker = None

    def stop(self):
        for process in (self.producer, self.worker):
            if process:
                process.stop()
        self.producer = self.worker = None

    def enqueue(self, count):
        """Returns seconds, and µs of processor time a job of the producer and of the server."""
        share = count // CONNECTIONS
        paths = [f"/jobs/{share}"] * CONNECTIONS + ([f"/jobs/{count % CONNECTIONS}"] if count % CONNECTIONS else [])
        pids = self.producer.pid, self.server()
        before = [tree_seconds(pid) for pid in pids]
        begun = time.monotonic()
        clients = [Client(self.port) for _ in paths]
        for client, path in zip(clients, paths):
            client.post(path)
        for client in clients:
            client.finish()
        seconds = time.monotonic() - begun
        return seconds, *((tree_seconds(pid) - b) / count * 1e6 for pid, b in zip(pids, before))

    def run(self, count):
        """Runs what waits in a worker of its own; returns as enqueue() does, from the first job's start."""
        server = tree_seconds(self.server())
        self.start_worker()
        left = self.waiting() - count
        wait_until(lambda: self.ran(count), f"{self.name} has run {count} jobs")
        wait_until(lambda: self.waiting() <= max(left, 0), f"{self.name}'s queue is empty")
        ended = time.monotonic() * 1e6
        worker = tree_seconds(self.worker.pid)
        server = tree_seconds(self.server()) - server
        times = self.bench.ledger.times()
        seconds = ((ended if left <= 0 else times[count]) - times[1]) / 1e6
        self.stop_worker()
        return seconds, worker / count * 1e6, server / count * 1e6

    def ran(self, count):
        self.check(self.worker)
        return count in self.bench.ledger.times()

    def measure(self, count):
        memory = self.bench.memory()
        enqueue, enqueue_producer, enqueue_server = self.enqueue(count)
        memory = self.bench.memory() - memory
        run, run_worker, run_server = self.run(count)
        self.rounds.append({
            "enqueue": count / enqueue, "enqueue_producer": enqueue_producer, "enqueue_server": enqueue_server,
            "run": count / run, "run_worker": run_worker, "run_server": run_server,
            "both": count / (enqueue + run), "memory": memory / count})
        self.bench.settle()

    def measure_latency(self, seconds):
        """From enqueue to start, in ms, at RATE jobs a second; those of the first second are not counted."""
        count = RATE * (seconds + 1)
        self.start_worker(BENCH_LATENCIES=str(count))
        offer(self.port, count)
        wait_until(lambda: len(self.bench.ledger.lines()) == count, f"{self.name} has run {count} jobs")
        self.stop_worker()
        return [us / 1000 for us in self.bench.ledger.latencies()[RATE:]]

    def median(self, figure):
        return statistics.median(r[figure] for r in self.rounds)


class Prong(Peer):
    def __init__(self, bench):
        program = [os.path.join(bench.build, "tests", "bench_app"), "serve"]
        super().__init__("Prong", bench, program, program,
                         {"WEB_CONCURRENCY": "1", "HOST": "127.0.0.1", "LOG_LEVEL": "warning", "REQUEST_TIMEOUT": f"{LIMIT}s",
                          "DATABASE_URL": bench.services.database_url, "REDIS_URL": bench.services.redis_url})
        subprocess.run([program[0], "migrate", "up"], check=True, cwd=bench.folder, stdout=subprocess.DEVNULL,
                       env=dict(os.environ, **self.env))

    def waiting(self):
        redis = self.bench.services.redis_command
        return sum(redis("HLEN", key) for key in redis("KEYS", "prong:*:body"))


class BullMQ(Peer):
    def __init__(self, bench):
        script = ["node", os.path.join(HERE, "peers", "bullmq.js")]
        super().__init__("BullMQ", bench, [*script, "producer"], [*script, "worker"],
                         {"NODE_PATH": bench.modules, "REDIS_SOCKET": bench.services.redis_url.removeprefix("unix://")})

    def waiting(self):
        redis = self.bench.services.redis_command
        return redis("LLEN", "bull:bench:wait") + redis("LLEN", "bull:bench:active")


class Graphile(Peer):
    def __init__(self, bench):
        script = ["node", os.path.join(HERE, "peers", "graphile.js")]
        super().__init__("graphile-worker", bench, [*script, "producer"], [*script, "worker"],
                         {"NODE_PATH": bench.modules, "DATABASE_URL": bench.services.database_url, "NO_LOG_SUCCESS": "1"})

    def server(self):
        return self.bench.services.postgres.pid

    def waiting(self):
        return int(self.bench.services.sql("SELECT count(*) FROM graphile_worker._private_jobs")[0][0])


class Client:
    """A connection that posts, and counts what was answered."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=LIMIT)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.asked = self.answered = 0
        self.tail = b""

    def post(self, path):
        self.asked += 1
        self.socket.sendall(f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Length: 0\r\n\r\n".encode())

    def receive(self):
        data = self.tail + self.socket.recv(65536)
        if len(data) == len(self.tail):
            raise SystemExit("bench: a producer ended the connection")
        heads = data.split(b"\r\n\r\n")
        self.tail = heads.pop()
        for head in heads:
            if not head.startswith(b"HTTP/1.1 204"):
                raise SystemExit(f"bench: a producer answered {head!r} {self.tail!r}")
            self.answered += 1

    def finish(self):
        while self.answered < self.asked:
            self.receive()
        self.socket.close()


def offer(port, count):
    """Asks for a job that measures `count` times, RATE times a second, whether those before are answered or not."""
    clients = [Client(port) for _ in range(32)]
    with selectors.DefaultSelector() as selector:
        for client in clients:
            selector.register(client.socket, selectors.EVENT_READ, client)
        begun = time.monotonic()
        for i in range(count):
            while (left := begun + i / RATE - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    key.data.receive()
            clients[i % len(clients)].post("/latency")
    for client in clients:
        client.finish()


def percentile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, math.ceil(share * len(values)) - 1)]


class Bench:
    """The servers, the ledger and the peers of one run."""

    def __init__(self, folder, build, stack):
        self.folder, self.build = folder, build
        self.modules = os.path.join(os.path.dirname(os.path.dirname(HERE)), ".bench", "node_modules")
        # Rewriting the append-only file would fall into one peer's figures or another's.
        self.services = Services(tcp=True, redis_arguments=[
            "--appendonly", "yes", "--appendfsync", "everysec", "--auto-aof-rewrite-percentage", "0"])
        stack.callback(self.services.stop)
        for pid in (self.services.redis.pid, *tree(self.services.postgres.pid)):
            for task in os.listdir(f"/proc/{pid}/task"):
                os.sched_setaffinity(int(task), SERVER_CPUS)
        self.ledger = Ledger(folder)

    def info(self, section, name):
        for line in self.services.redis_command("INFO", section).splitlines():
            key, _, value = line.partition(":")
            if key == name:
                return int(value)
        raise KeyError(name)

    def memory(self):
        return self.info("memory", "used_memory")

    def settle(self):
        """Between measurements: what one left behind does not burden the next."""
        self.services.redis_command("BGREWRITEAOF")
        wait_until(lambda: not self.info("persistence", "aof_rewrite_in_progress"), "Redis rewrites its file")
        if self.services.sql("SELECT 1 FROM pg_namespace WHERE nspname = 'graphile_worker'"):
            self.services.sql("VACUUM FULL ANALYZE graphile_worker._private_jobs")


def throughput(peers, options):
    for peer in peers:
        peer.measure(10 * STEP)  # warm up
        peer.rounds.clear()
    for _ in range(options.rounds):
        for peer in peers:
            peer.measure(options.jobs)
    return {peer.name: peer.rounds for peer in peers}


def print_throughput(peers, options):
    first = peers[0]
    print(f"jobs: {options.jobs:,} of 1 KB, enqueued, then run by one worker process, medians of {options.rounds} rounds")
    print(f"  {'':16}{'-------- enqueue, CPU µs/job --------':^37}  {'---------- run, CPU µs/job ----------':^37}  {'both':>17}"
          f"{'Redis bytes':>13}")
    print(f"  {'':16}{'jobs/s':>10}{'Prong':>8}{'producer':>10}{'server':>8}   {'jobs/s':>10}{'Prong':>8}{'worker':>10}"
          f"{'server':>8}   {'jobs/s':>9}{'Prong':>8}{'/waiting':>13}")
    for p in peers:
        memory = f"{p.median('memory'):,.0f}" if p.server() == first.server() else ""
        line = f"  {p.name:16}"
        for what, process in (("enqueue", "producer"), ("run", "worker")):
            line += (f"{p.median(what):>10,.0f}{first.median(what) / p.median(what):>7.2f}×"
                     f"{p.median(f'{what}_{process}'):>10.1f}{p.median(f'{what}_server'):>8.1f}   ")
        print(f"{line}{p.median('both'):>9,.0f}{first.median('both') / p.median('both'):>7.2f}×{memory:>13}", flush=True)


def latency(peers, options):
    """Peer → sorted latencies in ms, of interleaved rounds."""
    found = {peer.name: [] for peer in peers}
    for _ in range(options.rounds):
        for peer in peers:
            found[peer.name] += peer.measure_latency(options.seconds)
    return {name: {"p50": percentile(values, 0.5), "p99": percentile(values, 0.99), "max": max(values)}
            for name, values in found.items()}


def print_latency(report, options):
    print(f"jobs: latency from enqueue to start at {RATE:,} jobs/s, {options.rounds} rounds of {options.seconds} s, ms")
    print(f"  {'':16}{'p50':>9}{'p99':>9}{'max':>9}")
    for name, figures in report.items():
        print(f"  {name:16}" + "".join(f"{ms:>9.2f}" for ms in figures.values()), flush=True)


def depth(prong, options):
    """What a slice of jobs costs while ever more wait: depth → figures."""
    report, base = {}, prong.bench.memory()
    for waiting in DEPTHS:
        if waiting > options.waiting:
            break
        prong.enqueue(waiting - prong.waiting())
        memory = (prong.bench.memory() - base) / waiting
        enqueue, _, enqueue_server = prong.enqueue(SLICE)
        run, worker, run_server = prong.run(SLICE)
        report[waiting] = {"enqueue": SLICE / enqueue, "enqueue_server": enqueue_server, "run": SLICE / run,
                           "run_worker": worker, "run_server": run_server, "memory": memory}
        prong.bench.settle()
    return report


def print_depth(report):
    print(f"jobs: {SLICE:,} more, enqueued and run while others wait (Prong)")
    print(f"  {'':>12}{'----- enqueue -----':^20}  {'------------- run -------------':^32}  {'Redis bytes':>12}")
    print(f"  {'waiting':>12}{'jobs/s':>10}{'server µs':>10}  {'jobs/s':>10}{'worker µs':>11}{'server µs':>11}  {'/waiting':>12}")
    for waiting, f in report.items():
        print(f"  {waiting:>12,}{f['enqueue']:>10,.0f}{f['enqueue_server']:>10.1f}  {f['run']:>10,.0f}{f['run_worker']:>11.1f}"
              f"{f['run_server']:>11.1f}  {f['memory']:>12,.0f}", flush=True)


def measure(options):
    """Measures all that there is of jobs; prints it unless it is wanted as JSON, and returns the figures."""
    with tempfile.TemporaryDirectory(prefix="prong-bench-") as folder, contextlib.ExitStack() as stack:
        bench = Bench(folder, options.build, stack)
        prong, bullmq, graphile = peers = Prong(bench), BullMQ(bench), Graphile(bench)
        for peer in peers:
            stack.callback(peer.stop)
            peer.start_producer()
        report = {"throughput": throughput(peers, options)}
        if not options.json:
            print_throughput(peers, options)
        graphile.stop()
        report["latency"] = latency([prong, bullmq], options)
        if not options.json:
            print_latency(report["latency"], options)
        bullmq.stop()
        report["depth"] = depth(prong, options)
        if not options.json:
            print_depth(report["depth"])
        return report
