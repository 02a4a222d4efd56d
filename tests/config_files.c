/* SPDX-License-Identifier: MIT */
/* How one configuration file is read: its text, and where it may be. Drop-ins are what
 * it is read through. */
#include "config.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/config_file.h"
#include "core/dropin.h"
#include "inline/utf8.h"
#include "tests/support.h"

enum { NOBODY = 65534 };

static void scratch_removep(char **dirp)
{
	scratch_remove(*dirp);
}

#define CLEANUP_SCRATCH CLEANUP(scratch_removep)
#define CLEANUP_DROPINS CLEANUP(dropins_fini)

static void load(const char *dir, struct dropins *dropins)
{
	assert_int_equal(dropins_load(&(const char *const){ dir }, 1, dropins), 0);
}

static char *join(const char *dir, const char *name)
{
	char *path;

	assert_true(asprintf(&path, "%s/%s", dir, name) >= 0);
	return path;
}

/* A row that is wrong is reported, and the others still run. */
static unsigned n_wrong;

#define WRONG(...) (n_wrong++, print_error(__VA_ARGS__))

static int forget_wrong(void **state)
{
	(void)state;
	n_wrong = 0;
	return 0;
}

/* That a.json has the one failure, and that its text begins with the path and at. */
static void check_failure(const char *row, const char *dir, const struct dropin *dropin, const char *code,
			   const char *at)
{
	const struct failure *failure = &dropin->failures.list[0];
	CLEANUP_FREE char *place = NULL;

	assert_true(asprintf(&place, "%s/a.json%s", dir, at) >= 0);
	if (dropin->failures.n != 1)
		WRONG("%s: %zu failures\n", row, dropin->failures.n);
	else if (strcmp(failure_code_name(failure->code), code) != 0)
		WRONG("%s: %s: %s\n", row, failure_code_name(failure->code), failure->found.text);
	else if (strncmp(failure->found.text, place, strlen(place)) != 0)
		WRONG("%s: expected %s..., found %s\n", row, place, failure->found.text);
	else
		assert_true(*failure->expected);
}

/* ---- Text ---- */

/* So many members, with a comma behind. */
#define EIGHT(name) \
	"'" name "0': 1, '" name "1': 1, '" name "2': 1, '" name "3': 1, " \
	"'" name "4': 1, '" name "5': 1, '" name "6': 1, '" name "7': 1, "

static const struct {
	const char *name;
	const char *text; /* with ' in the place of " */
	const char *at;   /* line and column, or the line alone */
} bad_texts[] = {
	{ "white space alone", " \n", "2:1:" },
	{ "a comment alone", "/* nothing */\n// here\n", "3:1:" },
	{ "a list", "[]", "1:1:" },
	{ "a string", "'priority'", "1:1:" },
	{ "null", "\n null", "2:2:" },
	{ "a mark of the byte order", "\xef\xbb\xbf{}", "1:1:" },
	{ "an object that does not end", "{'priority': 1", "1:15:" },
	{ "a key without quotes", "{priority: 1}", "1:2:" },
	{ "a comma behind the last member", "{'priority': 1,}", "1:16:" },
	{ "a comma before the first member", "{, 'priority': 1}", "1:2:" },
	{ "no comma between members", "{'priority': 1 'enabled': true}", "1:16:" },
	{ "no colon behind a key", "{'priority' 1}", "1:13:" },
	{ "no value behind a colon", "{'priority': }", "1:14:" },
	{ "a bracket that does not fit", "{'options': {]}", "1:14:" },
	{ "text behind the object", "{} x", "1:4:" },
	{ "two objects", "{}{}", "1:3:" },
	{ "NaN", "{'priority': NaN}", "1:14:" },
	{ "a number that begins with a plus", "{'priority': +1}", "1:14:" },
	{ "a number that begins with a point", "{'priority': .5}", "1:14:" },
	{ "a number with a leading zero", "{'priority': 01}", "1:1" },
	{ "a number in hex", "{'priority': 0x10}", "1:15:" },
	{ "a number beyond a double", "{'priority': 1e999}", "1:" },
	{ "True", "{'enabled': True}", "1:13:" },
	{ "tru", "{'enabled': tru}", "1:13:" },
	{ "a string that does not end", "{'adapter': 'a}", "1:" },
	{ "a string over two lines", "{'adapter': 'a\nb'}", "1:15:" },
	{ "a tab in a string", "{'adapter': 'a\tb'}", "1:15:" },
	{ "an escape that there is not", "{'adapter': 'a\\x'}", "1:1" },
	{ "half a surrogate", "{'adapter': '\\ud800'}", "1:" },
	{ "a string that is not UTF-8", "{'adapter': '\xff'}", "1:14:" },
	{ "U+0000 in a value", "{'adapter': 'a\\u0000b'}", "1:" },
	{ "U+0000 in a key", "{'adapter\\u0000x': 'a'}", "1:" },
	{ "U+0000 in the name of an option", "{'options': {'on\\u0000x': true}}", "1:" },
	{ "U+0000 in an option", "{'options': {'words': 'a\\u0000b'}}", "1:" },
	{ "a comment of one slash", "{} / x", "1:4:" },
	{ "a comment of a shell", "# x\n{}", "1:1:" },
	{ "a comment that does not end", "{} /* x", "1:" },
	{ "a comment that does not end, over lines", "{}\n/* x\n\n", "" },
	{ "a comment whose end is its beginning", "{} /*/", "1:" },
	{ "a comment in a comment", "/* /* */ */ {}", "1:10:" },
	{ "an error behind a comment", "/* a */ {'priority' 1}", "1:21:" },
	{ "an error behind a comment of two lines", "/* a\n b */ {'priority' 1}", "2:19:" },
	{ "an error behind a line comment", "{ // a\n 'priority' 1}", "2:13:" },
	{ "an error behind a comment with letters of two bytes", "/* \xc3\xa4\xc3\xb6 */ x", "1:10:" },
	{ "an error behind a comment with a letter of four bytes", "/* \xf0\x9f\x9a\xa2 */ x", "1:9:" },
	{ "an error behind a string with a letter of two bytes", "{'adapter': '\xc3\xa4' x", "1:17:" },
	{ "an error behind a string with a letter of four bytes", "{'adapter': '\xf0\x9f\x9a\xa2' x", "1:17:" },
	{ "an error behind a line as Windows ends it", "{\r\n'priority' 1}", "2:12:" },
	{ "an error behind a tab", "{\t'priority' 1}", "1:14:" },
	{ "a doubled key", "{'priority': 1, 'priority': 2}", "1:17:" },
	{ "a doubled key in another line", "{'priority': 1,\n\n 'priority': 1}", "3:2:" },
	{ "a doubled key of other letters", "{'priority': 1, '\\u0070riority': 2}", "1:17:" },
	{ "a doubled key that is not known", "{'x': 1, 'x': 2}", "1:10:" },
	{ "a doubled option", "{'options': {'a': 1, 'a': 2}}", "1:22:" },
	{ "a key that is one too many", "{'options': {" EIGHT("a") EIGHT("b") EIGHT("c") EIGHT("d") EIGHT("e") EIGHT("f") EIGHT("g")
	  EIGHT("h") "\n'i': 1}}", "2:1:" },
	{ "an unknown key", "{'priority': 1,\n  'prioritty': 2}", "2:3:" },
	{ "an unknown key behind a comment", "{/* \xc3\xa4 */ 'prioritty': 2}", "1:10:" },
	{ "an unknown key written with escapes", "{'\\u0078x': 2}", "1:2:" },
	{ "a wrong type", "{\n\t'enabled': 1}", "2:2:" },
	{ "a wrong type behind a member of that name", "{'options': {'enabled': 1},\n'enabled': 1}", "2:1:" },
};

static char *quoted(const char *text)
{
	char *copy = strdup(text);

	assert_non_null(copy);
	for (char *p = copy; *p; p++)
		if (*p == '\'')
			*p = '"';
	return copy;
}

static void write_quoted(const char *dir, const char *path, const char *text)
{
	CLEANUP_FREE char *copy = quoted(text);

	scratch_write(dir, path, copy, strlen(copy));
}

static void what_is_wrong_is_named_with_its_place(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();

	(void)state;
	for (size_t i = 0; i < sizeof bad_texts / sizeof *bad_texts; i++) {
		CLEANUP_DROPINS struct dropins dropins = { 0 };
		CLEANUP_FREE char *at = NULL;

		assert_true(asprintf(&at, ":%s", bad_texts[i].at) >= 0);
		write_quoted(dir, "a.json", bad_texts[i].text);
		scratch_write(dir, "b.json", "{}", 2);
		load(dir, &dropins);
		assert_int_equal(dropins.n, 2);
		check_failure(bad_texts[i].name, dir, dropins_find(&dropins, "a"), "config_invalid", at);
		assert_int_equal(dropins_find(&dropins, "b")->failures.n, 0);
	}
	assert_int_equal(n_wrong, 0);
}

static void nesting_has_an_end(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_DROPINS struct dropins dropins = { 0 };
	static char text[400000];

	(void)state;
	memset(text, '[', sizeof text);
	scratch_write(dir, "a.json", text, sizeof text);
	memcpy(text, "{\"options\":", 11);
	scratch_write(dir, "b.json", text, sizeof text);
	load(dir, &dropins);
	check_failure("brackets", dir, dropins_find(&dropins, "a"), "config_invalid", ":1:1:");
	assert_int_equal(dropins_find(&dropins, "b")->failures.list[0].code, FAILURE_CONFIG_INVALID);
	assert_int_equal(n_wrong, 0);
}

/* What is quoted in an error may be cut, but not within a letter. */
static void errors_are_utf8(void **state)
{
	static const struct {
		const char *before, *behind;
	} frames[] = {
		{ "{\"adapter\": \"", "\"}" }, { "{\"", "\": 1}" }, { "{\"options\": \"", "\"}" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof frames / sizeof *frames; i++)
		for (size_t shift = 0; shift < 4; shift++) {
			CLEANUP_SCRATCH char *dir = scratch_new();
			CLEANUP_DROPINS struct dropins dropins = { 0 };
			CLEANUP_FREE char *text = NULL;
			char word[600] = "";

			memset(word, 'x', shift);
			for (size_t j = 0; j < 100; j++)
				strcat(word, "\xf0\x9f\x9a\xa2");
			assert_true(asprintf(&text, "%s%s%s", frames[i].before, word, frames[i].behind) >= 0);
			scratch_write(dir, "a.json", text, strlen(text));
			load(dir, &dropins);
			assert_int_equal(dropins.list[0].failures.n, 1);
			for (const char *p = dropins.list[0].failures.list[0].found.text; *p;) {
				uint32_t code;
				size_t n = utf8_decode(p, strlen(p), &code);

				if (n == 0)
					WRONG("not UTF-8 at %zu: %s\n",
					      (size_t)(p - dropins.list[0].failures.list[0].found.text), frames[i].before);
				if (n == 0)
					break;
				p += n;
			}
		}
	assert_int_equal(n_wrong, 0);
}

static const struct {
	const char *name;
	const char *text;         /* with ' in the place of " */
	const char *key, *string; /* what is then set */
} good_texts[] = {
	{ "no member", "{}", "adapter", "a" },
	{ "no comment", "{'adapter':'x'}", "adapter", "x" },
	{ "comments between all tokens", "/*1*/{/*2*/'adapter'/*3*/:/*4*/'x'/*5*/}/*6*/", "adapter", "x" },
	{ "line comments between all tokens", "//1\n{//2\n'adapter'//3\n://4\n'x'//5\n}//6\n", "adapter", "x" },
	{ "a line comment at the end of the file", "{'adapter':'x'}//", "adapter", "x" },
	{ "a comment at the end of the file", "{'adapter':'x'}/**/", "adapter", "x" },
	{ "comments of stars", "/**//***/ /****/ {'adapter':'x'}", "adapter", "x" },
	{ "a comment that begins with a slash", "/*/ 'y' */ {'adapter':'x'}", "adapter", "x" },
	{ "a line comment in a comment", "/* // */ {'adapter':'x'}", "adapter", "x" },
	{ "a comment in a line comment", "// /*\n{'adapter':'x'}", "adapter", "x" },
	{ "a comment that is out of use", "{//'adapter':'y',\n/*'adapter':'z',*/'adapter':'x'}", "adapter", "x" },
	{ "a quote in a comment", "/* ' */ {'adapter':'x'} // '", "adapter", "x" },
	{ "a backslash in a comment", "/* \\*/ {'adapter':'x'} // \\\n", "adapter", "x" },
	{ "a comment that is not ASCII", "/* \xc3\xa4 */ {'adapter':'x'}", "adapter", "x" },
	{ "comment marks in a string", "{'options':{'url':'http://x/*y*/z'}}", "options.url", "http://x/*y*/z" },
	{ "a comment behind an escaped backslash", "{'options':{'s':'\\\\'// '\n}}", "options.s", "\\" },
	{ "comment marks behind an escaped quote", "{'options':{'s':'\\'//'}}", "options.s", "\"//" },
	{ "lines as Windows ends them", "{//1\r\n'adapter':/*\r\n*/'x'\r\n}\r\n", "adapter", "x" },
	{ "escapes in a key", "{'\\u0061dapter':'x'}", "adapter", "x" },
	{ "escapes in a value", "{'adapter':'\\u0078'}", "adapter", "x" },
};

static void comments_count_as_white_space(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();

	(void)state;
	for (size_t i = 0; i < sizeof good_texts / sizeof *good_texts; i++) {
		CLEANUP_DROPINS struct dropins dropins = { 0 };
		const char *string;

		write_quoted(dir, "a.json", good_texts[i].text);
		load(dir, &dropins);
		if (dropins.list[0].failures.n > 0)
			WRONG("%s: %s\n", good_texts[i].name, dropins.list[0].failures.list[0].found.text);
		string = settings_string(dropins.list[0].settings, good_texts[i].key);
		if (!string || strcmp(string, good_texts[i].string) != 0)
			WRONG("%s: %s is %s\n", good_texts[i].name, good_texts[i].key, string ? string : "not set");
	}
	assert_int_equal(n_wrong, 0);
}

/* ---- Files ---- */

static void make_none(const char *path)
{
	(void)path;
}

static void make_fifo(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
}

static void make_directory(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0755), 0);
}

static void make_socket(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(unlink(path), 0);
	assert_true(fd >= 0 && strlen(path) < sizeof address.sun_path);
	strcpy(address.sun_path, path);
	assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
	close(fd);
}

static void make_link(const char *path, const char *target)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(target, path), 0);
}

static void make_loop(const char *path)
{
	make_link(path, "a.json");
}

static void make_dangling(const char *path)
{
	make_link(path, "nowhere");
}

static void make_zero(const char *path)
{
	make_link(path, "/dev/zero");
}

static void make_null(const char *path)
{
	make_link(path, "/dev/null");
}

static void write_file(const char *path, const char *text, size_t len)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, len, file), len);
	assert_int_equal(fclose(file), 0);
}

static void make_empty(const char *path)
{
	write_file(path, "", 0);
}

static void make_nul(const char *path)
{
	write_file(path, "{}\0{}", 5);
}

static void make_nul_alone(const char *path)
{
	write_file(path, "", 1);
}

static void make_spaces(const char *path, size_t len)
{
	char *text = malloc(len);

	assert_non_null(text);
	memset(text, ' ', len);
	memcpy(text, "{}", 2);
	write_file(path, text, len);
	free(text);
}

static void make_largest(const char *path)
{
	make_spaces(path, CONFIG_FILE_MAX);
}

static void make_larger(const char *path)
{
	make_spaces(path, CONFIG_FILE_MAX + 1);
}

static void make_huge(const char *path)
{
	assert_int_equal(truncate(path, (off_t)1 << 33), 0);
}

static void make_unreadable(const char *path)
{
	assert_int_equal(chmod(path, 0), 0);
}

static void make_linked(const char *path)
{
	CLEANUP_FREE char *hidden = NULL;

	assert_true(asprintf(&hidden, "%s_", path) >= 0);
	assert_int_equal(rename(path, hidden), 0);
	assert_int_equal(symlink(strrchr(hidden, '/') + 1, path), 0);
}

static void give_away(const char *path)
{
	assert_int_equal(chown(path, NOBODY, (gid_t)-1), 0);
}

static void give_away_empty(const char *path)
{
	make_empty(path);
	give_away(path);
}

static void give_away_directory(const char *path)
{
	CLEANUP_FREE char *dir = strdup(path);

	assert_non_null(dir);
	*strrchr(dir, '/') = '\0';
	give_away(dir);
}

enum { AS_ANYBODY, AS_ROOT, AS_USER };

static const struct {
	const char *name;
	void (*make)(const char *path); /* of a file with {} */
	const char *code;               /* none: it serves */
	mode_t mode, dir_mode;          /* 0: as it is */
	int who;
	bool masked;
} files[] = {
	{ "a file that its group can write", make_none, "config_unsafe", 0664, 0, AS_ANYBODY, false },
	{ "a file that others can write", make_none, "config_unsafe", 0646, 0, AS_ANYBODY, false },
	{ "an empty file that others can write", make_empty, "config_unsafe", 0606, 0, AS_ANYBODY, false },
	{ "a directory that everybody can write", make_none, "config_unsafe", 0, 0777, AS_ANYBODY, false },
	{ "a directory that everybody can write, with its bit", make_none, "config_unsafe", 0, 01777, AS_ANYBODY, false },
	{ "a directory that its group can write", make_none, "config_unsafe", 0, 0775, AS_ANYBODY, false },
	{ "an empty file in such a directory", make_empty, "config_unsafe", 0, 0777, AS_ANYBODY, false },
	{ "a link to /dev/null in such a directory", make_null, "config_unsafe", 0, 0777, AS_ANYBODY, false },
	{ "a file of somebody else", give_away, "config_unsafe", 0, 0, AS_ROOT, false },
	{ "an empty file of somebody else", give_away_empty, "config_unsafe", 0, 0, AS_ROOT, false },
	{ "a directory of somebody else", give_away_directory, "config_unsafe", 0, 0, AS_ROOT, false },
	{ "a file that cannot be read", make_unreadable, "config_unreadable", 0, 0, AS_USER, false },
	{ "a FIFO", make_fifo, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "a directory", make_directory, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "a socket", make_socket, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "a link to itself", make_loop, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "a link to /dev/zero", make_zero, NULL, 0, 0, AS_ANYBODY, false },
	{ "a NUL byte", make_nul, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "a NUL byte alone", make_nul_alone, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "a byte more than 1 MiB", make_larger, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "8 GiB", make_huge, "config_unreadable", 0, 0, AS_ANYBODY, false },
	{ "1 MiB", make_largest, "none", 0, 0, AS_ANYBODY, false },
	{ "a link to a file", make_linked, "none", 0, 0, AS_ANYBODY, false },
	{ "a file that only its owner reads", make_none, "none", 0400, 0700, AS_ANYBODY, false },
	{ "an empty file", make_empty, "none", 0, 0, AS_ANYBODY, true },
	{ "a link to /dev/null", make_null, "none", 0, 0, AS_ANYBODY, true },
};

static void only_safe_files_are_read(void **state)
{
	const int self = geteuid() == 0 ? AS_ROOT : AS_USER;

	(void)state;
	umask(022);
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		CLEANUP_SCRATCH char *dir = scratch_new();
		CLEANUP_FREE char *path = join(dir, "a.json");
		CLEANUP_DROPINS struct dropins dropins = { 0 };
		const struct dropin *dropin;
		const char *code;

		if (files[i].who != AS_ANYBODY && files[i].who != self)
			continue;
		scratch_write(dir, "a.json", "{}", 2);
		files[i].make(path);
		if (files[i].mode)
			assert_int_equal(chmod(path, files[i].mode), 0);
		if (files[i].dir_mode)
			assert_int_equal(chmod(dir, files[i].dir_mode), 0);
		load(dir, &dropins);
		assert_int_equal(dropins.n, 1);
		dropin = &dropins.list[0];
		assert_string_equal(dropin->name, "a");
		code = dropin->failures.n > 0 ? failure_code_name(dropin->failures.list[0].code) : "none";
		/* Whose device it is tells before what it is. */
		if (files[i].code ? strcmp(code, files[i].code) != 0 : strcmp(code, "none") == 0)
			WRONG("%s: %s\n", files[i].name, code);
		if (dropin->failures.n > 1)
			WRONG("%s: %zu failures\n", files[i].name, dropin->failures.n);
		if (dropin->failures.n == 1 && !strstr(dropin->failures.list[0].found.text, dir))
			WRONG("%s: no path in %s\n", files[i].name, dropin->failures.list[0].found.text);
		if (files[i].masked && (!dropin->masked_by || strcmp(dropin->masked_by, path) != 0))
			WRONG("%s: masked by %s\n", files[i].name, dropin->masked_by ? dropin->masked_by : "nothing");
		if (!files[i].masked && dropin->masked_by)
			WRONG("%s: masked\n", files[i].name);
	}
	assert_int_equal(n_wrong, 0);
}

static void a_link_to_nothing_is_no_mask(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_FREE char *path = join(dir, "a.json");
	CLEANUP_DROPINS struct dropins dropins = { 0 };

	(void)state;
	scratch_write(dir, "a.json", "{}", 2);
	make_dangling(path);
	load(dir, &dropins);
	for (size_t i = 0; i < dropins.n; i++)
		assert_null(dropins.list[i].masked_by);
}

static void what_is_unsafe_has_a_mend(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_FREE char *path = join(dir, "a.json");
	CLEANUP_DROPINS struct dropins dropins = { 0 };

	(void)state;
	scratch_write(dir, "a.json", "{}", 2);
	scratch_write(dir, "b.json", "{}", 2);
	assert_int_equal(chmod(path, 0666), 0);
	load(dir, &dropins);
	check_failure("mode 0666", dir, dropins_find(&dropins, "a"), "config_unsafe", ": mode 0666; chmod go-w");
	assert_true(*failure_hint(FAILURE_CONFIG_UNSAFE));
	assert_int_equal(dropins_find(&dropins, "b")->failures.n, 0);
	assert_int_equal(n_wrong, 0);
}

/* ---- Names ---- */

static const struct {
	const char *name;   /* of the file */
	const char *text;   /* with ' in the place of " */
	const char *dropin; /* NULL: it is passed over */
	bool fails;
} names[] = {
	{ ".hidden.json", "{", NULL, false },
	{ ".json", "{", NULL, false },
	{ "json", "{", NULL, false },
	{ "a.json~", "{", NULL, false },
	{ "a.JSON", "{", NULL, false },
	{ "a.json.dpkg-new", "{", NULL, false },
	{ "README", "{", NULL, false },
	{ "under_score.json", "{}", "under_score", true },
	{ "Upper.json", "{}", "Upper", true },
	{ "two words.json", "{}", "two words", true },
	{ "a.b.json", "{}", "a.b", true },
	{ "\xc3\xa4.json", "{}", "\xc3\xa4", true },
	{ "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg.json", "{}",
	  "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffggggg", true },
	{ "under_score.json", "{'adapter': 'a'}", "under_score", false },
	{ "a.json", "{}", "a", false },
	{ "-0.json", "{}", "-0", false },
	{ "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg.json", "{}",
	  "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffffgggg", false },
};

static void the_name_of_a_file_is_that_of_its_instance(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		CLEANUP_SCRATCH char *dir = scratch_new();
		CLEANUP_DROPINS struct dropins dropins = { 0 };

		write_quoted(dir, names[i].name, names[i].text);
		load(dir, &dropins);
		if (dropins.n != (names[i].dropin ? 1 : 0))
			WRONG("%s: %zu instances\n", names[i].name, dropins.n);
		if (!names[i].dropin || dropins.n != 1)
			continue;
		assert_string_equal(dropins.list[0].name, names[i].dropin);
		if (dropins.list[0].failures.n != (names[i].fails ? 1 : 0))
			WRONG("%s: %zu failures\n", names[i].name, dropins.list[0].failures.n);
		if (names[i].fails)
			assert_int_equal(dropins.list[0].failures.list[0].code, FAILURE_CONFIG_INVALID);
	}
	assert_int_equal(n_wrong, 0);
}

static void directories_need_not_be_there(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_FREE char *nowhere = join(dir, "nowhere"), *file = join(dir, "file"), *below = join(dir, "file/below");
	const char *const dirs[] = { NULL, nowhere, file, below, dir };
	CLEANUP_DROPINS struct dropins dropins = { 0 };

	(void)state;
	scratch_write(dir, "file", "{", 1);
	assert_int_equal(dropins_load(dirs, sizeof dirs / sizeof *dirs, &dropins), 0);
	assert_int_equal(dropins.n, 0);
}

static void a_directory_is_neither_inherited_nor_a_fifo(void **state)
{
	CLEANUP_SCRATCH char *dir = scratch_new();
	CLEANUP_FREE char *fifo = join(dir, "fifo");
	struct config_dir opened = { .fd = -1 };

	(void)state;
	assert_int_equal(config_dir_open(dir, &opened), 0);
	assert_int_equal(fcntl(opened.fd, F_GETFD), FD_CLOEXEC);
	config_dir_close(&opened);
	/* Nobody waits for who writes to it. */
	assert_int_equal(mkfifo(fifo, 0666), 0);
	assert_int_equal(config_dir_open(fifo, &opened), 0);
	assert_true(opened.fd < 0 && opened.unsafe.code == FAILURE_NONE);
	config_dir_close(&opened);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(what_is_wrong_is_named_with_its_place, forget_wrong),
		cmocka_unit_test_setup(nesting_has_an_end, forget_wrong),
		cmocka_unit_test_setup(errors_are_utf8, forget_wrong),
		cmocka_unit_test_setup(comments_count_as_white_space, forget_wrong),
		cmocka_unit_test_setup(only_safe_files_are_read, forget_wrong),
		cmocka_unit_test(a_link_to_nothing_is_no_mask),
		cmocka_unit_test_setup(what_is_unsafe_has_a_mend, forget_wrong),
		cmocka_unit_test_setup(the_name_of_a_file_is_that_of_its_instance, forget_wrong),
		cmocka_unit_test(directories_need_not_be_there),
		cmocka_unit_test(a_directory_is_neither_inherited_nor_a_fifo),
	};

	alarm(120);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
