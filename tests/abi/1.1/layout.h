/* SPDX-License-Identifier: MIT */
/* What ABI 1.1 added, see tests/layout.c. */
AT(berth_answer, next_cursor, 56, 16);
SIZE(berth_answer, 72);

AT(berth_event, size, 0, 8);
AT(berth_event, event_id, 8, 8);
AT(berth_event, kind, 16, 16);
AT(berth_event, occurred_at_ns, 32, 8);
AT(berth_event, worker_id, 40, 16);
AT(berth_event, transcript_sequence, 56, 8);
AT(berth_event, cursor, 64, 16);
SIZE(berth_event, 80);

AT(berth_events_request, size, 0, 8);
AT(berth_events_request, cursor, 8, 16);
AT(berth_events_request, limit, 24, 8);
SIZE(berth_events_request, 32);

AT(berth_sink, event, 88, 8);
SIZE(berth_sink, 96);

AT(berth_adapter, read_events, 96, 8);
SIZE(berth_adapter, 104);

IS(BERTH_CURSOR_MAX, 256);
