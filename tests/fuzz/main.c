/* SPDX-License-Identifier: MIT */
/*
 * Runs a fuzz target over the files named, and those in the folders named: the saved inputs are a
 * test of their own wherever there is no libFuzzer.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUT_MAX (1u << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned inputs;

static int run_file(const char *path)
{
	uint8_t *data = malloc(INPUT_MAX);
	FILE *file = fopen(path, "rb");
	size_t size;

	if (!data || !file) {
		perror(path);
		free(data);
		return 1;
	}
	size = fread(data, 1, INPUT_MAX, file);
	(void)fclose(file);
	/* Exactly as long as the input, so that a sanitizer sees a read behind it. */
	data = realloc(data, size ? size : 1);
	if (!data) {
		return 1;
	}
	/* The last line shows the input that crashed. */
	(void)printf("%s\n", path);
	(void)fflush(stdout);
	(void)LLVMFuzzerTestOneInput(data, size);
	free(data);
	inputs++;
	return 0;
}

static int run_folder(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	char name[4096];
	int ret = 0;

	if (!dir) {
		perror(path);
		return 1;
	}
	while ((entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.') {
			(void)snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
			ret |= run_file(name);
		}
	}
	(void)closedir(dir);
	return ret;
}

int main(int argc, char **argv)
{
	int ret = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;

		if (stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode)) {
			ret |= run_folder(argv[i]);
		} else {
			ret |= run_file(argv[i]);
		}
	}
	(void)printf("inputs %u\n", inputs);
	/* No input is no test. */
	return ret != 0 || inputs == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
