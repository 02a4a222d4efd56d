/* SPDX-License-Identifier: MIT */
/* What stands in the place of remote.c where berth was built without libcurl. */
#include "config.h"

#include "core/remote.h"

int remote_open(const struct remote_options *options, struct remote **remotep, struct error *error)
{
	(void)remotep;
	return error_set(error, -ENOSYS, "%s: this berth cannot ask a service; one that was built with libcurl can",
			 options->service);
}

/* Without remote_open there is nothing to call these with. */

const char *remote_name(const struct remote *remote)
{
	(void)remote;
	return NULL;
}

int remote_batch(struct remote *remote, struct berth_text lines, remote_take_fn *take, void *context,
		 struct error *error)
{
	(void)remote, (void)lines, (void)take, (void)context;
	return error_set(error, -ENOSYS, "no service");
}

int remote_ask(struct remote *remote, struct berth_text line, struct buffer *answer, struct error *error)
{
	(void)remote, (void)line, (void)answer;
	return error_set(error, -ENOSYS, "no service");
}

int remote_get(struct remote *remote, const char *path, struct buffer *answer, struct error *error)
{
	(void)remote, (void)path, (void)answer;
	return error_set(error, -ENOSYS, "no service");
}

int remote_post(struct remote *remote, const char *path, struct buffer *answer, struct error *error)
{
	(void)remote, (void)path, (void)answer;
	return error_set(error, -ENOSYS, "no service");
}

void remote_close(struct remote *remote)
{
	(void)remote;
}
