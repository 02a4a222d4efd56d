/* SPDX-License-Identifier: MIT */
/* Times as other programs write them. What they mean is held against the C library. */
#include "config.h"

#include "tests/support.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "plugins/process/rfc3339.h"

static bool parse(const char *text, uint64_t *nsp)
{
	return rfc3339_parse((struct berth_text){ text, strlen(text) }, nsp);
}

static void what_is_no_time_is_refused(void **state)
{
	static const struct {
		const char *what, *text;
	} rows[] = {
		{ "nothing", "" },
		{ "a year alone", "2026" },
		{ "a year of three digits", "999-01-01T00:00:00Z" },
		{ "no digits", "20x6-01-01T00:00:00Z" },
		{ "another mark behind the year", "2026/01-01T00:00:00Z" },
		{ "another mark behind the month", "2026-01/01T00:00:00Z" },
		{ "a month of one digit", "2026-1-01T00:00:00Z" },
		{ "a day of one digit", "2026-01-1T00:00:00Z" },
		{ "no mark before the hour", "2026-01-01x00:00:00Z" },
		{ "a date alone", "2026-01-01" },
		{ "an hour of one digit", "2026-01-01T0:00:00Z" },
		{ "no mark behind the hour", "2026-01-01T00-00:00Z" },
		{ "a minute of one digit", "2026-01-01T00:0:00Z" },
		{ "no mark behind the minute", "2026-01-01T00:00-00Z" },
		{ "a second of one digit", "2026-01-01T00:00:0Z" },
		{ "no zone", "2026-01-01T00:00:00" },
		{ "a fraction of no digits", "2026-01-01T00:00:00.Z" },
		{ "a fraction and no zone", "2026-01-01T00:00:00.5" },
		{ "an unknown zone", "2026-01-01T00:00:00A" },
		{ "a sign alone", "2026-01-01T00:00:00+" },
		{ "hours of the offset alone", "2026-01-01T00:00:00+01" },
		{ "no mark in the offset", "2026-01-01T00:00:00+0100" },
		{ "minutes of the offset of one digit", "2026-01-01T00:00:00+01:0" },
		{ "something behind it", "2026-01-01T00:00:00Z " },
		{ "the year before", "1969-12-31T23:59:59Z" },
		{ "before 1970 by the offset", "1970-01-01T00:00:00+00:01" },
		{ "a year too late", "2501-01-01T00:00:00Z" },
		{ "month 0", "2026-00-01T00:00:00Z" },
		{ "month 13", "2026-13-01T00:00:00Z" },
		{ "day 0", "2026-01-00T00:00:00Z" },
		{ "January 32", "2026-01-32T00:00:00Z" },
		{ "April 31", "2026-04-31T00:00:00Z" },
		{ "February 29 of no leap year", "2026-02-29T00:00:00Z" },
		{ "February 29 of a century", "2100-02-29T00:00:00Z" },
		{ "February 30 of a leap year", "2024-02-30T00:00:00Z" },
		{ "hour 24", "2026-01-01T24:00:00Z" },
		{ "minute 60", "2026-01-01T00:60:00Z" },
		{ "second 61", "2026-01-01T00:00:61Z" },
		{ "an offset of 24 hours", "2026-01-01T00:00:00+24:00" },
		{ "an offset of 60 minutes", "2026-01-01T00:00:00+00:60" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t ns = 42;

		if (parse(rows[i].text, &ns) || ns != 42)
			fail_msg("%s: %s is taken for a time", rows[i].what, rows[i].text);
	}
}

static void what_is_a_time_is_that_time(void **state)
{
	static const struct {
		const char *text;
		uint64_t ns;
	} rows[] = {
		{ "1970-01-01T00:00:00Z", 0 },
		{ "1970-01-01t00:00:00.000000001z", 1 },
		{ "1970-01-01 00:00:00.5+00:00", 500000000 },
		{ "1970-01-01T00:00:00-00:01", 60000000000 },
		{ "1970-01-01T01:00:00+01:00", 0 },
		{ "1970-01-01T00:00:00.1234567899Z", 123456789 },
		{ "2016-12-31T23:59:60Z", 1483228800000000000 },
		{ "2024-02-29T00:00:00Z", 1709164800000000000 },
		{ "2400-02-29T00:00:00Z", 13574563200000000000u },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		uint64_t ns = 42;

		if (!parse(rows[i].text, &ns) || ns != rows[i].ns)
			fail_msg("%s: %llu", rows[i].text, (unsigned long long)ns);
	}
}

static void each_day_is_the_day_of_the_calendar(void **state)
{
	(void)state;
	for (time_t day = 0; day < 531LL * 365; day++) {
		time_t seconds = day * 86400 + day % 86400;
		char text[64];
		struct tm tm;
		uint64_t ns;

		gmtime_r(&seconds, &tm);
		strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &tm);
		if (!parse(text, &ns) || ns != (uint64_t)seconds * 1000000000)
			fail_msg("%s", text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_no_time_is_refused),
		cmocka_unit_test(what_is_a_time_is_that_time),
		cmocka_unit_test(each_day_is_the_day_of_the_calendar),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
