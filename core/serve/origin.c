/* SPDX-License-Identifier: MIT */
/* Names are compared without regard to case, and only those that were given count: nothing is looked up. */
#include "config.h"

#include "core/serve/origin.h"

#include <string.h>
#include <strings.h>

#include "core/text.h"

static bool same(struct berth_text text, const char *string)
{
	return string && text.len == strlen(string) && strncasecmp(text.ptr, string, text.len) == 0;
}

/* The part before the port; absent where what follows is none. */
static struct berth_text host_name(struct berth_text host)
{
	const char *end = host.ptr + host.len;
	const char *from = host.len > 0 && *host.ptr == '[' ? memchr(host.ptr, ']', host.len) : host.ptr;
	const char *colon = from ? memchr(from, ':', (size_t)(end - from)) : NULL;

	if (!from || from == end || (*from == ']' && from + 1 != (colon ? colon : end)))
		return (struct berth_text){ NULL, 0 };
	for (const char *p = colon ? colon + 1 : end; p < end; p++)
		if (*p < '0' || *p > '9')
			return (struct berth_text){ NULL, 0 };
	return (struct berth_text){ host.ptr, (size_t)((colon ? colon : end) - host.ptr) };
}

bool origins_allow_host(const struct origins *origins, const char *listen, struct berth_text host)
{
	struct berth_text name = host_name(host);

	if (!name.ptr || name.len == 0)
		return false;
	if (same(name, "localhost") || same(name, "127.0.0.1") || same(name, "[::1]") || same(name, listen))
		return true;
	for (size_t i = 0; i < origins->n_hosts; i++)
		if (same(name, origins->hosts[i]) || same(host, origins->hosts[i]))
			return true;
	return false;
}

bool origins_allow_origin(const struct origins *origins, bool tls, struct berth_text host, struct berth_text origin)
{
	const char *scheme = tls ? "https://" : "http://";
	size_t len = strlen(scheme);

	for (size_t i = 0; i < origins->n_origins; i++)
		if (same(origin, origins->origins[i]))
			return true;
	return origin.len == len + host.len && strncasecmp(origin.ptr, scheme, len) == 0 &&
	       strncasecmp(origin.ptr + len, host.ptr, host.len) == 0;
}
