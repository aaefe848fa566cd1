/* SPDX-License-Identifier: MIT */
/*
 * What is compared is rounds: in each both disks were measured one after the other, so a ratio is
 * of what happened within a second. The ratio of all is the median of the rounds' ratios; between
 * its quartiles lies what a single round may show.
 */
#include "bench.h"

#include <stdio.h>
#include <string.h>

/* Nobody's noise: something is broken. */
#define EXCESS 1.5

struct comparison {
	double values[DISKS]; /* medians over rounds */
	double ratio;
	double low; /* quartiles of the rounds' ratios */
	double high;
};

static struct comparison compare(double of_round[DISKS][ROUNDS_MAX], unsigned rounds)
{
	double ratios[ROUNDS_MAX];
	struct comparison c;

	for (unsigned i = 0; i < rounds; i++) {
		ratios[i] = of_round[1][i] / of_round[0][i];
	}
	for (unsigned i = 0; i < DISKS; i++) {
		c.values[i] = quantile(of_round[i], rounds, 0.5);
	}
	c.ratio = quantile(ratios, rounds, 0.5);
	c.low = quantile(ratios, rounds, 0.25);
	c.high = quantile(ratios, rounds, 0.75);
	return c;
}

static double latency(const struct round *round, unsigned disk, unsigned count, double q)
{
	double values[SAMPLES_MAX];

	for (unsigned i = 0; i < count; i++) {
		values[i] = round->latencies[disk][i];
	}
	return quantile(values, count, q);
}

static struct comparison compare_latency(const struct result *r, double q)
{
	const struct plan *plan = &r->board.plan;
	double of_round[DISKS][ROUNDS_MAX];

	for (unsigned i = 0; i < plan->rounds; i++) {
		for (unsigned disk = 0; disk < DISKS; disk++) {
			of_round[disk][i] = latency(&r->board.rounds[i], disk, plan->samples, q) /
					    r->ticks_per_us;
		}
	}
	return compare(of_round, plan->rounds);
}

static struct comparison compare_rates(const struct result *r, unsigned depth)
{
	const struct plan *plan = &r->board.plan;
	double of_round[DISKS][ROUNDS_MAX];

	for (unsigned i = 0; i < plan->rounds; i++) {
		for (unsigned disk = 0; disk < DISKS; disk++) {
			double us = (double)r->board.rounds[i].rates[depth][disk] / r->ticks_per_us;

			of_round[disk][i] = plan->requests * 1e6 / us;
		}
	}
	return compare(of_round, plan->rounds);
}

/* Keeps the `keep` quietest rounds. Returns how much of the machine others had in the worst. */
static double keep_quietest(struct result *r, unsigned keep)
{
	double sorted[ROUNDS_MAX];
	unsigned count = r->board.plan.rounds;
	unsigned kept = 0;
	double limit;

	if (keep > count) {
		keep = count;
	}
	memcpy(sorted, r->foreign, sizeof(sorted));
	(void)quantile(sorted, count, 0);
	limit = sorted[keep - 1];
	for (unsigned i = 0; i < count && kept < keep; i++) {
		if (r->foreign[i] <= limit) {
			memmove(&r->board.rounds[kept], &r->board.rounds[i], sizeof(struct round));
			kept++;
		}
	}
	r->board.plan.rounds = keep;
	return limit;
}

/* A line for each round: foreign share, latencies, requests/s at each depth; without and with. */
void report_rounds(const struct result *r)
{
	const struct plan *plan = &r->board.plan;

	for (unsigned i = 0; i < plan->rounds; i++) {
		const struct round *round = &r->board.rounds[i];

		printf("round %3u foreign %.2f", i, r->foreign[i]);
		for (unsigned disk = 0; disk < DISKS; disk++) {
			printf(" %6.2f",
			       latency(round, disk, plan->samples, 0.5) / r->ticks_per_us);
		}
		for (unsigned at = 0; at < DEPTHS * DISKS; at++) {
			uint64_t ticks = round->rates[at / DISKS][at % DISKS];

			printf(" %8.0f", plan->requests * 1e6 * r->ticks_per_us / (double)ticks);
		}
		printf("\n");
	}
}

static void print(const char *what, const struct comparison *c, int decimals)
{
	printf("  %-34s", what);
	printf("%10.*f %10.*f", decimals, c->values[0], decimals, c->values[1]);
	printf("  ratio %.3f [%.3f .. %.3f]\n", c->ratio, c->low, c->high);
}

/* Of all rounds: what depends on other processes the least. */
static void print_work(const struct result *r, unsigned rounds)
{
	const struct plan *plan = &r->board.plan;
	double requests = (double)rounds * (plan->samples + DEPTHS * plan->requests);

	printf("  all rounds: kicks per request %.3f %.3f, the device's CPU us per request "
	       "%.3f %.3f, ratio %.3f\n",
	       plan->kicks[0] / requests, plan->kicks[1] / requests, r->cpu_us[0] / requests,
	       r->cpu_us[1] / requests, r->cpu_us[1] / r->cpu_us[0]);
}

bool report(struct result *r, const struct options *options)
{
	unsigned rounds = r->board.plan.rounds;
	double limit = keep_quietest(r, options->rounds);
	struct comparison p50 = compare_latency(r, 0.5);
	struct comparison p99 = compare_latency(r, 0.99);
	struct comparison rates[DEPTHS];
	bool good = p50.ratio <= EXCESS && r->cpu_us[1] <= EXCESS * r->cpu_us[0];

	printf("%s; the quietest %u of %u rounds (others had up to %.0f%% of the machine)\n"
	       "medians without and with isolation, and of their ratio, with its quartiles\n",
	       options->ordinary ? "placed by the scheduler"
	       : options->urgent ? "on two processors, urgently"
				 : "on two processors, as urgent as the rest",
	       r->board.plan.rounds, rounds, limit * 100);
	print("kick to interrupt, p50, us", &p50, 2);
	print("kick to interrupt, p99, us", &p99, 2);
	for (unsigned i = 0; i < DEPTHS; i++) {
		char what[64];

		rates[i] = compare_rates(r, i);
		(void)snprintf(what, sizeof(what), "4 KiB requests/s at depth %u", plan_depths[i]);
		print(what, &rates[i], 0);
		/* In competition with others it is their luck that is compared. */
		good &= !options->urgent || rates[i].ratio >= 1 / EXCESS;
	}
	print_work(r, rounds);
	printf("figure: same data path: kick to interrupt us %.1f, %.1f, ratio %.3f; "
	       "4 KiB requests/s",
	       p50.values[0], p50.values[1], p50.ratio);
	for (unsigned i = 0; i < DEPTHS; i++) {
		printf("%s at depth %u %.0f, %.0f, ratio %.3f", i > 0 ? "," : "", plan_depths[i],
		       rates[i].values[0], rates[i].values[1], rates[i].ratio);
	}
	printf("\n");
	return good;
}
