/* SPDX-License-Identifier: MIT */
/* The library wants certificates and keys as texts. */
#include "config.h"

#include "core/serve/tls.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"

enum { PEM_MAX = 1 << 20 };

/* Reads a whole file as a string. */
static int read_pem(const char *path, char **textp, struct error *error)
{
	CLEANUP_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	CLEANUP_FREE char *text = NULL;
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	if (!S_ISREG(st.st_mode) || st.st_size > PEM_MAX)
		return error_set(error, -EINVAL, "%s: a file of at most %d bytes in the format PEM is expected", path, PEM_MAX);
	text = calloc(1, PEM_MAX + 1);
	n = text ? read(fd, text, PEM_MAX) : -1;
	if (n < 0)
		return error_set(error, -errno, "%s: %s", path, strerror(errno));
	*textp = STEAL(text);
	return 0;
}

int tls_read(struct tls *tls, const struct options *options, struct error *error)
{
	int rc = read_pem(options->tls_cert, &tls->certificate, error);

#ifndef HAVE_GNUTLS
	if (options->tls_client_ca)
		return error_set(error, -ENOTSUP, "--tls-client-ca: this berth was built without GnuTLS");
#endif
	if (rc == 0)
		rc = read_pem(options->tls_key, &tls->key, error);
	if (rc == 0 && options->tls_client_ca)
		rc = read_pem(options->tls_client_ca, &tls->client_ca, error);
	return rc;
}

void tls_fini(struct tls *tls)
{
	if (tls->key)
		explicit_bzero(tls->key, strlen(tls->key));
	free(tls->certificate);
	free(tls->key);
	free(tls->client_ca);
	*tls = (struct tls){ NULL, NULL, NULL };
}
