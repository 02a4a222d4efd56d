/* SPDX-License-Identifier: MIT */
/* A configuration that is read again: which of its changes make another instance, and which leave the one that serves. */
#include "config.h"

#include <stdlib.h>

#include "tests/contract.h"
#include "tests/support.h"

static const struct {
	const char *name, *before, *after;
	bool kept;
} rows[] = {
	{ "another adapter", "{'adapter':'unruly'}", "{'adapter':'default-open'}", false },
	{ "another runtime id", "{'adapter':'unruly','runtime_id':'a'}", "{'adapter':'unruly','runtime_id':'b'}", false },
	{ "a runtime id that was not there", "{'adapter':'unruly'}", "{'adapter':'unruly','runtime_id':'b'}", false },
	{ "a runtime id that is there no more", "{'adapter':'unruly','runtime_id':'a'}", "{'adapter':'unruly'}", false },
	{ "a checksum", "{'adapter':'unruly'}", "{'adapter':'unruly','sha256':'00'}", false },
	{ "another option", "{'adapter':'unruly','options':{'password':'a'}}",
	  "{'adapter':'unruly','options':{'password':'b'}}", false },
	{ "an option that is there no more", "{'adapter':'unruly','options':{'password':'a'}}", "{'adapter':'unruly'}", false },
	{ "a process of its own", "{'adapter':'unruly'}", "{'adapter':'unruly','isolate':true}", false },
	{ "how it is isolated", "{'adapter':'unruly','isolation':{'deaths':1}}",
	  "{'adapter':'unruly','isolation':{'deaths':2}}", false },
	{ "another priority", "{'adapter':'unruly','priority':1}", "{'adapter':'unruly','priority':2}", true },
	{ "that it is required", "{'adapter':'unruly'}", "{'adapter':'unruly','required':true}", true },
	{ "nothing", "{'adapter':'unruly','runtime_id':'a','options':{'password':'a'}}",
	  "{'adapter':'unruly','runtime_id':'a','options':{'password':'a'}}", true },
};

static void start(struct host *host, const char *name, const char *settings, struct host *before)
{
	const struct host_setup setup = { .adapters = "", .adapter_dir = fixture_dir() };

	host_prepare(host, &setup);
	/* Another one before it, so that its place is not what it is known by. */
	host_add(host, before ? "aside" : name, "%s", before ? "{'adapter':'default-open','runtime_id':'aside'}" : settings);
	if (before) {
		host_add(host, name, "%s", settings);
		host->inventory.before = &before->inventory;
		loader_move(&before->inventory.loader, &host->inventory.loader);
	}
	host_open(host, &setup);
	host->inventory.before = NULL;
}

static void what_changes_an_instance_opens_it_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct host before, after;
		struct instance *instance;

		start(&before, "one", rows[i].before, NULL);
		instance = before.inventory.entries[0].instance;
		if (!instance)
			fail_msg("%s: %s", rows[i].name, before.inventory.entries[0].dropin.failures.list[0].found.text);
		start(&after, "one", rows[i].after, &before);
		if ((after.inventory.entries[1].instance == instance) != rows[i].kept)
			fail_msg("%s: %s", rows[i].name, rows[i].kept ? "opened again" : "kept");
		assert_ptr_not_equal(after.inventory.entries[0].instance, instance);
		host_stop(&before);
		host_stop(&after);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_changes_an_instance_opens_it_again),
	};

	return cmocka_run_group_tests_name("reloads", tests, NULL, NULL);
}
