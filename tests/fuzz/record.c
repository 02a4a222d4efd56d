/* SPDX-License-Identifier: MIT */
/* Worker records: what is presented of one is what cJSON finds in it, and what is refused
 * is refused for the right reason. */
#include "config.h"

#include "plugins/local-pod/record.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "core/identifier.h"
#include "core/services.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

static void check_hint(struct berth_text found, const cJSON *value)
{
	const char *string = cJSON_GetStringValue(value);
	char buffer[BERTH_HINT_MAX];

	FUZZ_CHECK(found.len <= BERTH_HINT_MAX);
	fuzz_check_plain(found, "");
	FUZZ_CHECK(string && text_equal(found, identifier_hint(berth_text(string), buffer, sizeof buffer)));
}

/* Roots are compared with / for \ and without slashes at the end. */
static bool is_root(const char *root)
{
	size_t len = strlen(root);

	while (len > 1 && strchr("/\\", root[len - 1]))
		len--;
	if (len != strlen("/workspace/project"))
		return false;
	for (size_t i = 0; i < len; i++)
		if ((root[i] == '\\' ? '/' : root[i]) != "/workspace/project"[i])
			return false;
	return true;
}

static void check_worker(const struct record *record, const cJSON *json)
{
	const cJSON *active = cJSON_GetObjectItemCaseSensitive(json, "active");
	const char *root = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(json, "workspace_root"));
	bool has_segment = cJSON_IsString(cJSON_GetObjectItemCaseSensitive(active, "segment_id"));

	check_hint(record->label, cJSON_GetObjectItemCaseSensitive(json, "worker_name"));
	FUZZ_CHECK(root && is_root(root));
	FUZZ_CHECK(record->activity == (!cJSON_IsObject(active) ? ACTIVITY_NONE :
					has_segment             ? ACTIVITY_SEGMENT : ACTIVITY_PENDING_SEGMENT));
	fuzz_check_plain(record->role, "");
	fuzz_check_plain(record->profile, "");
	FUZZ_CHECK(!record->role.ptr || record->role.len > 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct berth_text text = { (const char *)data, size };
	struct services services;
	enum record_outcome outcome = N_RECORD_OUTCOMES;
	struct record record;
	cJSON *json;
	int rc;

	services_init(&services, "fuzz");
	rc = record_parse(&services.base, (struct berth_text)BERTH_TEXT("/workspace/project"), text, &record, &outcome);
	FUZZ_CHECK(rc == 0);
	FUZZ_CHECK((outcome == RECORD_UNREADABLE) == !fuzz_is_utf8(text));
	FUZZ_CHECK(fuzz_is_json(text) || outcome == RECORD_UNREADABLE || outcome == RECORD_INVALID);
	if (outcome != RECORD_WORKER)
		return 0;
	/* For cJSON a string ends there. */
	json = memmem(data, size, "\\u0000", 6) ? NULL : cJSON_ParseWithLength(text.ptr, text.len);
	if (json)
		check_worker(&record, json);
	cJSON_Delete(json);
	return 0;
}
