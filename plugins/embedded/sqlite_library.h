/* SPDX-License-Identifier: MIT */
/*
 * SQLite, which is loaded when a store is opened and not before: linked in, it would make
 * every start of the program longer by a sixth, for the sake of those few that keep one.
 */
#ifndef BERTH_EMBEDDED_SQLITE_LIBRARY_H
#define BERTH_EMBEDDED_SQLITE_LIBRARY_H

#include <sqlite3.h>

#include "inline/reason.h"

/* The functions that are used; each has a line below, too. */
#define SQLITE_FUNCTIONS(DO) \
	DO(sqlite3_bind_blob64) DO(sqlite3_bind_int64) DO(sqlite3_bind_null) DO(sqlite3_bind_text) \
	DO(sqlite3_close) DO(sqlite3_column_blob) DO(sqlite3_column_bytes) DO(sqlite3_column_int) \
	DO(sqlite3_column_int64) DO(sqlite3_column_text) DO(sqlite3_db_config) DO(sqlite3_errcode) \
	DO(sqlite3_errstr) DO(sqlite3_exec) DO(sqlite3_file_control) DO(sqlite3_finalize) \
	DO(sqlite3_free) DO(sqlite3_get_autocommit) DO(sqlite3_mprintf) DO(sqlite3_open) \
	DO(sqlite3_open_v2) DO(sqlite3_prepare_v2) DO(sqlite3_prepare_v3) DO(sqlite3_reset) \
	DO(sqlite3_serialize) DO(sqlite3_step) DO(sqlite3_system_errno)

struct sqlite_library {
#define MEMBER(name) __typeof__(name) *name;
	SQLITE_FUNCTIONS(MEMBER)
#undef MEMBER
};

extern struct sqlite_library sqlite_library;

/* Loads it, once. -ENOSYS where it is not there, or an older one. [any thread] */
int sqlite_library_load(struct reason *reason);

#ifndef SQLITE_LIBRARY_ITSELF
#define sqlite3_bind_blob64 sqlite_library.sqlite3_bind_blob64
#define sqlite3_bind_int64 sqlite_library.sqlite3_bind_int64
#define sqlite3_bind_null sqlite_library.sqlite3_bind_null
#define sqlite3_bind_text sqlite_library.sqlite3_bind_text
#define sqlite3_close sqlite_library.sqlite3_close
#define sqlite3_column_blob sqlite_library.sqlite3_column_blob
#define sqlite3_column_bytes sqlite_library.sqlite3_column_bytes
#define sqlite3_column_int sqlite_library.sqlite3_column_int
#define sqlite3_column_int64 sqlite_library.sqlite3_column_int64
#define sqlite3_column_text sqlite_library.sqlite3_column_text
#define sqlite3_db_config sqlite_library.sqlite3_db_config
#define sqlite3_errcode sqlite_library.sqlite3_errcode
#define sqlite3_errstr sqlite_library.sqlite3_errstr
#define sqlite3_exec sqlite_library.sqlite3_exec
#define sqlite3_file_control sqlite_library.sqlite3_file_control
#define sqlite3_finalize sqlite_library.sqlite3_finalize
#define sqlite3_free sqlite_library.sqlite3_free
#define sqlite3_get_autocommit sqlite_library.sqlite3_get_autocommit
#define sqlite3_mprintf sqlite_library.sqlite3_mprintf
#define sqlite3_open sqlite_library.sqlite3_open
#define sqlite3_open_v2 sqlite_library.sqlite3_open_v2
#define sqlite3_prepare_v2 sqlite_library.sqlite3_prepare_v2
#define sqlite3_prepare_v3 sqlite_library.sqlite3_prepare_v3
#define sqlite3_reset sqlite_library.sqlite3_reset
#define sqlite3_serialize sqlite_library.sqlite3_serialize
#define sqlite3_step sqlite_library.sqlite3_step
#define sqlite3_system_errno sqlite_library.sqlite3_system_errno
#endif

#endif
