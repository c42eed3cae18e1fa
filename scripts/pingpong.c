/* pingpong ROUNDS
 *
 * Two processes send a byte to and fro through two pipes. Prints the
 * nanoseconds that a round takes: what it costs at least to ask another
 * process, and be answered. See docs/performance.md. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int there[2], back[2], rounds = argc > 1 ? atoi(argv[1]) : 1000;
	char byte = 0;
	struct timespec from, to;
	if (pipe(there) || pipe(back))
		return 1;
	if (fork() == 0) {
		close(there[1]);
		while (read(there[0], &byte, 1) == 1 && write(back[1], &byte, 1) == 1)
			;
		_exit(0);
	}
	clock_gettime(CLOCK_MONOTONIC, &from);
	for (int i = 0; i < rounds; i++)
		if (write(there[1], &byte, 1) != 1 || read(back[0], &byte, 1) != 1)
			return 1;
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lld\n", ((to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec) / rounds);
	return 0;
}
