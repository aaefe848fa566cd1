/* SPDX-License-Identifier: MIT */
/*
 * The main function of a unit test: one suite of one module.
 *
 *	SUITE_MAIN("mem", mem_create_bad_regions_are_refused, mem_fd_is_sealed)
 *
 * Each test is a case of its own name, so that CK_RUN_CASE runs it alone.
 */
#ifndef TESTS_SUITE_H
#define TESTS_SUITE_H

#include <check.h>
#include <stdlib.h>

/* Seconds after which one test counts as hung; emulated and sanitized runs are slow. */
#define SUITE_TEST_TIMEOUT 60

/* Adds a test that runs `rounds` times, with _i counting from 0. The fixtures may be NULL. */
static inline void suite_add(Suite *suite, const TTest *test, int rounds, SFun setup, SFun teardown)
{
	TCase *tcase = tcase_create(test->name);

	tcase_set_timeout(tcase, SUITE_TEST_TIMEOUT);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, test, 0, rounds);
	suite_add_tcase(suite, tcase);
}

/* Runs the suite and frees it; what main returns. */
static inline int suite_finish(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static inline int suite_run(const char *name, const TTest *const *tests, size_t count)
{
	Suite *suite = suite_create(name);

	for (size_t i = 0; i < count; i++) {
		suite_add(suite, tests[i], 1, NULL, NULL);
	}
	return suite_finish(suite);
}

#define SUITE_MAIN(name, ...)                                                                      \
	int main(void)                                                                             \
	{                                                                                          \
		const TTest *const suite_tests[] = {__VA_ARGS__};                                  \
                                                                                                   \
		return suite_run(name, suite_tests, sizeof(suite_tests) / sizeof(suite_tests[0])); \
	}

/*
 * For loops of many thousand rounds: check writes a message to a file for each ck_assert, also for
 * one that holds.
 */
#define SUITE_REQUIRE(condition)                                        \
	do {                                                            \
		if (!(condition)) {                                     \
			ck_abort_msg("'%s' does not hold", #condition); \
		}                                                       \
	} while (0)

/*
 * For suites with loop tests: a test and how often it runs, with _i counting from 0.
 *
 *	static const struct suite_test tests[] = {{a_test, 1}, {a_table, 17}};
 *	return suite_run_looped("mem", tests, 2);
 */
struct suite_test {
	const TTest *test;
	int rounds;
};

static inline int suite_run_looped(const char *name, const struct suite_test *tests, size_t count)
{
	Suite *suite = suite_create(name);

	for (size_t i = 0; i < count; i++) {
		suite_add(suite, tests[i].test, tests[i].rounds, NULL, NULL);
	}
	return suite_finish(suite);
}

#endif
