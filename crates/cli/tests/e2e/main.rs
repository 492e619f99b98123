//! Runs the whole binary as users do: started in an empty folder, called over HTTP, and killed at any time.
//!
//! Checks that store data run on SQLite, and on PostgreSQL if `QUICKDRAW_TEST_POSTGRES` names a server (`./test`
//! starts one). Without it, the PostgreSQL half is reported as ignored.

mod access;
mod addresses;
mod administration;
mod alerts;
mod all_events;
mod answers;
mod api_page;
mod audit;
mod backfill;
mod backfill_gitlab;
mod certificates;
mod chains;
mod clients;
mod commands;
mod completions;
mod compose;
mod connect;
mod connect_tls;
mod counted;
mod daily;
mod demo;
mod directory_commands;
mod directory_events;
mod doctor;
mod documents;
mod event_filters;
mod forge;
mod furniture;
mod gap_codes;
mod gaps;
mod git;
mod gitlab;
mod guard;
mod health;
mod help;
mod history;
mod hook_form_pages;
mod hook_log;
mod hook_tests;
mod hook_tokens;
mod hooks;
mod http;
mod identities;
mod insights;
mod inspectors;
mod instances;
mod invalid;
mod issues;
mod journey;
mod kill;
mod large;
mod lead_times;
mod listen;
mod lists;
mod mailbox;
mod managed;
mod matrix;
mod members;
mod metrics;
mod misbehaving;
mod monitoring;
mod namespaces;
mod oidc;
mod oidc_provider;
mod operation;
mod order;
mod outages;
mod pages;
mod passwords;
mod pauses;
mod place_pages;
mod portal;
mod privacy;
mod profile;
mod pushes;
mod rebuild;
mod receivers;
mod relay;
mod relay_kills;
mod replays;
mod reporting;
mod repositories;
mod rights;
mod rogues;
mod rows;
mod scopes;
mod secrets;
mod server;
mod server_memory;
mod sign_in;
mod silence;
mod silent_commands;
mod source_limits;
mod source_settings;
mod sources;
mod ssh_keys;
mod stand_in;
mod streams;
mod sudo;
mod tokens;
mod visitor;
mod workers;

use libtest_mimic::{Arguments, Trial};
use server::Engine;

type Check = fn(Engine);

macro_rules! checks {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        &[$((stringify!($name), $module::$name)),+]
    };
}

mod administration_list;
mod api_lists;
mod commands_list;
mod history_pages;
mod hook_list;
mod hook_pages;
mod notification_pages;
mod notifications;
mod operation_list;
mod page_data;
mod rights_list;

const CHECKS: &[(&str, Check)] = checks![
    compose::image_links_with_the_path_of_the_project_are_absolute,
    compose::image_links_with_the_id_of_the_project_are_absolute,
    compose::a_confidential_body_reaches_only_hooks_for_confidential_events,
    compose::every_kind_is_composed_and_delivered,
    compose::every_kind_has_a_schema,
    compose::saves_of_one_operation_are_one_event,
    compose::a_test_shows_the_newest_issue,
    compose::emit_reports_for_a_project_a_group_and_the_instance,
    compose::a_contradictory_report_is_refused,
    journey::the_first_start_accepts_a_push_and_detects_its_duplicate,
    journey::signatures_are_verified_and_must_be_recent,
    journey::a_stop_is_quick_and_loses_nothing,
    journey::secrets_are_printed_only_to_a_terminal,
    journey::a_commit_without_a_project_is_counted_on_the_day_of_its_receipt,
    journey::every_prometheus_metric_has_a_help_line,
    journey::health_and_readiness_can_be_asked_with_head,
    journey::a_signed_request_is_accepted_once,
    journey::a_report_is_composed_and_delivered,
    journey::a_delivery_shows_its_attempts,
    journey::an_event_shows_the_hooks_whose_filter_skipped_it,
    journey::active_hooks_are_found_by_trigger,
    journey::the_emit_command_reports_an_event,
    receivers::a_receiver_that_is_down_gets_its_event_later,
    receivers::a_receiver_that_hangs_does_not_delay_another,
    clients::api_v1_refuses_unknown_parameters,
    clients::api_v4_refuses_misspelt_parameters_and_accepts_those_of_other_editions,
    clients::a_rate_limit_says_when_it_ends,
    clients::a_trigger_that_a_level_lacks_is_refused,
    clients::an_empty_attribute_that_a_level_lacks_is_accepted,
    namespaces::namespaces_are_found_by_id_and_by_path,
    namespaces::a_namespace_exists_in_its_parent_group_only,
    namespaces::full_names_of_groups_contain_the_names_of_parent_groups,
    namespaces::a_project_shows_its_namespace,
    namespaces::the_last_activity_of_a_project_is_its_newest_event,
    namespaces::a_project_in_an_unknown_namespace_is_refused,
    namespaces::a_project_can_be_archived,
    namespaces::a_group_is_moved_by_an_owner_of_both_groups,
    namespaces::a_group_becomes_a_top_level_group_by_an_administrator,
    namespaces::a_group_cannot_be_moved_to_an_impossible_place,
    lists::lists_accept_the_filters_of_client_libraries,
    lists::the_next_page_keeps_the_filters,
    lists::an_unsupported_filter_is_refused,
    lists::lists_of_values_are_bounded,
    order::a_failing_head_blocks_its_own_object_and_no_other,
    order::an_ordering_queue_survives_a_crash_and_a_resend_unblocks_it,
    certificates::a_hook_presents_its_own_client_certificate,
    certificates::a_client_certificate_is_removed_when_the_url_changes,
    certificates::a_hook_without_a_client_certificate_presents_the_usual_one,
    certificates::a_damaged_client_certificate_is_refused,
    chains::an_event_caused_by_a_hook_is_delivered_to_other_hooks_only,
    chains::a_chain_of_events_is_known_after_a_crash,
    chains::deliveries_of_a_namespace_are_limited_per_minute,
    health::no_attempt_is_planned_before_the_end_of_a_pause,
    health::system_hooks_get_an_event_when_a_hook_is_disabled,
    health::system_hooks_get_an_event_when_a_hook_is_re_enabled,
    health::events_of_a_disabled_hook_are_held,
    health::events_of_a_disabled_hook_are_dropped_if_the_settings_say_so,
    replays::the_replay_command_counts_starts_and_follows_a_replay,
    replays::a_replay_survives_a_crash_and_a_pause,
    replays::a_replay_sends_the_selected_deliveries_again_with_the_same_keys,
    replays::invalid_parameters_of_a_replay_are_refused,
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
    secrets::a_hook_cannot_call_its_own_server,
    secrets::secrets_that_do_not_fit_into_a_header_are_refused_at_the_start,
    secrets::the_audit_log_lists_reads_of_bodies_with_the_client,
    secrets::a_process_that_aborts_leaves_no_core,
    secrets::a_secret_in_a_file_is_checked_too,
    secrets::a_secret_of_digits_is_text,
    secrets::the_secret_and_the_body_limit_of_a_new_source_are_checked,
    secrets::two_different_tokens_are_refused,
    secrets::a_form_that_is_not_text_is_refused,
    secrets::a_header_with_two_different_values_is_refused,
    secrets::a_template_is_checked_when_it_is_saved,
    secrets::answers_logs_and_files_show_no_secret,
    secrets::an_attempt_shows_its_error_and_its_answer_without_secrets,
    streams::streams_of_all_bots_of_a_project_share_a_limit,
    streams::a_stream_continues_where_it_was_interrupted,
    streams::a_stream_continues_within_a_commit,
    streams::only_users_who_manage_hooks_may_follow_the_journal,
    streams::a_stream_starts_with_new_events,
    streams::each_stream_has_the_same_events_with_the_same_keys,
    streams::a_stream_can_be_filtered_by_place_kind_and_content,
    streams::the_position_advances_past_events_that_do_not_match,
    streams::a_received_event_is_in_a_stream_once_with_its_exact_body,
    streams::a_stop_does_not_wait_for_open_streams,
    streams::invalid_parameters_of_a_stream_are_refused,
    streams::one_user_cannot_use_all_permits_of_streams,
    streams::a_stream_ends_when_its_user_loses_the_right_to_follow,
    relay::every_sample_is_relayed_once_and_unchanged,
    relay::the_first_event_of_a_project_creates_it_with_its_groups_and_user,
    relay::an_event_is_relayed_byte_for_byte_with_the_headers_of_gitlab,
    relay::a_name_that_a_user_has_set_is_kept,
    relay::an_event_with_the_same_key_and_a_copy_for_the_group_are_not_delivered,
    relay::an_unknown_kind_is_relayed_with_the_header_that_it_had,
    relay::a_project_of_another_instance_with_the_same_path_is_another_project,
    operation::config_check_and_doctor_refuse_what_serve_refuses,
    operation::a_missing_insights_file_is_reported_and_filled_from_the_journal,
    operation::doctor_and_config_check_create_nothing,
    operation::doctor_does_not_change_the_files_of_a_crash,
    operation::a_start_logs_the_files_of_secrets_and_no_secret,
    operation::the_store_keeps_the_generated_secret_for_all_nodes,
    operation::nodes_with_folders_of_their_own_accept_the_same_secret,
    operation::the_generated_secret_is_shown_to_administrators,
    operation::a_setting_determines_the_secret_that_is_shown,
    operation::a_start_without_the_key_of_the_database_creates_no_other_key,
    operation::a_start_that_cannot_create_the_database_leaves_no_key,
    operation::insights_without_their_database_are_refused,
    sources::a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_project,
    sources::a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group,
    sources::renaming_a_project_does_not_attract_foreign_events,
    sources::a_project_at_the_path_of_another_project_gets_a_path_of_its_own,
    sources::a_project_follows_its_group_and_a_repeated_transfer_does_not_move_it_back,
    sources::a_project_that_an_administrator_has_moved_stays_there,
    sources::renaming_a_group_does_not_attract_foreign_events,
    gaps::failed_requests_are_resent_by_gitlab,
    gaps::gaps_are_listed_in_pages_and_by_kind,
    gaps::missing_events_are_found_in_gitlab,
    gaps::missing_events_are_fetched_from_gitlab,
    gaps::a_project_of_another_gitlab_is_not_compared,
    gaps::gaps_that_cannot_be_filled_are_explained,
    backfill::a_backfill_of_an_unknown_project_needs_its_number,
    backfill::a_backfill_of_a_repository_is_counted,
    backfill::a_commit_that_is_backfilled_and_pushed_counts_once,
    backfill::a_backfill_of_a_file_is_counted,
    backfill::backfilled_events_are_kept_and_not_delivered,
    backfill::a_backfill_with_an_invalid_event_is_refused_as_a_whole,
    backfill_gitlab::an_incomplete_backfill_from_gitlab_is_reported,
    backfill_gitlab::a_backfill_from_gitlab_is_counted_and_continues_after_the_last_row,
    backfill_gitlab::a_backfilled_event_that_is_also_received_counts_once,
    backfill_gitlab::many_pushes_are_read_page_by_page,
    backfill_gitlab::a_state_without_a_time_is_counted_but_not_measured,
    alerts::a_rule_can_be_tried_for_each_project,
    alerts::a_rule_can_be_tried_with_each_kind_of_threshold,
    alerts::an_invalid_rule_is_refused,
    alerts::an_alert_is_reported_once_when_it_fires_and_once_when_it_resolves,
    alerts::the_alerts_of_a_deleted_rule_are_reported_as_resolved,
    alerts::a_rule_can_be_changed_and_deleted,
    monitoring::branches_without_pushes_are_shown,
    monitoring::prometheus_shows_the_current_state_only,
    monitoring::administrators_see_the_metrics_of_the_default_branch,
    monitoring::prometheus_shows_teams_and_no_person,
    monitoring::other_branches_and_merge_requests_are_shown_on_request_while_they_exist,
    monitoring::only_administrators_see_the_time_of_the_last_event_of_a_project,
    kill::kill_9_under_load_loses_no_acknowledged_event,
    metrics::jobs_pipelines_and_deployments_can_be_grouped,
    metrics::durations_have_percentiles_and_counts_have_none,
    metrics::an_explanation_names_the_project_of_the_source,
    metrics::tags_or_releases_can_count_as_deployments,
    metrics::a_window_before_the_first_event_is_partial,
    metrics::the_openapi_description_explains_every_metric,
    metrics::commits_are_distributed_in_the_given_zone_and_in_that_of_the_author,
    metrics::reviews_are_counted_by_author_and_reviewer,
    metrics::reviews_can_be_filtered_by_team_and_member,
    metrics::commits_can_be_filtered_and_grouped_by_branch,
    metrics::reviews_are_hidden_if_small_groups_are_hidden,
    metrics::explanations_hide_values_that_stand_for_people,
    metrics::filters_that_do_not_apply_to_a_metric_are_refused,
    invalid::requests_without_a_valid_credential_are_refused,
    invalid::a_body_that_is_not_acceptable_json_is_refused,
    invalid::an_event_of_an_unknown_kind_is_stored,
    invalid::a_hook_with_invalid_attributes_is_refused,
    invalid::unknown_projects_and_hooks_are_not_found,
    invalid::an_invalid_report_is_refused,
    large::strings_in_parameters_are_never_parsed_as_json,
    large::a_body_with_nested_strings_is_shown_byte_for_byte_and_counted,
    large::a_request_with_too_many_parts_is_refused,
    large::the_bodies_of_a_page_have_8_mb_together,
    insights::merge_requests_are_counted,
    insights::a_duration_has_a_mean_and_percentiles,
    insights::a_metric_shows_the_value_of_the_previous_window,
    insights::bots_are_counted_on_request,
    insights::weeks_start_on_mondays_of_the_given_zone,
    insights::a_day_without_a_midnight_starts_at_its_first_moment,
    insights::a_value_is_explained_by_its_items,
    insights::the_events_of_an_item_are_listed_in_the_order_of_their_receipt,
    insights::invalid_questions_are_refused,
    insights::other_definitions_are_chosen_by_a_parameter_or_by_name,
    insights::a_crash_loses_no_data_and_repeated_events_change_no_value,
    issues::issues_are_counted,
    issues::only_the_current_labels_of_an_issue_count,
    issues::a_pipeline_that_is_run_again_is_counted_once,
    issues::deployments_and_their_incidents_are_counted,
    lead_times::lead_times_follow_merge_requests_to_their_deployment,
    lead_times::repeated_events_and_an_older_merge_request_do_not_change_lead_times,
    rebuild::an_empty_journal_equals_empty_insights,
    rebuild::a_verification_finds_equal_values_in_any_order,
    rebuild::a_rebuild_changes_no_value,
    rebuild::counting_events_twice_changes_no_value,
    demo::the_demo_fills_every_metric_and_can_be_verified,
    demo::a_second_start_of_the_demo_continues_with_its_data,
    demo::the_demo_does_not_use_the_data_of_a_server,
    demo::the_ten_commands_of_the_tour_work_as_printed,
    demo::the_demo_has_deployments_and_incidents,
    demo::a_second_start_of_the_demo_keeps_its_hooks,
    doctor::a_running_server_is_examined,
    doctor::only_public_checks_run_without_a_token,
    doctor::an_invalid_token_is_a_problem,
    doctor::a_server_that_is_no_quickdraw_is_a_problem,
    doctor::a_server_that_does_not_answer_is_a_problem,
    doctor::a_refused_request_and_a_wrong_external_url_are_shown,
    identities::commits_are_counted_by_group_and_project_without_bots,
    identities::unmatched_identities_are_listed,
    identities::a_new_member_gets_the_earlier_commits_of_its_handles,
    identities::metrics_of_commits_can_be_filtered_by_member,
    identities::a_mailmap_can_be_tried_and_imported,
    identities::commits_of_a_team_are_those_of_its_members_at_their_time,
    identities::members_can_be_merged_and_parted,
    identities::a_domain_can_be_marked_as_that_of_bots,
    identities::a_member_of_the_same_name_is_suggested,
    identities::merge_requests_count_for_the_members_of_their_accounts,
    identities::identities_survive_a_crash_and_can_be_exported,
    identities::unknown_people_are_not_found,
    identities::invalid_changes_of_identities_are_refused,
    identities::a_member_can_leave_a_team_and_return,
    identities::the_commits_of_a_deleted_member_stay,
    rows::a_query_returns_a_row_for_each_interval,
    rows::rows_can_be_grouped_by_project_member_and_team,
    rows::a_query_shows_the_units_of_its_metrics,
    rows::rows_and_explanations_can_be_read_as_csv,
    rows::an_invalid_query_is_refused,
    privacy::pseudonyms_are_stable_and_contain_no_part_of_a_name,
    privacy::results_for_fewer_people_than_the_minimum_are_hidden,
    privacy::a_team_smaller_than_the_minimum_has_no_row,
    privacy::the_days_of_a_team_with_too_few_members_are_hidden,
    privacy::an_erasure_must_be_confirmed_and_can_be_tried,
    privacy::an_erased_person_is_counted_but_never_named,
    privacy::an_erasure_cannot_be_undone,
    privacy::a_retention_must_be_confirmed_and_can_be_tried,
    privacy::facts_of_a_project_are_deleted_after_its_retention,
    pushes::more_than_three_refs_of_a_kind_are_only_in_the_repository_update,
    pushes::a_repository_update_is_sent_only_if_a_system_hook_wants_it,
    pushes::the_git_hook_is_installed_only_where_it_runs,
    pushes::the_group_of_a_shared_repository_can_use_the_files_of_the_hook,
    pushes::an_installation_keeps_its_token_private,
    pushes::an_installation_needs_a_server_that_knows_its_token,
    repositories::a_merge_lists_the_files_of_all_merged_branches,
    repositories::text_in_another_encoding_is_reported_in_utf_8,
    repositories::push_options_are_reported_as_gitlab_groups_them,
    repositories::a_repository_with_sha_256_has_longer_ids,
    repositories::a_deleted_tag_and_a_tag_of_a_file_have_no_commit_to_check_out,
    repositories::a_push_to_a_shallow_repository_lists_its_new_commits,
    repositories::a_push_of_thousands_of_commits_is_counted,
    repositories::hundreds_of_moved_files_are_added_and_removed,
    event_filters::a_filter_can_be_tried_on_past_events,
    event_filters::a_filter_selects_the_events_of_a_hook,
    event_filters::a_filter_is_kept_until_it_is_changed_or_removed,
    relay_kills::a_relay_loses_no_event_despite_kills_and_failing_receivers,
    outages::a_hanging_database_gives_503_and_loses_no_event,
    outages::an_outage_of_the_database_is_shown_and_logged_once,
    addresses::printed_urls_can_be_called,
    addresses::a_server_on_all_addresses_warns_and_prints_no_url_for_gitlab,
    addresses::config_check_and_doctor_warn_about_a_missing_external_url,
    addresses::a_push_without_a_login_name_has_the_user_of_the_process,
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
    source_settings::a_restart_keeps_the_requests_and_the_secret_of_a_source,
    source_settings::invalid_settings_of_a_source_are_refused,
    source_settings::a_removed_source_accepts_nothing,
    source_settings::the_source_command_manages_a_source,
    source_settings::a_source_for_signatures_gets_a_signing_token,
    place_pages::an_empty_instance_shows_the_first_steps,
    place_pages::the_start_page_filters_projects_and_groups,
    place_pages::the_start_page_of_a_group_lists_its_subgroups_and_projects,
    place_pages::start_pages_keep_other_addresses_free,
    place_pages::the_overview_begins_with_what_needs_attention,
    place_pages::members_without_a_higher_role_see_the_facts_of_a_project_only,
    place_pages::the_search_box_leads_to_pages,
    place_pages::a_member_is_added_changed_and_removed_in_the_browser,
    place_pages::an_unknown_username_is_an_error_of_its_field,
    place_pages::a_maintainer_gives_no_higher_role_in_the_browser,
    place_pages::an_access_token_is_made_shown_once_and_revoked,
    place_pages::a_token_without_a_scope_is_refused_beside_the_scopes,
    place_pages::settings_are_saved_and_lead_to_the_new_path,
    place_pages::a_refused_path_is_an_error_of_its_field,
    place_pages::a_project_is_moved_in_the_browser,
    place_pages::a_project_is_deleted_when_its_path_is_typed,
    place_pages::groups_and_projects_are_created_in_the_browser,
    place_pages::only_administrators_create_groups_and_delete_projects_in_the_browser,
    place_pages::hostile_names_are_text_on_pages_of_places,
    api_page::the_page_of_the_api_is_compressed_and_cached,
    api_page::the_files_of_the_api_page_are_kept_by_browsers,
    api_page::the_page_of_the_api_has_no_inline_script_and_shows_operations_without_scripts,
    api_page::the_errors_that_the_description_shows_are_real,
    workers::all_workers_are_listed,
    workers::a_worker_shows_its_runs,
    workers::the_error_of_a_worker_is_shown_and_stays,
    all_events::a_project_hook_for_all_events_shows_every_trigger_of_its_level,
    all_events::turning_all_events_off_returns_to_the_triggers_that_were_set,
    all_events::a_single_trigger_cannot_be_disabled_beside_all_events,
    all_events::a_trigger_that_no_level_has_is_refused_with_the_choices,
    all_events::a_hook_of_the_instance_for_all_events_gets_every_event_like_a_project_hook,
    all_events::a_received_event_without_a_known_project_reaches_a_hook_for_everything,
    all_events::a_hook_of_the_instance_is_restricted_to_sources,
    all_events::a_hook_of_the_instance_is_restricted_to_groups_and_projects,
    all_events::a_restriction_to_deleted_objects_is_saved_as_it_was_read,
    all_events::restrictions_of_other_hooks_and_of_unknown_names_are_refused,
    all_events::one_gitlab_is_relayed_to_five_services,
    all_events::a_hook_of_the_instance_for_all_events_is_disabled_and_holds_like_a_project_hook,
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

    let all = CHECKS
        .iter()
        .chain(rights_list::CHECKS)
        .chain(api_lists::CHECKS)
        .chain(directory_events::CHECKS)
        .chain(notifications::CHECKS)
        .chain(notification_pages::CHECKS)
        .chain(operation_list::CHECKS)
        .chain(commands_list::CHECKS)
        .chain(page_data::CHECKS)
        .chain(history_pages::CHECKS)
        .chain(hook_list::CHECKS)
        .chain(hook_pages::CHECKS)
        .chain(administration_list::CHECKS);
    for (name, check) in all.copied() {
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
