"""Measures Prong beside its peers on this machine, in interleaved rounds, and prints medians.

Every server runs on processor 0, the load generator (wrk) and PostgreSQL on the others. CPU per request is what the whole
process tree of a server used by the kernel's accounting, divided by the requests it answered. Figures of one run compare;
absolute ones say little about another machine.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(TOP, "tests", "integration"))

from harness import Services  # noqa: E402
import accounts  # noqa: E402
import jobs  # noqa: E402
from servers import DATABASE_CONNECTIONS, Server, compare, migrate, node_folder, prong  # noqa: E402

WORKS = ["json", "row", "jobs", "accounts"]


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
        migrate(options.build, services, folder)
        for work in (w for w in options.work if w in ("json", "row")):
            servers = peers(work, options.build, folder, services)
            report[work] = compare(work, servers, folder, options)


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
    if {"json", "row"} & set(options.work):
        measure_servers(options, report)
    if "jobs" in options.work:
        report["jobs"] = jobs.measure(options)
    if "accounts" in options.work:
        report["accounts"] = accounts.measure(options)
    if options.json:
        json.dump(report, sys.stdout, indent=2)
        print()


if __name__ == "__main__":
    main()
