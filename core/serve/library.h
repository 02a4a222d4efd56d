/* SPDX-License-Identifier: MIT */
/*
 * The library that carries HTTP, which is loaded when there is something to serve and not
 * before: with GnuTLS and all that this needs it is a dozen files, which every other command
 * would map and relocate for nothing.
 */
#ifndef BERTH_CORE_SERVE_LIBRARY_H
#define BERTH_CORE_SERVE_LIBRARY_H

#include <microhttpd.h>
#ifdef HAVE_GNUTLS
#include <gnutls/gnutls.h>
#endif

#include "core/error.h"

/* The functions that are used; all but MHD_queue_response, of which there is one of our own, have a line
 * below, too. */
#define LIBRARY_FUNCTIONS(DO)                                                                                    \
	DO(MHD_add_response_header) DO(MHD_create_response_from_buffer) DO(MHD_create_response_from_callback)    \
	DO(MHD_destroy_response) DO(MHD_get_connection_info) DO(MHD_get_connection_values)                       \
	DO(MHD_get_reason_phrase_for) DO(MHD_queue_response) DO(MHD_quiesce_daemon) DO(MHD_resume_connection)    \
	DO(MHD_set_panic_func) DO(MHD_start_daemon) DO(MHD_stop_daemon) DO(MHD_suspend_connection)
/* These are there if it can do TLS. */
#ifdef HAVE_GNUTLS
#define LIBRARY_TLS_FUNCTIONS(DO) DO(gnutls_certificate_verify_peers2) DO(gnutls_record_send)
#else
#define LIBRARY_TLS_FUNCTIONS(DO)
#endif

struct library {
#define MEMBER(name) __typeof__(name) *name;
	LIBRARY_FUNCTIONS(MEMBER)
	LIBRARY_TLS_FUNCTIONS(MEMBER)
#undef MEMBER
};

extern struct library library;

/* Loads it. -ENOSYS where it is not there, or an older one. [set-up] */
int library_load(struct error *error);

#ifndef LIBRARY_ITSELF
#define MHD_add_response_header library.MHD_add_response_header
#define MHD_create_response_from_buffer library.MHD_create_response_from_buffer
#define MHD_create_response_from_callback library.MHD_create_response_from_callback
#define MHD_destroy_response library.MHD_destroy_response
#define MHD_get_connection_info library.MHD_get_connection_info
#define MHD_get_connection_values library.MHD_get_connection_values
#define MHD_get_reason_phrase_for library.MHD_get_reason_phrase_for
#define MHD_quiesce_daemon library.MHD_quiesce_daemon
#define MHD_resume_connection library.MHD_resume_connection
#define MHD_set_panic_func library.MHD_set_panic_func
#define MHD_start_daemon library.MHD_start_daemon
#define MHD_stop_daemon library.MHD_stop_daemon
#define MHD_suspend_connection library.MHD_suspend_connection
#define gnutls_certificate_verify_peers2 library.gnutls_certificate_verify_peers2
#define gnutls_record_send library.gnutls_record_send
#endif

#endif
