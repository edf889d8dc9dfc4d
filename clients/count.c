// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count for how long processes run; with a clock that counts instructions, count those
 *
 *   count ROUNDS NAME COMMAND [ARGUMENT]...	of a command and what it waited for
 *   count parent				of who started this, until now
 *
 * Each line is "name,nanoseconds". A round before the first is not counted: it brings
 * what is read of the command into the page cache. Waiting is not counted: an emulator
 * lets its clock jump then.
 */
#define _GNU_SOURCE
#include <err.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int64_t nanoseconds(const struct timeval *tv)
{
	return tv->tv_sec * 1000000000LL + tv->tv_usec * 1000LL;
}

static int64_t one_round(char **command)
{
	struct rusage usage;
	int status;
	pid_t pid = fork();

	if (pid < 0)
		err(1, "fork");
	if (!pid) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		dup2(null, STDIN_FILENO);
		dup2(null, STDOUT_FILENO);
		execvp(command[0], command);
		err(127, "%s", command[0]);
	}
	if (wait4(pid, &status, 0, &usage) != pid)
		err(1, "wait4");
	if (status)
		errx(1, "%s: status %#x", command[0], status);
	return nanoseconds(&usage.ru_utime) + nanoseconds(&usage.ru_stime);
}

static int64_t of_parent(void)
{
	struct timespec ts;
	clockid_t clock;

	if (clock_getcpuclockid(getppid(), &clock) || clock_gettime(clock, &ts))
		errx(1, "no clock of the parent");
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int main(int argc, char **argv)
{
	if (argc == 2 && !strcmp(argv[1], "parent")) {
		printf("parent,%jd\n", (intmax_t)of_parent());
		return 0;
	}
	if (argc < 4)
		errx(2, "usage: count ROUNDS NAME COMMAND [ARGUMENT]... | count parent");
	for (int round = 0; round <= atoi(argv[1]); round++) {
		int64_t spent;

		/* What was freed before is given back. */
		usleep(300000);
		spent = one_round(argv + 3);
		if (round)
			printf("%s,%jd\n", argv[2], (intmax_t)spent);
		fflush(stdout);
	}
	return 0;
}
