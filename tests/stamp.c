/* SPDX-License-Identifier: MIT */
/* The stamp is read from files that nobody has vouched for: each way in which one can
 * be damaged must end in a failure that is named, or in a stamp that is whole. */
#include "config.h"

#include <elf.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "core/stamp.h"
#include "tests/support.h"

/* ---- Files ---- */

static int make_file(const void *data, size_t len)
{
	int fd = memfd_create("stamp", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, data, len, 0), len);
	return fd;
}

static char *read_plugin(size_t *lenp)
{
	CLEANUP_FREE char *path = NULL;
	struct stat st;
	FILE *file;
	char *data;

	assert_true(asprintf(&path, "%s/embedded.so", plugin_dir()) >= 0);
	file = fopen(path, "r");
	if (!file)
		fail_msg("%s: %s", path, strerror(errno));
	assert_int_equal(fstat(fileno(file), &st), 0);
	*lenp = (size_t)st.st_size;
	data = malloc(*lenp);
	assert_non_null(data);
	assert_int_equal(fread(data, 1, *lenp, file), *lenp);
	fclose(file);
	return data;
}

/* Whether the failure is one that a damaged file can have. */
static bool is_of_a_file(enum failure_code code)
{
	return code == FAILURE_NOT_A_PLUGIN || code == FAILURE_FOREIGN_MACHINE || code == FAILURE_STAMP_MISSING ||
	       code == FAILURE_STAMP_INVALID || code == FAILURE_ABI_MISMATCH;
}

static bool is_id(const char *id)
{
	return *id && strlen(id) <= 64 && strspn(id, "abcdefghijklmnopqrstuvwxyz0123456789-") == strlen(id);
}

/* Reads the stamp; whatever comes must be whole. Returns whether there was one. */
static bool read_any(int fd)
{
	struct failure failure = { .code = FAILURE_NONE };
	struct stamp stamp = { .id = NULL };
	int rc = stamp_read(fd, NULL, &stamp, &failure);

	if (rc < 0) {
		assert_int_equal(rc, -EINVAL);
		assert_true(is_of_a_file(failure.code));
		assert_string_not_equal(failure.expected, "");
		assert_string_not_equal(failure.found.text, "");
		assert_null(stamp.id);
		return false;
	}
	assert_int_equal(rc, 0);
	assert_true(is_id(stamp.id));
	assert_true(strlen(stamp.version) <= 64);
	assert_int_equal(stamp.major, 1);
	assert_true(stamp.needed <= BERTH_ABI_MINOR);
	assert_true(stamp.n_options <= 64);
	for (size_t i = 0; i < stamp.n_options; i++)
		assert_true(*stamp.options[i].name && stamp.options[i].fallback && stamp.options[i].help &&
			    option_type_name(stamp.options[i].type));
	stamp_fini(&stamp);
	return true;
}

/* ---- A real plugin, damaged ---- */

struct range {
	size_t begin, end;
};

static struct range find_stamp(const char *data, size_t len)
{
	static const char owner[8] = BERTH_STAMP_NAME;
	const char *at = memmem(data, len, owner, sizeof owner);

	assert_non_null(at);
	return (struct range){ (size_t)(at - data) - 12, (size_t)(at - data) + 60 };
}

/* Writes other bytes over each byte of a range, one at a time. */
static size_t damage(int fd, const char *data, struct range range)
{
	size_t n_read = 0;

	for (size_t at = range.begin; at < range.end; at++) {
		const unsigned char good = (unsigned char)data[at];
		const unsigned char bad[] = {
			0, 0xff, good ^ 0xff, good ^ 1, good ^ 0x80, (unsigned char)(good + 1), 0x7f,
		};

		for (size_t i = 0; i < sizeof bad; i++) {
			assert_int_equal(pwrite(fd, &bad[i], 1, (off_t)at), 1);
			n_read += read_any(fd);
		}
		assert_int_equal(pwrite(fd, &good, 1, (off_t)at), 1);
	}
	return n_read;
}

static void test_damaged_bytes(void **state)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_FREE char *data = NULL;
	const ElfW(Ehdr) *elf;
	struct range headers;
	size_t len;

	(void)state;
	data = read_plugin(&len);
	fd = make_file(data, len);
	assert_true(read_any(fd));
	elf = (const void *)data;
	headers = (struct range){ elf->e_phoff, elf->e_phoff + (size_t)elf->e_phnum * sizeof(ElfW(Phdr)) };
	damage(fd, data, (struct range){ 0, sizeof *elf });
	damage(fd, data, headers);
	damage(fd, data, find_stamp(data, len));
	assert_true(read_any(fd));
}

/* The first bytes are what the file is told by: no damage there may pass. */
static void test_damaged_magic(void **state)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_FREE char *data = NULL;
	size_t len;

	(void)state;
	data = read_plugin(&len);
	for (size_t at = 0; at < EI_VERSION; at++) {
		data[at] ^= 0x55;
		fd = make_file(data, len);
		assert_false(read_any(fd));
		close(fd);
		data[at] ^= 0x55;
	}
	fd = make_file(data, len);
	assert_true(read_any(fd));
}

static void test_truncated(void **state)
{
	CLEANUP_CLOSE int fd = -1;
	CLEANUP_FREE char *data = NULL;
	struct range stamp;
	size_t len;

	(void)state;
	data = read_plugin(&len);
	stamp = find_stamp(data, len);
	fd = make_file(data, len);
	for (size_t cut = len; cut > 0; cut -= cut > stamp.end + 4000 ? 997 : 1) {
		assert_int_equal(ftruncate(fd, (off_t)cut), 0);
		if (cut < stamp.begin + sizeof(ElfW(Nhdr)) + 8 + 16)
			assert_false(read_any(fd));
		else
			read_any(fd);
	}
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_false(read_any(fd));
}

/* ---- Files made by hand ---- */

enum {
	N_HEADERS = 200,
	NOTES = sizeof(ElfW(Ehdr)) + N_HEADERS * sizeof(ElfW(Phdr)),
	ROOM = 4 << 20,
};

/* The smallest file with a stamp, to be changed before it is laid out. */
struct image {
	ElfW(Ehdr) elf;
	ElfW(Phdr) headers[N_HEADERS];
	struct {
		uint32_t namesz, descsz, type;
		char owner[8];
		uint16_t format, major, needed, minor;
		uint32_t threading, flags;
	} head;
	char text[200000];
	size_t text_len;
	bool keep_sizes; /* descsz and p_filesz are as the row made them */
	const void *before, *after; /* other notes in the segment */
	size_t before_len, after_len;
};

static void set_text(struct image *image, const void *text, size_t len)
{
	assert_true(len <= sizeof image->text);
	memcpy(image->text, text, len);
	image->text_len = len;
}

#define SET_TEXT(image, literal) set_text(image, literal, sizeof(literal))

static struct image *new_image(void)
{
	struct image *image = calloc(1, sizeof *image);

	assert_non_null(image);
	memcpy(image->elf.e_ident, ELFMAG, SELFMAG);
	image->elf.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	image->elf.e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	image->elf.e_ident[EI_VERSION] = EV_CURRENT;
	image->elf.e_type = ET_DYN;
	image->elf.e_version = EV_CURRENT;
	image->elf.e_phoff = sizeof image->elf;
	image->elf.e_ehsize = sizeof image->elf;
	image->elf.e_phentsize = sizeof *image->headers;
	image->elf.e_phnum = 1;
	for (size_t i = 0; i < N_HEADERS; i++)
		image->headers[i].p_type = PT_GNU_STACK;
	image->headers[0] = (ElfW(Phdr)){ .p_type = PT_NOTE, .p_offset = NOTES, .p_align = 4 };
	image->head.namesz = sizeof BERTH_STAMP_NAME;
	image->head.type = BERTH_STAMP_TYPE;
	memcpy(image->head.owner, BERTH_STAMP_NAME, sizeof BERTH_STAMP_NAME);
	image->head.format = BERTH_STAMP_FORMAT;
	image->head.major = 1;
	SET_TEXT(image, "hand-made\0" "1.2.3\0");
	return image;
}

static int lay_out(struct image *image)
{
	const size_t head_len = sizeof image->head, text_len = (image->text_len + 3) / 4 * 4;
	CLEANUP_FREE char *data = calloc(1, ROOM);
	size_t at = NOTES;

	assert_non_null(data);
	if (!image->keep_sizes) {
		image->head.descsz = (uint32_t)(head_len - sizeof(ElfW(Nhdr)) - 8 + image->text_len);
		image->headers[0].p_filesz = image->before_len + head_len + text_len + image->after_len;
	}
	memcpy(data, &image->elf, sizeof image->elf);
	memcpy(data + sizeof image->elf, image->headers, sizeof image->headers);
	if (image->before)
		memcpy(data + at, image->before, image->before_len);
	at += image->before_len;
	memcpy(data + at, &image->head, head_len);
	memcpy(data + at + head_len, image->text, image->text_len);
	at += head_len + text_len;
	if (image->after)
		memcpy(data + at, image->after, image->after_len);
	return make_file(data, at + image->after_len);
}

/* ---- The changes ---- */

static void keep_as_it_is(struct image *image)
{
	(void)image;
}

static void huge_filesz(struct image *image)
{
	image->keep_sizes = true;
	image->headers[0].p_filesz = SIZE_MAX - 7;
}

static void large_filesz(struct image *image)
{
	image->keep_sizes = true;
	image->headers[0].p_filesz = 1 << 19;
}

static void offset_beyond_end(struct image *image)
{
	image->headers[0].p_offset = ROOM * 2u;
}

static void offset_wraps(struct image *image)
{
	image->headers[0].p_offset = SIZE_MAX - 3;
}

static void headers_beyond_end(struct image *image)
{
	image->elf.e_phoff = SIZE_MAX - 15;
}

static void negative_headers(struct image *image)
{
	image->elf.e_phoff = (ElfW(Off))1 << (sizeof(ElfW(Off)) * 8 - 1);
}

static void small_headers(struct image *image)
{
	image->elf.e_phentsize = 8;
}

static void no_headers(struct image *image)
{
	image->elf.e_phnum = 0;
}

static void many_headers(struct image *image)
{
	image->elf.e_phnum = 129;
}

static void extended_headers(struct image *image)
{
	image->elf.e_phnum = PN_XNUM;
}

static void last_of_128_headers(struct image *image)
{
	image->elf.e_phnum = 128;
}

static void other_class(struct image *image)
{
	image->elf.e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
}

static void other_order(struct image *image)
{
	image->elf.e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
}

static void executable(struct image *image)
{
	image->elf.e_type = ET_EXEC;
}

static void object_file(struct image *image)
{
	image->elf.e_type = ET_REL;
}

static void huge_namesz(struct image *image)
{
	image->head.namesz = UINT32_MAX;
}

static void huge_descsz(struct image *image)
{
	image->keep_sizes = true;
	image->head.descsz = UINT32_MAX;
	image->headers[0].p_filesz = sizeof image->head + 16;
}

static void descsz_beyond_segment(struct image *image)
{
	image->keep_sizes = true;
	image->head.descsz = sizeof image->head;
	image->headers[0].p_filesz = sizeof image->head;
}

static void short_desc(struct image *image)
{
	image->keep_sizes = true;
	image->head.descsz = 15;
	image->headers[0].p_filesz = sizeof image->head;
}

static void desc_of_65536(struct image *image)
{
	image->text_len = 65536 - 16;
}

static void desc_of_65537(struct image *image)
{
	image->text_len = 65537 - 16;
}

static void other_owner(struct image *image)
{
	image->head.owner[0] = 'B';
}

static void other_type(struct image *image)
{
	image->head.type = 2;
}

static void other_format(struct image *image)
{
	image->head.format = 2;
}

static void other_major(struct image *image)
{
	image->head.major = 2;
	/* Nothing else can be known of another major. */
	SET_TEXT(image, "\xff\xff");
}

static void major_0(struct image *image)
{
	image->head.major = 0;
}

static void needs_next_minor(struct image *image)
{
	image->head.needed = image->head.minor = BERTH_ABI_MINOR + 1;
}

static void built_with_minor_9(struct image *image)
{
	image->head.minor = 9;
}

static void no_text(struct image *image)
{
	image->text_len = 0;
}

static void no_version(struct image *image)
{
	set_text(image, "hand-made", sizeof "hand-made");
}

static void no_final_nul(struct image *image)
{
	set_text(image, "hand-made\0" "1.2", sizeof "hand-made\0" "1.2" - 1);
}

static void no_nul_at_all(struct image *image)
{
	set_text(image, "hand-made-1.2", 12);
}

static void empty_id(struct image *image)
{
	SET_TEXT(image, "\0" "1\0");
}

static void upper_id(struct image *image)
{
	SET_TEXT(image, "Hand-made\0" "1\0");
}

static void path_as_id(struct image *image)
{
	SET_TEXT(image, "../made\0" "1\0");
}

static void underscore_id(struct image *image)
{
	SET_TEXT(image, "hand_made\0" "1\0");
}

#define A16 "aaaaaaaaaaaaaaaa"

static void id_of_64(struct image *image)
{
	SET_TEXT(image, A16 A16 A16 A16 "\0" "1\0");
}

static void id_of_65(struct image *image)
{
	SET_TEXT(image, A16 A16 A16 A16 "a\0" "1\0");
}

static void version_of_64(struct image *image)
{
	SET_TEXT(image, "hand-made\0" A16 A16 A16 A16 "\0");
}

static void version_of_65(struct image *image)
{
	SET_TEXT(image, "hand-made\0" A16 A16 A16 A16 "a\0");
}

static void version_with_delete(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\1772\0");
}

static void version_of_two_lines(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\n2\0");
}

static void bytes_as_version(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\xff\0");
}

static void option(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\0" BERTH_OPTION("size", "count", "1", "how many"));
}

static void option_cut_short(struct image *image)
{
	set_text(image, "hand-made\0" "1\0" "size\0" "count\0" "1",
		 sizeof "hand-made\0" "1\0" "size\0" "count\0" "1");
}

static void option_name_alone(struct image *image)
{
	set_text(image, "hand-made\0" "1\0" "size", sizeof "hand-made\0" "1\0" "size");
}

static void option_with_dash(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\0" BERTH_OPTION("a-size", "count", "1", "how many"));
}

static void option_of_two_lines(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\0" BERTH_OPTION("size", "count", "1", "how\nmany"));
}

static void option_of_later_type(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\0" BERTH_OPTION("size", "duration", "5s", "how long"));
}

static void add_options(struct image *image, size_t n)
{
	static const char words[] = BERTH_OPTION("size", "count", "1", "how many");

	SET_TEXT(image, "hand-made\0" "1");
	for (size_t i = 0; i < n; i++) {
		memcpy(image->text + image->text_len, words, sizeof words - 1);
		image->text_len += sizeof words - 1;
	}
	image->text[image->text_len++] = '\0';
}

static void options_64(struct image *image)
{
	add_options(image, 64);
}

static void options_65(struct image *image)
{
	add_options(image, 65);
}

static void bytes_behind_options(struct image *image)
{
	SET_TEXT(image, "hand-made\0" "1\0" BERTH_OPTION("size", "count", "1", "how many")
			"\0" "\xff what a later one adds");
}

/* What a linker makes for code with branch protection: its descriptor is 16 bytes
 * behind the head of the note, since notes of this alignment pad to 8 from there. */
static const struct {
	uint32_t namesz, descsz, type;
	char owner[4];
	uint32_t property[4];
} property_note = { 4, 16, 5, "GNU", { 0xc0000002, 4, 3, 0 } };

/* The second of two begins at the next 8 bytes. */
static const struct {
	uint32_t namesz, descsz, type;
	char owner[4];
	uint32_t property, padding;
	uint32_t second[8];
} property_notes = { 4, 4, 5, "GNU", 0, UINT32_MAX, { 4, 16, 5, 0, 0, 0, 0, 0 } };

/* A segment of notes of 8-byte alignment before the one with the stamp. */
static void put_properties(struct image *image, const void *notes, size_t size)
{
	image->headers[1] = image->headers[0];
	image->headers[0] = (ElfW(Phdr)){ .p_type = PT_NOTE, .p_align = 8, .p_filesz = size };
	image->elf.e_phnum = 2;
	image->headers[0].p_offset = NOTES + sizeof image->head + (image->text_len + 3) / 4 * 4;
	image->headers[1].p_filesz = sizeof image->head + (image->text_len + 3) / 4 * 4;
	image->head.descsz = (uint32_t)(sizeof image->head - 20 + image->text_len);
	image->keep_sizes = true;
	image->after = notes;
	image->after_len = size;
}

static void property_segment(struct image *image)
{
	put_properties(image, &property_note, sizeof property_note);
}

static void two_properties(struct image *image)
{
	put_properties(image, &property_notes, sizeof property_notes);
}

static const struct {
	uint32_t namesz, descsz, type;
	char owner[4];
	unsigned char id[20];
} build_id_note = { 4, 20, 3, "GNU", { 1, 2, 3 } };

/* The whole segment has so many bytes. */
static void notes_of(struct image *image, size_t size)
{
	static struct {
		uint32_t namesz, descsz, type;
		char owner[4], desc[1 << 20];
	} note = { 4, 0, 1, "GNU", "" };

	image->after = &note;
	image->after_len = size - sizeof image->head - (image->text_len + 3) / 4 * 4;
	note.descsz = (uint32_t)(image->after_len - offsetof(__typeof__(note), desc));
}

static void notes_of_a_mebibyte(struct image *image)
{
	notes_of(image, 1 << 20);
}

static void notes_of_more(struct image *image)
{
	notes_of(image, (1 << 20) + 4);
}

static void between_other_notes(struct image *image)
{
	image->before = image->after = &build_id_note;
	image->before_len = image->after_len = sizeof build_id_note;
}

static void second_stamp(struct image *image)
{
	image->after = &image->head;
	image->after_len = sizeof image->head;
	image->keep_sizes = true;
	image->head.descsz = 16;
	image->text_len = 0;
	image->headers[0].p_filesz = 2 * sizeof image->head;
}

/* The same segment twice is two stamps as well. */
static void second_segment(struct image *image)
{
	image->keep_sizes = true;
	image->head.descsz = (uint32_t)(sizeof image->head - 20 + image->text_len);
	image->headers[0].p_filesz = sizeof image->head + (image->text_len + 3) / 4 * 4;
	image->headers[1] = image->headers[0];
	image->elf.e_phnum = 2;
}

static const struct row {
	const char *name;
	void (*change)(struct image *image);
	enum failure_code code; /* FAILURE_NONE: the stamp is read */
	size_t n_options;
} rows[] = {
	{ "a segment of nearly all memory", huge_filesz, FAILURE_NOT_A_PLUGIN, 0 },
	{ "a segment longer than the file", large_filesz, FAILURE_NOT_A_PLUGIN, 0 },
	{ "a segment behind the end of the file", offset_beyond_end, FAILURE_NOT_A_PLUGIN, 0 },
	{ "a segment whose end wraps around", offset_wraps, FAILURE_NOT_A_PLUGIN, 0 },
	{ "program headers whose end wraps around", headers_beyond_end, FAILURE_NOT_A_PLUGIN, 0 },
	{ "program headers at a negative offset", negative_headers, FAILURE_NOT_A_PLUGIN, 0 },
	{ "program headers of 8 bytes", small_headers, FAILURE_NOT_A_PLUGIN, 0 },
	{ "no program headers", no_headers, FAILURE_STAMP_MISSING, 0 },
	{ "129 program headers", many_headers, FAILURE_NOT_A_PLUGIN, 0 },
	{ "more program headers than the field can count", extended_headers, FAILURE_NOT_A_PLUGIN, 0 },
	{ "another word size", other_class, FAILURE_FOREIGN_MACHINE, 0 },
	{ "another byte order", other_order, FAILURE_FOREIGN_MACHINE, 0 },
	{ "a program instead of a library", executable, FAILURE_NOT_A_PLUGIN, 0 },
	{ "an object file", object_file, FAILURE_NOT_A_PLUGIN, 0 },
	{ "an owner of nearly 4 GiB", huge_namesz, FAILURE_NOT_A_PLUGIN, 0 },
	{ "a descriptor of nearly 4 GiB", huge_descsz, FAILURE_NOT_A_PLUGIN, 0 },
	{ "a descriptor that ends behind its segment", descsz_beyond_segment, FAILURE_NOT_A_PLUGIN, 0 },
	{ "a descriptor of 15 bytes", short_desc, FAILURE_STAMP_INVALID, 0 },
	{ "a descriptor of 65537 bytes", desc_of_65537, FAILURE_STAMP_INVALID, 0 },
	{ "notes of more than 1 MiB", notes_of_more, FAILURE_NOT_A_PLUGIN, 0 },
	{ "a note of another owner", other_owner, FAILURE_STAMP_MISSING, 0 },
	{ "a note of another type", other_type, FAILURE_STAMP_MISSING, 0 },
	{ "two stamps in a segment", second_stamp, FAILURE_STAMP_INVALID, 0 },
	{ "two segments with a stamp", second_segment, FAILURE_STAMP_INVALID, 0 },
	{ "a stamp of another format", other_format, FAILURE_STAMP_INVALID, 0 },
	{ "another major, with a text that means nothing here", other_major, FAILURE_ABI_MISMATCH, 0 },
	{ "major 0", major_0, FAILURE_ABI_MISMATCH, 0 },
	{ "a minor that is not there yet", needs_next_minor, FAILURE_ABI_MISMATCH, 0 },
	{ "no text", no_text, FAILURE_STAMP_INVALID, 0 },
	{ "an id and no version", no_version, FAILURE_STAMP_INVALID, 0 },
	{ "no NUL at all", no_nul_at_all, FAILURE_STAMP_INVALID, 0 },
	{ "no NUL at the end", no_final_nul, FAILURE_STAMP_INVALID, 0 },
	{ "an empty id", empty_id, FAILURE_STAMP_INVALID, 0 },
	{ "an id with a capital", upper_id, FAILURE_STAMP_INVALID, 0 },
	{ "an id that is a path", path_as_id, FAILURE_STAMP_INVALID, 0 },
	{ "an id with an underscore", underscore_id, FAILURE_STAMP_INVALID, 0 },
	{ "an id of 65 characters", id_of_65, FAILURE_STAMP_INVALID, 0 },
	{ "a version of 65 bytes", version_of_65, FAILURE_STAMP_INVALID, 0 },
	{ "a version with the character DEL", version_with_delete, FAILURE_STAMP_INVALID, 0 },
	{ "a version of two lines", version_of_two_lines, FAILURE_STAMP_INVALID, 0 },
	{ "a version that is no UTF-8", bytes_as_version, FAILURE_STAMP_INVALID, 0 },
	{ "an option without its help", option_cut_short, FAILURE_STAMP_INVALID, 0 },
	{ "an option with a name alone", option_name_alone, FAILURE_STAMP_INVALID, 0 },
	{ "an option whose name has a dash", option_with_dash, FAILURE_STAMP_INVALID, 0 },
	{ "an option with a help of two lines", option_of_two_lines, FAILURE_STAMP_INVALID, 0 },
	{ "65 options", options_65, FAILURE_STAMP_INVALID, 0 },
	{ "64 options are read", options_64, FAILURE_NONE, 64 },
	{ "an option of a later type is a text", option_of_later_type, FAILURE_NONE, 1 },
	{ "an option is read", option, FAILURE_NONE, 1 },
	{ "what follows the options is ignored", bytes_behind_options, FAILURE_NONE, 1 },
	{ "an id of 64 characters is read", id_of_64, FAILURE_NONE, 0 },
	{ "a version of 64 bytes is read", version_of_64, FAILURE_NONE, 0 },
	{ "a descriptor of 65536 bytes is read", desc_of_65536, FAILURE_NONE, 0 },
	{ "a stamp in notes of 1 MiB is read", notes_of_a_mebibyte, FAILURE_NONE, 0 },
	{ "a later minor that needs no more is read", built_with_minor_9, FAILURE_NONE, 0 },
	{ "a stamp under 128 program headers is read", last_of_128_headers, FAILURE_NONE, 0 },
	{ "a stamp between other notes is read", between_other_notes, FAILURE_NONE, 0 },
	{ "a property note of 8-byte alignment is no obstacle", property_segment, FAILURE_NONE, 0 },
	{ "nor are two of them, with bytes between that are none of theirs", two_properties, FAILURE_NONE, 0 },
	{ "a plain stamp is read", keep_as_it_is, FAILURE_NONE, 0 },
};

static void test_row(void **state)
{
	struct failure failure = { .code = FAILURE_NONE };
	struct stamp stamp = { .id = NULL };
	const struct row *row = *state;
	struct image *image = new_image();
	CLEANUP_CLOSE int fd = -1;

	row->change(image);
	fd = lay_out(image);
	free(image);
	if (stamp_read(fd, NULL, &stamp, &failure) < 0 && row->code == FAILURE_NONE)
		fail_msg("%s: expected %s, found %s", failure_code_name(failure.code), failure.expected,
			 failure.found.text);
	assert_string_equal(failure_code_name(failure.code), failure_code_name(row->code));
	if (row->change == other_major || row->change == major_0)
		assert_string_equal(failure.expected, "ABI 1");
	if (row->change == needs_next_minor)
		assert_memory_equal(failure.expected, "at most ABI 1.", 14);
	assert_int_equal(stamp.id != NULL, row->code == FAILURE_NONE);
	assert_int_equal(stamp.n_options, row->n_options);
	if (row->change == option_of_later_type)
		assert_int_equal(stamp.options[0].type, OPTION_TEXT);
	if (row->change == option)
		assert_int_equal(stamp.options[0].type, OPTION_COUNT);
	stamp_fini(&stamp);
}

int main(void)
{
	static const struct CMUnitTest others[] = {
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_damaged_magic),
		cmocka_unit_test(test_damaged_bytes),
	};
	enum { N_ROWS = sizeof rows / sizeof *rows, N_OTHERS = sizeof others / sizeof *others };
	struct CMUnitTest tests[N_ROWS + N_OTHERS];

	for (size_t i = 0; i < N_ROWS; i++)
		tests[i] = (struct CMUnitTest){ rows[i].name, test_row, NULL, NULL, (void *)(uintptr_t)&rows[i] };
	memcpy(tests + N_ROWS, others, sizeof others);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
