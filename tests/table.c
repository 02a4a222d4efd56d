/* SPDX-License-Identifier: MIT */
/* Tables to the letter, for terminals of several widths. */
#include "config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <locale.h>

#include "core/table.h"
#include "core/text.h"

#define WORKERS                                                                                                      \
	"{\"items\":[{\"runtime_id\":\"a\",\"worker_id\":\"w-1\",\"state\":\"running\",\"role\":\"coder\","          \
	"\"label\":\"A long label that has to give way\"},{\"runtime_id\":\"a\",\"worker_id\":\"w-22\",\"state\":"   \
	"\"stopped\",\"role\":null,\"label\":\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 wide \xe6\xbc\xa2\xe5\xad\x97\"}," \
	"{\"runtime_id\":\"b\",\"worker_id\":\"w\",\"state\":\"x\",\"role\":\"r\",\"label\":\"tab\\there\\u001b[2J\\u202ex\"}]," \
	"\"diagnostics\":[{\"code\":\"c\",\"severity\":\"warning\",\"message\":\"a message of several words that wraps\"}]}"

static const struct {
	const char *name;
	enum table_kind kind;
	size_t columns;
	const char *answer, *expected;
} rows[] = {
	{ "an empty list says so", TABLE_WORKERS, 80, "{\"items\":[],\"diagnostics\":[]}", "no workers\n" },
	{ "where there is room everything is whole, and what drives a terminal is escaped", TABLE_WORKERS, 80, WORKERS,
	  "  WORKER  STATE    ROLE   LABEL\n"
	  "a\n"
	  "  w-1     running  coder  A long label that has to give way\n"
	  "  w-22    stopped  -      \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 wide \xe6\xbc\xa2\xe5\xad\x97\n"
	  "b\n"
	  "  w       x        r      tab\\there\\u{1b}[2J\\u{202e}x\n"
	  "warning: c: a message of several words that wraps\n" },
	{ "what may be cut is cut by its width", TABLE_WORKERS, 40, WORKERS,
	  "  WORKER  STATE    ROLE   LABEL\n"
	  "a\n"
	  "  w-1     running  coder  A long label \xe2\x80\xa6\n"
	  "  w-22    stopped  -      \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 wide \xe6\xbc\xa2\xe5\xad\x97\n"
	  "b\n"
	  "  w       x        r      tab\\there\xe2\x80\xa6\n"
	  "warning: c: a message of several words\n"
	  "    that wraps\n" },
	{ "where the whole ones fill the line the others have one of their own", TABLE_WORKERS, 24, WORKERS,
	  "  WORKER  STATE\n"
	  "      ROLE   LABEL\n"
	  "a\n"
	  "  w-1     running\n"
	  "      coder  A long \xe2\x80\xa6\n"
	  "  w-22    stopped\n"
	  "      -      \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 wi\xe2\x80\xa6\n"
	  "b\n"
	  "  w       x\n"
	  "      r      tab\\the\xe2\x80\xa6\n"
	  "warning: c: a message of\n"
	  "    several words that\n"
	  "    wraps\n" },
	{ "one item has a line for each of its members that is there", TABLE_WORKER, 40,
	  "{\"runtime_id\":\"a\",\"worker_id\":\"w\",\"host_id\":\"h\",\"label\":\"L\",\"role\":null,\"profile\":\"p\",\"state\":\"s\","
	  "\"status\":\"t\",\"diagnostics\":[]}",
	  "runtime   a\nworker    w\nhost      h\nlabel     L\nprofile   p\nstate     s\nstatus    t\n" },
	{ "a transcript says where it goes on", TABLE_TRANSCRIPT, 40,
	  "{\"state\":\"accepted\",\"items\":[{\"sequence\":1,\"role\":\"user\",\"content\":\"one\\ntwo\"}],\"total_items\":5,"
	  "\"next_start\":1,\"diagnostics\":[]}",
	  "SEQUENCE  ROLE  CONTENT\n1         user  one\\ntwo\n5 in all, more from --start 1\n" },
	{ "of a transcript nothing gives way", TABLE_TRANSCRIPT, 10,
	  "{\"state\":\"accepted\",\"items\":[{\"sequence\":1,\"role\":\"a-role-of-a-long-name\",\"content\":\"one two three\"}],"
	  "\"total_items\":1,\"diagnostics\":[]}",
	  "SEQUENCE  ROLE                   CONTENT\n1         a-role-of-a-long-name  one two three\n1 in all\n" },
	{ "the widest gives way first, wherever it stands", TABLE_WORKERS, 44,
	  "{\"items\":[{\"runtime_id\":\"a\",\"worker_id\":\"w\",\"state\":\"s\",\"role\":\"twelve-bytes\","
	  "\"label\":\"A long label that has to give way\"}],\"diagnostics\":[]}",
	  "  WORKER  STATE  ROLE          LABEL\n"
	  "a\n"
	  "  w       s      twelve-bytes  A long label\xe2\x80\xa6\n" },
	{ "why adapters are not there comes behind them, each that has a reason", TABLE_ADAPTERS, 60,
	  "{\"adapters\":[{\"name\":\"a\",\"state\":\"failed\",\"file\":\"/etc/a.json\",\"failures\":[{\"code\":\"c\",\"expected\":"
	  "\"an e\",\"found\":\"an f\",\"hint\":\"do h\"},{\"code\":\"d\",\"expected\":\"x\",\"found\":\"y\",\"hint\":\"z\"}]},"
	  "{\"name\":\"b\",\"state\":\"active\"},{\"name\":\"c\",\"state\":\"failed\",\"failures\":[{\"code\":\"e\",\"expected\":\"1\","
	  "\"found\":\"2\",\"hint\":\"3\"}]}]}",
	  "NAME  STATE   VERSION  ABI  RUNTIME\n"
	  "a     failed  -        -    -\n"
	  "b     active  -        -    -\n"
	  "c     failed  -        -    -\n"
	  "a: /etc/a.json: c: expected an e, found an f; do h\n"
	  "a: /etc/a.json: d: expected x, found y; z\n"
	  "c: e: expected 1, found 2; 3\n" },
	{ "a setting has its value behind it, however long its name is", TABLE_CONFIG, 80,
	  "{\"settings\":{\"a\":{\"value\":1,\"origin\":\"o\"},\"a_name_of_17_char\":{\"value\":2,\"origin\":\"o\"},"
	  "\"a_name_of_18_chars\":{\"value\":3,\"origin\":\"o\"},\"a_name_of_19_charsx\":{\"value\":4,\"origin\":\"o\"}}}",
	  "a                 1  (o)\na_name_of_17_char 2  (o)\na_name_of_18_chars 3  (o)\na_name_of_19_charsx 4  (o)\n" },
	{ "of events the time alone gives way", TABLE_EVENTS, 24,
	  "{\"state\":\"accepted\",\"items\":[{\"event_id\":1,"
	  "\"occurred_at\":\"2026-11-22T22:06:26+00:00\",\"kind\":\"worker_created\","
	  "\"worker_id\":\"worker-00000001\",\"transcript_sequence\":null}],\"next_cursor\":\"1\","
	  "\"diagnostics\":[]}",
	  "EVENT  KIND            WORKER           SEQUENCE\n"
	  "    TIME\n"
	  "1      worker_created  worker-00000001  -\n"
	  "    2026-11\xe2\x80\xa6\n"
	  "later ones from --cursor 1\n" },
	{ "of adapters everything is whole", TABLE_ADAPTERS, 24,
	  "{\"adapters\":[{\"name\":\"a-long-name\",\"state\":\"active\",\"version\":\"1.2.3\","
	  "\"abi\":\"1.1\",\"runtime_id\":\"a-runtime\"}]}",
	  "NAME         STATE   VERSION  ABI  RUNTIME\n"
	  "a-long-name  active  1.2.3    1.1  a-runtime\n" },
	{ "of hosts the label alone gives way", TABLE_HOSTS, 24,
	  "{\"items\":[{\"runtime_id\":\"a\",\"host_id\":\"host-with-a-long-name\","
	  "\"status\":\"available\",\"label\":\"A label that gives way\"}],\"diagnostics\":[]}",
	  "  HOST                   STATUS\n"
	  "      LABEL\n"
	  "a\n"
	  "  host-with-a-long-name  available\n"
	  "      A label\xe2\x80\xa6\n" },
	{ "of runtimes, too", TABLE_RUNTIMES, 24,
	  "{\"items\":[{\"runtime_id\":\"a-runtime-with-a-long-name\",\"kind\":\"process\","
	  "\"status\":\"available\",\"label\":\"A label that gives way\"}],\"diagnostics\":[]}",
	  "RUNTIME                     KIND     STATUS\n"
	  "    LABEL\n"
	  "a-runtime-with-a-long-name  process  available\n"
	  "    A label\xe2\x80\xa6\n" },
	{ "a worker that was spawned has its members below its state", TABLE_SPAWN, 24,
	  "{\"state\":\"accepted\",\"worker\":{\"runtime_id\":\"a-runtime-with-a-long-name\","
	  "\"worker_id\":\"w\",\"host_id\":\"h\",\"role\":\"coder\",\"profile\":\"p\"},\"diagnostics\":[]}",
	  "state     accepted\n"
	  "runtime   a-runtime-with-a-long-name\n"
	  "worker    w\n"
	  "host      h\n"
	  "role      coder\n"
	  "profile   p\n" },
	{ "what was carried out says where it stands", TABLE_STATE, 24,
	  "{\"state\":\"accepted\",\"runtime_id\":\"a-runtime-with-a-long-name\",\"worker_id\":\"w\","
	  "\"transcript_sequence\":3,\"event_id\":4,\"diagnostics\":[]}",
	  "state     accepted\n"
	  "runtime   a-runtime-with-a-long-name\n"
	  "worker    w\n"
	  "sequence  3\n"
	  "event     4\n" },
	{ "of connect points everything is whole", TABLE_CONNECT_POINTS, 24,
	  "{\"items\":[{\"kind\":\"a-kind-of-a-long-name\",\"status\":\"a-status-of-a-long-name\"}],"
	  "\"diagnostics\":[]}",
	  "KIND                   STATUS\n"
	  "a-kind-of-a-long-name  a-status-of-a-long-name\n" },
	{ "equal notes are counted", TABLE_HOSTS, 80,
	  "{\"items\":[],\"diagnostics\":[{\"code\":\"c\",\"severity\":\"info\",\"message\":\"m\"},{\"code\":\"c\",\"severity\":\"info\","
	  "\"message\":\"m\"},{\"code\":\"d\",\"severity\":\"info\",\"message\":\"m\"}]}",
	  "no hosts\ninfo: c: m (2 times)\ninfo: d: m\n" },
};

static void tables_are_laid_out(void **state)
{
	struct buffer out = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		buffer_cut(&out, 0);
		table_write(&out, rows[i].kind, berth_text(rows[i].answer), rows[i].columns);
		if (!text_is((struct berth_text){ out.data, out.len }, rows[i].expected))
			fail_msg("%s:\n%.*s", rows[i].name, (int)out.len, out.data);
	}
	buffer_fini(&out);
}

/* More rows than a table has room for at first. */
static void long_tables_have_all_their_rows(void **state)
{
	struct buffer answer = { 0 }, out = { 0 }, expected = { 0 };
	char text[128];

	(void)state;
	buffer_append_string(&answer, "{\"items\":[");
	buffer_append_string(&expected, "KIND   STATUS\n");
	for (int i = 0; i < 500; i++) {
		snprintf(text, sizeof text, "%s{\"kind\":\"k-%03d\",\"status\":\"s\"}", i > 0 ? "," : "", i);
		buffer_append_string(&answer, text);
		snprintf(text, sizeof text, "k-%03d  s\n", i);
		buffer_append_string(&expected, text);
	}
	buffer_append_string(&answer, "]}");
	table_write(&out, TABLE_CONNECT_POINTS, (struct berth_text){ answer.data, answer.len }, 80);
	/* What widths are made of is not left to others. */
	assert_ptr_equal(uselocale((locale_t)0), LC_GLOBAL_LOCALE);
	assert_int_equal(out.len, expected.len);
	assert_memory_equal(out.data, expected.data, out.len);
	buffer_fini(&answer);
	buffer_fini(&expected);
	buffer_fini(&out);
}

/* Texts that stand alone, and errors. */
static void texts_drive_no_terminal(void **state)
{
	struct buffer out = { 0 };

	(void)state;
	table_write_text(&out, berth_text("a\tb\033[2J\302\233\342\200\256\342\200\250\303\251"));
	buffer_append_char(&out, '\n');
	table_write_text(&out, berth_text("a\377b\303"));
	buffer_append_char(&out, '\n');
	table_write_error(&out, berth_text("{\"error\":{\"kind\":\"bad_request\",\"message\":\"op: x\\ny\"}}"));
	if (!text_is((struct berth_text){ out.data, out.len },
		     "a\\tb\\u{1b}[2J\\u{9b}\\u{202e}\\u{2028}\303\251\na?b?\nbad_request: op: x\\ny"))
		fail_msg("%.*s", (int)out.len, out.data);
	buffer_fini(&out);
}

static void members_are_found_by_their_paths(void **state)
{
	static const struct {
		const char *object, *path, *found;
	} paths[] = {
		{ "{}", "a", NULL },
		{ "[]", "a", NULL },
		{ "", "a", NULL },
		{ "{\"a\":null}", "a", NULL },
		{ "{\"a\":1}", "a.b", NULL },
		{ "{\"ab\":1}", "a", NULL },
		{ "{\"b\":{\"a\":1}}", "a", NULL },
		{ "{\"x\":[1],\"a\":{\"c\":2,\"b\":\"y\"}}", "a.b", "\"y\"" },
		{ "{\"\\u0061\":[1, 2]}", "a", "[1, 2]" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct berth_text found = table_find(berth_text(paths[i].object), paths[i].path);

		if ((found.ptr != NULL) != (paths[i].found != NULL) || (found.ptr && !text_is(found, paths[i].found)))
			fail_msg("%s in %s: %.*s", paths[i].path, paths[i].object, (int)found.len, found.ptr ? found.ptr : "");
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tables_are_laid_out),
		cmocka_unit_test(long_tables_have_all_their_rows),
		cmocka_unit_test(texts_drive_no_terminal),
		cmocka_unit_test(members_are_found_by_their_paths),
	};

	/* Else no character beyond ASCII has a width. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		return 77;
	return cmocka_run_group_tests_name("tables", tests, NULL, NULL);
}
