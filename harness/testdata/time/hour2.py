# As hour.py, in Python 2, whose events are waited for by sleeping again and
# again.
import os, select, signal, socket, sys, threading, time

signal.signal(signal.SIGALRM, lambda *_: None)

def settimeout():
    a, b = socket.socketpair()
    a.settimeout(3600)
    try:
        a.recv(1)
    except socket.timeout:
        pass

ways = [
    ('sleep', lambda: time.sleep(3600)),
    ('select', lambda: select.select([os.pipe()[0]], [], [], 3600)),
    ('settimeout', settimeout),
    ('system', lambda: os.system('sleep 3600')),
]
if sys.argv[1:] != ['thread']:
    ways.append(('alarm', lambda: (signal.alarm(3600), signal.pause())))

def hours():
    for name, way in ways:
        os.mkdir('/shared/' + name)
        before = time.time()
        way()
        print('%s time %.0f' % (name, time.time() - before))

if sys.argv[1:] == ['thread']:
    t = threading.Thread(target=hours)
    t.start()
    t.join()
elif sys.argv[1:] == ['child']:
    if os.fork() == 0:
        hours()
        sys.stdout.flush()
        os._exit(0)
    os.wait()
else:
    hours()
