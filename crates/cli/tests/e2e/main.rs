//! Runs the whole binary as users do: started in an empty folder, called over HTTP, and killed at any time.
//!
//! Checks that store data run on SQLite, and on PostgreSQL if `QUICKDRAW_TEST_POSTGRES` names a server (`./test`
//! starts one). Without it, the PostgreSQL half is reported as ignored.

mod access;
mod addresses;
mod alerts;
mod backfill;
mod certificates;
mod chains;
mod clients;
mod commands;
mod compose;
mod event_filters;
mod gaps;
mod git;
mod gitlab;
mod guard;
mod health;
mod hooks;
mod http;
mod identities;
mod insights;
mod instances;
mod journey;
mod kill;
mod large;
mod listen;
mod matrix;
mod metrics;
mod misbehaving;
mod monitoring;
mod operation;
mod order;
mod outages;
mod pushes;
mod receivers;
mod relay;
mod relay_kills;
mod replays;
mod repositories;
mod rogues;
mod secrets;
mod server;
mod server_memory;
mod source_settings;
mod sources;
mod streams;
mod workers;

use libtest_mimic::{Arguments, Trial};
use server::Engine;

type Check = fn(Engine);

macro_rules! checks {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        &[$((stringify!($name), $module::$name)),+]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    git::pushes_during_an_outage_are_reported_later,
    pushes::more_than_three_refs_of_a_kind_are_only_in_the_repository_update,
    pushes::a_repository_update_is_sent_only_if_a_system_hook_wants_it,
    pushes::the_git_hook_is_installed_only_where_it_runs,
    pushes::the_group_of_a_shared_repository_can_use_the_files_of_the_hook,
    pushes::an_installation_keeps_its_token_private_and_warns_without_a_server,
    repositories::a_merge_lists_the_files_of_all_merged_branches,
    repositories::text_in_another_encoding_is_reported_in_utf_8,
    repositories::push_options_are_reported_as_gitlab_groups_them,
    repositories::a_repository_with_sha_256_has_longer_ids,
    repositories::a_deleted_tag_and_a_tag_of_a_file_have_no_commit_to_check_out,
    repositories::a_push_to_a_shallow_repository_lists_its_new_commits,
    repositories::a_push_of_thousands_of_commits_is_counted,
    repositories::hundreds_of_moved_files_are_added_and_removed,
    compose::a_confidential_body_reaches_only_hooks_for_confidential_events,
    compose::saves_of_one_operation_are_one_event,
    compose::every_kind_is_composed_and_delivered,
    metrics::metrics_can_be_filtered_and_grouped,
    journey::the_first_start_accepts_a_push_and_detects_its_duplicate,
    journey::signatures_are_verified_and_must_be_recent,
    journey::invalid_input_is_refused_with_the_right_status,
    journey::a_stop_is_quick_and_loses_nothing,
    journey::a_report_is_composed_delivered_and_explained,
    git::a_git_push_becomes_a_signed_delivery_and_a_counted_commit,
    receivers::a_receiver_that_is_down_gets_its_event_later,
    receivers::a_receiver_that_hangs_does_not_delay_another,
    large::requests_and_answers_have_memory_limits,
    large::strings_in_a_body_are_never_parsed_as_json,
    hooks::hooks_of_all_levels_can_be_created_edited_and_deleted,
    hooks::parameters_can_be_json_a_form_or_a_query,
    hooks::headers_variables_and_templates_reach_the_receiver,
    hooks::a_test_re_enables_a_hook_and_a_resend_repeats_the_request,
    access::each_role_gets_the_statuses_of_its_row,
    access::bots_and_the_root_token_cannot_be_promoted_or_revoked,
    access::errors_have_the_format_of_their_api,
    clients::a_null_body_counts_as_an_absent_body,
    clients::a_request_to_act_as_somebody_else_is_refused,
    clients::namespaces_are_found_by_id_and_by_path,
    clients::full_names_contain_the_names_of_parent_groups,
    clients::a_project_in_an_unknown_namespace_is_refused,
    clients::lists_of_parameters_are_bounded,
    clients::lists_accept_the_filters_of_client_libraries,
    clients::an_unsupported_filter_is_refused,
    clients::a_token_keeps_the_requested_scopes,
    clients::an_email_address_belongs_to_one_user,
    clients::projects_can_be_archived_and_users_blocked,
    clients::a_group_is_moved_by_an_owner_of_both_groups,
    clients::an_inherited_role_is_listed,
    clients::a_rate_limit_says_when_it_ends,
    clients::a_trigger_that_a_level_lacks_is_refused,
    clients::api_v1_refuses_unknown_parameters,
    access::a_token_is_shown_once_and_can_be_revoked,
    access::changes_and_refusals_are_audited_without_values,
    matrix::every_endpoint_follows_the_role_matrix_and_shows_no_secret,
    order::a_failing_head_blocks_its_own_object_and_no_other,
    order::an_ordering_queue_survives_a_crash_and_a_resend_unblocks_it,
    certificates::a_hook_presents_its_own_client_certificate,
    compose::image_links_in_composed_bodies_are_absolute,
    hooks::the_retry_policy_of_a_hook_overrides_the_settings,
    hooks::invalid_values_and_too_many_hooks_are_refused,
    chains::a_chain_of_events_does_not_return_to_a_hook,
    chains::deliveries_of_a_namespace_are_limited_per_minute,
    health::system_hooks_get_an_event_when_a_hook_is_disabled_and_when_it_is_re_enabled,
    health::no_attempt_is_planned_before_the_end_of_a_pause,
    health::events_of_a_disabled_hook_are_held_or_dropped,
    replays::a_replay_survives_a_crash_and_a_pause,
    replays::a_replay_sends_the_selected_deliveries_again_with_the_same_keys,
    replays::invalid_parameters_of_a_replay_are_refused,
    replays::the_replay_command_counts_starts_and_follows_a_replay,
    rogues::nineteen_misbehaving_receivers_do_no_harm,
    rogues::an_endless_answer_is_read_in_part,
    rogues::a_compressed_answer_is_stored_without_decompression,
    rogues::a_second_answer_is_not_taken_for_the_answer_to_the_next_request,
    rogues::a_redirect_is_not_followed,
    rogues::a_closed_connection_causes_no_second_request,
    rogues::a_receiver_cannot_delay_the_next_attempt_by_more_than_a_day,
    rogues::the_answer_410_ends_a_delivery,
    rogues::four_failures_in_a_row_disable_a_hook,
    server_memory::memory_is_returned_to_the_system,
    secrets::secrets_that_do_not_fit_into_a_header_are_refused_at_the_start,
    secrets::a_secret_in_a_file_is_checked_too,
    secrets::a_secret_of_digits_is_text,
    secrets::the_secret_and_the_body_limit_of_a_new_source_are_checked,
    secrets::a_hook_cannot_call_its_own_server,
    secrets::the_audit_log_lists_reads_of_bodies_with_the_client,
    secrets::a_process_that_aborts_leaves_no_core,
    secrets::two_different_tokens_are_refused,
    secrets::a_form_that_is_not_text_is_refused,
    secrets::a_header_with_two_different_values_is_refused,
    secrets::a_template_is_checked_when_it_is_saved,
    secrets::answers_logs_and_files_show_no_secret,
    secrets::an_attempt_shows_its_error_and_its_answer_without_secrets,
    hooks::tests_of_all_bots_of_a_project_share_a_limit,
    streams::streams_of_all_bots_of_a_project_share_a_limit,
    streams::a_stream_starts_with_new_events,
    streams::a_stream_continues_where_it_was_interrupted,
    streams::each_stream_has_the_same_events_with_the_same_keys,
    streams::a_stream_can_be_filtered_by_place_kind_and_content,
    streams::the_position_advances_past_events_that_do_not_match,
    streams::a_received_event_is_in_a_stream_once_with_its_exact_body,
    streams::a_stop_does_not_wait_for_open_streams,
    streams::a_stream_continues_within_a_commit,
    streams::only_users_who_manage_hooks_may_follow_the_journal,
    streams::invalid_parameters_of_a_stream_are_refused,
    streams::one_user_cannot_use_all_permits_of_streams,
    streams::a_stream_ends_when_its_user_loses_the_right_to_follow,
    listen::events_of_a_stream_are_forwarded_at_least_once,
    listen::a_new_listener_continues_at_the_stored_position,
    listen::an_event_that_the_program_refuses_does_not_block_later_events,
    listen::a_listener_ends_with_an_error_that_no_retry_can_solve,
    listen::filtered_events_are_forwarded_with_a_signature,
    relay::the_first_event_of_a_project_creates_it_with_its_groups_and_user,
    relay::an_event_is_relayed_byte_for_byte_with_the_headers_of_gitlab,
    relay::a_name_that_a_user_has_set_is_kept,
    relay::an_event_with_the_same_key_and_a_copy_for_the_group_are_not_delivered,
    relay::an_unknown_kind_is_relayed_with_the_header_that_it_had,
    relay::a_project_of_another_instance_with_the_same_path_is_another_project,
    relay::every_sample_is_relayed_once_and_unchanged,
    event_filters::a_filter_can_be_tried_on_past_events,
    event_filters::a_filter_selects_the_events_of_a_hook,
    event_filters::a_filter_is_kept_until_it_is_changed_or_removed,
    relay_kills::a_relay_loses_no_event_despite_kills_and_failing_receivers,
    operation::doctor_and_config_check_create_nothing,
    operation::doctor_does_not_change_the_files_of_a_crash,
    operation::config_check_and_doctor_refuse_what_serve_refuses,
    operation::a_start_logs_the_files_of_secrets_and_no_secret,
    operation::the_store_keeps_the_generated_secret_for_all_nodes,
    operation::a_start_without_the_key_of_the_database_creates_no_other_key,
    operation::a_start_that_cannot_create_the_database_leaves_no_key,
    operation::a_missing_insights_file_is_reported_and_filled_from_the_journal,
    operation::insights_without_their_database_are_refused,
    outages::a_hanging_database_gives_503_and_loses_no_event,
    outages::an_outage_of_the_database_is_shown_and_logged_once,
    addresses::printed_urls_can_be_called,
    addresses::a_push_without_a_login_name_has_the_user_of_the_process,
    sources::a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_project,
    sources::a_project_at_the_path_of_another_project_gets_a_path_of_its_own,
    sources::a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group,
    sources::a_project_follows_its_group_and_a_repeated_transfer_does_not_move_it_back,
    sources::a_project_that_an_administrator_has_moved_stays_there,
    sources::renaming_a_project_does_not_attract_foreign_events,
    sources::renaming_a_group_does_not_attract_foreign_events,
    instances::the_first_request_with_an_instance_binds_a_source,
    instances::a_source_refuses_events_of_other_instances,
    instances::a_source_of_another_instance_has_projects_of_its_own,
    instances::an_administrator_can_change_the_instance_of_a_source,
    instances::a_request_does_not_bind_a_source_to_the_instance_of_another_source,
    instances::the_binding_survives_a_restart_and_the_settings_override_it,
    instances::a_repeated_signed_request_is_a_duplicate_whatever_its_instance_header,
    source_settings::each_source_has_its_own_secret_which_is_shown_once,
    source_settings::a_replaced_secret_stays_valid_for_the_overlap,
    source_settings::a_source_for_signatures_refuses_old_signatures_and_tokens,
    source_settings::a_source_refuses_other_addresses_and_large_bodies,
    source_settings::the_rate_limit_of_a_source_counts_addresses,
    source_settings::a_restart_keeps_the_requests_and_the_secret_of_a_source,
    source_settings::invalid_settings_of_a_source_are_refused,
    source_settings::a_removed_source_accepts_nothing,
    source_settings::the_source_command_manages_a_source,
    source_settings::a_source_for_signatures_gets_a_signing_token,
    gaps::failed_requests_are_resent_by_gitlab,
    gaps::missing_events_are_fetched_from_gitlab,
    gaps::gaps_that_cannot_be_filled_are_explained,
    insights::metrics_are_counted_and_explained,
    identities::changes_of_identities_apply_without_a_rebuild,
    identities::privacy_settings_hide_small_groups_and_names_and_erase_people,
    insights::lead_times_follow_merge_requests_to_their_deployment,
    insights::insights_can_be_verified_and_rebuilt,
    backfill::backfills_of_a_repository_and_of_a_file_are_counted,
    alerts::an_alert_is_reported_once_when_it_fires_and_once_when_it_resolves,
    monitoring::administrators_see_the_metrics_of_the_default_branch,
    monitoring::prometheus_shows_teams_and_no_person,
    monitoring::prometheus_shows_the_current_state_only,
    monitoring::other_branches_and_merge_requests_are_shown_on_request_while_they_exist,
    monitoring::only_administrators_see_the_time_of_the_last_event_of_a_project,
    monitoring::branches_without_pushes_are_shown,
    backfill::a_backfill_from_gitlab_is_counted,
    insights::the_demo_fills_every_metric_and_can_be_verified,
    workers::all_workers_are_listed,
    workers::a_worker_shows_its_runs,
    workers::the_error_of_a_worker_is_shown_and_stays,
    kill::kill_9_under_load_loses_no_acknowledged_event,
];

fn main() {
    let arguments = Arguments::from_args();
    let postgres = std::env::var("QUICKDRAW_TEST_POSTGRES").ok();

    let mut trials = vec![Trial::test("guard_check_answers_every_case", || {
        guard::guard_check_answers_every_case();
        Ok(())
    })];
    trials.push(Trial::test("alerts_and_dashboards_use_existing_metrics", || {
        monitoring::alerts_and_dashboards_use_existing_metrics();
        Ok(())
    }));

    for (name, check) in CHECKS.iter().copied() {
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
