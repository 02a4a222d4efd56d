/* SPDX-License-Identifier: MIT */
/* Drop-ins and the host's own settings, in the layers that they are merged from. The input
 * is the files, with a byte between them that no text has. */
#include "config.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/dropin.h"
#include "core/host_config.h"
#include "core/inventory.h"
#include "core/report.h"
#include "core/table.h"
#include "core/text.h"
#include "tests/fuzz/fuzz.h"

static const char *const files[] = {
	"vendor/x.json", "admin/x.json", "admin/y.json", "user/x.json", "host/berth.json", "host/berth.d/z.json",
};
enum { N_FILES = sizeof files / sizeof *files };

static void check_failures(const struct failures *failures)
{
	char line[FAILURE_LINE_MAX];

	for (size_t i = 0; i < failures->n; i++) {
		FUZZ_CHECK(failures->list[i].code != FAILURE_NONE && failures->list[i].code < N_FAILURES);
		fuzz_check_plain(berth_text(failure_line(&failures->list[i], line)), "");
	}
}

static void check_report(const struct buffer *out, enum table_kind kind)
{
	struct buffer table = { 0 };

	fuzz_check_answer((struct berth_text){ out->data, out->len });
	for (size_t columns = 0; columns < 200; columns += 80) {
		buffer_cut(&table, 0);
		table_write(&table, kind, (struct berth_text){ out->data, out->len }, columns);
		fuzz_check_plain((struct berth_text){ table.data, table.len }, "\n");
	}
	buffer_fini(&table);
}

static void load_dropins(void)
{
	CLEANUP_FREE char *vendor = NULL, *admin = NULL, *user = NULL;
	struct inventory inventory = { .entries = NULL };
	struct dropins dropins;
	struct buffer out = { 0 };

	FUZZ_CHECK(asprintf(&vendor, "%s/vendor", fuzz_dir()) > 0 && asprintf(&admin, "%s/admin", fuzz_dir()) > 0 &&
		   asprintf(&user, "%s/user", fuzz_dir()) > 0);
	FUZZ_CHECK(dropins_load((const char *const[]){ vendor, NULL, admin, user }, 4, &dropins) == 0);
	check_failures(&dropins.failures);
	for (size_t i = 0; i < dropins.n; i++) {
		struct dropin copy;

		check_failures(&dropins.list[i].failures);
		FUZZ_CHECK(settings_value(dropins.list[i].settings, "adapter"));
		FUZZ_CHECK(dropin_copy(&dropins.list[i], &copy) == 0 && inventory_add(&inventory, &copy) == 0);
	}
	FUZZ_CHECK(report_adapters(&inventory, &out) == 0);
	check_report(&out, TABLE_ADAPTERS);
	buffer_fini(&out);
	inventory_fini(&inventory);
	dropins_fini(&dropins);
}

static void load_host_config(void)
{
	CLEANUP_FREE char *dir = NULL;
	struct host_config config;
	struct buffer out = { 0 };

	FUZZ_CHECK(asprintf(&dir, "%s/host", fuzz_dir()) > 0);
	FUZZ_CHECK(host_config_load(dir, &config) == 0);
	check_failures(&config.failures);
	FUZZ_CHECK(settings_number(config.settings, "limit_items") >= 0);
	FUZZ_CHECK(report_config(config.settings, &out) == 0);
	check_report(&out, TABLE_CONFIG);
	buffer_fini(&out);
	host_config_fini(&config);
}

/* Without comments, what is read without a failure is JSON. */
static void check_strict(struct berth_text text)
{
	CLEANUP(config_dir_close) struct config_dir dir;
	CLEANUP(config_file_fini) struct config_file file = { .masked = false };
	CLEANUP_FREE char *path = NULL;
	struct failure failure;
	bool required;

	FUZZ_CHECK(asprintf(&path, "%s/vendor", fuzz_dir()) > 0 && config_dir_open(path, &dir) == 0);
	if (config_file_read(&dir, "x", &file, &required, &failure) == 1 && !file.masked && !memchr(text.ptr, '/', text.len))
		FUZZ_CHECK(fuzz_is_json(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	struct berth_text first = { NULL, 0 };

	for (size_t i = 0; i < N_FILES; i++) {
		bool there = fuzz.left > 0;
		struct berth_text text = fuzz_until(&fuzz, 0xff);

		if (i == 0)
			first = text;
		if (there)
			fuzz_write(files[i], text.ptr, text.len);
		else
			fuzz_remove(files[i]);
	}
	load_dropins();
	load_host_config();
	if (size > 0)
		check_strict(first);
	return 0;
}
