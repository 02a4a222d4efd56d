/* SPDX-License-Identifier: MIT */
/* Thin: each service is the host's own function, reached through a table so that a
 * plugin links against nothing of ours. */
#include "config.h"

#include "core/services.h"

#include <time.h>

#include "core/identifier.h"
#include "core/log.h"

static uint64_t clock_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t services_wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

uint64_t services_monotonic_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

static struct berth_text service_generated_id(const struct berth_services *services, struct berth_text prefix,
					      struct berth_text value, char *buffer, size_t size)
{
	(void)services;
	return identifier_generate(prefix, value, buffer, size);
}

static struct berth_text service_display_hint(const struct berth_services *services, struct berth_text value,
					      char *buffer, size_t size)
{
	(void)services;
	return identifier_hint(value, buffer, size);
}

__attribute__((format(printf, 3, 4)))
static void service_log(const struct berth_services *services, int level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write_va(level, ((const struct services *)services)->name, format, args);
	va_end(args);
}

static uint64_t service_wall_ns(const struct berth_services *services)
{
	(void)services;
	return services_wall_ns();
}

static uint64_t service_monotonic_ns(const struct berth_services *services)
{
	(void)services;
	return services_monotonic_ns();
}

void services_init(struct services *services, const char *name)
{
	*services = (struct services){
		.base = {
			.size = sizeof services->base,
			.generated_id = service_generated_id,
			.display_hint = service_display_hint,
			.log = service_log,
			.wall_ns = service_wall_ns,
			.monotonic_ns = service_monotonic_ns,
		},
		.name = name,
	};
}
