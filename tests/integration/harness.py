"""What integration tests stand on: private PostgreSQL and Redis, a running application, and raw HTTP.

    class MyTest(unittest.TestCase):
        @classmethod
        def setUpClass(cls):
            cls.services = Services()
            cls.addClassCleanup(cls.services.stop)
            cls.app = App(binary("prong"), cls.services, MAX_BODY="1000")
            cls.addClassCleanup(cls.app.stop)
            cls.app.command("migrate", "up")
            cls.app.start()

        def test_live(self):
            self.assertEqual(self.app.get("/health/live").status, 200)

Everything waits for a condition until a deadline, never for a fixed time. What is started is stopped by its process id,
and ends by itself should the test die.
"""
import contextlib
import ctypes
import json
import os
import pathlib
import pwd
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / os.environ.get("PRONG_BUILD_DIR", "build")
DEADLINE = 30.0  # seconds: for anything that should happen soon, on a slow machine under a sanitizer
PR_SET_PDEATHSIG = 1
REPORT = re.compile(r"ERROR: \w+Sanitizer|runtime error:|\bbroken: ")  # of a crash, on standard error
_libc = ctypes.CDLL(None)


def binary(name):
    """The path of a built program: `prong`, or a program of the tests."""
    for folder in (BUILD, BUILD / "tests"):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f"{name} is not built in {BUILD}: build it, or set PRONG_BUILD_DIR")


def wait_for(condition, what, seconds=DEADLINE):
    """Waits until condition() is true and returns what it returned; fails, naming `what`, at the deadline."""
    deadline = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {seconds:g} s: {what}")
        time.sleep(0.01)


def free_port():
    """A TCP port that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent(number):
    def prepare():
        _libc.prctl(PR_SET_PDEATHSIG, number)
    return prepare


class Process:
    """A program that runs beside the test. Its output is collected in `lines`."""

    def __init__(self, arguments, stop_signal=signal.SIGTERM, **options):
        self.name = os.path.basename(str(arguments[0]))
        self.lines = []
        self.stop_signal = stop_signal
        self._popen = subprocess.Popen([str(argument) for argument in arguments], stdin=subprocess.DEVNULL,
                                       stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
                                       preexec_fn=_die_with_parent(stop_signal), **options)
        self.pid = self._popen.pid
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self._popen.stdout:
            self.lines.append(line.decode(errors="replace").rstrip("\n"))

    def output(self):
        return "\n".join(self.lines)

    def exit_status(self):
        """None while it runs."""
        return self._popen.poll()

    def signal(self, number):
        self._popen.send_signal(number)

    def wait(self, seconds=DEADLINE):
        """Waits for its end and returns its exit status."""
        status = self._popen.wait(seconds)
        self._reader.join(seconds)
        return status

    def stop(self):
        """Asks it to end, then ends it and its children. Returns its exit status."""
        if self.exit_status() is None:
            self.signal(self.stop_signal)
            try:
                self._popen.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self.lines.append(f"({self.name} did not end by signal {self.stop_signal}: killed)")
                os.killpg(self.pid, signal.SIGKILL)
        status = self.wait()
        self._popen.stdout.close()
        return status

    def kill(self):
        """As if it crashed."""
        if self.exit_status() is None:
            self.signal(signal.SIGKILL)
        self.wait()
        self._popen.stdout.close()


def _postgres_programs():
    """The folder of PostgreSQL's programs: Debian's newest, else where the path has `initdb`."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    program = found[-1] if found else shutil.which("initdb")
    if not program:
        raise FileNotFoundError("PostgreSQL is not installed: scripts/setup test")
    return pathlib.Path(program).resolve().parent


class Services:
    """A PostgreSQL and a Redis of this test's own, on Unix sockets in a temporary folder."""

    def __init__(self, redis_arguments=(), tcp=False):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="prong-test-"))
        self.folder.chmod(0o755)  # PostgreSQL's account passes through
        self._user = {}
        self._programs = _postgres_programs()
        self.postgres = self.redis = None
        self._redis_arguments = redis_arguments
        self._tcp_port = free_port() if tcp else None
        try:
            self._make_database()
            self.start_postgres()
            self.start_redis()
        except BaseException:
            self.stop()
            raise

    def _make_database(self):
        """PostgreSQL refuses root: then everything of it belongs to the account `postgres`."""
        folder = self.folder / "postgres"
        folder.mkdir()
        if os.geteuid() == 0:
            account = pwd.getpwnam("postgres")
            os.chown(folder, account.pw_uid, account.pw_gid)
            self._user = {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
        subprocess.run([self._programs / "initdb", "--pgdata", folder / "data", "--username=prong", "--auth=trust",
                        "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"], check=True, capture_output=True,
                       timeout=4 * DEADLINE, cwd=folder, **self._user)

    @property
    def database_url(self):
        if self._tcp_port:
            return f"postgresql://prong@127.0.0.1:{self._tcp_port}/postgres"
        return f"postgresql://prong@/postgres?host={self.folder}/postgres"

    @property
    def redis_url(self):
        return f"unix://{self.folder}/redis.sock"

    def start_postgres(self):
        folder = self.folder / "postgres"
        listen = ["-h", "127.0.0.1", "-p", str(self._tcp_port)] if self._tcp_port else ["-h", ""]
        self.postgres = Process([self._programs / "postgres", "-D", folder / "data", "-k", folder, *listen,
                                 "-c", "fsync=off", "-c", "max_connections=200"],
                                stop_signal=signal.SIGINT, cwd=folder, **self._user)
        wait_for(lambda: self._is_running(self.postgres) and self._postgres_answers(), "PostgreSQL answers")

    def _postgres_answers(self):
        return subprocess.run([self._programs / "pg_isready", "-q", "-d", self.database_url],
                              timeout=DEADLINE).returncode == 0

    def start_redis(self):
        path = self.folder / "redis.sock"
        path.unlink(missing_ok=True)
        self.redis = Process(["redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", self.folder,
                              "--maxmemory-policy", "noeviction", *self._redis_arguments])
        wait_for(lambda: self._is_running(self.redis) and self._redis_answers(), "Redis answers")

    def _redis_answers(self):
        try:
            return self.redis_command("PING") == "PONG"
        except (OSError, RuntimeError):  # not there, or LOADING
            return False

    @staticmethod
    def _is_running(process):
        if process.exit_status() is not None:
            raise RuntimeError(f"{process.name} ended at its start:\n{process.output()}")
        return True

    def redis_command(self, *arguments):
        """Sends one command; returns its reply as text, int, None or list. Raises RuntimeError for an error reply."""
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(DEADLINE)
            client.connect(f"{self.folder}/redis.sock")
            parts = [str(argument).encode() for argument in arguments]
            client.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(p), p) for p in parts))
            with client.makefile("rb") as replies:
                return self._redis_reply(replies)

    def _redis_reply(self, replies):
        line = replies.readline().rstrip(b"\r\n").decode()
        kind, rest = line[:1], line[1:]
        if kind == "-":
            raise RuntimeError(rest)
        if kind == ":":
            return int(rest)
        if kind == "$":
            return None if rest == "-1" else replies.read(int(rest) + 2)[:-2].decode(errors="replace")
        if kind == "*":
            return [self._redis_reply(replies) for _ in range(int(rest))]
        return rest

    def sql(self, statement):
        """Runs SQL; returns rows as lists of text."""
        done = subprocess.run([self._programs / "psql", "-X", "-q", "-A", "-t", "-F", "\x1f", "-v", "ON_ERROR_STOP=1",
                               "-c", statement, self.database_url], capture_output=True, text=True, timeout=DEADLINE)
        if done.returncode != 0:
            raise RuntimeError(done.stderr)
        return [line.split("\x1f") for line in done.stdout.splitlines()]

    @contextlib.contextmanager
    def holding(self, statement, last="SELECT"):
        """Runs SQL in a transaction that is open, with its locks, for the length of the block; then `last`, and commits."""
        psql = subprocess.Popen([self._programs / "psql", "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1",
                                 self.database_url], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            psql.stdin.write(f"BEGIN; {statement};\n\\echo held\n")
            psql.stdin.flush()
            if "held\n" not in iter(psql.stdout.readline, ""):
                raise RuntimeError(f"refused: {statement}")
            yield
            psql.stdin.write(f"{last}; COMMIT;\n")
        finally:
            psql.communicate()
        if psql.returncode != 0:
            raise RuntimeError(f"refused: {last}")

    def waiting(self):
        """How many connections wait for another's lock."""
        return int(self.sql("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")[0][0])

    def stop(self):
        for process in (self.postgres, self.redis):
            if process:
                process.stop()
        shutil.rmtree(self.folder, ignore_errors=True)


class Response:
    """One response: status, headers (name in lowercase → value), body; cookies (name → value and attributes)."""

    def __init__(self, status, headers, body, cookies=None):
        self.status, self.headers, self.body, self.cookies = status, headers, body, cookies or {}

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.body[:300]!r}>"


class Ended(Exception):
    """The peer has ended the connection where a response was due."""


class Connection:
    """A client's connection, byte by byte."""

    def __init__(self, port, host="127.0.0.1", seconds=DEADLINE):
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.deadline = time.monotonic() + seconds
        self.received = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.socket.close()

    def reset(self):
        """Ends it with RST."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.socket.close()

    def send(self, data):
        """Sends; returns False once the peer takes no more."""
        try:
            self.socket.sendall(data)
            return True
        except (BrokenPipeError, ConnectionResetError):
            return False

    def send_split(self, data, size=1):
        """Sends in pieces, each a packet of its own as far as the kernel lets it."""
        return all(self.send(data[i:i + size]) for i in range(0, len(data), size))

    def end(self):
        """Says that nothing more will be sent."""
        try:
            self.socket.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _receive(self):
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"no answer in time; received: {self.received[:500]!r}")
        self.socket.settimeout(left)
        try:
            data = self.socket.recv(65536)
        except ConnectionResetError:
            data = b""
        except socket.timeout:
            raise TimeoutError(f"no answer in time; received: {self.received[:500]!r}") from None
        self.received += data
        return data != b""

    def _take(self, size):
        while len(self.received) < size:
            if not self._receive():
                raise Ended(f"in the middle of a response: {self.received[:500]!r}")
        data, self.received = self.received[:size], self.received[size:]
        return data

    def _take_line(self):
        while b"\r\n" not in self.received:
            if not self._receive():
                raise Ended(f"in the middle of a response: {self.received[:500]!r}" if self.received else "")
        line, self.received = self.received.split(b"\r\n", 1)
        return line

    def read_response(self, method="GET"):
        """The next response, 1xx included; Ended where there is none."""
        status_line = self._take_line()
        version, status, _ = status_line.decode("ascii").split(" ", 2)
        assert version == "HTTP/1.1", status_line
        headers, cookies = {}, {}
        while line := self._take_line():
            name, value = line.decode("latin-1").split(":", 1)
            if name.lower() == "set-cookie":
                cookie, _, rest = value.strip().partition("=")
                assert cookie not in cookies, f"{cookie} twice"
                cookies[cookie] = rest
            else:
                assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value.strip()
        return Response(int(status), headers, self._read_body(method, int(status), headers), cookies)

    def _read_body(self, method, status, headers):
        if method == "HEAD" or status < 200 or status in (204, 304):
            return b""
        if headers.get("transfer-encoding") != "chunked":
            return self._take(int(headers["content-length"]))
        body = b""
        while size := int(self._take_line(), 16):
            body += self._take(size)
            assert self._take(2) == b"\r\n"
        while self._take_line():
            pass
        return body

    def is_ended(self):
        """Waits for what comes next: True for the end of the connection, False for another byte."""
        return not self.received and not self._receive()


class App:
    """An application: its command line, and `serve` running on a port of its own. Settings are keyword arguments."""

    def __init__(self, program, services=None, **settings):
        self.program = program
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="prong-app-"))
        self.port = None
        self.process = None
        self.environment = {name: os.environ[name] for name in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS")
                            if name in os.environ}
        self.environment |= {"PRONG_ENV": "development", "HOST": "127.0.0.1", "LOG_FORMAT": "json",
                             "PRONG_SECRET": "a secret of the tests, 32 bytes or more",
                             "RATE_LIMITS": "off",  # tests sign in more often than people
                             "MAIL_DIR": f"{self.folder}/mail"}
        if services:
            self.environment |= {"DATABASE_URL": services.database_url, "REDIS_URL": services.redis_url}
        self.environment |= {name: str(value) for name, value in settings.items()}

    def command(self, *arguments, check=True, seconds=DEADLINE, given=None, **settings):
        """Runs a command to its end, with the text `given` as its input; returns the CompletedProcess with text."""
        environment = self.environment | {name: str(value) for name, value in settings.items()}
        done = subprocess.run([str(self.program), *arguments], env=environment, cwd=self.folder, text=True,
                              input=given or "", capture_output=True, timeout=seconds)
        if check and done.returncode != 0:
            raise RuntimeError(f"{arguments} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
        return done

    def start(self, *arguments, wait=True):
        """Starts `serve` (or the command given) and, with `wait`, returns once it is ready."""
        self.port = free_port()
        self.process = Process([self.program, *(arguments or ("serve",))], cwd=self.folder,
                               env=self.environment | {"PORT": str(self.port)})
        if wait:
            wait_for(self.is_ready, f"{self.program} is ready")
        return self

    def is_ready(self):
        if self.process.exit_status() is not None:
            raise RuntimeError(f"{self.program} ended with {self.process.exit_status()}:\n{self.process.output()}")
        try:
            return self.get("/health/ready", seconds=5).status == 200
        except (OSError, Ended):
            return False

    def connect(self, seconds=DEADLINE):
        return Connection(self.port, seconds=seconds)

    def request(self, method, path, body=None, headers=None, token=None, seconds=DEADLINE):
        """One request on a connection of its own. A body of bytes is sent as it is, anything else as JSON."""
        lines = {"Host": "127.0.0.1", "Connection": "close"}
        if token:
            lines["Authorization"] = f"Bearer {token}"
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        if body is not None:
            lines |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        lines |= headers or {}
        head = f"{method} {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        with self.connect(seconds) as connection:
            connection.send(head.encode("latin-1") + b"\r\n" + (body or b""))
            return connection.read_response(method)

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.request("POST", path, body, **options)

    def metric(self, name, labels=""):
        """The value of one series of /metrics; None where there is none. `labels` as they stand between the braces."""
        wanted = f"{name}{{{labels}}}" if labels else name
        for line in self.get("/metrics").body.decode().splitlines():
            series, _, value = line.rpartition(" ")
            if series == wanted:
                return float(value)
        return None

    def children(self):
        """Process ids of the master's children by their names, as in {"http 0": 123}, where the kernel shows them."""
        found = {}
        for entry in pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split():
            try:
                title = pathlib.Path(f"/proc/{entry}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                found[title] = int(entry)
            except OSError:
                pass
        return found

    def stop(self):
        """Ends it; returns the exit status of `serve`, None where it never ran. Fails where it crashed underway."""
        status = self.process.stop() if self.process else None
        shutil.rmtree(self.folder, ignore_errors=True)
        reports = [line for line in self.process.lines if REPORT.search(line)] if self.process else []
        assert not reports, "\n".join(self.process.lines[-200:])
        return status
