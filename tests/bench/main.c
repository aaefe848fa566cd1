/* SPDX-License-Identifier: MIT */
/* bench isolation: what a process of its own costs a device. See README.md. */
#include "bench.h"

#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <vmm/vm.h>

static void say_and_exit(int status, const char *prefix, const char *fmt, va_list args)
{
	FILE *to = status == EXIT_SKIPPED ? stdout : stderr;

	(void)fflush(stdout);
	(void)fprintf(to, "%s", prefix);
	(void)vfprintf(to, fmt, args);
	(void)fputc('\n', to);
	device_print_log();
	exit(status);
}

void die(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say_and_exit(1, "bench: ", fmt, args);
	va_end(args);
	abort();
}

void skip(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	say_and_exit(EXIT_SKIPPED, "skipped: ", fmt, args);
	va_end(args);
	abort();
}

void must(int ret, const struct vmm_error *err)
{
	if (ret < 0) {
		die("%s", err && err->message[0] ? err->message : strerror(-ret));
	}
}

static void usage(FILE *to)
{
	(void)fputs(
		"usage: bench isolation --device VMM-DEVICE --payload ELF [OPTION...]\n"
		"\n"
		"Reads of a disk whose device runs in this process, and of one whose device runs\n"
		"in a jailed process of its own, in turns; and what that process costs.\n"
		"\n"
		"  --disk FILE     read this (64 MiB at least) instead of a temporary file\n"
		"  --rounds N      in how many quiet rounds each is measured (40)\n"
		"  --seconds N     no further round after that, quiet or not (30)\n"
		"  --samples N     single reads of each in a round (100)\n"
		"  --requests N    4 KiB reads for each rate in a round (500)\n"
		"  --gap-us N      rest in front of a single read (50)\n"
		"  --ordinary      on any processor, at any time: as the scheduler likes\n"
		"  --unjailed      in a process of its own, but not jailed\n"
		"  --poll-us N     that process looks for work so long before it sleeps (0)\n"
		"  --raw           print each round, too\n"
		"  --judge         fail on gross excess: a ratio of more than 1.5\n",
		to);
}

enum {
	OPT_DEVICE = 256,
	OPT_PAYLOAD,
	OPT_DISK,
	OPT_ROUNDS,
	OPT_SECONDS,
	OPT_SAMPLES,
	OPT_REQUESTS,
	OPT_GAP,
	OPT_ORDINARY,
	OPT_UNJAILED,
	OPT_POLL,
	OPT_RAW,
	OPT_JUDGE,
	OPT_HELP,
};

static const struct option long_options[] = {
	{"device", required_argument, NULL, OPT_DEVICE},
	{"payload", required_argument, NULL, OPT_PAYLOAD},
	{"disk", required_argument, NULL, OPT_DISK},
	{"rounds", required_argument, NULL, OPT_ROUNDS},
	{"seconds", required_argument, NULL, OPT_SECONDS},
	{"samples", required_argument, NULL, OPT_SAMPLES},
	{"requests", required_argument, NULL, OPT_REQUESTS},
	{"gap-us", required_argument, NULL, OPT_GAP},
	{"ordinary", no_argument, NULL, OPT_ORDINARY},
	{"unjailed", no_argument, NULL, OPT_UNJAILED},
	{"poll-us", required_argument, NULL, OPT_POLL},
	{"raw", no_argument, NULL, OPT_RAW},
	{"judge", no_argument, NULL, OPT_JUDGE},
	{"help", no_argument, NULL, OPT_HELP},
	{0},
};

static unsigned number(const char *text, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (*end != '\0' || value == 0 || value > max) {
		die("'%s' is not a number from 1 to %u", text, max);
	}
	return (unsigned)value;
}

static void take_option(struct options *o, int option)
{
	switch (option) {
	case OPT_DEVICE:
		o->device = optarg;
		break;
	case OPT_PAYLOAD:
		o->payload = optarg;
		break;
	case OPT_DISK:
		o->disk = optarg;
		break;
	case OPT_ROUNDS:
		o->rounds = number(optarg, ROUNDS_MAX);
		break;
	case OPT_SECONDS:
		o->seconds = number(optarg, 3600);
		break;
	case OPT_SAMPLES:
		o->samples = number(optarg, SAMPLES_MAX);
		break;
	case OPT_REQUESTS:
		o->requests = number(optarg, 1000000);
		break;
	case OPT_GAP:
		o->gap_us = number(optarg, 100000);
		break;
	case OPT_ORDINARY:
		o->ordinary = true;
		break;
	case OPT_UNJAILED:
		o->unjailed = true;
		break;
	case OPT_POLL:
		o->poll_us = number(optarg, 1000);
		break;
	case OPT_RAW:
		o->raw = true;
		break;
	case OPT_JUDGE:
		o->judge = true;
		break;
	case OPT_HELP:
		usage(stdout);
		exit(0);
	default:
		usage(stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options options = {
		.rounds = 40,
		.seconds = 30,
		.samples = 100,
		.requests = 500,
		.gap_us = 50,
		.starts = 10,
	};
	static struct result result;
	struct vmm_error err = {0};
	bool good;
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) >= 0) {
		take_option(&options, option);
	}
	if (optind + 1 != argc || strcmp(argv[optind], "isolation") != 0 || !options.device ||
	    !options.payload) {
		usage(stderr);
		return 2;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	if (vmm_host_check(0, &err) < 0) {
		skip("%s", err.message);
	}
	place_choose(&options);
	measure_cost(&options); /* before it is in a place that is not as vmm-cli's */
	measure(&result, &options);
	if (options.raw) {
		report_rounds(&result);
	}
	good = report(&result, &options);
	return good || !options.judge ? 0 : 1;
}
