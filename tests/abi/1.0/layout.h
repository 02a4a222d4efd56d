/* SPDX-License-Identifier: MIT */
/* What a plugin that was built with 1.0 has in its code: where each member is, how large
 * each struct was at the least, and what the names stand for. For tests/layout.c. */

AT(berth_text, ptr, 0, 8);
AT(berth_text, len, 8, 8);
FROZEN(berth_text, 16);

AT(berth_diagnostic, size, 0, 8);
AT(berth_diagnostic, code, 8, 16);
AT(berth_diagnostic, message, 24, 16);
AT(berth_diagnostic, severity, 40, 8);
SIZE(berth_diagnostic, 48);

AT(berth_runtime, size, 0, 8);
AT(berth_runtime, runtime_id, 8, 16);
AT(berth_runtime, label, 24, 16);
AT(berth_runtime, kind, 40, 16);
AT(berth_runtime, status, 56, 16);
AT(berth_runtime, source_kind, 72, 16);
AT(berth_runtime, source_status, 88, 16);
AT(berth_runtime, source_note, 104, 16);
AT(berth_runtime, host_ids, 120, 8);
AT(berth_runtime, n_host_ids, 128, 8);
AT(berth_runtime, can, 136, 8);
AT(berth_runtime, local_pod_inspection, 144, 16);
AT(berth_runtime, workspace_scope, 160, 16);
AT(berth_runtime, os, 176, 16);
AT(berth_runtime, arch, 192, 16);
AT(berth_runtime, diagnostics, 208, 8);
AT(berth_runtime, n_diagnostics, 216, 8);
SIZE(berth_runtime, 224);

AT(berth_host, size, 0, 8);
AT(berth_host, host_id, 8, 16);
AT(berth_host, label, 24, 16);
AT(berth_host, kind, 40, 16);
AT(berth_host, status, 56, 16);
AT(berth_host, observed_at_ns, 72, 8);
AT(berth_host, last_seen_at_ns, 80, 8);
AT(berth_host, can, 88, 8);
AT(berth_host, local_pod_inspection, 96, 16);
AT(berth_host, workspace_scope, 112, 16);
AT(berth_host, os, 128, 16);
AT(berth_host, arch, 144, 16);
AT(berth_host, diagnostics, 160, 8);
AT(berth_host, n_diagnostics, 168, 8);
SIZE(berth_host, 176);

AT(berth_worker, size, 0, 8);
AT(berth_worker, worker_id, 8, 16);
AT(berth_worker, runtime_id, 24, 16);
AT(berth_worker, host_id, 40, 16);
AT(berth_worker, label, 56, 16);
AT(berth_worker, role, 72, 16);
AT(berth_worker, profile, 88, 16);
AT(berth_worker, workspace_visibility, 104, 16);
AT(berth_worker, workspace_identity, 120, 16);
AT(berth_worker, state, 136, 16);
AT(berth_worker, status, 152, 16);
AT(berth_worker, last_seen_at_ns, 168, 8);
AT(berth_worker, implementation_kind, 176, 16);
AT(berth_worker, implementation_hint, 192, 16);
AT(berth_worker, can, 208, 8);
AT(berth_worker, diagnostics, 216, 8);
AT(berth_worker, n_diagnostics, 224, 8);
SIZE(berth_worker, 232);

AT(berth_answer, size, 0, 8);
AT(berth_answer, state, 8, 8);
AT(berth_answer, transcript_sequence, 16, 8);
AT(berth_answer, event_id, 24, 8);
AT(berth_answer, total_items, 32, 8);
AT(berth_answer, more, 40, 8);
AT(berth_answer, next_start, 48, 8);
SIZE(berth_answer, 56);

AT(berth_evidence, size, 0, 8);
AT(berth_evidence, kind, 8, 16);
AT(berth_evidence, detail, 24, 16);
SIZE(berth_evidence, 40);

AT(berth_transcript_item, size, 0, 8);
AT(berth_transcript_item, sequence, 8, 8);
AT(berth_transcript_item, event_id, 16, 8);
AT(berth_transcript_item, role, 24, 16);
AT(berth_transcript_item, content, 40, 16);
SIZE(berth_transcript_item, 56);

AT(berth_connect_point, size, 0, 8);
AT(berth_connect_point, kind, 8, 16);
AT(berth_connect_point, status, 24, 16);
AT(berth_connect_point, diagnostics, 40, 8);
AT(berth_connect_point, n_diagnostics, 48, 8);
SIZE(berth_connect_point, 56);

AT(berth_option, text, 0, 16);
AT(berth_option, number, 16, 8);
FROZEN(berth_option, 24);

AT(berth_open_request, size, 0, 8);
AT(berth_open_request, workspace_id, 8, 16);
AT(berth_open_request, workspace_root, 24, 16);
AT(berth_open_request, data_dir, 40, 16);
AT(berth_open_request, runtime_id, 56, 16);
AT(berth_open_request, options, 72, 8);
AT(berth_open_request, n_options, 80, 8);
SIZE(berth_open_request, 88);

AT(berth_list_request, size, 0, 8);
AT(berth_list_request, limit, 8, 8);
SIZE(berth_list_request, 16);

AT(berth_worker_request, size, 0, 8);
AT(berth_worker_request, worker_id, 8, 16);
SIZE(berth_worker_request, 24);

AT(berth_spawn_request, size, 0, 8);
AT(berth_spawn_request, intent, 8, 8);
AT(berth_spawn_request, ticket_id, 16, 16);
AT(berth_spawn_request, role, 32, 8);
AT(berth_spawn_request, requested_worker_name, 40, 16);
AT(berth_spawn_request, acceptance, 56, 8);
AT(berth_spawn_request, expected_segments, 64, 8);
AT(berth_spawn_request, request_id, 72, 16);
SIZE(berth_spawn_request, 88);

AT(berth_stop_request, size, 0, 8);
AT(berth_stop_request, worker_id, 8, 16);
AT(berth_stop_request, mode, 24, 8);
SIZE(berth_stop_request, 32);

AT(berth_input_request, size, 0, 8);
AT(berth_input_request, worker_id, 8, 16);
AT(berth_input_request, kind, 24, 8);
AT(berth_input_request, content, 32, 16);
SIZE(berth_input_request, 48);

AT(berth_transcript_request, size, 0, 8);
AT(berth_transcript_request, worker_id, 8, 16);
AT(berth_transcript_request, start, 24, 8);
AT(berth_transcript_request, limit, 32, 8);
SIZE(berth_transcript_request, 40);

AT(berth_services, size, 0, 8);
AT(berth_services, generated_id, 8, 8);
AT(berth_services, display_hint, 16, 8);
AT(berth_services, log, 24, 8);
AT(berth_services, wall_ns, 32, 8);
AT(berth_services, monotonic_ns, 40, 8);
SIZE(berth_services, 48);

AT(berth_sink, size, 0, 8);
AT(berth_sink, runtime, 8, 8);
AT(berth_sink, host, 16, 8);
AT(berth_sink, worker, 24, 8);
AT(berth_sink, answer, 32, 8);
AT(berth_sink, evidence, 40, 8);
AT(berth_sink, transcript_item, 48, 8);
AT(berth_sink, connect_point, 56, 8);
AT(berth_sink, diagnostic, 64, 8);
AT(berth_sink, fail, 72, 8);
AT(berth_sink, cancelled, 80, 8);
SIZE(berth_sink, 88);

AT(berth_call, size, 0, 8);
AT(berth_call, services, 8, 8);
AT(berth_call, sink, 16, 8);
AT(berth_call, deadline_ns, 24, 8);
SIZE(berth_call, 32);

AT(berth_adapter, size, 0, 8);
AT(berth_adapter, open, 8, 8);
AT(berth_adapter, close, 16, 8);
AT(berth_adapter, runtime, 24, 8);
AT(berth_adapter, list_hosts, 32, 8);
AT(berth_adapter, list_workers, 40, 8);
AT(berth_adapter, worker, 48, 8);
AT(berth_adapter, spawn_worker, 56, 8);
AT(berth_adapter, stop_worker, 64, 8);
AT(berth_adapter, send_input, 72, 8);
AT(berth_adapter, transcript, 80, 8);
AT(berth_adapter, connect_points, 88, 8);
SIZE(berth_adapter, 96);

AT(berth_registrar, size, 0, 8);
AT(berth_registrar, add, 8, 8);
SIZE(berth_registrar, 16);

IS(BERTH_ACCEPTED, 1);
IS(BERTH_UNSUPPORTED, 2);
IS(BERTH_REJECTED, 3);
IS(BERTH_INFO, 1);
IS(BERTH_WARNING, 2);
IS(BERTH_ERROR, 3);
IS(BERTH_LOG_DEBUG, 1);
IS(BERTH_LOG_INFO, 2);
IS(BERTH_LOG_WARNING, 3);
IS(BERTH_LOG_ERROR, 4);
IS(BERTH_INTENT_WORKSPACE_COMPANION, 1);
IS(BERTH_INTENT_WORKSPACE_ORCHESTRATOR, 2);
IS(BERTH_INTENT_TICKET_ROLE, 3);
IS(BERTH_ROLE_INTAKE, 1);
IS(BERTH_ROLE_ORCHESTRATOR, 2);
IS(BERTH_ROLE_CODER, 3);
IS(BERTH_ROLE_REVIEWER, 4);
IS(BERTH_ACCEPTANCE_SOCKET_READY, 1);
IS(BERTH_ACCEPTANCE_RUN_ACCEPTED, 2);
IS(BERTH_STOP_GRACEFUL, 1);
IS(BERTH_STOP_FORCE, 2);
IS(BERTH_INPUT_USER, 1);
IS(BERTH_INPUT_SYSTEM, 2);
IS(BERTH_CAN_LIST_HOSTS, UINT64_C(1) << 0);
IS(BERTH_CAN_LIST_WORKERS, UINT64_C(1) << 1);
IS(BERTH_CAN_GET_WORKER, UINT64_C(1) << 2);
IS(BERTH_CAN_SPAWN_WORKER, UINT64_C(1) << 3);
IS(BERTH_CAN_STOP_WORKER, UINT64_C(1) << 4);
IS(BERTH_CAN_ACCEPT_INPUT, UINT64_C(1) << 5);
IS(BERTH_CAN_STREAM_EVENTS, UINT64_C(1) << 6);
IS(BERTH_CAN_READ_BOUNDED_TRANSCRIPT, UINT64_C(1) << 7);
IS(BERTH_HAS_WORKSPACE_FS, UINT64_C(1) << 8);
IS(BERTH_HAS_SHELL, UINT64_C(1) << 9);
IS(BERTH_HAS_GIT, UINT64_C(1) << 10);
IS(BERTH_SUPPORTS_WORKTREES, UINT64_C(1) << 11);
IS(BERTH_SUPPORTS_BACKEND_INTERNAL_TOOLS, UINT64_C(1) << 12);
IS(BERTH_WORKER_CAN_ACCEPT_INPUT, UINT64_C(1) << 0);
IS(BERTH_WORKER_CAN_STREAM_EVENTS, UINT64_C(1) << 1);
IS(BERTH_WORKER_CAN_STOP, UINT64_C(1) << 2);
IS(BERTH_WORKER_CAN_SPAWN_FOLLOWUP, UINT64_C(1) << 3);
IS(BERTH_WORKER_CAN_READ_BOUNDED_TRANSCRIPT, UINT64_C(1) << 4);
IS(BERTH_ABI_MAJOR, 1);
IS(BERTH_ID_MAX, 120);
IS(BERTH_TEXT_MAX, 65536);
IS(BERTH_CONTENT_MAX, 16777216);
IS(BERTH_HINT_MAX, 320);
IS(BERTH_DIAGNOSTICS_MAX, 16);
IS(BERTH_DEFAULT, 2);
IS(BERTH_THREADS_ONE, 0);
IS(BERTH_THREADS_INSTANCE, 1);
IS(BERTH_THREADS_ANY, 2);
IS(BERTH_STAMP_FORMAT, 1);
IS(BERTH_STAMP_TYPE, 1);
