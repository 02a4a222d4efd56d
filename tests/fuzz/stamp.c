/* SPDX-License-Identifier: MIT */
/* The stamps of plugins, in files that are damaged: either a file as it stands, or one
 * that is made of the bytes, with headers that lead somewhere. */
#include "config.h"

#include "core/stamp.h"

#include <berth/adapter.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/text.h"
#include "tests/fuzz/fuzz.h"

static void put(int fd, const void *data, size_t len)
{
	FUZZ_CHECK(write(fd, data, len) == (ssize_t)len);
}

/* Headers of which each may be wrong, and behind them the notes, which are the rest. */
static void make_file(struct fuzz *fuzz, int fd)
{
	ElfW(Ehdr) elf = { .e_type = ET_DYN, .e_phentsize = sizeof(ElfW(Phdr)), .e_phoff = sizeof elf };
	unsigned n = 1 + fuzz_below(fuzz, 3), odd = fuzz_byte(fuzz);
	uint64_t begin = sizeof elf + n * sizeof(ElfW(Phdr));

	memcpy(elf.e_ident, ELFMAG, SELFMAG);
	elf.e_ident[EI_CLASS] = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	elf.e_ident[EI_DATA] = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB;
	elf.e_phnum = (ElfW(Half))n;
	if (odd == 1)
		elf.e_phnum = (ElfW(Half))fuzz_u64(fuzz);
	if (odd == 2)
		elf.e_phoff = (ElfW(Off))fuzz_u64(fuzz);
	if (odd == 3)
		elf.e_type = fuzz_byte(fuzz);
	put(fd, &elf, sizeof elf);
	for (unsigned i = 0; i < n; i++) {
		ElfW(Phdr) header = { .p_type = PT_NOTE, .p_align = 1u << fuzz_below(fuzz, 5), .p_offset = begin };
		unsigned kind = fuzz_byte(fuzz);

		if (kind == 1)
			header.p_type = PT_LOAD;
		if (kind == 2)
			header.p_offset = (ElfW(Off))fuzz_u64(fuzz);
		header.p_filesz = kind == 3 ? fuzz_u64(fuzz) : fuzz->left - (n - 1 - i) * 2;
		if (kind < 3 && header.p_filesz > fuzz->left)
			header.p_filesz = 0;
		put(fd, &header, sizeof header);
	}
	put(fd, fuzz->p, fuzz->left);
}

static void check_word(const char *word, char joint)
{
	char set[] = "abcdefghijklmnopqrstuvwxyz0123456789_";

	set[sizeof set - 2] = joint;
	FUZZ_CHECK(*word && strlen(word) <= STAMP_ID_MAX && strspn(word, set) == strlen(word));
}

static void check_stamp(const struct stamp *stamp)
{
	FUZZ_CHECK(stamp->major == BERTH_ABI_MAJOR && stamp->needed <= BERTH_ABI_MINOR);
	check_word(stamp->id, '-');
	FUZZ_CHECK(strlen(stamp->version) <= STAMP_VERSION_MAX);
	FUZZ_CHECK(stamp->n_options <= STAMP_OPTIONS_MAX);
	fuzz_check_plain(berth_text(stamp->version), "");
	for (size_t i = 0; i < stamp->n_options; i++) {
		check_word(stamp->options[i].name, '_');
		FUZZ_CHECK(option_type_name(stamp->options[i].type));
		fuzz_check_plain(berth_text(stamp->options[i].fallback), "");
		fuzz_check_plain(berth_text(stamp->options[i].help), "");
	}
}

static void read_stamp(int fd, const char *id)
{
	char line[FAILURE_LINE_MAX];
	struct failure failure;
	struct stamp stamp;

	if (stamp_read(fd, id, &stamp, &failure) < 0) {
		FUZZ_CHECK(failure.code != FAILURE_NONE && failure.code < N_FAILURES);
		fuzz_check_plain(berth_text(failure_line(&failure, line)), "");
		return;
	}
	check_stamp(&stamp);
	FUZZ_CHECK(!id || strcmp(stamp.id, id) == 0);
	stamp_fini(&stamp);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz fuzz = { data, size };
	int fd = memfd_create("plugin", MFD_CLOEXEC);

	FUZZ_CHECK(fd >= 0);
	if (size > 0 && *data == ELFMAG[0])
		put(fd, data, size);
	else
		make_file(&fuzz, fd);
	read_stamp(fd, NULL);
	read_stamp(fd, "only-list");
	close(fd);
	return 0;
}
