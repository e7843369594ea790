"""The drills: what each breaks, again and again, while clients enqueue and jobs run."""
import os
import signal
import time

from harness import free_port, wait_for

LEASE = 30  # seconds
CRASHES = 3  # that a job may cause


def is_stopped(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rpartition(")")[2].split()[0] == "T"
    except OSError:
        return False


class Drill:
    """One way to break things. `disturb(stage)` breaks something once and says so to the ledger."""

    def __init__(self, disturb, every=(0.3, 2), kind="plain", least=(12, 2), apps=1, cut=False, redis_dies=False,
                 finish=None, **settings):
        self.name, self.summary, self.disturb = disturb.__name__, disturb.__doc__, disturb
        self.every = every  # seconds between two disturbances, from … to
        self.kind = kind  # of jobs
        self.least = least  # disturbances, of the long form and of the short one
        self.apps = apps  # how many serve
        self.cut = cut  # whether replies of Redis can be lost
        self.redis_dies = redis_dies
        self.finish = finish  # what more must be true in the end: finish(stage) returns what is wrong
        self.settings = settings  # of the applications


DRILLS = {}


def drill(**options):
    def add(function):
        DRILLS[function.__name__] = Drill(function, **options)
        return function
    return add


# Processes die.

@drill(JOB_PROCESSES=3)
def worker(stage):
    """kill -9 of job workers"""
    stage.kill("worker")


@drill()
def http(stage):
    """kill -9 of http workers, those who enqueue"""
    stage.kill("http")


@drill(kind="durable", every=(1, 5), least=(8, 2))
def scheduler(stage):
    """kill -9 of the scheduler while it relays durable jobs"""
    stage.kill("scheduler")


@drill(every=(1, 4))
def master(stage):
    """kill -9 of the master, which takes all its processes with it; then another starts"""
    stage.kill_master()


@drill(every=(1, 4), redis_dies=True)
def redis(stage):
    """kill -9 of Redis, which then reads its append-only file"""
    stage.kill_redis()


@drill(every=(0.3, 3), redis_dies=True, kind="durable")
def everything(stage):
    """kill -9 of whatever comes to mind: workers, http workers, scheduler, master, Redis"""
    victim = stage.random.choice(("worker", "worker", "http", "scheduler", "master", "redis"))
    if victim == "master":
        stage.kill_master()
    elif victim == "redis":
        stage.kill_redis()
    else:
        stage.kill(victim)


def no_effect_twice(stage):
    rows = stage.services.sql("SELECT count(*), count(DISTINCT number) FROM effects")
    total, distinct = map(int, rows[0])
    if total != distinct:
        return f"{total - distinct} effects happened twice"
    return "" if distinct >= stage.ledger.n_acknowledged else "effects are missing"


@drill(kind="once", JOB_PROCESSES=3, finish=no_effect_twice)
def once(stage):
    """kill -9 of job workers around the commits of prong_job_done(): no effect happens twice"""
    stage.kill("worker")


def poison_is_dead(stage):
    expected, dead = stage.disturbances, stage.dead()
    return "" if dead == expected else f"{dead} jobs are dead, not the {expected} that crash their worker"


@drill(every=(1, 4), least=(8, 1), JOB_PROCESSES=3, finish=poison_is_dead)
def poison(stage):
    """jobs that crash their worker each time, until they are put aside"""
    dead, number = stage.dead(), stage.ledger.take(1)
    wait_for(lambda: stage.post(number, 1, "poison").status == 204, "the poison is enqueued")
    for _ in range(CRASHES):  # it has stopped its worker
        pid = wait_for(lambda: next(filter(is_stopped, stage.children("worker")), None), "the poison runs", 60)
        stage.freeze([pid])
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: stage.dead() > dead, "the poison is dead")


# Processes do not die.

def stale_results_are_refused(stage):
    log = stage.apps[1].process.output()
    return "" if "came too late" in log or "lease" in log else "the stopped worker was not told that its jobs had gone"


@drill(apps=2, least=(1, 1), finish=stale_results_are_refused, WATCHDOG_TIMEOUT=0)
def stopped(stage):
    """SIGSTOP of all of a host's processes past their lease, then SIGCONT: another host runs their jobs"""
    app = stage.apps[1]
    processes = [app.process.pid, *app.children().values()]
    stage.freeze(processes)
    time.sleep(LEASE + 2)
    for pid in processes:
        os.kill(pid, signal.SIGCONT)


@drill(WATCHDOG_TIMEOUT="2s", every=(3, 6), least=(3, 1), JOB_PROCESSES=3)
def stalled(stage):
    """SIGSTOP of a job worker: the watchdog ends it"""
    pid = stage.a_child("worker")
    stage.freeze([pid])
    wait_for(lambda: not os.path.exists(f"/proc/{pid}"), "the watchdog ends it")


def no_attempt_was_counted(stage):
    more = stage.ledger.later_attempts
    return f"{len(more)} jobs were counted another attempt, such as {min(more)}" if more else ""


@drill(every=(1, 4), finish=no_attempt_was_counted)
def shutdown(stage):
    """SIGTERM under load, then a start: what has not begun goes back, and no attempt is counted"""
    status = stage.app.process.stop()
    if status != 0:
        stage.wrong.append(f"serve ended with {status}")
    stage.app.start()


# Redis and the way to it.

@drill(cut=True, every=(0.05, 0.5), least=(40, 10))
def replies(stage):
    """replies of Redis lost after it has done what was asked"""
    stage.cutter.cut()


@drill(kind="durable", every=(1, 5))
def flushall(stage):
    """FLUSHALL: durable jobs all run"""
    stage.flush()


@drill(every=(0.3, 2))
def functions(stage):
    """FUNCTION FLUSH and SCRIPT FLUSH"""
    stage.redis("FUNCTION", "FLUSH")
    stage.redis("SCRIPT", "FLUSH")


@drill(every=(1, 4))
def pause(stage):
    """CLIENT PAUSE for up to 3 seconds"""
    stage.redis("CLIENT", "PAUSE", stage.random.randint(100, 3000), "ALL")


@drill(every=(1, 4))
def readonly(stage):
    """Redis takes no writes for a while, as a replica"""
    stage.redis("REPLICAOF", "127.0.0.1", free_port())
    time.sleep(stage.random.uniform(0.1, 2))
    stage.redis("REPLICAOF", "NO", "ONE")


@drill(every=(1, 3))
def memory(stage):
    """maxmemory reached, then raised: enqueues are refused, what waits runs on"""
    stage.redis("CONFIG", "SET", "maxmemory", "1mb")
    time.sleep(stage.random.uniform(0.2, 2))
    stage.redis("CONFIG", "SET", "maxmemory", "0")
