/* SPDX-License-Identifier: MIT */
/* Codes and hints stand in one table, so that a way to fail cannot be without either. */
#include "config.h"

#include "core/failure.h"

#include "core/text.h"

static const struct {
	const char *name, *hint;
} codes[N_FAILURES] = {
	[FAILURE_NONE] = { "none", "" },
	[FAILURE_CONFIG_UNREADABLE] = { "config_unreadable", "make the file readable for this user, or remove it" },
	[FAILURE_CONFIG_UNSAFE] = { "config_unsafe", "take write permission from others, or give the file to root" },
	[FAILURE_CONFIG_INVALID] = { "config_invalid", "mend the file; berth-adapters.d(5) and berth.json(5) describe it" },
	[FAILURE_PLUGIN_NOT_FOUND] = { "plugin_not_found",
		"install the adapter, or name its directory with --adapter-dir" },
	[FAILURE_PLUGIN_UNREADABLE] = { "plugin_unreadable", "make the file readable for this user" },
	[FAILURE_NOT_A_PLUGIN] = { "not_a_plugin", "install the adapter again: the file is damaged or something else" },
	[FAILURE_FOREIGN_MACHINE] = { "foreign_machine", "install the adapter that was built for this machine" },
	[FAILURE_STAMP_MISSING] = { "stamp_missing",
		"rebuild it with BERTH_ADAPTER of berth/adapter.h, or install the right file" },
	[FAILURE_STAMP_INVALID] = { "stamp_invalid", "rebuild it with BERTH_ADAPTER of berth/adapter.h" },
	[FAILURE_ABI_MISMATCH] = { "abi_mismatch", "install an adapter and a berth that fit together" },
	[FAILURE_ID_MISMATCH] = { "id_mismatch", "name the file after the id of its adapter" },
	[FAILURE_CHECKSUM_MISMATCH] = { "checksum_mismatch",
		"install the file that was pinned, or pin this one if it is to be trusted" },
	[FAILURE_NOT_LINKABLE] = { "not_linkable", "install the missing library, or rebuild the adapter" },
	[FAILURE_REGISTRATION_MISSING] = { "registration_missing", "rebuild it with BERTH_ADAPTER and export that symbol" },
	[FAILURE_REGISTRATION_FAILED] = { "registration_failed", "report it to the author of the adapter" },
	[FAILURE_OPTION_INVALID] = { "option_invalid", "mend the default that the adapter declares" },
	[FAILURE_OPEN_FAILED] = { "open_failed", "mend what the adapter names" },
	[FAILURE_RUNTIME_UNAVAILABLE] = { "runtime_unavailable", "it is presented as unavailable until then" },
	[FAILURE_RUNTIME_ID_TAKEN] = { "runtime_id_taken", "select the adapter once" },
	[FAILURE_QUARANTINED] = { "quarantined",
		"mend its file or its configuration, or have it tried with berth adapters retry" },
	[FAILURE_NO_MEMORY] = { "no_memory", "free memory and start again" },
};

int failure_set(struct failure *failure, enum failure_code code, const char *expected, const char *found, ...)
{
	struct failure result = { .code = code };
	va_list args;

	snprintf(result.expected, sizeof result.expected, "%s", expected);
	va_start(args, found);
	vsnprintf(result.found.text, sizeof result.found.text, found, args);
	va_end(args);
	text_make_plain(result.expected);
	text_make_plain(result.found.text);
	*failure = result;
	return code == FAILURE_NO_MEMORY ? -ENOMEM : -EINVAL;
}

struct failure *failures_add(struct failures *failures)
{
	enum { ROOM = sizeof failures->list / sizeof *failures->list };

	if (failures->n < ROOM)
		return &failures->list[failures->n++];
	failures->n_more++;
	return &failures->list[ROOM - 1];
}

const char *failure_line(const struct failure *failure, char line[FAILURE_LINE_MAX])
{
	snprintf(line, FAILURE_LINE_MAX, "%s: expected %s, found %s; %s", failure_code_name(failure->code),
		 failure->expected, failure->found.text, failure_hint(failure->code));
	return line;
}

const char *failure_code_name(enum failure_code code)
{
	return codes[code].name;
}

const char *failure_hint(enum failure_code code)
{
	return codes[code].hint;
}
