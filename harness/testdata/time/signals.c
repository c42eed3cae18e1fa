/* Waits for an hour, in the way that its argument names, while a signal or a
 * byte comes after a minute, and prints what the call returned, and after how
 * many seconds. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const struct timespec hour = {3600, 0};
static volatile int handled;
static void handle(int sig) { (void)sig; handled++; }

static void block(int how, int sig)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, sig);
	pthread_sigmask(how, &set, NULL);
}

static long now(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec;
}

/* wait_with waits with a mask of its own. */
static int wait_with(const char *how, sigset_t *mask)
{
	struct epoll_event ev;
	if (!strcmp(how, "ppoll")) return ppoll(NULL, 0, &hour, mask);
	if (!strcmp(how, "pselect")) return pselect(0, NULL, NULL, NULL, &hour, mask);
	if (!strcmp(how, "epoll_pwait")) return epoll_pwait(epoll_create1(0), &ev, 1, 3600 * 1000, mask);
	return syscall(SYS_epoll_pwait2, epoll_create1(0), &ev, 1, &hour, mask, 8);
}

static void tell(const char *what, int result, long start)
{
	printf("%s %s %ld %d\n", what, result >= 0 ? "ok" : errno == EINTR ? "EINTR" : errno == EAGAIN ? "EAGAIN" : "?", now() - start, handled);
	fflush(stdout);
}

static void *sleeper(void *name)
{
	long start = now();
	int r = clock_nanosleep(CLOCK_MONOTONIC, 0, &hour, NULL);
	errno = r;
	tell(name, r ? -1 : 0, start);
	return NULL;
}

/* timer makes one that tells so, and sets it to expire in so many seconds. */
static void timer(struct sigevent event, int seconds)
{
	struct itimerspec it = {{0, 0}, {seconds, 0}};
	timer_t id;
	if (timer_create(CLOCK_MONOTONIC, &event, &id) || timer_settime(id, 0, &it, NULL)) exit(1);
}

static void ring(union sigval v) { (void)v; handled++; }

/* twice sleeps for the rest of two hours, whatever interrupts it. */
static void twice(const char *what)
{
	long start = now();
	tell(what, nanosleep(&hour, NULL), start);
	tell(what, nanosleep(&hour, NULL), start);
}

/* forks makes children, each of which makes a directory named by its pid. */
static void *forks(void *barrier)
{
	char name[64];
	for (int i = 0; i < 5; i++) {
		pthread_barrier_wait(barrier);
		if (!syscall(SYS_fork)) { /* without the lock of the C library */
			sprintf(name, "/shared/%d", (int)syscall(SYS_getpid));
			mkdir(name, 0777);
			_exit(0);
		}
	}
	return NULL;
}

int main(int argc, char **argv)
{
	char *what = argv[1];
	sigset_t none, alrm;
	long start = now();
	pthread_t t;
	(void)argc;
	sigemptyset(&none);
	sigemptyset(&alrm);
	sigaddset(&alrm, SIGALRM);
	signal(SIGALRM, handle);
	signal(SIGUSR1, handle);
	if (!strncmp(what, "unblocked-", 10)) { /* in the mask alone */
		block(SIG_BLOCK, SIGALRM);
		alarm(60);
		tell(what, wait_with(what + 10, &none), start);
	} else if (!strncmp(what, "pending-", 8)) { /* since before */
		block(SIG_BLOCK, SIGALRM);
		raise(SIGALRM);
		tell(what, wait_with(what + 8, &none), start);
	} else if (!strncmp(what, "blocked-", 8)) { /* in the mask alone */
		alarm(60);
		tell(what, wait_with(what + 8, &alrm), start);
	} else if (!strcmp(what, "sigtimedwait")) {
		block(SIG_BLOCK, SIGALRM);
		alarm(60);
		tell(what, sigtimedwait(&alrm, NULL, &hour), start);
	} else if (!strcmp(what, "nanosleep")) {
		struct timespec left;
		alarm(60);
		int r = nanosleep(&hour, &left);
		tell(what, r, start);
		printf("left %ld\n", (long)(left.tv_sec + (left.tv_nsec > 0)));
	} else if (!strcmp(what, "process")) { /* the main thread takes it */
		pthread_create(&t, NULL, sleeper, what);
		alarm(60);
		pthread_join(t, NULL);
	} else if (!strcmp(what, "thread")) { /* this one takes it */
		pthread_create(&t, NULL, sleeper, what);
		sleep(60);
		pthread_kill(t, SIGUSR1);
		pthread_join(t, NULL);
	} else if (!strcmp(what, "kill") || !strcmp(what, "sigqueue") || !strcmp(what, "tgkill") || !strcmp(what, "tkill")) {
		pid_t pid = fork();
		if (!pid) { sleeper(what); _exit(0); }
		sleep(60);
		if (*what == 'k') kill(pid, SIGUSR1);
		else if (*what == 's') sigqueue(pid, SIGUSR1, (union sigval){0});
		else if (what[1] == 'g') syscall(SYS_tgkill, pid, pid, SIGUSR1);
		else syscall(SYS_tkill, pid, SIGUSR1);
		waitpid(pid, NULL, 0);
	} else if (!strcmp(what, "rt")) {
		signal(SIGRTMIN, handle);
		pid_t pid = fork();
		if (!pid) { sleeper(what); _exit(0); }
		sleep(60);
		sigqueue(pid, SIGRTMIN, (union sigval){0});
		waitpid(pid, NULL, 0);
	} else if (!strcmp(what, "once")) { /* the handler is there for one signal */
		struct sigaction act = {.sa_handler = handle, .sa_flags = SA_RESETHAND};
		pid_t self = getpid();
		sigaction(SIGUSR1, &act, NULL);
		if (!fork()) { sleep(60); kill(self, SIGUSR1); _exit(0); }
		pause();
		tell(what, nanosleep(&hour, NULL), start);
	} else if (!strcmp(what, "sigwait")) { /* nothing handles it but who waits, again and again */
		sigset_t usr1;
		int sig;
		pid_t self = getpid();
		sigemptyset(&usr1);
		sigaddset(&usr1, SIGUSR1);
		signal(SIGUSR1, SIG_DFL);
		block(SIG_BLOCK, SIGUSR1);
		if (!fork()) {
			sleep(60);
			kill(self, SIGUSR1);
			sleep(60);
			kill(self, SIGUSR1);
			_exit(0);
		}
		for (int i = 0; i < 2; i++) {
			sigwait(&usr1, &sig);
			tell(what, 0, start);
		}
	} else if (!strcmp(what, "sigwait-timer")) { /* the same by a timer */
		sigset_t usr1;
		int sig;
		sigemptyset(&usr1);
		sigaddset(&usr1, SIGUSR1);
		signal(SIGUSR1, SIG_DFL);
		block(SIG_BLOCK, SIGUSR1);
		timer((struct sigevent){.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1}, 60);
		sigwait(&usr1, &sig);
		tell(what, nanosleep(&hour, NULL), start);
	} else if (!strcmp(what, "timer-thread")) { /* its signal is one that the C library keeps from us */
		timer((struct sigevent){.sigev_notify = SIGEV_THREAD, .sigev_notify_function = ring}, 60);
		twice(what);
	} else if (!strcmp(what, "group")) { /* whose leader has ended; a name that looks like the end of it */
		int ready[2];
		char c;
		if (pipe(ready)) return 1;
		pid_t leader = fork();
		if (!leader) {
			setpgid(0, 0);
			if (!fork()) {
				prctl(PR_SET_NAME, "a) S 1 2");
				write(ready[1], "x", 1);
				sleeper(what);
				_exit(0);
			}
			_exit(0);
		}
		waitpid(leader, NULL, 0);
		read(ready[0], &c, 1);
		sleep(60);
		kill(-leader, SIGUSR1);
		close(ready[1]);
		read(ready[0], &c, 1); /* until it has ended */
		tell("sender", 0, start);
	} else if (!strcmp(what, "again")) { /* a time-out, and another in a sleep */
		alarm(60);
		pause();
		alarm(60);
		tell(what, nanosleep(&hour, NULL), start);
		alarm(0);
	} else if (!strcmp(what, "no-signal")) { /* there are 64 */
		pid_t pid = fork();
		if (!pid) { sleeper(what); _exit(0); }
		sleep(60);
		if (!kill(pid, 65) || errno != EINVAL || !kill(pid, -1) || errno != EINVAL) return 1;
		waitpid(pid, NULL, 0);
	} else if (!strcmp(what, "no-timer")) { /* of no signal, or of a clock that has none */
		struct sigevent none = {.sigev_notify = SIGEV_SIGNAL};
		timer_t id;
		int no_signal = timer_create(CLOCK_MONOTONIC, &none, &id) ? errno : 0;
		int no_clock = timer_create(10, NULL, &id) ? errno : 0;
		int no_timers = timer_create(CLOCK_MONOTONIC_RAW, NULL, &id) ? errno : 0;
		printf("%s %s %s\n", strerrorname_np(no_signal), strerrorname_np(no_clock), strerrorname_np(no_timers));
	} else if (!strcmp(what, "due")) { /* since before it was set */
		struct itimerspec it = {{0, 0}, {1, 0}};
		unsigned long n;
		int fd = timerfd_create(CLOCK_MONOTONIC, 0);
		timerfd_settime(fd, TFD_TIMER_ABSTIME, &it, NULL);
		if (read(fd, &n, sizeof n) != sizeof n) return 1;
		printf("expired %lu\n", n);
	} else if (!strcmp(what, "busy-parent")) { /* when does it learn of its child's end? */
		signal(SIGCHLD, handle);
		if (!fork()) _exit(0);
		mkdir("/shared/one", 0777);
		tell("one", 0, start);
		mkdir("/shared/two", 0777);
		tell("two", 0, start);
	} else if (!strcmp(what, "killed-child")) { /* held at a request on the share, it does not do that any more */
		signal(SIGUSR1, SIG_DFL);
		pid_t pid = fork();
		if (!pid) {
			char c;
			int fd = open("/shared/file", O_CREAT | O_RDWR, 0666);
			write(fd, "x", 1);
			pread(fd, &c, 1, 0);
			_exit(0);
		}
		kill(pid, SIGUSR1);
		puts(waitpid(pid, &(int){0}, 0) == pid ? "killed" : "?");
	} else if (!strcmp(what, "not-permitted")) { /* a program that has given root up cannot kill one that is root */
		signal(SIGUSR1, SIG_DFL);
		pid_t pid = fork();
		if (!pid) {
			if (setuid(65534)) _exit(2);
			_exit(!(kill(getppid(), SIGUSR1) && errno == EPERM && !kill(getpid(), 0)));
		}
		int status;
		waitpid(pid, &status, 0);
		puts(status ? "?" : "refused");
	} else if (!strcmp(what, "twins")) { /* which of two ends first? */
		pid_t one = fork();
		if (!one) _exit(0);
		if (!fork()) _exit(0);
		puts(wait(NULL) == one ? "one" : "two");
		wait(NULL);
	} else if (!strcmp(what, "waiting-parent")) {
		if (!fork()) { sleep(60); _exit(0); }
		wait(NULL);
		tell(what, 0, start);
	} else if (!strcmp(what, "forks")) { /* two threads fork at once */
		pthread_barrier_t barrier;
		pthread_t other;
		pthread_barrier_init(&barrier, NULL, 2);
		pthread_create(&t, NULL, forks, &barrier);
		pthread_create(&other, NULL, forks, &barrier);
		pthread_join(t, NULL);
		pthread_join(other, NULL);
		while (wait(NULL) > 0) ;
	} else if (!strcmp(what, "overrun")) { /* late by four periods */
		struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM};
		struct itimerspec it = {{1, 0}, {1, 0}}, off = {{0, 0}, {0, 0}};
		timer_t id;
		siginfo_t info;
		block(SIG_BLOCK, SIGALRM);
		timer_create(CLOCK_MONOTONIC, &event, &id);
		timer_settime(id, 0, &it, NULL);
		nanosleep(&(struct timespec){5, 500000000}, NULL);
		if (sigwaitinfo(&alrm, &info) != SIGALRM || info.si_code != SI_TIMER) return 1;
		printf("overrun %d %d\n", info.si_overrun, timer_getoverrun(id));
		timer_settime(id, 0, &off, NULL);
	} else if (!strcmp(what, "late-timerfd")) { /* late by four periods */
		struct itimerspec it = {{1, 0}, {1, 0}};
		unsigned long n;
		int fd = timerfd_create(CLOCK_MONOTONIC, 0);
		timerfd_settime(fd, 0, &it, NULL);
		nanosleep(&(struct timespec){5, 500000000}, NULL);
		if (read(fd, &n, sizeof n) != sizeof n) return 1;
		printf("expired %lu\n", n);
	} else if (!strcmp(what, "closed-timerfd")) { /* rings no more; nor is the next one there the same */
		struct itimerspec it = {{60, 0}, {60, 0}}, left;
		int fd = timerfd_create(CLOCK_MONOTONIC, 0), copy;
		timerfd_settime(fd, 0, &it, NULL);
		close(fd);
		if (timerfd_create(CLOCK_MONOTONIC, 0) != fd || timerfd_gettime(fd, &left) || left.it_interval.tv_sec) return 1;
		copy = dup(fd);
		if (timerfd_settime(copy, 0, &it, NULL) || timerfd_gettime(fd, &left) || left.it_value.tv_sec < 59) return 1;
		it.it_value.tv_sec = 0;
		if (timerfd_settime(fd, 0, &it, NULL)) return 1;
		tell(what, nanosleep(&hour, NULL), start);
	} else if (!strcmp(what, "receive")) { /* a byte comes in time; the time-out is the closed socket's */
		struct timeval tv = {3600, 0};
		int pair[2], first;
		char c;
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) return 1;
		setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
		if (!fork()) { tell(what, read(pair[0], &c, 1), start); _exit(0); }
		sleep(60);
		write(pair[1], "x", 1);
		wait(NULL);
		first = pair[0];
		close(pair[0]);
		if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) || pair[0] != first) return 1;
		start = now();
		if (!fork()) { tell("another", read(pair[0], &c, 1), start); _exit(0); }
		sleep(7200);
		write(pair[1], "x", 1);
		wait(NULL);
	} else
		return 3;
	return 0;
}
