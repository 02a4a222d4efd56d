/* SPDX-License-Identifier: MIT */
/* A plugin's constructors run as soon as it is loaded, so whether it fits has to be
 * known before: its stamp is an ELF note, found through the program headers. The
 * file is untrusted; every offset and length is bounded before it is used. */
#include "config.h"

#include "core/stamp.h"

#include <berth/adapter.h>
#include <elf.h>
#include <link.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/cleanup.h"
#include "inline/utf8.h"

enum {
	PROGRAM_HEADERS_MAX = 128,
	NOTES_MAX = 1 << 20, /* bytes of one note segment */
};

/* The fixed part of the descriptor, as BERTH_ADAPTER lays it out. */
struct stamp_head {
	uint16_t format, major, needed, minor;
	uint32_t threading, flags;
};

static const char *const type_names[N_OPTION_TYPES] = {
	[OPTION_TEXT] = "text", [OPTION_COUNT] = "count",   [OPTION_FLAG] = "flag",
	[OPTION_PATH] = "path", [OPTION_SECRET] = "secret", [OPTION_JSON] = "json",
};

const char *option_type_name(enum option_type type)
{
	return type_names[type];
}

/* Reads exactly size bytes at offset; false where the file ends before. */
static bool read_at(int fd, void *buffer, size_t size, uint64_t offset)
{
	char *p = buffer;

	while (size > 0) {
		ssize_t n = offset > INT64_MAX ? 0 : pread(fd, p, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		p += n;
		size -= (size_t)n;
		offset += (uint64_t)n;
	}
	return true;
}

static int not_a_plugin(struct failure *failure, const char *found)
{
	return failure_set(failure, FAILURE_NOT_A_PLUGIN, "a shared library in ELF format", "%s", found);
}

static int invalid(struct failure *failure, const char *expected, const char *found)
{
	return failure_set(failure, FAILURE_STAMP_INVALID, expected, "%s", found);
}

/* ---- Finding the note ---- */

static size_t align_up(size_t n, size_t align)
{
	return (n + align - 1) & ~(align - 1);
}

/* A search for a stamp: for the only one in a plugin, or, where adapters are linked
 * into the program, for the one of an id. */
struct search {
	const char *id; /* NULL: the only one */
	char *desc;     /* NULL: not found yet; ends with a NUL that len does not count */
	size_t len;
};

/* Keeps a descriptor if it is what is looked for. */
static int keep_desc(struct search *search, const char *desc, size_t len, struct failure *failure)
{
	CLEANUP_FREE char *copy = NULL;

	if (len > STAMP_DESC_MAX)
		return invalid(failure, "a stamp of at most 65536 bytes", "a longer one");
	copy = calloc(1, len + 1);
	if (!copy)
		return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
	memcpy(copy, desc, len);
	if (search->id && (len < sizeof(struct stamp_head) || strcmp(copy + sizeof(struct stamp_head), search->id) != 0))
		return 0;
	if (search->desc)
		return invalid(failure, "one stamp", "several");
	search->desc = STEAL(copy);
	search->len = len;
	return 0;
}

/* Looks through the notes of a segment. What follows the header of a note, and the next
 * note, are aligned from the beginning of the segment on. */
static int scan_notes(const char *notes, size_t size, size_t align, struct search *search, struct failure *failure)
{
	ElfW(Nhdr) head;
	int rc;

	for (size_t at = 0; at < size && size - at >= sizeof head;) {
		const char *name = notes + at + sizeof head;
		size_t desc;

		memcpy(&head, notes + at, sizeof head);
		/* Both lengths have 32 bits, so nothing overflows where size_t has more. */
		desc = align_up(at + sizeof head + head.n_namesz, align);
		if (head.n_namesz > size || head.n_descsz > size || desc > size || head.n_descsz > size - desc)
			return not_a_plugin(failure, "a note that is longer than its segment");
		if (head.n_type == BERTH_STAMP_TYPE && head.n_namesz == sizeof BERTH_STAMP_NAME &&
		    memcmp(name, BERTH_STAMP_NAME, sizeof BERTH_STAMP_NAME) == 0) {
			rc = keep_desc(search, notes + desc, head.n_descsz, failure);
			if (rc < 0)
				return rc;
		}
		at = align_up(desc + head.n_descsz, align);
	}
	return 0;
}

/* The linker maps a segment without asking whether the file is long enough, and the
 * process dies at the first page that is not there. */
static bool is_complete(const ElfW(Phdr) *header, uint64_t file_size)
{
	return header->p_offset <= file_size && header->p_filesz <= file_size - header->p_offset;
}

static int find_desc(int fd, struct search *search, struct failure *failure)
{
	ElfW(Ehdr) elf;
	ElfW(Phdr) header;
	struct stat st;
	const unsigned char class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	const unsigned char order = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;

	if (!read_at(fd, &elf, sizeof elf, 0) || memcmp(elf.e_ident, ELFMAG, SELFMAG) != 0)
		return not_a_plugin(failure, "something else");
	if (elf.e_ident[EI_CLASS] != class || elf.e_ident[EI_DATA] != order)
		return failure_set(failure, FAILURE_FOREIGN_MACHINE, "the word size and byte order of this machine",
				   "others");
	if (elf.e_type != ET_DYN && !(search->id && elf.e_type == ET_EXEC))
		return not_a_plugin(failure, "an ELF file of another type");
	if (fstat(fd, &st) < 0)
		return not_a_plugin(failure, strerror(errno));
	if (elf.e_phentsize != sizeof header || elf.e_phnum > PROGRAM_HEADERS_MAX)
		return not_a_plugin(failure, "damaged program headers");
	for (unsigned i = 0; i < elf.e_phnum; i++) {
		CLEANUP_FREE char *notes = NULL;
		int rc;

		if (elf.e_phoff > INT64_MAX || !read_at(fd, &header, sizeof header, elf.e_phoff + i * sizeof header))
			return not_a_plugin(failure, "a file that ends too early");
		if (!is_complete(&header, (uint64_t)st.st_size))
			return not_a_plugin(failure, "a file that ends too early");
		if (header.p_type != PT_NOTE || header.p_filesz == 0)
			continue;
		if (header.p_filesz > NOTES_MAX)
			return not_a_plugin(failure, "notes of more than 1 MiB");
		notes = malloc(header.p_filesz);
		if (!notes)
			return failure_set(failure, FAILURE_NO_MEMORY, "memory", "none");
		if (!read_at(fd, notes, header.p_filesz, header.p_offset))
			return not_a_plugin(failure, "a file that ends too early");
		rc = scan_notes(notes, header.p_filesz, header.p_align == 8 ? 8 : 4, search, failure);
		if (rc < 0)
			return rc;
	}
	if (!search->desc)
		return failure_set(failure, FAILURE_STAMP_MISSING, "an adapter's stamp", "a library without one");
	return 0;
}

/* ---- Reading the descriptor ---- */

/* The string at *textp, which moves behind its NUL; NULL where none ends before end. */
static const char *next_string(const char **textp, const char *end)
{
	const char *string = *textp, *nul = memchr(string, '\0', (size_t)(end - string));

	if (!nul)
		return NULL;
	*textp = nul + 1;
	return string;
}

static bool is_word(const char *string, size_t max, char joint)
{
	size_t len = strlen(string);

	for (size_t i = 0; i < len; i++)
		if ((string[i] < 'a' || string[i] > 'z') && (string[i] < '0' || string[i] > '9') && string[i] != joint)
			return false;
	return len > 0 && len <= max;
}

static bool is_line(const char *string)
{
	size_t len = strlen(string);

	for (size_t i = 0; i < len; i++)
		if ((unsigned char)string[i] < 0x20 || string[i] == 0x7f)
			return false;
	return utf8_valid(string, len);
}

static int read_options(struct stamp *stamp, const char *text, const char *end, struct failure *failure)
{
	for (;;) {
		const char *name = next_string(&text, end), *type, *fallback, *help;
		struct stamp_option *option;

		if (name && !*name)
			return 0;
		type = next_string(&text, end);
		fallback = next_string(&text, end);
		help = next_string(&text, end);
		if (!name || !type || !fallback || !help)
			return invalid(failure, "four strings an option and an empty one behind",
				       "a stamp that is cut short");
		if (stamp->n_options == STAMP_OPTIONS_MAX)
			return invalid(failure, "at most 64 options", "more");
		if (!is_word(name, STAMP_ID_MAX, '_') || !is_line(fallback) || !is_line(help))
			return invalid(failure, "an option name of [a-z0-9_], a default and a help of one line", "others");
		option = &stamp->options[stamp->n_options];
		*option = (struct stamp_option){ name, fallback, help, OPTION_TEXT };
		while (option->type < N_OPTION_TYPES && strcmp(type, type_names[option->type]) != 0)
			option->type++;
		/* A type of a later minor: its value is handed over as text. */
		if (option->type == N_OPTION_TYPES)
			option->type = OPTION_TEXT;
		stamp->n_options++;
	}
}

static int check_abi(const struct stamp *stamp, struct failure *failure)
{
	char expected[64];

	if (stamp->major == BERTH_ABI_MAJOR && stamp->needed <= BERTH_ABI_MINOR)
		return 0;
	if (stamp->major != BERTH_ABI_MAJOR)
		snprintf(expected, sizeof expected, "ABI %d", BERTH_ABI_MAJOR);
	else
		snprintf(expected, sizeof expected, "at most ABI %d.%d", BERTH_ABI_MAJOR, BERTH_ABI_MINOR);
	return failure_set(failure, FAILURE_ABI_MISMATCH, expected, "wants %u.%u, this host has %u.%u", stamp->major,
			   stamp->needed, BERTH_ABI_MAJOR, BERTH_ABI_MINOR);
}

static int read_desc(struct search *search, struct stamp *stampp, struct failure *failure)
{
	struct stamp stamp = { 0 };
	struct stamp_head head;
	const char *text, *end;
	int rc;

	if (search->len < sizeof head)
		return invalid(failure, "a complete stamp", "one that is cut short");
	memcpy(&head, search->desc, sizeof head);
	if (head.format != BERTH_STAMP_FORMAT)
		return invalid(failure, "stamp format 1", "another");
	stamp.major = head.major;
	stamp.needed = head.needed;
	stamp.minor = head.minor;
	stamp.threading = head.threading;
	/* What else there is may mean something else in another major. */
	rc = check_abi(&stamp, failure);
	if (rc < 0)
		return rc;
	text = search->desc + sizeof head;
	end = search->desc + search->len;
	stamp.id = next_string(&text, end);
	stamp.version = next_string(&text, end);
	if (!stamp.id || !stamp.version || !is_word(stamp.id, STAMP_ID_MAX, '-'))
		return invalid(failure, "an id of 1 to 64 characters [a-z0-9-] and a version", "something else");
	if (strlen(stamp.version) > STAMP_VERSION_MAX || !is_line(stamp.version))
		return invalid(failure, "a version of one line of at most 64 bytes", "something else");
	rc = read_options(&stamp, text, end, failure);
	if (rc < 0)
		return rc;
	stamp.text = STEAL(search->desc);
	*stampp = stamp;
	return 0;
}

int stamp_read(int fd, const char *id, struct stamp *stamp, struct failure *failure)
{
	struct search search = { .id = id };
	int rc = find_desc(fd, &search, failure);

	if (rc == 0)
		rc = read_desc(&search, stamp, failure);
	free(search.desc);
	return rc;
}

void stamp_fini(struct stamp *stamp)
{
	free(stamp->text);
	*stamp = (struct stamp){ 0 };
}
