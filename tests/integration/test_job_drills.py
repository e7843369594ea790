"""The short form of every drill of jobs; scripts/drill runs the long ones."""
import concurrent.futures
import subprocess
import sys
import unittest

from harness import ROOT

FOLDER = ROOT / "tests" / "drills"
sys.path.insert(0, str(FOLDER))

from drills import DRILLS  # noqa: E402

AT_ONCE = 2  # they wait more than they work


def run(name):
    return subprocess.run([sys.executable, FOLDER / "drill.py", name, "--short"], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=400)


class JobDrills(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        pool = concurrent.futures.ThreadPoolExecutor(AT_ONCE)
        cls.addClassCleanup(pool.shutdown, cancel_futures=True)
        cls.runs = {name: pool.submit(run, name) for name in sorted(DRILLS)}


def passes(name):
    def test(self):
        done = self.runs[name].result()
        self.assertEqual(done.returncode, 0, done.stdout)
    return test


for drill in DRILLS:
    setattr(JobDrills, f"test_{drill}", passes(drill))


if __name__ == "__main__":
    unittest.main()
