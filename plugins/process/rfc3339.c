/* SPDX-License-Identifier: MIT */
/* strptime knows neither fractions nor offsets with a colon, and depends on the locale. */
#include "config.h"

#include "rfc3339.h"

#include <string.h>

static bool digits(const char **p, const char *end, int n, long *valuep)
{
	*valuep = 0;
	for (; n > 0; n--, ++*p) {
		if (*p == end || **p < '0' || **p > '9')
			return false;
		*valuep = *valuep * 10 + (**p - '0');
	}
	return true;
}

static bool literal(const char **p, const char *end, const char *one_of)
{
	if (*p == end || !**p || !strchr(one_of, **p))
		return false;
	++*p;
	return true;
}

/* Days from 1970 to a date of the Gregorian calendar. */
static long days_since_1970(long year, long month, long day)
{
	long from_march = month > 2 ? month - 3 : month + 9, years = year - (month <= 2), era = years / 400;
	long of_era = years - era * 400;

	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * from_march + 2) / 5 + day - 1 - 719468;
}

static bool is_of_month(long year, long month, long day)
{
	long next = month == 12 ? days_since_1970(year + 1, 1, 1) : days_since_1970(year, month + 1, 1);

	return day >= 1 && days_since_1970(year, month, day) < next;
}

bool rfc3339_parse(struct berth_text text, uint64_t *nsp)
{
	const char *p = text.ptr, *end = p + text.len;
	long year, month, day, hour, minute, second, offset_hour = 0, offset_minute = 0, sign = 0;
	uint64_t ns = 0, unit = 1000000000;
	long long seconds;

	if (!digits(&p, end, 4, &year) || !literal(&p, end, "-") || !digits(&p, end, 2, &month) || !literal(&p, end, "-") ||
	    !digits(&p, end, 2, &day) || !literal(&p, end, "Tt ") || !digits(&p, end, 2, &hour) ||
	    !literal(&p, end, ":") || !digits(&p, end, 2, &minute) || !literal(&p, end, ":") ||
	    !digits(&p, end, 2, &second))
		return false;
	if (literal(&p, end, ".")) {
		const char *begin = p;

		for (; p < end && *p >= '0' && *p <= '9'; p++)
			ns += (uint64_t)(*p - '0') * (unit /= 10);
		if (p == begin)
			return false;
	}
	if (!literal(&p, end, "Zz")) {
		sign = p < end && *p == '-' ? 1 : -1;
		if (!literal(&p, end, "+-") || !digits(&p, end, 2, &offset_hour) || !literal(&p, end, ":") ||
		    !digits(&p, end, 2, &offset_minute))
			return false;
	}
	if (p != end || year < 1970 || year > 2500 || month < 1 || month > 12 || !is_of_month(year, month, day) || hour > 23 ||
	    minute > 59 || second > 60 || offset_hour > 23 || offset_minute > 59)
		return false;
	seconds = days_since_1970(year, month, day) * 86400LL + hour * 3600 + minute * 60 + second +
		  sign * (offset_hour * 3600 + offset_minute * 60);
	if (seconds < 0)
		return false;
	*nsp = (uint64_t)seconds * 1000000000 + ns;
	return true;
}
