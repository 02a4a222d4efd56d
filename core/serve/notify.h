/* SPDX-License-Identifier: MIT */
/* Telling the service manager how things stand. */
#ifndef BERTH_CORE_SERVE_NOTIFY_H
#define BERTH_CORE_SERVE_NOTIFY_H

/* Sends a state such as READY=1 to $NOTIFY_SOCKET, if there is one; by the protocol of sd_notify(3). */
void notify(const char *state);

/* RELOADING=1 with the time that goes with it. */
void notify_reloading(void);

#endif
