//! Runs the whole binary as users do: started in an empty folder, called over HTTP, and killed at any time.
//!
//! Checks that store data run on SQLite, and on PostgreSQL if `QUICKDRAW_TEST_POSTGRES` names a server (`./test`
//! starts one). Without it, the PostgreSQL half is reported as ignored.

mod access;
mod alerts;
mod backfill;
mod certificates;
mod chains;
mod clients;
mod compose;
mod gaps;
mod git;
mod guard;
mod health;
mod hooks;
mod http;
mod identities;
mod insights;
mod journey;
mod kill;
mod large;
mod matrix;
mod metrics;
mod monitoring;
mod operation;
mod order;
mod pushes;
mod receivers;
mod relay;
mod replays;
mod rogues;
mod secrets;
mod server;
mod server_memory;
mod sources;
mod streams;
mod workers;

use libtest_mimic::{Arguments, Trial};
use server::Engine;

type Check = fn(Engine);

fn main() {
    let arguments = Arguments::from_args();
    let postgres = std::env::var("QUICKDRAW_TEST_POSTGRES").ok();

    let checks: &[(&str, Check)] = &[
        (
            "pushes_during_an_outage_are_reported_later",
            git::pushes_during_an_outage_are_reported_later,
        ),
        (
            "unusual_repositories_are_reported_as_git_shows_them",
            pushes::unusual_repositories_are_reported_as_git_shows_them,
        ),
        (
            "a_push_of_many_refs_is_reported_within_the_limits",
            pushes::a_push_of_many_refs_is_reported_within_the_limits,
        ),
        (
            "the_git_hook_is_installed_only_where_it_works",
            pushes::the_git_hook_is_installed_only_where_it_works,
        ),
        (
            "a_confidential_body_reaches_only_hooks_for_confidential_events",
            compose::a_confidential_body_reaches_only_hooks_for_confidential_events,
        ),
        (
            "saves_of_one_operation_are_one_event",
            compose::saves_of_one_operation_are_one_event,
        ),
        (
            "every_kind_is_composed_and_delivered",
            compose::every_kind_is_composed_and_delivered,
        ),
        (
            "metrics_can_be_filtered_and_grouped",
            metrics::metrics_can_be_filtered_and_grouped,
        ),
        (
            "the_first_start_accepts_a_push_and_detects_its_duplicate",
            journey::the_first_start_accepts_a_push_and_detects_its_duplicate,
        ),
        (
            "signatures_are_verified_and_must_be_recent",
            journey::signatures_are_verified_and_must_be_recent,
        ),
        (
            "invalid_input_is_refused_with_the_right_status",
            journey::invalid_input_is_refused_with_the_right_status,
        ),
        (
            "a_stop_is_quick_and_loses_nothing",
            journey::a_stop_is_quick_and_loses_nothing,
        ),
        (
            "a_report_is_composed_delivered_and_explained",
            journey::a_report_is_composed_delivered_and_explained,
        ),
        (
            "a_git_push_becomes_a_signed_delivery_and_a_counted_commit",
            git::a_push_becomes_a_signed_delivery,
        ),
        (
            "a_receiver_that_is_down_gets_its_event_later",
            receivers::a_receiver_that_is_down_gets_its_event_later,
        ),
        (
            "a_receiver_that_hangs_does_not_delay_another",
            receivers::a_receiver_that_hangs_does_not_delay_another,
        ),
        (
            "requests_and_answers_have_memory_limits",
            large::requests_and_answers_have_memory_limits,
        ),
        (
            "strings_in_a_body_are_never_parsed_as_json",
            large::strings_in_a_body_are_never_parsed_as_json,
        ),
        (
            "hooks_of_all_levels_can_be_created_edited_and_deleted",
            hooks::hooks_of_all_levels_can_be_created_edited_and_deleted,
        ),
        (
            "parameters_can_be_json_a_form_or_a_query",
            hooks::parameters_can_be_json_a_form_or_a_query,
        ),
        (
            "headers_variables_and_templates_reach_the_receiver",
            hooks::headers_variables_and_templates_reach_the_receiver,
        ),
        (
            "a_test_re_enables_a_hook_and_a_resend_repeats_the_request",
            hooks::a_test_re_enables_a_hook_and_a_resend_repeats_the_request,
        ),
        (
            "each_role_gets_the_statuses_of_its_row",
            access::each_role_gets_the_statuses_of_its_row,
        ),
        (
            "bots_and_the_root_token_cannot_be_promoted_or_revoked",
            access::bots_and_the_root_token_cannot_be_promoted_or_revoked,
        ),
        (
            "errors_have_the_format_of_their_api",
            access::errors_have_the_format_of_their_api,
        ),
        (
            "a_null_body_counts_as_an_absent_body",
            clients::a_null_body_counts_as_an_absent_body,
        ),
        (
            "a_request_to_act_as_somebody_else_is_refused",
            clients::a_request_to_act_as_somebody_else_is_refused,
        ),
        (
            "namespaces_are_found_by_id_and_by_path",
            clients::namespaces_are_found_by_id_and_by_path,
        ),
        (
            "full_names_contain_the_names_of_parent_groups",
            clients::full_names_contain_the_names_of_parent_groups,
        ),
        (
            "a_project_in_an_unknown_namespace_is_refused",
            clients::a_project_in_an_unknown_namespace_is_refused,
        ),
        (
            "lists_of_parameters_are_bounded",
            clients::lists_of_parameters_are_bounded,
        ),
        (
            "lists_accept_the_filters_of_client_libraries",
            clients::lists_accept_the_filters_of_client_libraries,
        ),
        (
            "an_unsupported_filter_is_refused",
            clients::an_unsupported_filter_is_refused,
        ),
        (
            "a_token_keeps_the_requested_scopes",
            clients::a_token_keeps_the_requested_scopes,
        ),
        (
            "an_email_address_belongs_to_one_user",
            clients::an_email_address_belongs_to_one_user,
        ),
        (
            "projects_can_be_archived_and_users_blocked",
            clients::projects_can_be_archived_and_users_blocked,
        ),
        (
            "a_group_is_moved_by_an_owner_of_both_groups",
            clients::a_group_is_moved_by_an_owner_of_both_groups,
        ),
        ("an_inherited_role_is_listed", clients::an_inherited_role_is_listed),
        (
            "a_rate_limit_says_when_it_ends",
            clients::a_rate_limit_says_when_it_ends,
        ),
        (
            "a_trigger_that_a_level_lacks_is_refused",
            clients::a_trigger_that_a_level_lacks_is_refused,
        ),
        (
            "api_v1_refuses_unknown_parameters",
            clients::api_v1_refuses_unknown_parameters,
        ),
        (
            "a_token_is_shown_once_and_can_be_revoked",
            access::a_token_is_shown_once_and_can_be_revoked,
        ),
        (
            "changes_and_refusals_are_audited_without_values",
            access::changes_and_refusals_are_audited_without_values,
        ),
        (
            "every_endpoint_follows_the_role_matrix_and_shows_no_secret",
            matrix::every_endpoint_follows_the_role_matrix_and_shows_no_secret,
        ),
        (
            "a_failing_head_blocks_its_own_object_and_no_other",
            order::a_failing_head_blocks_its_own_object_and_no_other,
        ),
        (
            "a_hook_presents_its_own_client_certificate",
            certificates::a_hook_presents_its_own_client_certificate,
        ),
        (
            "image_links_in_composed_bodies_are_absolute",
            compose::image_links_in_composed_bodies_are_absolute,
        ),
        (
            "the_retry_policy_of_a_hook_overrides_the_settings",
            hooks::the_retry_policy_of_a_hook_overrides_the_settings,
        ),
        (
            "invalid_values_and_too_many_hooks_are_refused",
            hooks::invalid_values_and_too_many_hooks_are_refused,
        ),
        (
            "a_chain_of_events_does_not_return_to_a_hook",
            chains::a_chain_of_events_does_not_return_to_a_hook,
        ),
        (
            "deliveries_of_a_namespace_are_limited_per_minute",
            chains::deliveries_of_a_namespace_are_limited_per_minute,
        ),
        (
            "system_hooks_get_an_event_when_a_hook_is_disabled_and_when_it_is_re_enabled",
            health::system_hooks_get_an_event_when_a_hook_is_disabled_and_when_it_is_re_enabled,
        ),
        (
            "no_attempt_is_planned_before_the_end_of_a_pause",
            health::no_attempt_is_planned_before_the_end_of_a_pause,
        ),
        (
            "events_of_a_disabled_hook_are_held_or_dropped",
            health::events_of_a_disabled_hook_are_held_or_dropped,
        ),
        (
            "a_replay_sends_the_selected_deliveries_again_and_survives_a_crash",
            replays::a_replay_sends_the_selected_deliveries_again_and_survives_a_crash,
        ),
        (
            "the_replay_command_counts_starts_and_follows_a_replay",
            replays::the_replay_command_counts_starts_and_follows_a_replay,
        ),
        (
            "nineteen_misbehaving_receivers_do_no_harm",
            rogues::nineteen_misbehaving_receivers_do_no_harm,
        ),
        (
            "memory_is_returned_to_the_system",
            server_memory::memory_is_returned_to_the_system,
        ),
        (
            "a_hook_cannot_call_its_own_server",
            secrets::a_hook_cannot_call_its_own_server,
        ),
        (
            "tests_of_all_bots_of_a_project_share_a_limit",
            hooks::tests_of_all_bots_of_a_project_share_a_limit,
        ),
        (
            "streams_of_all_bots_of_a_project_share_a_limit",
            streams::streams_of_all_bots_of_a_project_share_a_limit,
        ),
        (
            "answers_and_errors_show_no_secret",
            secrets::answers_and_errors_show_no_secret,
        ),
        (
            "secrets_that_do_not_fit_into_a_header_are_refused_at_the_start",
            secrets::secrets_that_do_not_fit_into_a_header_are_refused_at_the_start,
        ),
        (
            "contradictory_and_damaged_parameters_are_refused",
            secrets::contradictory_and_damaged_parameters_are_refused,
        ),
        (
            "the_audit_log_lists_reads_of_bodies_with_the_client",
            secrets::the_audit_log_lists_reads_of_bodies_with_the_client,
        ),
        (
            "a_process_that_aborts_leaves_no_core",
            secrets::a_process_that_aborts_leaves_no_core,
        ),
        (
            "each_source_has_its_own_secrets_mode_and_limits",
            relay::each_source_has_its_own_secrets_mode_and_limits,
        ),
        (
            "a_source_for_signatures_gets_a_signing_token",
            operation::a_source_for_signatures_gets_a_signing_token,
        ),
        (
            "a_received_event_reaches_the_hooks_of_its_project",
            relay::a_received_event_reaches_the_hooks_of_its_project,
        ),
        (
            "a_filter_selects_events_and_can_be_tried_first",
            relay::a_filter_selects_events_and_can_be_tried_first,
        ),
        (
            "every_sample_is_relayed_once_and_unchanged",
            relay::every_sample_is_relayed_once_and_unchanged,
        ),
        (
            "a_relay_loses_no_event_despite_kills_and_failing_receivers",
            relay::a_relay_loses_no_event_despite_kills_and_failing_receivers,
        ),
        (
            "a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_project",
            sources::a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_project,
        ),
        (
            "a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group",
            sources::a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group,
        ),
        (
            "a_source_accepts_only_events_of_its_instance",
            sources::a_source_accepts_only_events_of_its_instance,
        ),
        (
            "a_repeated_signed_request_is_a_duplicate_whatever_its_instance_header",
            sources::a_repeated_signed_request_is_a_duplicate_whatever_its_instance_header,
        ),
        (
            "renaming_a_project_does_not_attract_foreign_events",
            sources::renaming_a_project_does_not_attract_foreign_events,
        ),
        (
            "a_stream_continues_where_it_was_interrupted",
            streams::a_stream_continues_where_it_was_interrupted,
        ),
        (
            "a_stream_continues_within_a_commit",
            streams::a_stream_continues_within_a_commit,
        ),
        (
            "only_users_who_manage_hooks_may_follow_the_journal",
            streams::only_users_who_manage_hooks_may_follow_the_journal,
        ),
        (
            "events_of_a_stream_are_forwarded_at_least_once",
            streams::events_of_a_stream_are_forwarded_at_least_once,
        ),
        (
            "filtered_events_are_forwarded_with_a_signature",
            streams::filtered_events_are_forwarded_with_a_signature,
        ),
        (
            "failed_requests_are_resent_by_gitlab",
            gaps::failed_requests_are_resent_by_gitlab,
        ),
        (
            "missing_events_are_fetched_from_gitlab",
            gaps::missing_events_are_fetched_from_gitlab,
        ),
        (
            "gaps_that_cannot_be_filled_are_explained",
            gaps::gaps_that_cannot_be_filled_are_explained,
        ),
        (
            "metrics_are_counted_and_explained",
            insights::metrics_are_counted_and_explained,
        ),
        (
            "changes_of_identities_apply_without_a_rebuild",
            identities::changes_of_identities_apply_without_a_rebuild,
        ),
        (
            "privacy_settings_hide_small_groups_and_names_and_erase_people",
            identities::privacy_settings_hide_small_groups_and_names_and_erase_people,
        ),
        (
            "lead_times_follow_merge_requests_to_their_deployment",
            insights::lead_times_follow_merge_requests_to_their_deployment,
        ),
        (
            "insights_can_be_verified_and_rebuilt",
            insights::insights_can_be_verified_and_rebuilt,
        ),
        (
            "backfills_of_a_repository_and_of_a_file_are_counted",
            backfill::backfills_of_a_repository_and_of_a_file_are_counted,
        ),
        (
            "an_alert_is_reported_once_when_it_fires_and_once_when_it_resolves",
            alerts::an_alert_is_reported_once_when_it_fires_and_once_when_it_resolves,
        ),
        (
            "branches_without_pushes_are_shown",
            monitoring::branches_without_pushes_are_shown,
        ),
        (
            "prometheus_shows_the_current_state_only",
            monitoring::prometheus_shows_the_current_state_only,
        ),
        (
            "a_backfill_from_gitlab_is_counted",
            backfill::a_backfill_from_gitlab_is_counted,
        ),
        (
            "the_demo_fills_every_metric_and_can_be_verified",
            insights::the_demo_fills_every_metric_and_can_be_verified,
        ),
        (
            "all_workers_are_listed_and_run",
            workers::all_workers_are_listed_and_run,
        ),
        (
            "the_error_of_a_worker_is_shown",
            workers::the_error_of_a_worker_is_shown,
        ),
        (
            "doctor_and_config_check_change_nothing",
            operation::doctor_and_config_check_change_nothing,
        ),
        (
            "a_hanging_database_gives_503_and_is_logged_once",
            operation::a_hanging_database_gives_503_and_is_logged_once,
        ),
        (
            "config_check_and_doctor_refuse_what_serve_refuses",
            operation::config_check_and_doctor_refuse_what_serve_refuses,
        ),
        (
            "a_start_logs_no_secret_and_a_failed_start_leaves_no_key",
            operation::a_start_logs_no_secret_and_a_failed_start_leaves_no_key,
        ),
        (
            "a_missing_insights_file_is_reported_and_filled_from_the_journal",
            operation::a_missing_insights_file_is_reported_and_filled_from_the_journal,
        ),
        (
            "printed_urls_can_be_called_and_pushes_have_a_user",
            operation::printed_urls_can_be_called_and_pushes_have_a_user,
        ),
        (
            "kill_9_under_load_loses_no_acknowledged_event",
            kill::kill_9_under_load_loses_no_acknowledged_event,
        ),
    ];

    let mut trials = vec![Trial::test("guard_check_answers_every_case", || {
        guard::guard_check_answers_every_case();
        Ok(())
    })];
    trials.push(Trial::test("alerts_and_dashboards_use_existing_metrics", || {
        monitoring::alerts_and_dashboards_use_existing_metrics();
        Ok(())
    }));

    for (name, check) in checks.iter().copied() {
        trials.push(Trial::test(format!("sqlite::{name}"), move || {
            check(Engine::Sqlite);
            Ok(())
        }));

        let url = postgres.clone();
        let trial = Trial::test(format!("postgres::{name}"), move || {
            check(Engine::Postgres(url.unwrap_or_default()));
            Ok(())
        });
        trials.push(trial.with_ignored_flag(postgres.is_none()));
    }

    libtest_mimic::run(&arguments, trials).exit();
}
