/* SPDX-License-Identifier: MIT */
/* What bench.c holds processes of berth against. As a start it is the least that one
 * can cost: linked like berth, it loads the same plugins, makes one digest, says so
 * and ends. As an echo it gives the same answer to each line. */
#include "config.h"

#include <cjson/cJSON.h>
#include <dlfcn.h>
#include <limits.h>
#include <ltdl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int load(const char *dir, const char *name)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s.so", dir, name);
	if (dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE))
		return 0;
	fprintf(stderr, "%s\n", dlerror());
	return -1;
}

static int run_start(const char *dir)
{
	static const char *const names[] = { "local-pod", "embedded", "remote-reserved" };
	unsigned char digest[EVP_MAX_MD_SIZE];

	/* One function of each library, so that no linker leaves it out. */
	if (!cJSON_Version() || lt_dlinit() != 0)
		return 1;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (load(dir, names[i]) < 0)
			return 1;
	if (!EVP_Digest("local:project", 13, digest, NULL, EVP_sha256(), NULL))
		return 1;
	/* Before what exit has to do, as berth writes its answer. */
	printf("%02x\n", digest[0]);
	return fflush(stdout) == 0 ? 0 : 1;
}

static int run_echo(size_t len)
{
	static char line[64 << 10];
	char *answer = malloc(len + 1);
	ssize_t n;

	if (!answer)
		return 1;
	memset(answer, 'x', len);
	answer[len ? len - 1 : 0] = '\n';
	while ((n = read(STDIN_FILENO, line, sizeof line)) > 0) {
		if (line[n - 1] != '\n')
			continue;
		for (size_t at = 0; at < len; at += (size_t)n)
			if ((n = write(STDOUT_FILENO, answer + at, len - at)) < 0)
				return 1;
	}
	free(answer);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return run_start(argv[1]);
	if (argc == 3 && strcmp(argv[1], "--echo") == 0)
		return run_echo(strtoul(argv[2], NULL, 10));
	fprintf(stderr, "usage: bench_floor ADAPTER_DIR | --echo BYTES\n");
	return 2;
}
