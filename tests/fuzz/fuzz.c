/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "tests/fuzz/fuzz.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/batch.h"
#include "core/cleanup.h"
#include "core/dropin.h"
#include "core/identifier.h"
#include "core/inventory.h"
#include "core/table.h"
#include "core/text.h"
#include "core/wire.h"

void fuzz_wrong(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	abort();
}

/* ---- Structure out of bytes ---- */

uint8_t fuzz_byte(struct fuzz *fuzz)
{
	if (fuzz->left == 0)
		return 0;
	fuzz->left--;
	return *fuzz->p++;
}

unsigned fuzz_below(struct fuzz *fuzz, unsigned n)
{
	return fuzz_byte(fuzz) % n;
}

uint64_t fuzz_u64(struct fuzz *fuzz)
{
	unsigned kind = fuzz_byte(fuzz);
	uint64_t value = 0;

	if (kind < 0x80)
		return kind;
	if (kind < 0xc0)
		return (UINT64_C(1) << (kind & 0x3f)) - 1 + fuzz_below(fuzz, 3);
	if (kind < 0xd0)
		return UINT64_MAX - (kind & 0xf);
	for (int i = 0; i < 8; i++)
		value = value << 8 | fuzz_byte(fuzz);
	return value;
}

struct berth_text fuzz_text(struct fuzz *fuzz)
{
	size_t len = fuzz_byte(fuzz);
	struct berth_text text = { (const char *)fuzz->p, len < fuzz->left ? len : fuzz->left };

	fuzz->p += text.len;
	fuzz->left -= text.len;
	return text;
}

struct berth_text fuzz_until(struct fuzz *fuzz, uint8_t stop)
{
	const uint8_t *end = fuzz->left > 0 ? memchr(fuzz->p, stop, fuzz->left) : NULL;
	struct berth_text text = { (const char *)fuzz->p, end ? (size_t)(end - fuzz->p) : fuzz->left };

	fuzz->p += text.len + (end != NULL);
	fuzz->left -= text.len + (end != NULL);
	return text;
}

/* ---- UTF-8 ---- */

bool fuzz_is_utf8(struct berth_text text)
{
	/* The first byte, the second, and how many follow that one. */
	static const struct {
		unsigned char from, to, second_from, second_to, more;
	} rows[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 0 }, { 0xe0, 0xe0, 0xa0, 0xbf, 1 }, { 0xe1, 0xec, 0x80, 0xbf, 1 },
		{ 0xed, 0xed, 0x80, 0x9f, 1 }, { 0xee, 0xef, 0x80, 0xbf, 1 }, { 0xf0, 0xf0, 0x90, 0xbf, 2 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 2 }, { 0xf4, 0xf4, 0x80, 0x8f, 2 },
	};
	const unsigned char *p = (const unsigned char *)(text.ptr ? text.ptr : ""), *end = p + text.len;

	while (p < end) {
		size_t row = 0;

		if (*p < 0x80) {
			p++;
			continue;
		}
		while (row < 8 && (*p < rows[row].from || *p > rows[row].to))
			row++;
		if (row == 8 || end - p < 2 + rows[row].more || p[1] < rows[row].second_from || p[1] > rows[row].second_to)
			return false;
		p += 2;
		for (unsigned i = 0; i < rows[row].more; i++)
			if (*p++ >> 6 != 2)
				return false;
	}
	return true;
}

void fuzz_check_plain(struct berth_text text, const char *allowed)
{
	FUZZ_CHECK(fuzz_is_utf8(text));
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.ptr[i];
		bool c1 = c == 0xc2 && i + 1 < text.len && (unsigned char)text.ptr[i + 1] < 0xa0;

		if ((c < 0x20 || c == 0x7f || c1) && (!c || !strchr(allowed, c)))
			fuzz_wrong("a control character, %02x, at %zu of: %.*s", c, i, (int)text.len, text.ptr);
	}
}

/* ---- JSON: each function takes what it is for from the beginning of *pp ---- */

static bool json_value(const char **pp, unsigned depth);

static bool json_char(const char **pp, char c)
{
	if (**pp != c)
		return false;
	++*pp;
	return true;
}

static void json_space(const char **pp)
{
	*pp += strspn(*pp, " \t\r\n");
}

static bool json_digits(const char **pp)
{
	size_t n = strspn(*pp, "0123456789");

	*pp += n;
	return n > 0;
}

static bool json_unsigned(const char **pp)
{
	return json_char(pp, '0') || json_digits(pp);
}

static bool json_number(const char **pp)
{
	const char *begin = *pp;

	json_char(pp, '-');
	if (!json_unsigned(pp) || (json_char(pp, '.') && !json_digits(pp)))
		return false;
	if (json_char(pp, 'e') || json_char(pp, 'E')) {
		if (!json_char(pp, '+'))
			json_char(pp, '-');
		if (!json_digits(pp))
			return false;
	}
	return isfinite(strtod(begin, NULL));
}

/* What \uXXXX means; -1 where it is none. */
static long json_unit(const char **pp)
{
	char digits[5] = "";

	if (strspn(*pp, "0123456789abcdefABCDEF") < 4)
		return -1;
	memcpy(digits, *pp, 4);
	*pp += 4;
	return strtol(digits, NULL, 16);
}

static bool json_escape(const char **pp)
{
	long unit;

	if (**pp && strchr("\"\\/bfnrt", **pp)) {
		++*pp;
		return true;
	}
	if (!json_char(pp, 'u') || (unit = json_unit(pp)) < 0)
		return false;
	if (unit >> 10 != 0xd800 >> 10)
		return unit >> 10 != 0xdc00 >> 10;
	return json_char(pp, '\\') && json_char(pp, 'u') && (unit = json_unit(pp)) >= 0 && unit >> 10 == 0xdc00 >> 10;
}

static bool json_string(const char **pp)
{
	if (!json_char(pp, '"'))
		return false;
	while (!json_char(pp, '"')) {
		unsigned char c = (unsigned char)*(*pp)++;

		if (c < 0x20 || (c == '\\' && !json_escape(pp)))
			return false;
	}
	return true;
}

static bool json_list(const char **pp, char close, bool named, unsigned depth)
{
	json_space(pp);
	if (json_char(pp, close))
		return true;
	do {
		json_space(pp);
		if (named) {
			if (!json_string(pp))
				return false;
			json_space(pp);
			if (!json_char(pp, ':'))
				return false;
		}
		if (!json_value(pp, depth))
			return false;
		json_space(pp);
	} while (json_char(pp, ','));
	return json_char(pp, close);
}

static bool json_word(const char **pp, const char *word)
{
	size_t len = strlen(word);

	if (strncmp(*pp, word, len) != 0)
		return false;
	*pp += len;
	return true;
}

static bool json_value(const char **pp, unsigned depth)
{
	json_space(pp);
	if (json_char(pp, '{'))
		return depth < 127 && json_list(pp, '}', true, depth + 1);
	if (json_char(pp, '['))
		return depth < 127 && json_list(pp, ']', false, depth + 1);
	if (**pp == '"')
		return json_string(pp);
	return json_word(pp, "null") || json_word(pp, "true") || json_word(pp, "false") || json_number(pp);
}

bool fuzz_is_json(struct berth_text text)
{
	CLEANUP_FREE char *copy = strndup(text.len > 0 ? text.ptr : "", text.len);
	const char *p = copy;

	FUZZ_CHECK(copy);
	if (strlen(copy) < text.len || !fuzz_is_utf8(text) || !json_value(&p, 0))
		return false;
	json_space(&p);
	return !*p;
}

void fuzz_check_answer(struct berth_text answer)
{
	/* Of the control characters JSON escapes those below U+0020 only. */
	for (size_t i = 0; i < answer.len; i++)
		if ((unsigned char)answer.ptr[i] < 0x20)
			fuzz_wrong("byte %zu is a control character: %.*s", i, (int)answer.len, answer.ptr);
	if (answer.len == 0 || *answer.ptr != '{' || !fuzz_is_json(answer))
		fuzz_wrong("no JSON object: %.*s", (int)answer.len, answer.ptr);
}

/* ---- A host ---- */

static struct loader loader;

static void forget_loader(void)
{
	loader_fini(&loader);
}

static void put_options(cJSON *settings, const char *options)
{
	cJSON *json = cJSON_Parse(options);
	const cJSON *option;

	FUZZ_CHECK(json);
	cJSON_ArrayForEach(option, json) {
		CLEANUP_FREE char *key = NULL;

		FUZZ_CHECK(asprintf(&key, "options.%s", option->string) > 0);
		FUZZ_CHECK(settings_put(settings, key, option, "fuzz") == 0);
	}
	cJSON_Delete(json);
}

void fuzz_add_instance(struct registry *registry, const char *adapter, const char *options, const char *data_dir)
{
	const struct workspace workspace = {
		BERTH_TEXT("local:fuzz"), BERTH_TEXT("/workspace/project"), berth_text(data_dir),
	};
	CLEANUP_FREE char *file = NULL;
	struct instance *instance;
	struct adapter *loaded;
	struct failure failure;
	struct dropin dropin;

	if (!loader.ready) {
		FUZZ_CHECK(loader_init(&loader, NULL) == 0);
		FUZZ_CHECK(loader_add_dir(&loader, FUZZ_PLUGIN_DIR, NULL) == 0);
		atexit(forget_loader);
	}
	FUZZ_CHECK(dropin_make(adapter, "fuzz", &dropin) == 0);
	if (options)
		put_options(dropin.settings, options);
	if (loader_load(&loader, adapter, NULL, &loaded, &file, &failure) < 0 ||
	    instance_open(loaded, adapter, dropin.settings, &workspace, &instance, &failure) < 0)
		fuzz_wrong("%s: %s", adapter, failure.found.text);
	FUZZ_CHECK(registry_add(registry, instance) == 0);
	dropin_fini(&dropin);
}

static struct buffer scratch, answer;

static void free_buffers(void)
{
	buffer_fini(&scratch);
	buffer_fini(&answer);
}

struct berth_text fuzz_ask(struct registry *registry, struct berth_text line)
{
	if (!answer.data)
		atexit(free_buffers);
	buffer_cut(&answer, 0);
	batch_answer(registry, line, &scratch, &answer);
	FUZZ_CHECK(!answer.failed);
	fuzz_check_answer((struct berth_text){ answer.data, answer.len });
	return (struct berth_text){ answer.data, answer.len };
}

/* ---- All that can be asked ---- */

#define OF_ONLY "\"runtime_id\":\"only\""

static const struct {
	const char *line;
	enum table_kind kind;
	int limit;
} requests[] = {
	{ "{\"op\":\"list_runtimes\",\"limit\":1}", TABLE_RUNTIMES, 1 },
	{ "{\"op\":\"list_hosts\",\"limit\":2}", TABLE_HOSTS, 2 },
	{ "{\"op\":\"list_workers\",\"limit\":3}", TABLE_WORKERS, 3 },
	{ "{\"op\":\"list_workers\",\"limit\":3,\"after\":\"only/first\"}", TABLE_WORKERS, 3 },
	{ "{\"op\":\"list_workers_for_host\",\"host_id\":\"only\",\"limit\":3}", TABLE_WORKERS, 3 },
	{ "{\"op\":\"worker\"," OF_ONLY ",\"worker_id\":\"first\"}", TABLE_WORKER, 0 },
	{ "{\"op\":\"spawn_worker\"," OF_ONLY ",\"request\":{\"intent\":{\"kind\":\"workspace_companion\"},\"acceptance\":"
	  "{\"kind\":\"socket_ready\"}}}", TABLE_SPAWN, 0 },
	{ "{\"op\":\"stop_worker\"," OF_ONLY ",\"request\":{\"worker_id\":\"first\",\"mode\":\"force\"}}", TABLE_STATE, 0 },
	{ "{\"op\":\"send_input\"," OF_ONLY ",\"worker_id\":\"first\",\"request\":{\"content\":\"\"}}", TABLE_STATE, 0 },
	{ "{\"op\":\"transcript\"," OF_ONLY ",\"worker_id\":\"first\",\"limit\":2}", TABLE_TRANSCRIPT, 2 },
	{ "{\"op\":\"connect_points\"," OF_ONLY ",\"worker_id\":\"first\"}", TABLE_CONNECT_POINTS, INT32_MAX },
	{ "{\"op\":\"read_events\"," OF_ONLY ",\"limit\":2}", TABLE_EVENTS, 2 },
	{ "{\"op\":\"hello\",\"protocol\":1}", TABLE_RUNTIMES, INT32_MAX },
};

/* Every member of that name below json. */
static void check_members(const cJSON *json)
{
	const cJSON *member;

	cJSON_ArrayForEach(member, json) {
		const char *name = member->string ? member->string : "", *text = cJSON_GetStringValue(member);

		if (strcmp(name, "diagnostics") == 0)
			FUZZ_CHECK(cJSON_IsArray(member) && cJSON_GetArraySize(member) <= BERTH_DIAGNOSTICS_MAX);
		if (text && (strcmp(name, "runtime_id") == 0 || strcmp(name, "worker_id") == 0 || strcmp(name, "host_id") == 0))
			FUZZ_CHECK(identifier_valid(berth_text(text)));
		if (text && (strcmp(name, "cursor") == 0 || strcmp(name, "next_cursor") == 0))
			FUZZ_CHECK(wire_cursor_valid(berth_text(text)));
		check_members(member);
	}
}

static void judge(struct berth_text text, enum table_kind kind, int limit)
{
	cJSON *json = cJSON_ParseWithLength(text.ptr, text.len);
	struct buffer table = { 0 };

	FUZZ_CHECK(json);
	FUZZ_CHECK(cJSON_GetArraySize(cJSON_GetObjectItemCaseSensitive(json, "items")) <= limit);
	check_members(json);
	cJSON_Delete(json);
	for (size_t columns = 20; columns <= 140; columns += 60) {
		buffer_cut(&table, 0);
		table_write(&table, kind, text, columns);
		fuzz_check_plain((struct berth_text){ table.data, table.len }, "\n");
	}
	buffer_cut(&table, 0);
	table_write_error(&table, text);
	fuzz_check_plain((struct berth_text){ table.data, table.len }, "\n");
	buffer_fini(&table);
}

void fuzz_ask_everything(struct registry *registry)
{
	for (size_t i = 0; i < sizeof requests / sizeof *requests; i++)
		judge(fuzz_ask(registry, berth_text(requests[i].line)), requests[i].kind, requests[i].limit);
}

/* ---- Files ---- */

static char *dir;

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st, (void)type, (void)at;
	return remove(path);
}

static void remove_dir(void)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(dir);
}

const char *fuzz_dir(void)
{
	const char *tmp = getenv("TMPDIR");

	if (!dir) {
		FUZZ_CHECK(asprintf(&dir, "%s/berth-fuzz-XXXXXX", tmp ? tmp : "/tmp") > 0);
		FUZZ_CHECK(mkdtemp(dir));
		atexit(remove_dir);
	}
	return dir;
}

static char *path_of(const char *name)
{
	char *path;

	FUZZ_CHECK(asprintf(&path, "%s/%s", fuzz_dir(), name) > 0);
	return path;
}

void fuzz_write(const char *name, const void *data, size_t len)
{
	CLEANUP_FREE char *path = path_of(name);
	FILE *file;

	for (char *p = path + strlen(dir) + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		FUZZ_CHECK(mkdir(path, 0700) == 0 || errno == EEXIST);
		*p = '/';
	}
	file = fopen(path, "w");
	FUZZ_CHECK(file && fwrite(data, 1, len, file) == len);
	FUZZ_CHECK(fclose(file) == 0);
}

void fuzz_remove(const char *name)
{
	CLEANUP_FREE char *path = path_of(name);

	nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

unsigned fuzz_n_open(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 64; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}
