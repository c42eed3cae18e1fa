/* floor ROUNDS COPIES PROGRAM ARG0 [ARG...]
 *
 * In each round starts so many copies of a program with posix_spawn(3) and
 * waits until all have ended. Prints the nanoseconds that a round takes: what
 * a schedule with fresh processes costs at least. See docs/performance.md. */
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv)
{
	if (argc < 5)
		return 254;
	int rounds = atoi(argv[1]), copies = atoi(argv[2]), status;
	struct timespec from, to;
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < rounds; i++) {
		for (int j = 0; j < copies; j++)
			if (posix_spawn(&(pid_t){0}, argv[3], NULL, NULL, argv + 4, environ))
				return 1;
		for (int j = 0; j < copies; j++)
			if (wait(&status) < 0 || status)
				return 1;
	}
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lld\n", ((to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec) / rounds);
	return 0;
}
