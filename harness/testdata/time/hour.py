# Sleeps an hour in each way that there is, in a thread or a child if its
# argument says so, and prints for each by how many seconds its clocks have
# moved on.
import os, queue, select, signal, socket, struct, subprocess, sys, threading, time

signal.signal(signal.SIGALRM, lambda *_: None)
HOUR = 3600

def epoll():
    select.epoll().poll(HOUR)

def poll():
    p = select.poll()
    p.register(os.pipe()[0], select.POLLIN)
    p.poll(HOUR * 1000)

def settimeout():
    a, b = socket.socketpair()
    a.settimeout(HOUR)
    try:
        a.recv(1)
    except socket.timeout:
        pass

def rcvtimeo():
    a, b = socket.socketpair()
    a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack('ll', HOUR, 0))
    try:
        os.read(a.fileno(), 1)
    except BlockingIOError:
        pass

def get():
    try:
        queue.Queue().get(timeout=HOUR)
    except queue.Empty:
        pass

def timer():
    t = threading.Timer(HOUR, lambda: None)
    t.start()
    t.join()

def condition():
    c = threading.Condition()
    with c:
        c.wait(HOUR)

ways = {
    'sleep': lambda: time.sleep(HOUR),
    'event': lambda: threading.Event().wait(HOUR),
    'condition': condition,
    'select': lambda: select.select([os.pipe()[0]], [], [], HOUR),
    'poll': poll,
    'epoll': epoll,
    'settimeout': settimeout,
    'rcvtimeo': rcvtimeo,
    'queue': get,
    'timer': timer,
    'run': lambda: subprocess.run(['sleep', str(HOUR)]),
}

# Signals are the main thread's.
if sys.argv[1:] != ['thread']:
    ways['alarm'] = lambda: (signal.alarm(HOUR), signal.pause())
    ways['setitimer'] = lambda: (signal.setitimer(signal.ITIMER_REAL, HOUR), signal.pause())
    ways['sigtimedwait'] = lambda: signal.sigtimedwait([signal.SIGUSR1], HOUR)

clocks = {
    'time': time.time,
    'monotonic': time.monotonic,
    'perf_counter': time.perf_counter,
    'boottime': lambda: time.clock_gettime(time.CLOCK_BOOTTIME),
    'raw': lambda: time.clock_gettime(time.CLOCK_MONOTONIC_RAW),
}

def hours():
    for name, way in ways.items():
        os.mkdir('/shared/' + name)  # so that nobody takes it for one that polls
        before = {c: read() for c, read in clocks.items()}
        way()
        for c, read in clocks.items():
            print(name, c, round(read() - before[c]))

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
