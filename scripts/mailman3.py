"""Mailman 3, got ready once, of which runners and masters are forked.

The prepared process of the systems mailman3* (docs/systems.md). What it is told
is a program of Mailman's and its arguments: "runner -r out:0:1". With the argument
"lmtp" it also rehearses that runner, which takes messages in.
"""
import os
import shutil
import smtplib
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


def rehearse():
    """Have a message go through, so that all is imported, mapped and compiled."""
    message = message_from_string(
        "From: anne@example.org\nTo: test@example.org\nMessage-ID: <rehearsal@example.org>\n\nA word.\n",
        Message)
    lmtp = sys.argv[1:] == ["lmtp"]
    if lmtp:
        server = runner.make_runner("lmtp", 0, 1).lmtp
        server.start()
        with smtplib.LMTP("127.0.0.1", int(config.mta.lmtp_port), local_hostname="rehearsal") as client:
            client.send_message(message)
        server.stop()
    for name in "in", "pipeline", "out":
        for number in range(int(getattr(config, f"runner.{name}").instances)):
            rehearsed = runner.make_runner(name, number, 1, once=True)
            if name == "in" and not lmtp:
                rehearsed.switchboard.enqueue(message, listid="test.example.org")
            rehearsed.run()


lay_out()
from email import message_from_string

from mailman.bin import master, runner
from mailman.config import config
from mailman.core.initialize import initialize
from mailman.core.logging import reopen
from mailman.email.message import Message

initialize()
rehearse()
config.db.store.close()
for entry in os.listdir("run"):
    if os.path.isdir(f"run/{entry}"):
        shutil.rmtree(f"run/{entry}")
runner.initialize = master.initialize = lambda *_: None  # that is done

program, *sys.argv[1:] = forked()
lay_out()
reopen()  # /dev/stderr is another one now
{"runner": runner, "master": master}[program].main()
