/* SPDX-License-Identifier: MIT */
/*
 * Records are written by other programs and trusted in nothing: they are read in one
 * strict pass that checks every key that a record has and keeps the few that are
 * presented. Inside the manifest snapshot, which may be any JSON, the last of two
 * equal keys counts; elsewhere a key of a record that is given twice makes it invalid.
 */
#include "config.h"

#include "record.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "inline/json_reader.h"

/* A value that may name a role or profile: a string, or an object whose name is one. */
struct named {
	bool there;
	struct json_slice text; /* ptr NULL: it is there and of another type */
};

/* What is kept of a record while it is read; slices of its text. */
struct draft {
	struct json_slice worker_name, workspace_root;
	enum record_activity activity;
	struct named role, claimed_role, profile_selector, profile;
};

/* ---- Keys ---- */

/* The key's index in a list that ends with an absent one, its bit set in *seen; -1 where it
 * is none of ours. One that is given twice fails the reader. */
static int known_key(struct json_reader *r, const struct json_slice *key, const struct berth_text *keys, unsigned *seen)
{
	for (int i = 0; keys[i].ptr; i++) {
		if (key->escaped ? !json_string_is(key, keys[i].ptr) :
				   key->len != keys[i].len || memcmp(key->ptr, keys[i].ptr, key->len) != 0)
			continue;
		if (*seen & 1u << i)
			json_fail(r, "a key is given twice");
		*seen |= 1u << i;
		return i;
	}
	return -1;
}

static void require(struct json_reader *r, unsigned seen, unsigned wanted)
{
	if ((seen & wanted) != wanted)
		json_fail(r, "a required key is missing");
}

static bool skip_null(struct json_reader *r)
{
	return json_peek(r) == JSON_NULL && json_read_null(r);
}

/* ---- The parts that are checked, not kept ---- */

static void read_strings(struct json_reader *r)
{
	struct json_slice text;

	json_read_string(r, &text);
}

BLOCK_INLINE block_bytes not_hex(block_bytes bytes)
{
	block_bytes small = bytes | 0x20;

	return ((small < 'a') | (small > 'f')) & ((bytes < '0') | (bytes > '9'));
}

/* 32 hex digits, plain or as 8-4-4-4-12. */
static bool is_uuid(const struct json_slice *text)
{
	char decoded[6 * 36], digits[32];
	const char *p = text->ptr;
	size_t len = text->len;

	if (text->escaped) {
		if (len > sizeof decoded)
			return false;
		len = json_unescape(text, decoded);
		p = decoded;
	}
	if (len == 36 && p[8] == '-' && p[13] == '-' && p[18] == '-' && p[23] == '-') {
		memcpy(digits, p, 8);
		memcpy(digits + 8, p + 9, 4);
		memcpy(digits + 12, p + 14, 4);
		memcpy(digits + 16, p + 19, 4);
		memcpy(digits + 20, p + 24, 12);
		p = digits;
		len = 32;
	}
	return len == 32 && block_all(p, len, not_hex);
}

static void read_uuid(struct json_reader *r)
{
	struct json_slice text;

	if (json_read_string(r, &text) && !is_uuid(&text))
		json_fail(r, "a UUID is expected");
}

static void read_scopes(struct json_reader *r)
{
	enum { TARGET, PERMISSION, RECURSIVE };
	static const struct berth_text keys[] = {
		BERTH_TEXT("target"), BERTH_TEXT("permission"), BERTH_TEXT("recursive"), { NULL, 0 },
	};
	struct json_slice key;
	bool recursive;

	json_enter_array(r);
	while (json_next_element(r)) {
		unsigned seen = 0;

		json_enter_object(r);
		while (json_next_member(r, &key))
			switch (known_key(r, &key, keys, &seen)) {
			case TARGET:
			case PERMISSION:
				read_strings(r);
				break;
			case RECURSIVE:
				json_read_boolean(r, &recursive);
				break;
			default:
				json_skip(r);
			}
		require(r, seen, 1u << TARGET | 1u << PERMISSION | 1u << RECURSIVE);
	}
}

/* A list of other workers, each with the keys in wanted. */
static void read_relatives(struct json_reader *r, unsigned wanted)
{
	enum { WORKER_NAME, SOCKET_PATH, CALLBACK_ADDRESS, SCOPE_DELEGATED };
	static const struct berth_text keys[] = {
		BERTH_TEXT("worker_name"), BERTH_TEXT("socket_path"), BERTH_TEXT("callback_address"),
		BERTH_TEXT("scope_delegated"), { NULL, 0 },
	};
	struct json_slice key;

	json_enter_array(r);
	while (json_next_element(r)) {
		unsigned seen = 0;

		json_enter_object(r);
		while (json_next_member(r, &key)) {
			unsigned before = seen;
			int known = known_key(r, &key, keys, &seen);

			if (known < 0 || !(wanted & 1u << known)) {
				/* Not a key of this list: it may be anything, also twice. */
				seen = before;
				json_skip(r);
			} else if (known == SCOPE_DELEGATED) {
				read_scopes(r);
			} else {
				read_strings(r);
			}
		}
		require(r, seen, wanted);
	}
}

enum {
	RELATIVE_WORKER_NAME = 1 << 0,
	RELATIVE_SOCKET_PATH = 1 << 1,
	RELATIVE_CALLBACK_ADDRESS = 1 << 2,
	RELATIVE_SCOPE_DELEGATED = 1 << 3,
};

/* ---- The parts that are kept ---- */

static void read_active(struct json_reader *r, struct draft *draft)
{
	enum { SESSION_ID, SEGMENT_ID };
	static const struct berth_text keys[] = {
		BERTH_TEXT("session_id"), BERTH_TEXT("segment_id"), { NULL, 0 },
	};
	struct json_slice key;
	unsigned seen = 0;

	if (skip_null(r))
		return;
	draft->activity = ACTIVITY_PENDING_SEGMENT;
	json_enter_object(r);
	while (json_next_member(r, &key))
		switch (known_key(r, &key, keys, &seen)) {
		case SESSION_ID:
			read_uuid(r);
			break;
		case SEGMENT_ID:
			if (skip_null(r))
				break;
			read_uuid(r);
			draft->activity = ACTIVITY_SEGMENT;
			break;
		default:
			json_skip(r);
		}
	require(r, seen, 1u << SESSION_ID);
}

/* Reads a value of any type, and its text if it is a string or an object with a name. */
static void read_named(struct json_reader *r, struct named *named)
{
	struct json_slice key;

	*named = (struct named){ .there = true };
	switch (json_peek(r)) {
	case JSON_STRING:
		json_read_string(r, &named->text);
		break;
	case JSON_OBJECT:
		json_enter_object(r);
		while (json_next_member(r, &key)) {
			if (!json_string_is(&key, "name")) {
				json_skip(r);
				continue;
			}
			named->text = (struct json_slice){ NULL, 0, false };
			if (json_peek(r) == JSON_STRING)
				json_read_string(r, &named->text);
			else
				json_skip(r);
		}
		break;
	default:
		json_skip(r);
	}
}

/* The role in a role_claim, which may be of any type. */
static void read_role_claim(struct json_reader *r, struct named *role)
{
	struct json_slice key;

	*role = (struct named){ .there = false };
	if (json_peek(r) != JSON_OBJECT) {
		json_skip(r);
		return;
	}
	json_enter_object(r);
	while (json_next_member(r, &key))
		if (json_string_is(&key, "role"))
			read_named(r, role);
		else
			json_skip(r);
}

static void read_snapshot(struct json_reader *r, struct draft *draft)
{
	struct json_slice key;

	if (json_peek(r) != JSON_OBJECT) {
		json_skip(r);
		return;
	}
	json_enter_object(r);
	while (json_next_member(r, &key))
		if (json_string_is(&key, "role"))
			read_named(r, &draft->role);
		else if (json_string_is(&key, "role_claim"))
			read_role_claim(r, &draft->claimed_role);
		else if (json_string_is(&key, "profile_selector"))
			read_named(r, &draft->profile_selector);
		else if (json_string_is(&key, "profile"))
			read_named(r, &draft->profile);
		else
			json_skip(r);
}

static void read_record(struct json_reader *r, struct draft *draft)
{
	enum { WORKER_NAME, ACTIVE, WORKSPACE_ROOT, SNAPSHOT, SPAWNED_CHILDREN, RECLAIMED_CHILDREN, PEERS };
	static const struct berth_text keys[] = {
		BERTH_TEXT("worker_name"), BERTH_TEXT("active"), BERTH_TEXT("workspace_root"),
		BERTH_TEXT("resolved_manifest_snapshot"), BERTH_TEXT("spawned_children"),
		BERTH_TEXT("reclaimed_children"), BERTH_TEXT("peers"), { NULL, 0 },
	};
	struct json_slice key;
	unsigned seen = 0;

	json_enter_object(r);
	while (json_next_member(r, &key))
		switch (known_key(r, &key, keys, &seen)) {
		case WORKER_NAME:
			json_read_string(r, &draft->worker_name);
			break;
		case ACTIVE:
			read_active(r, draft);
			break;
		case WORKSPACE_ROOT:
			if (!skip_null(r))
				json_read_string(r, &draft->workspace_root);
			break;
		case SNAPSHOT:
			read_snapshot(r, draft);
			break;
		case SPAWNED_CHILDREN:
			read_relatives(r, RELATIVE_WORKER_NAME | RELATIVE_SOCKET_PATH | RELATIVE_CALLBACK_ADDRESS |
						  RELATIVE_SCOPE_DELEGATED);
			break;
		case RECLAIMED_CHILDREN:
			read_relatives(r, RELATIVE_WORKER_NAME | RELATIVE_SCOPE_DELEGATED);
			break;
		case PEERS:
			read_relatives(r, RELATIVE_WORKER_NAME);
			break;
		default:
			json_skip(r);
		}
	require(r, seen, 1u << WORKER_NAME);
	json_close(r);
}

/* ---- What is made of them ---- */

/* The i-th byte of a root as it is compared: \ counts as /. */
static char root_byte(struct berth_text root, size_t i)
{
	return root.ptr[i] == '\\' ? '/' : root.ptr[i];
}

/* How long it is without the slashes at its end; a lone one stays. */
static size_t root_len(struct berth_text root)
{
	while (root.len > 1 && root_byte(root, root.len - 1) == '/')
		root.len--;
	return root.len;
}

static bool same_root(struct berth_text a, struct berth_text b)
{
	size_t len = root_len(a);

	if (len != root_len(b))
		return false;
	for (size_t i = 0; i < len; i++)
		if (root_byte(a, i) != root_byte(b, i))
			return false;
	return true;
}

/* What a string slice means: the slice itself, or, with escapes in it, decoded into
 * new memory, *memoryp, to be freed. -ENOMEM. */
static int decode(const struct json_slice *slice, struct berth_text *textp, char **memoryp)
{
	*memoryp = NULL;
	*textp = (struct berth_text){ slice->ptr, slice->len };
	if (!slice->escaped)
		return 0;
	*memoryp = malloc(slice->len + 1);
	if (!*memoryp)
		return -ENOMEM;
	*textp = (struct berth_text){ *memoryp, json_unescape(slice, *memoryp) };
	return 0;
}

static int compare_root(const struct json_slice *slice, struct berth_text root, bool *samep)
{
	struct berth_text text;
	char *memory;
	int rc = decode(slice, &text, &memory);

	if (rc == 0)
		*samep = same_root(text, root);
	free(memory);
	return rc;
}

static int make_hint(const struct berth_services *services, const struct json_slice *slice,
		     char buffer[BERTH_HINT_MAX], struct berth_text *hintp)
{
	struct berth_text text;
	char *memory;
	int rc = decode(slice, &text, &memory);

	if (rc == 0)
		*hintp = services->display_hint(services, text, buffer, BERTH_HINT_MAX);
	free(memory);
	return rc;
}

/* The hint of the first of two values that is there; absent if it comes to nothing. */
static int make_named_hint(const struct berth_services *services, const struct named *first,
			   const struct named *second, char buffer[BERTH_HINT_MAX], struct berth_text *hintp)
{
	const struct named *named = first->there ? first : second;
	int rc = 0;

	*hintp = (struct berth_text){ NULL, 0 };
	if (named->there && named->text.ptr)
		rc = make_hint(services, &named->text, buffer, hintp);
	if (hintp->len == 0)
		hintp->ptr = NULL;
	return rc;
}

static int make_record(const struct berth_services *services, const struct draft *draft, struct record *record)
{
	int rc = make_hint(services, &draft->worker_name, record->buffers[0], &record->label);

	record->activity = draft->activity;
	if (rc == 0)
		rc = make_named_hint(services, &draft->role, &draft->claimed_role, record->buffers[1], &record->role);
	if (rc == 0)
		rc = make_named_hint(services, &draft->profile_selector, &draft->profile, record->buffers[2],
				     &record->profile);
	return rc;
}

int record_parse(const struct berth_services *services, struct berth_text root, struct berth_text text,
		 struct record *record, enum record_outcome *outcomep)
{
	struct draft draft = { .activity = ACTIVITY_NONE };
	enum record_outcome outcome = RECORD_WORKER;
	struct json_reader r;
	bool same = false;
	int rc = 0;

	json_open(&r, text.ptr, text.len);
	read_record(&r, &draft);
	if (r.error)
		outcome = utf8_valid(text.ptr, text.len) ? RECORD_INVALID : RECORD_UNREADABLE;
	else if (!draft.workspace_root.ptr)
		outcome = RECORD_ROOT_MISSING;
	else if ((rc = compare_root(&draft.workspace_root, root, &same)) == 0)
		outcome = same ? RECORD_WORKER : RECORD_OTHER_WORKSPACE;
	if (rc == 0 && outcome == RECORD_WORKER)
		rc = make_record(services, &draft, record);
	if (rc == 0)
		*outcomep = outcome;
	return rc;
}
