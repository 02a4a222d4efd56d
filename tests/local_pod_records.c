/* SPDX-License-Identifier: MIT */
/*
 * Records are read in one pass that keeps slices of their text. Here they are read a
 * second time, in the plainest way: a tree of all values first, each byte looked at by
 * itself, and then the rules of the contract over the tree. Both must say the same of
 * records that are damaged at random. BERTH_TEST_RECORDS says of how many,
 * BERTH_TEST_SEED which.
 */
#include "config.h"

#include "tests/support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/services.h"
#include "plugins/local-pod/record.h"

#define ROOT "/workspace/project"

enum {
	N_RECORDS = 300000,
	N_LEVELS = 127,
	TEXT_MAX = 4096,
	N_HINT_POINTS = 80,
};

/* ---- A tree of values ---- */

enum type { NOTHING, STRING, NUMBER, BOOLEAN, OBJECT, ARRAY };

struct value {
	enum type type;
	char *text; /* of a string, decoded */
	size_t len;
	struct value *name; /* of a member */
	struct value *first, *next;
};

struct source {
	const unsigned char *text;
	size_t len, at;
	int level;
	bool wrong;
};

static void value_free(struct value *value)
{
	while (value) {
		struct value *next = value->next;

		value_free(value->first);
		value_free(value->name);
		free(value->text);
		free(value);
		value = next;
	}
}

/* -1 behind the end. */
static int look(const struct source *source)
{
	return source->at < source->len ? source->text[source->at] : -1;
}

static int take(struct source *source)
{
	int c = look(source);

	source->at++;
	return c;
}

static void want(struct source *source, bool right)
{
	if (!right)
		source->wrong = true;
}

static void pass_space(struct source *source)
{
	while (look(source) == ' ' || look(source) == '\t' || look(source) == '\n' || look(source) == '\r')
		source->at++;
}

static void put_point(struct value *value, unsigned long point)
{
	unsigned char *p = (unsigned char *)value->text + value->len;

	if (point < 0x80) {
		p[0] = (unsigned char)point;
		value->len += 1;
	} else if (point < 0x800) {
		p[0] = (unsigned char)(0xc0 + point / 64);
		p[1] = (unsigned char)(0x80 + point % 64);
		value->len += 2;
	} else if (point < 0x10000) {
		p[0] = (unsigned char)(0xe0 + point / 4096);
		p[1] = (unsigned char)(0x80 + point / 64 % 64);
		p[2] = (unsigned char)(0x80 + point % 64);
		value->len += 3;
	} else {
		p[0] = (unsigned char)(0xf0 + point / 262144);
		p[1] = (unsigned char)(0x80 + point / 4096 % 64);
		p[2] = (unsigned char)(0x80 + point / 64 % 64);
		p[3] = (unsigned char)(0x80 + point % 64);
		value->len += 4;
	}
}

static unsigned long read_four_digits(struct source *source)
{
	unsigned long point = 0;

	for (int i = 0; i < 4; i++) {
		static const char digits[] = "0123456789abcdefABCDEF";
		int c = take(source);
		const char *digit = c > 0 ? strchr(digits, c) : NULL;

		want(source, digit);
		if (!digit)
			return 0;
		point = point * 16 + (unsigned long)(digit - digits > 15 ? digit - digits - 6 : digit - digits);
	}
	return point;
}

static void read_escape(struct source *source, struct value *value)
{
	static const char names[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	int c = take(source);
	const char *name = c > 0 ? strchr(names, c) : NULL;
	unsigned long high, low;

	if (name) {
		put_point(value, (unsigned char)meanings[name - names]);
		return;
	}
	want(source, c == 'u');
	high = read_four_digits(source);
	if (high < 0xd800 || high > 0xdfff) {
		put_point(value, high);
		return;
	}
	want(source, high < 0xdc00);
	want(source, take(source) == '\\');
	want(source, take(source) == 'u');
	low = read_four_digits(source);
	want(source, low >= 0xdc00 && low <= 0xdfff);
	if (!source->wrong)
		put_point(value, 0x10000 + (high - 0xd800) * 1024 + (low - 0xdc00));
}

static void read_text(struct source *source, struct value *value)
{
	value->type = STRING;
	value->text = malloc(source->len + 1);
	assert_non_null(value->text);
	want(source, take(source) == '"');
	while (!source->wrong && look(source) != '"') {
		int c = take(source);

		want(source, c >= 0x20);
		if (c == '\\')
			read_escape(source, value);
		else
			value->text[value->len++] = (char)c;
	}
	want(source, take(source) == '"');
}

static void pass_digits(struct source *source)
{
	want(source, look(source) >= '0' && look(source) <= '9');
	while (look(source) >= '0' && look(source) <= '9')
		source->at++;
}

static void read_number(struct source *source)
{
	size_t begin = source->at;
	char *text;

	if (look(source) == '-')
		source->at++;
	if (look(source) == '0')
		source->at++;
	else
		pass_digits(source);
	if (look(source) == '.') {
		source->at++;
		pass_digits(source);
	}
	if (look(source) == 'e' || look(source) == 'E') {
		source->at++;
		if (look(source) == '+' || look(source) == '-')
			source->at++;
		pass_digits(source);
	}
	if (source->wrong)
		return;
	text = strndup((const char *)source->text + begin, source->at - begin);
	assert_non_null(text);
	want(source, isfinite(strtod(text, NULL)));
	free(text);
}

static void read_word(struct source *source, const char *word)
{
	for (; *word; word++)
		want(source, take(source) == *word);
}

static struct value *read_value(struct source *source);

static void read_members(struct source *source, struct value *value, char end)
{
	struct value **last = &value->first;

	want(source, ++source->level <= N_LEVELS);
	source->at++;
	pass_space(source);
	while (!source->wrong && look(source) != end) {
		struct value *name = NULL;

		if (*last) {
			last = &(*last)->next;
			want(source, take(source) == ',');
			pass_space(source);
		}
		if (end == '}') {
			want(source, look(source) == '"');
			name = read_value(source);
			pass_space(source);
			want(source, take(source) == ':');
			pass_space(source);
		}
		*last = read_value(source);
		(*last)->name = name;
		pass_space(source);
	}
	source->at++;
	source->level--;
}

static struct value *read_value(struct source *source)
{
	struct value *value = calloc(1, sizeof *value);

	assert_non_null(value);
	if (source->wrong)
		return value;
	switch (look(source)) {
	case '{':
		value->type = OBJECT;
		read_members(source, value, '}');
		break;
	case '[':
		value->type = ARRAY;
		read_members(source, value, ']');
		break;
	case '"':
		read_text(source, value);
		break;
	case 't':
	case 'f':
		value->type = BOOLEAN;
		read_word(source, look(source) == 't' ? "true" : "false");
		break;
	case 'n':
		read_word(source, "null");
		break;
	default:
		value->type = NUMBER;
		read_number(source);
	}
	return value;
}

/* ---- The rules ---- */

static bool is_text(const struct value *value, const char *text)
{
	return value->len == strlen(text) && memcmp(value->text, text, value->len) == 0;
}

/* The last member of the name; NULL where there is none. */
static const struct value *member(const struct value *object, const char *name)
{
	const struct value *found = NULL;

	for (const struct value *value = object->first; value; value = value->next)
		if (is_text(value->name, name))
			found = value;
	return found;
}

/* The only one: a second makes the record wrong. */
static const struct value *only(const struct value *object, const char *name, bool *wrongp)
{
	int n = 0;

	for (const struct value *value = object->first; value; value = value->next)
		n += is_text(value->name, name);
	if (n > 1)
		*wrongp = true;
	return member(object, name);
}

static bool is_uuid_text(const struct value *value)
{
	static const char pattern[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

	if (value->type != STRING || (value->len != 32 && value->len != 36))
		return false;
	for (size_t i = 0; i < value->len; i++) {
		char wanted = value->len == 32 ? 'x' : pattern[i];

		if (value->text[i] == '\0' ||
		    (wanted == 'x' ? !strchr("0123456789abcdefABCDEF", value->text[i]) : value->text[i] != '-'))
			return false;
	}
	return true;
}

/* A list of objects with members of these names and types. */
struct part {
	const char *name;
	enum type type; /* ARRAY: a list of scopes */
};

static bool list_is(const struct value *list, const struct part *parts)
{
	static const struct part scope[] = { { "target", STRING }, { "permission", STRING }, { "recursive", BOOLEAN }, { 0 } };
	bool wrong = list->type != ARRAY;

	for (const struct value *item = wrong ? NULL : list->first; item && !wrong; item = item->next) {
		wrong = item->type != OBJECT;
		for (const struct part *part = parts; part->name && !wrong; part++) {
			const struct value *value = only(item, part->name, &wrong);

			if (!value || value->type != part->type || (part->type == ARRAY && !list_is(value, scope)))
				wrong = true;
		}
	}
	return !wrong;
}

/* A string, or an object whose name is one; NULL where it is neither. */
static const struct value *named_text(const struct value *value)
{
	if (value && value->type == OBJECT)
		value = member(value, "name");
	return value && value->type == STRING ? value : NULL;
}

/* What is shown of a text. An absent one is NULL. */
static char *shown(const struct value *value, bool empty_is_absent)
{
	char *out, *p;
	int n = 0;

	if (!value)
		return NULL;
	out = p = malloc(value->len + 1);
	assert_non_null(out);
	for (size_t i = 0; i < value->len;) {
		const unsigned char *c = (const unsigned char *)value->text + i;
		size_t len = *c < 0x80 ? 1 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3 : 4;

		i += len;
		if (*c < 0x20 || *c == 0x7f || *c == '/' || *c == '\\' || (c[0] == 0xc2 && c[1] < 0xa0))
			continue;
		if (n++ == N_HINT_POINTS)
			break;
		p = mempcpy(p, c, len);
	}
	*p = '\0';
	if (p > out || !empty_is_absent)
		return out;
	free(out);
	return NULL;
}

struct plain_record {
	enum record_outcome outcome;
	enum record_activity activity;
	char *label, *role, *profile;
};

static bool same_root(const struct value *value)
{
	char root[TEXT_MAX];
	size_t len = value->len;

	if (len >= sizeof root)
		return false;
	for (size_t i = 0; i < len; i++)
		root[i] = value->text[i] == '\\' ? '/' : value->text[i];
	while (len > 1 && root[len - 1] == '/')
		len--;
	return len == strlen(ROOT) && memcmp(root, ROOT, len) == 0;
}

static void judge(const struct value *record, struct plain_record *plain)
{
	static const struct part child[] = { { "worker_name", STRING }, { "socket_path", STRING },
					     { "callback_address", STRING }, { "scope_delegated", ARRAY }, { 0 } };
	static const struct part reclaimed[] = { { "worker_name", STRING }, { "scope_delegated", ARRAY }, { 0 } };
	static const struct part peer[] = { { "worker_name", STRING }, { 0 } };
	static const struct {
		const char *name;
		const struct part *parts;
	} lists[] = { { "spawned_children", child }, { "reclaimed_children", reclaimed }, { "peers", peer } };
	const struct value *name, *active, *root, *snapshot, *session, *segment = NULL, *role, *profile;
	bool wrong = false;

	plain->outcome = RECORD_INVALID;
	if (record->type != OBJECT)
		return;
	name = only(record, "worker_name", &wrong);
	active = only(record, "active", &wrong);
	root = only(record, "workspace_root", &wrong);
	snapshot = only(record, "resolved_manifest_snapshot", &wrong);
	for (size_t i = 0; i < 3; i++) {
		const struct value *list = only(record, lists[i].name, &wrong);

		if (list && !list_is(list, lists[i].parts))
			wrong = true;
	}
	if (active && active->type == OBJECT) {
		plain->activity = ACTIVITY_PENDING_SEGMENT;
		session = only(active, "session_id", &wrong);
		segment = only(active, "segment_id", &wrong);
		if (!session || !is_uuid_text(session))
			wrong = true;
		if (segment && segment->type != NOTHING) {
			plain->activity = ACTIVITY_SEGMENT;
			if (!is_uuid_text(segment))
				wrong = true;
		}
	} else if (active && active->type != NOTHING) {
		wrong = true;
	}
	if (!name || name->type != STRING || (root && root->type != STRING && root->type != NOTHING) || wrong)
		return;
	plain->outcome = !root || root->type == NOTHING ? RECORD_ROOT_MISSING :
			 same_root(root) ? RECORD_WORKER : RECORD_OTHER_WORKSPACE;
	plain->label = shown(name, false);
	if (!snapshot || snapshot->type != OBJECT)
		return;
	role = member(snapshot, "role");
	if (!role) {
		role = member(snapshot, "role_claim");
		role = role && role->type == OBJECT ? member(role, "role") : NULL;
	}
	profile = member(snapshot, "profile_selector");
	if (!profile)
		profile = member(snapshot, "profile");
	plain->role = shown(named_text(role), true);
	plain->profile = shown(named_text(profile), true);
}

/* Each code point has exactly one form, and surrogates none. */
static bool is_utf8(const unsigned char *p, size_t len)
{
	for (size_t i = 0, n; i < len; i += n) {
		unsigned long point, least;

		n = p[i] < 0x80 ? 1 : p[i] < 0xc0 ? 0 : p[i] < 0xe0 ? 2 : p[i] < 0xf0 ? 3 : p[i] < 0xf8 ? 4 : 0;
		if (n == 0 || i + n > len)
			return false;
		point = n == 1 ? p[i] : p[i] & (0x7fu >> n);
		least = n == 1 ? 0 : n == 2 ? 0x80 : n == 3 ? 0x800 : 0x10000;
		for (size_t j = 1; j < n; j++) {
			if (p[i + j] / 64 != 2)
				return false;
			point = point * 64 + p[i + j] % 64;
		}
		if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
			return false;
	}
	return true;
}

static struct plain_record read_plainly(const char *text, size_t len)
{
	struct plain_record plain = { .outcome = RECORD_UNREADABLE };
	struct source source = { .text = (const unsigned char *)text, .len = len };
	struct value *value;

	if (!is_utf8(source.text, len))
		return plain;
	pass_space(&source);
	value = read_value(&source);
	pass_space(&source);
	want(&source, source.at == len);
	if (source.wrong)
		plain.outcome = RECORD_INVALID;
	else
		judge(value, &plain);
	value_free(value);
	return plain;
}

static void plain_record_fini(struct plain_record *plain)
{
	free(plain->label);
	free(plain->role);
	free(plain->profile);
}

/* ---- Damage ---- */

static const char *const whole[] = {
	"{\"worker_name\":\"n\",\"workspace_root\":\"" ROOT "\"}",
	"{\"worker_name\":\"a\\u00e9\\ud83d\\ude00\\n/\\\\ b\","
	"\"active\":{\"session_id\":\"6f1c2a940d3e4b579a612f8e5c7d1b30\","
	"\"segment_id\":null},\"workspace_root\":\"\\\\workspace/pro\\u006aect/\\\\\","
	"\"resolved_manifest_snapshot\":{\"role\":"
	"{\"name\":\"coder\"},\"profile\":\"p\",\"role_claim\":{\"role\":\"r\"},"
	"\"x\":[1,-0.5e-3,true,null,{\"a\":{}}]},"
	"\"unknown\":{\"worker_name\":1,\"worker_name\":2}}",
	" {\n\t\"worker_name\" : \"\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\xa2 of more than eighty characters: abcdefghijklmnopqrstuvwxyz "
	"0123456789 ABCDEFGHIJKLMNOPQRSTUVWXYZ\" , \"active\" : { \"session_id\" : \"6F1C2A94-0D3E-4b57-9a61-2f8e5c7d1b30\", "
	"\"segment_id\" : \"6f1c2a94-0d3e-4b57-9a61-2f8e5c7d1b31\" }, \"workspace_root\" : \"" ROOT "//\",\r\n"
	"\"spawned_children\":[{\"worker_name\":\"c\",\"socket_path\":\"s\","
	"\"scope_delegated\":[{\"target\":\"t\",\"permission\":"
	"\"read\",\"recursive\":true},{\"recursive\":false,\"permission\":\"\",\"target\":\"\"}],"
	"\"callback_address\":\"u\"}],"
	"\"reclaimed_children\":[{\"worker_name\":\"d\",\"scope_delegated\":[]}],"
	"\"peers\":[{\"worker_name\":\"e\"},"
	"{\"worker_name\":\"f\",\"socket_path\":1,\"socket_path\":2}],"
	"\"resolved_manifest_snapshot\":{\"role_claim\":{\"role\":"
	"{\"name\":\"r\\u0001\"}},\"profile_selector\":{\"name\":\"builtin:coder\",\"o\":0},"
	"\"n\":1.7976931348623157e308}} ",
	"{\"worker_name\":\"n\",\"workspace_root\":\"" ROOT "\","
	"\"resolved_manifest_snapshot\":{\"role\":0,\"role\":{\"name\":\"a\",\"name\":0},"
	"\"profile\":\"p\",\"profile\":{\"name\":0,\"name\":\"b\"}}}",
	"{\"worker_name\":\"\",\"workspace_root\":null,\"active\":null,"
	"\"resolved_manifest_snapshot\":[[[[]]],\"" ROOT "\"],\"peers\":[]}",
};

/* What damage is made of, besides bytes. */
static const char *const pieces[] = {
	"\"", "\\", "{", "}", "[", "]", ",", ":", "null", "true", "false", "0", "-", "1e400",
	"1.7976931348623159e308", "01", "1.", ".5",
	"\\u0000", "\\ud800", "\\udc00", "\\u12", "\\x", "\x01", "\x7f", "\xc2\x85", "\xc0\xaf",
	"\xed\xa0\x80", "\xf4\x90\x80\x80", "\xff",
	"\xef\xbb\xbf", "\xe2\x82", "//", "/**/", "\"worker_name\":\"m\",", "\"active\":{},",
	"\"workspace_root\":\"" ROOT "\",",
	"\"w\\u006frker_name\":\"m\",", "\"role\":\"s\",", "\"role\":7,",
	"\"role_claim\":{\"role\":\"t\"},", "\"role_claim\":{},", "\"name\":",
	"\"profile\":{\"name\":\"q\"},", "\"profile_selector\":0,", "\"name\":0,", "\"name\":\"z\",",
	"\"session_id\":",
	"\"segment_id\":7,", "\"peers\":[{}],", "\"target\":\"\",", "\"resolved_manifest_snapshot\":{},",
	"[[[[[[[[[[", "]]]]]]]]]]",
	"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
};

static uint64_t random_state;

static size_t random_below(size_t n)
{
	/* xorshift64 */
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (size_t)(random_state % n);
}

/* Replaces n bytes at a place by others, as far as there is room. */
static size_t replace(char *text, size_t len, size_t at, size_t n, const char *by, size_t by_len)
{
	if (len - n + by_len > TEXT_MAX)
		return len;
	memmove(text + at + by_len, text + at + n, len - at - n);
	memcpy(text + at, by, by_len);
	return len - n + by_len;
}

/* A place where a member or an element may begin. */
static size_t random_begin(const char *text, size_t len)
{
	size_t at = random_below(len + 1);

	while (at > 0 && !strchr("{[,", text[at - 1]))
		at--;
	return at;
}

static size_t damage(char *text, size_t len)
{
	char copy[64];
	size_t at = random_below(len + 1), n = random_below(len - at + 1), to;
	const char *piece = pieces[random_below(sizeof pieces / sizeof *pieces)];

	switch (random_below(7)) {
	case 0:
		if (at < len)
			text[at] = (char)random_below(256);
		return len;
	case 1:
		if (at < len)
			text[at] = (char)(text[at] ^ 1 << random_below(8));
		return len;
	case 2:
		return replace(text, len, at, n < 4 ? n : n % 4, "", 0);
	case 3:
		return random_below(8) == 0 ? at : replace(text, len, at, n % 40 < n ? n % 40 : n, "", 0);
	case 4:
		return replace(text, len, random_begin(text, len), 0, piece, strlen(piece));
	case 5:
		return replace(text, len, at, 0, piece, strlen(piece));
	default:
		/* A part a second time, somewhere else. */
		n = n < sizeof copy ? n : sizeof copy;
		memcpy(copy, text + at, n);
		to = random_below(len + 1);
		return replace(text, len, to, 0, copy, n);
	}
}

/* ---- The comparison ---- */

static bool same_text(struct berth_text text, const char *plain)
{
	return plain ? text.ptr && text.len == strlen(plain) && memcmp(text.ptr, plain, text.len) == 0 : !text.ptr;
}

static void compare(const struct berth_services *services, const char *text, size_t len, unsigned n_outcomes[])
{
	const struct berth_text root = BERTH_TEXT(ROOT);
	/* Exactly as long as it is, so that tools see who reads behind it. */
	char *exact = malloc(len + (len == 0));
	struct plain_record plain;
	enum record_outcome outcome;
	struct record record;
	bool same;

	assert_non_null(exact);
	memcpy(exact, text, len);
	plain = read_plainly(exact, len);
	assert_int_equal(record_parse(services, root, (struct berth_text){ exact, len }, &record, &outcome), 0);
	same = outcome == plain.outcome;
	if (same && outcome == RECORD_WORKER)
		same = record.activity == plain.activity && same_text(record.label, plain.label) &&
		       same_text(record.role, plain.role) && same_text(record.profile, plain.profile);
	n_outcomes[outcome]++;
	if (!same)
		fail_msg("outcome %d, plainly %d, or another text: %.*s", outcome, plain.outcome, (int)len, text);
	plain_record_fini(&plain);
	free(exact);
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void test_both_read_alike(void **state)
{
	uint64_t n = number_from("BERTH_TEST_RECORDS", N_RECORDS), seed = number_from("BERTH_TEST_SEED", 1);
	unsigned n_outcomes[N_RECORD_OUTCOMES] = { 0 };
	struct services services;
	char text[TEXT_MAX];

	(void)state;
	services_init(&services, "test");
	random_state = seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
		compare(&services.base, whole[i], strlen(whole[i]), n_outcomes);
	for (uint64_t i = 0; i < n; i++) {
		const char *from = whole[random_below(sizeof whole / sizeof *whole)];
		size_t len = strlen(from);

		memcpy(text, from, len);
		for (size_t times = random_below(4) + 1; times > 0; times--)
			len = damage(text, len);
		compare(&services.base, text, len, n_outcomes);
	}
	/* The damage is of the kind that finds something. */
	for (int i = 0; i < N_RECORD_OUTCOMES; i++)
		assert_true(n_outcomes[i] > 0);
}

/* Every beginning of a record, and every byte of one replaced by each other. */
static void test_every_byte(void **state)
{
	unsigned n_outcomes[N_RECORD_OUTCOMES] = { 0 };
	struct services services;
	char text[TEXT_MAX];

	(void)state;
	services_init(&services, "test");
	for (size_t i = 0; i < sizeof whole / sizeof *whole; i++)
		for (size_t len = 0; len < strlen(whole[i]); len++)
			compare(&services.base, whole[i], len, n_outcomes);
	for (size_t at = 0; at < strlen(whole[0]); at++)
		for (int c = 0; c < 256; c++) {
			strcpy(text, whole[0]);
			text[at] = (char)c;
			compare(&services.base, text, strlen(whole[0]), n_outcomes);
		}
}

static void test_levels(void **state)
{
	static const char begin[] = "{\"worker_name\":\"n\",\"workspace_root\":\"" ROOT "\",\"x\":";
	unsigned n_outcomes[N_RECORD_OUTCOMES] = { 0 };
	struct services services;

	(void)state;
	services_init(&services, "test");
	for (int n = N_LEVELS - 3; n < N_LEVELS + 3; n++) {
		char text[TEXT_MAX], *p = stpcpy(text, begin);

		memset(p, '[', (size_t)n);
		memset(p + n, ']', (size_t)n);
		strcpy(p + 2 * n, "}");
		compare(&services.base, text, strlen(text), n_outcomes);
	}
	assert_int_equal(n_outcomes[RECORD_WORKER], 3);
	assert_int_equal(n_outcomes[RECORD_INVALID], 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "records to the deepest level, and below it", test_levels, NULL, NULL, NULL },
		{ "records cut at every byte, and with every byte replaced", test_every_byte, NULL, NULL, NULL },
		{ "records damaged at random are read alike", test_both_read_alike, NULL, NULL, NULL },
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
