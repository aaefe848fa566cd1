/* SPDX-License-Identifier: MIT */
/* What this machine's processors have not done. */
#ifndef TESTS_BENCH_IDLE_H
#define TESTS_BENCH_IDLE_H

/* Idle time of all processors together since some time, in microseconds; steps of 10 ms. */
double idle_us(void);

#endif
