"""Mailman 3, got ready once, of which runners and masters are forked.

The prepared process of the systems mailman3* (docs/systems.md). What it is told
is a program of Mailman's and its arguments: "runner -r out:0:1".
"""
import os
import shutil
import sys


def forked():
    """Wait for lines, and return with each in a process of its own."""
    with open(int(os.environ["SCREWTAPE_FORK"])) as lines:
        for line in iter(lines.readline, ""):
            if os.fork() == 0:
                if os.fork() == 0:
                    os.setsid()
                    return line.split()
                os._exit(0)
            os.wait()
    os._exit(0)


def lay_out():
    """Give the node a var directory, unless it has one already."""
    if not os.path.exists("run/data"):
        shutil.copytree("new", "run", dirs_exist_ok=True)


lay_out()
from mailman.bin import master, runner
from mailman.config import config
from mailman.core.initialize import initialize
from mailman.core.logging import reopen
from mailman.runners import incoming, outgoing, pipeline  # noqa: F401

initialize()
config.db.engine.dispose()  # lest two processes have the database's file open
runner.initialize = master.initialize = lambda *_: None  # that is done

program, *sys.argv[1:] = forked()
lay_out()
reopen()  # /dev/stderr is another one now
config.db.engine.connect().close()
{"runner": runner, "master": master}[program].main()
