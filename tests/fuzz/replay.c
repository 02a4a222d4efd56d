/* SPDX-License-Identifier: MIT */
/* Gives a fuzz target the inputs in files, without libFuzzer: so each
 * input that was worth keeping is tried again by every build. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

__attribute__((weak)) int LLVMFuzzerInitialize(int *argcp, char ***argvp)
{
	(void)argcp, (void)argvp;
	return 0;
}

static void replay(const char *path)
{
	FILE *file = fopen(path, "r");
	struct stat st;
	uint8_t *data;
	size_t size;

	if (!file || fstat(fileno(file), &st) < 0)
		fuzz_wrong("%s: %s", path, strerror(errno));
	/* Just as large as it is, so that a sanitizer sees what is read behind it. */
	size = (size_t)st.st_size;
	data = malloc(size > 0 ? size : 1);
	FUZZ_CHECK(data && fread(data, 1, size, file) == size);
	fclose(file);
	fprintf(stderr, "%s\n", path);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
}

int main(int argc, char **argv)
{
	LLVMFuzzerInitialize(&argc, &argv);
	for (int i = 1; i < argc; i++)
		replay(argv[i]);
	return 0;
}
