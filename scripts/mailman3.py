"""Mailman 3, got ready once, of which runners and masters are forked.

The prepared process of the systems mailman3* (docs/systems.md). What it is told
is a program of Mailman's and its arguments: "runner -r out:0:1".
"""
import os
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


from mailman.bin import master, runner
from mailman.config import config
from mailman.core.initialize import initialize
from mailman.core.logging import reopen
from mailman.runners import incoming, outgoing, pipeline  # noqa: F401

initialize()
config.db.engine.dispose()  # no file that two processes have open
runner.initialize = master.initialize = lambda *_: None  # that is done

program, *sys.argv[1:] = forked()
reopen()  # /dev/stderr is another one now
{"runner": runner, "master": master}[program].main()
