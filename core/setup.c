/* SPDX-License-Identifier: MIT */
/* Where a setting comes from decides whether it holds: command line over environment
 * over files over what is built in. Everything ends up in one place, with its origin,
 * before anything is started. */
#include "config.h"

#include "core/setup.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/log.h"
#include "core/settings.h"
#include "core/text.h"
#include "inline/workspace_label.h"

/* ---- Settings ---- */

/* $XDG_DATA_HOME/berth, else ~/.local/share/berth; "" where that is no directory. */
static char *default_data_dir(void)
{
	const char *xdg = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
	char *dir = NULL;
	struct stat st;
	int n = 0;

	/* By its specification a relative one is to be ignored. */
	if (xdg && xdg[0] == '/')
		n = asprintf(&dir, "%s/berth", xdg);
	else if (home && home[0] == '/')
		n = asprintf(&dir, "%s/.local/share/berth", home);
	if (n < 0)
		return NULL;
	if (dir && stat(dir, &st) == 0 && S_ISDIR(st.st_mode))
		return dir;
	free(dir);
	return strdup("");
}

/* Puts what the command line says of a key. */
static int put_option(struct setup *setup, const char *key, const char *value)
{
	return value ? host_config_put_string(&setup->config, key, value, "command line") : 0;
}

static int put_adapter_dirs(struct setup *setup)
{
	const struct options *options = setup->options;
	cJSON *dirs;
	int rc;

	if (options->n_adapter_dirs == 0)
		return 0;
	dirs = cJSON_CreateStringArray(options->adapter_dirs, (int)options->n_adapter_dirs);
	rc = host_config_put(&setup->config, "adapter_dirs", dirs, "command line");
	cJSON_Delete(dirs);
	return rc;
}

static int put_options(struct setup *setup)
{
	const struct options *options = setup->options;
	int rc = put_option(setup, "workspace_root", options->workspace_root);

	if (rc == 0)
		rc = put_option(setup, "workspace_id", options->workspace_id);
	if (rc == 0)
		rc = put_option(setup, "data_dir", options->data_dir);
	if (rc == 0)
		rc = put_option(setup, "log_level", options->log_level);
	return rc == 0 ? put_adapter_dirs(setup) : rc;
}

void setup_find_stage(char stage[PATH_MAX])
{
	static const char place[] = BIN_DIR "/berth";
	ssize_t len = getauxval(AT_SECURE) ? -1 : readlink("/proc/self/exe", stage, PATH_MAX - 1);
	size_t place_len = sizeof place - 1;

	if (len < (ssize_t)place_len || memcmp(stage + len - place_len, place, place_len) != 0)
		stage[0] = '\0';
	else
		stage[(size_t)len - place_len] = '\0';
}

/* Sets what is built in but has to be found out, where nothing says otherwise. */
static int put_built_in(struct setup *setup, const char *key, char *value)
{
	int rc = value ? 0 : -ENOMEM;

	if (rc == 0 && !settings_value(setup->config.settings, key))
		rc = host_config_put_string(&setup->config, key, value, "built-in");
	free(value);
	return rc;
}

static char *default_workspace_id(const struct setup *setup)
{
	struct berth_text root = berth_text(settings_string(setup->config.settings, "workspace_root"));
	struct berth_text label = workspace_label(root);
	char *id;

	return asprintf(&id, "local:%.*s", (int)label.len, label.ptr) < 0 ? NULL : id;
}

static int put_adapter_dir(struct setup *setup)
{
	char dir[PATH_MAX + sizeof ADAPTER_DIR];
	const char *const built_in = dir;
	cJSON *dirs;
	int rc;

	if (settings_value(setup->config.settings, "adapter_dirs"))
		return 0;
	snprintf(dir, sizeof dir, "%s%s", setup->stage, ADAPTER_DIR);
	dirs = cJSON_CreateStringArray(&built_in, 1);
	rc = host_config_put(&setup->config, "adapter_dirs", dirs, "built-in");
	cJSON_Delete(dirs);
	return rc;
}

static enum status fill_in(struct setup *setup)
{
	const cJSON *settings = setup->config.settings;
	const char *id;
	int rc = put_options(setup);

	if (rc == 0 && !settings_value(settings, "workspace_root")) {
		char *cwd = getcwd(NULL, 0);

		if (!cwd)
			return complain(STATUS_SETUP, "the current directory cannot be found: %s; give --workspace-root",
					strerror(errno));
		rc = put_built_in(setup, "workspace_root", cwd);
	}
	if (rc == 0)
		rc = put_built_in(setup, "workspace_id", default_workspace_id(setup));
	if (rc == 0)
		rc = put_built_in(setup, "data_dir", default_data_dir());
	if (rc == 0)
		rc = put_adapter_dir(setup);
	if (rc < 0)
		return complain_no_memory();
	id = settings_string(settings, "workspace_id");
	if (!utf8_valid(id, strlen(id)))
		return complain(STATUS_USAGE, "workspace_id: %s: UTF-8 is expected", settings_origin(settings, "workspace_id"));
	return STATUS_DONE;
}

/* The directories of drop-ins, and of the host's own settings. */
struct config_paths {
	char *vendor, *runtime, *admin, *user, *host;
};

static void config_paths_fini(struct config_paths *paths)
{
	free(paths->vendor);
	free(paths->runtime);
	free(paths->admin);
	free(paths->user);
	free(paths->host);
}

/* ~/.config/berth/adapters.d, which root and programs with raised privileges leave alone. */
static int user_dir(const char *root, char **dirp)
{
	const char *xdg = secure_getenv("XDG_CONFIG_HOME"), *home = secure_getenv("HOME");
	int n = 0;

	if (geteuid() == 0)
		return 0;
	if (xdg && xdg[0] == '/')
		n = asprintf(dirp, "%s%s/berth/adapters.d", root, xdg);
	else if (home && home[0] == '/')
		n = asprintf(dirp, "%s%s/.config/berth/adapters.d", root, home);
	return n < 0 ? -ENOMEM : 0;
}

static enum status find_config(const struct setup *setup, struct config_paths *paths)
{
	const char *variable = secure_getenv("BERTH_CONFIG_ROOT"), *root = setup->options->config_root;

	if (!root)
		root = variable ? variable : setup->stage;
	if (asprintf(&paths->vendor, "%s%s", root, VENDOR_CONF_DIR) < 0 ||
	    asprintf(&paths->runtime, "%s%s", root, RUNTIME_CONF_DIR) < 0 ||
	    asprintf(&paths->admin, "%s%s/adapters.d", root, ADMIN_CONF_DIR) < 0 ||
	    asprintf(&paths->host, "%s%s", root, ADMIN_CONF_DIR) < 0 || user_dir(root, &paths->user) < 0)
		return complain_no_memory();
	return STATUS_DONE;
}

/* A service tells what it answers, unless it is told otherwise. */
static int wanted_log_level(const struct setup *setup)
{
	const cJSON *settings = setup->config.settings;

	if (setup->options->command == COMMAND_SERVE && strcmp(settings_origin(settings, "log_level"), "built-in") == 0)
		return BERTH_LOG_INFO;
	return log_level(settings_string(settings, "log_level"));
}

enum status setup_load(struct setup *setup, const struct options *options)
{
	CLEANUP(config_paths_fini) struct config_paths paths = { .vendor = NULL };
	enum status status;

	setup->options = options;
	log_set_json(options->log_format && strcmp(options->log_format, "json") == 0);
	setup_find_stage(setup->stage);
	status = find_config(setup, &paths);

	if (status == STATUS_DONE) {
		const char *const dirs[] = { paths.vendor, paths.runtime, paths.admin, paths.user };

		if (host_config_load(paths.host, &setup->config) < 0 ||
		    dropins_load(dirs, sizeof dirs / sizeof *dirs, &setup->dropins) < 0)
			return complain_no_memory();
		for (size_t i = 0; i < setup->dropins.failures.n; i++)
			*failures_add(&setup->config.failures) = setup->dropins.failures.list[i];
		status = fill_in(setup);
	}
	if (status == STATUS_DONE)
		log_set_level(wanted_log_level(setup));
	return status;
}

/* ---- Selection ---- */

/* Adds an instance by its name, else an adapter by its id, with default options. What
 * the command line names is enabled by that. */
static enum status add_named(struct setup *setup, struct berth_text text)
{
	const struct dropin *known;
	struct dropin dropin;
	char name[STAMP_ID_MAX + 1];
	cJSON *yes;
	int rc;

	if (!inventory_name_valid(text))
		return complain(STATUS_USAGE, "--adapters: \"%.*s\": a name of 1 to 64 characters [a-z0-9_-] is expected",
				text.len > 80 ? 80 : (int)text.len, text.ptr);
	snprintf(name, sizeof name, "%.*s", (int)text.len, text.ptr);
	known = dropins_find(&setup->dropins, name);
	rc = known ? dropin_copy(known, &dropin) : dropin_make(name, "command line", &dropin);
	if (rc < 0)
		return complain_no_memory();
	if (!settings_true(dropin.settings, "enabled")) {
		yes = cJSON_CreateTrue();
		rc = yes ? settings_put(dropin.settings, "enabled", yes, "command line") : -ENOMEM;
		cJSON_Delete(yes);
	}
	if (rc == 0)
		rc = inventory_add(&setup->inventory, &dropin);
	dropin_fini(&dropin);
	return rc < 0 ? complain_no_memory() : STATUS_DONE;
}

static enum status add_default(struct setup *setup, const char *name)
{
	struct dropin dropin;
	int rc = dropin_make(name, "built-in", &dropin);

	if (rc == 0) {
		rc = inventory_add(&setup->inventory, &dropin);
		dropin_fini(&dropin);
	}
	return rc < 0 ? complain_no_memory() : STATUS_DONE;
}

static enum status select_configured(struct setup *setup)
{
	const struct dropins *dropins = &setup->dropins;
	enum status status = STATUS_DONE;

	for (size_t i = 0; dropins->n == 0 && inventory_default_names[i] && status == STATUS_DONE; i++)
		status = add_default(setup, inventory_default_names[i]);
	for (size_t i = 0; i < dropins->n && status == STATUS_DONE; i++) {
		struct dropin dropin;

		if (dropin_copy(&dropins->list[i], &dropin) < 0)
			return complain_no_memory();
		if (inventory_add(&setup->inventory, &dropin) < 0)
			status = complain_no_memory();
		dropin_fini(&dropin);
	}
	return status;
}

static enum status select_adapters(struct setup *setup)
{
	const struct options *options = setup->options;
	enum status status = options->adapters ? STATUS_DONE : select_configured(setup);

	for (const char *p = options->adapters; p && status == STATUS_DONE;) {
		size_t len = strcspn(p, ",");

		status = add_named(setup, (struct berth_text){ p, len });
		p = p[len] ? p + len + 1 : NULL;
	}
	for (size_t i = 0; i < options->n_required && status == STATUS_DONE; i++)
		if (inventory_require(&setup->inventory, options->required[i]) < 0)
			status = complain(STATUS_SETUP, "--require %.80s: no such adapter is selected; add it to --adapters",
					  options->required[i]);
	return status;
}

/* ---- Start ---- */

static struct workspace workspace_of(const struct setup *setup)
{
	const cJSON *settings = setup->config.settings;
	const char *data_dir = settings_string(settings, "data_dir");

	return (struct workspace){
		.id = berth_text(settings_string(settings, "workspace_id")),
		.root = berth_text(settings_string(settings, "workspace_root")),
		.data_dir = berth_text(*data_dir ? data_dir : NULL),
	};
}

/* With a loader that is ready. */
static enum status start(struct setup *setup)
{
	struct loader *loader = &setup->inventory.loader;
	struct workspace workspace = workspace_of(setup);
	enum status status = STATUS_DONE;
	struct error error;
	const cJSON *dir;
	int rc = 0;

	cJSON_ArrayForEach(dir, settings_value(setup->config.settings, "adapter_dirs"))
		if (rc == 0)
			rc = loader_add_dir(loader, dir->valuestring, &error);
	if (rc < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	setup->inventory.program = "/proc/self/exe";
	setup->inventory.registry.limit = (uint64_t)settings_number(setup->config.settings, "limit_items");
	setup->inventory.registry.workspace_id = workspace.id;
	status = select_adapters(setup);
	if (status == STATUS_DONE)
		setup->n_missing = inventory_start(&setup->inventory, &workspace);
	return status;
}

enum status setup_start(struct setup *setup)
{
	struct error error;

	if (loader_init(&setup->inventory.loader, &error) < 0)
		return complain(STATUS_SETUP, "%s", error.text);
	return start(setup);
}

enum status setup_restart(struct setup *setup, struct setup *before)
{
	struct workspace now = workspace_of(before), next = workspace_of(setup);
	enum status status;

	if (text_equal(now.id, next.id) && text_equal(now.root, next.root) && text_equal(now.data_dir, next.data_dir))
		setup->inventory.before = &before->inventory;
	loader_move(&before->inventory.loader, &setup->inventory.loader);
	status = start(setup);
	setup->inventory.before = NULL;
	return status;
}

void setup_give_back(struct setup *setup, struct setup *before)
{
	loader_move(&setup->inventory.loader, &before->inventory.loader);
}

void setup_log_failures(const struct setup *setup)
{
	const struct failures *failures = &setup->config.failures;
	char line[FAILURE_LINE_MAX];

	for (size_t i = 0; i < failures->n; i++)
		complain(STATUS_SETUP, "%s", failure_line(&failures->list[i], line));
	if (failures->n_more > 0)
		complain(STATUS_SETUP, "and %zu more of these", failures->n_more);
}

void setup_fini(struct setup *setup)
{
	inventory_fini(&setup->inventory);
	dropins_fini(&setup->dropins);
	host_config_fini(&setup->config);
}
