/* SPDX-License-Identifier: MIT */
/* Saying what is wrong and failing belong together: return complain(...). */
#include "config.h"

#include "core/status.h"

#include <berth/adapter.h>

#include "core/log.h"

enum status complain(enum status status, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	log_write_va(BERTH_LOG_ERROR, NULL, format, args);
	va_end(args);
	return status;
}

enum status complain_no_memory(void)
{
	return complain(STATUS_SETUP, "no memory");
}
