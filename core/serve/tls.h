/* SPDX-License-Identifier: MIT */
/* What TLS is spoken with. */
#ifndef BERTH_CORE_SERVE_TLS_H
#define BERTH_CORE_SERVE_TLS_H

#include "core/error.h"
#include "core/options.h"

struct tls {
	char *certificate, *key, *client_ca; /* the texts; NULL: none */
};

/* Reads the files that the options name; that there are any is checked before. tls_fini is due in any case. */
int tls_read(struct tls *tls, const struct options *options, struct error *error);

void tls_fini(struct tls *tls);

#endif
