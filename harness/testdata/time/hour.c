/* Sleeps an hour in the way that its first argument names, and prints by how
 * many seconds the clock that its second argument names has moved on. A third
 * one has a child or a thread sleep. */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/select.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/futex.h>

static long now(const char *clock)
{
	struct timespec ts;
	struct timeval tv;
	if (!strcmp(clock, "time"))
		return time(NULL);
	if (!strcmp(clock, "gettimeofday")) {
		gettimeofday(&tv, NULL);
		return tv.tv_sec;
	}
	clockid_t id = !strcmp(clock, "realtime") ? CLOCK_REALTIME
		: !strcmp(clock, "boottime") ? CLOCK_BOOTTIME
		: !strcmp(clock, "realtime_coarse") ? CLOCK_REALTIME_COARSE
		: !strcmp(clock, "monotonic_coarse") ? CLOCK_MONOTONIC_COARSE
		: !strcmp(clock, "tai") ? CLOCK_TAI
		: !strcmp(clock, "raw") ? CLOCK_MONOTONIC_RAW : CLOCK_MONOTONIC;
	clock_gettime(id, &ts);
	return ts.tv_sec;
}

static void nothing(int sig) { (void)sig; }
static sem_t rung;
static void ring(union sigval v) { (void)v; sem_post(&rung); }

/* limited makes a socket, the first of a pair, whose receives wait an hour. */
static void limited(int pair[2])
{
	struct timeval tv = {3600, 0}, set;
	socklen_t n = sizeof set;
	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair)) exit(1);
	setsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof tv);
	if (getsockopt(pair[0], SOL_SOCKET, SO_RCVTIMEO, &set, &n) || set.tv_sec != 3600) exit(1);
}

static void hour(const char *how)
{
	const struct timespec h = {3600, 0};
	struct timeval tv = {3600, 0};
	struct epoll_event ev;
	int pair[2];
	char c;
	if (!strcmp(how, "clock_nanosleep")) clock_nanosleep(CLOCK_MONOTONIC, 0, &h, NULL);
	else if (!strcmp(how, "absolute")) {
		struct timespec at;
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_sec += 3600;
		clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &at, NULL);
	}
	else if (!strcmp(how, "nanosleep")) syscall(SYS_nanosleep, &h, NULL);
	else if (!strcmp(how, "sleep")) sleep(3600);
	else if (!strcmp(how, "select")) select(0, NULL, NULL, NULL, &tv);
	else if (!strcmp(how, "pselect")) pselect(0, NULL, NULL, NULL, &h, NULL);
	else if (!strcmp(how, "poll")) poll(NULL, 0, 3600 * 1000);
	else if (!strcmp(how, "poll-files")) {
		if (pipe(pair)) exit(1);
		struct pollfd p = {pair[0], POLLIN, 0};
		if (poll(&p, 1, 3600 * 1000) != 0 || p.revents) exit(1);
	}
	else if (!strcmp(how, "select-files")) {
		fd_set set;
		if (pipe(pair)) exit(1);
		FD_ZERO(&set);
		FD_SET(pair[0], &set);
		if (select(pair[0] + 1, &set, NULL, NULL, &tv) != 0 || FD_ISSET(pair[0], &set)) exit(1);
	}
	else if (!strcmp(how, "ppoll")) ppoll(NULL, 0, &h, NULL);
	else if (!strcmp(how, "epoll")) epoll_wait(epoll_create1(0), &ev, 1, 3600 * 1000);
	else if (!strcmp(how, "futex")) {
		int word = 0;
		syscall(SYS_futex, &word, FUTEX_WAIT_PRIVATE, 0, &h, NULL, 0);
	}
	else if (!strcmp(how, "cond")) {
		pthread_mutex_t m = PTHREAD_MUTEX_INITIALIZER;
		pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
		struct timespec at;
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_sec += 3600;
		pthread_mutex_lock(&m);
		if (pthread_cond_timedwait(&cond, &m, &at) != ETIMEDOUT) exit(1);
	}
	else if (!strcmp(how, "alarm")) {
		signal(SIGALRM, nothing);
		alarm(3600);
		pause();
	}
	else if (!strcmp(how, "setitimer")) {
		struct itimerval it = {{0, 0}, {3600, 0}};
		signal(SIGALRM, nothing);
		setitimer(ITIMER_REAL, &it, NULL);
		pause();
	}
	else if (!strcmp(how, "timerfd")) {
		struct itimerspec it = {{0, 0}, {3600, 0}};
		unsigned long n;
		int fd = timerfd_create(CLOCK_MONOTONIC, 0);
		timerfd_settime(fd, 0, &it, NULL);
		if (read(fd, &n, sizeof n) != sizeof n || n != 1) exit(1);
	}
	else if (!strcmp(how, "timer_create")) {
		struct itimerspec it = {{0, 0}, {3600, 0}};
		timer_t id;
		signal(SIGALRM, nothing);
		if (timer_create(CLOCK_MONOTONIC, NULL, &id)) exit(1);
		timer_settime(id, 0, &it, NULL);
		pause();
	}
	else if (!strcmp(how, "rcvtimeo")) {
		limited(pair);
		if (recv(pair[0], &c, 1, 0) != -1 || errno != EAGAIN) exit(1);
	}
	else if (!strcmp(how, "rcvtimeo-read")) {
		limited(pair);
		if (read(pair[0], &c, 1) != -1 || errno != EAGAIN) exit(1);
	}
	else if (!strcmp(how, "rcvtimeo-readv")) {
		struct iovec v = {&c, 1};
		limited(pair);
		if (readv(pair[0], &v, 1) != -1 || errno != EAGAIN) exit(1);
	}
	else if (!strcmp(how, "rcvtimeo-dup")) {
		limited(pair);
		int copy = dup(pair[0]);
		close(pair[0]);
		if (read(copy, &c, 1) != -1 || errno != EAGAIN) exit(1);
	}
	else if (!strcmp(how, "rcvtimeo-recvmmsg")) {
		struct iovec v = {&c, 1};
		struct mmsghdr m = {.msg_hdr = {.msg_iov = &v, .msg_iovlen = 1}};
		limited(pair);
		if (recvmmsg(pair[0], &m, 1, 0, NULL) != -1 || errno != EAGAIN) exit(1);
	}
	else if (!strcmp(how, "epoll_pwait")) epoll_pwait(epoll_create1(0), &ev, 1, 3600 * 1000, NULL);
	else if (!strcmp(how, "epoll_pwait2")) syscall(SYS_epoll_pwait2, epoll_create1(0), &ev, 1, &h, NULL, 0);
	else if (!strcmp(how, "sigtimedwait")) {
		sigset_t set;
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		if (sigtimedwait(&set, NULL, &h) != -1 || errno != EAGAIN) exit(1);
	}
	else if (!strcmp(how, "sem_timedwait")) {
		struct timespec at;
		sem_init(&rung, 0, 0);
		clock_gettime(CLOCK_REALTIME, &at);
		at.tv_sec += 3600;
		if (sem_timedwait(&rung, &at) != -1 || errno != ETIMEDOUT) exit(1);
	}
	else if (!strcmp(how, "timer_thread")) { /* the C library makes a thread for it */
		struct itimerspec it = {{0, 0}, {3600, 0}}, left;
		struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = ring};
		timer_t id;
		sem_init(&rung, 0, 0);
		if (timer_create(CLOCK_MONOTONIC, &event, &id)) exit(1);
		timer_settime(id, 0, &it, NULL);
		if (timer_gettime(id, &left) || left.it_value.tv_sec < 3599) exit(1);
		while (sem_wait(&rung)) ;
	}
	else if (!strcmp(how, "timer_none")) { /* tells nobody: it must be asked */
		struct itimerspec it = {{60, 0}, {60, 0}}, left;
		struct sigevent event = {.sigev_notify = SIGEV_NONE};
		timer_t id;
		if (timer_create(CLOCK_REALTIME, &event, &id)) exit(1);
		timer_settime(id, 0, &it, NULL);
		sleep(3600);
		if (timer_gettime(id, &left) || left.it_value.tv_sec >= 60 || left.it_interval.tv_sec != 60) exit(1);
	}
	else if (!strcmp(how, "periods")) { /* six of ten minutes; asked between them what is left */
		struct itimerval it = {{600, 0}, {600, 0}}, left;
		signal(SIGALRM, nothing);
		setitimer(ITIMER_REAL, &it, NULL);
		for (int i = 0; i < 6; i++) {
			if (getitimer(ITIMER_REAL, &left) || left.it_value.tv_sec < 599 || left.it_interval.tv_sec != 600) exit(1);
			pause();
		}
		memset(&it, 0, sizeof it);
		setitimer(ITIMER_REAL, &it, NULL);
	}
	else if (!strcmp(how, "timerfd-periods")) {
		struct itimerspec it = {{600, 0}, {600, 0}}, left;
		unsigned long n, all = 0;
		int fd = timerfd_create(CLOCK_BOOTTIME, 0);
		timerfd_settime(fd, 0, &it, NULL);
		while (all < 6) {
			if (timerfd_gettime(fd, &left) || left.it_value.tv_sec < 599 || left.it_interval.tv_sec != 600) exit(1);
			if (read(fd, &n, sizeof n) != sizeof n) exit(1);
			all += n;
		}
		close(fd);
	}
	else exit(3);
}

static void *thread(void *how)
{
	sigset_t all;
	sigfillset(&all);
	sigprocmask(SIG_UNBLOCK, &all, NULL);
	hour(how);
	return NULL;
}

int main(int argc, char **argv)
{
	long start = now(argv[2]);
	if (argc > 3 && !strcmp(argv[3], "child")) {
		pid_t pid = fork();
		if (!pid) { hour(argv[1]); _exit(0); }
		int status;
		waitpid(pid, &status, 0);
		if (status) return 1;
	} else if (argc > 3) {
		pthread_t t;
		sigset_t all; /* signals are the thread's */
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, NULL);
		pthread_create(&t, NULL, thread, argv[1]);
		pthread_join(t, NULL);
	} else
		hour(argv[1]);
	printf("%ld\n", now(argv[2]) - start);
	return 0;
}
