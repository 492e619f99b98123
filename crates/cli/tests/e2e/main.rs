//! The whole binary, as its users run it: started in an empty folder, called over HTTP, killed at any instant.
//!
//! Checks that store something run on SQLite, and on PostgreSQL when `QUICKDRAW_TEST_POSTGRES` names a server (`./test`
//! starts one); without it the PostgreSQL half is shown as ignored.

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
            "what_is_pushed_while_the_server_is_away_comes_later",
            git::what_is_pushed_while_the_server_is_away_comes_later,
        ),
        (
            "repositories_of_every_kind_are_reported_as_git_tells",
            pushes::repositories_of_every_kind_are_reported_as_git_tells,
        ),
        (
            "a_push_of_many_refs_is_reported_within_the_limits",
            pushes::a_push_of_many_refs_is_reported_within_the_limits,
        ),
        ("the_hook_is_put_where_it_works", pushes::the_hook_is_put_where_it_works),
        (
            "a_confidential_body_reaches_only_hooks_for_confidential_events",
            compose::a_confidential_body_reaches_only_hooks_for_confidential_events,
        ),
        ("saves_of_one_operation_are_one_event", compose::saves_of_one_operation_are_one_event),
        ("every_kind_is_composed_and_delivered", compose::every_kind_is_composed_and_delivered),
        ("things_are_chosen_by_what_they_are", metrics::things_are_chosen_by_what_they_are),
        ("the_first_command_and_the_seeds_manual_test", journey::the_first_command_and_the_seeds_manual_test),
        ("signatures_are_verified_and_must_be_fresh", journey::signatures_are_verified_and_must_be_fresh),
        ("bad_input_is_refused_with_the_right_status", journey::bad_input_is_refused_with_the_right_status),
        ("a_stop_is_in_good_order_and_soon", journey::a_stop_is_in_good_order_and_soon),
        ("a_report_is_composed_delivered_and_explained", journey::a_report_is_composed_delivered_and_explained),
        ("a_git_push_becomes_a_signed_delivery_and_a_counted_commit", git::a_push_becomes_a_signed_delivery),
        ("a_receiver_that_is_down_gets_its_event_later", receivers::a_receiver_that_is_down_gets_its_event_later),
        ("a_receiver_that_hangs_does_not_delay_another", receivers::a_receiver_that_hangs_does_not_delay_another),
        ("requests_and_answers_have_their_share_of_memory", large::requests_and_answers_have_their_share_of_memory),
        ("texts_in_a_body_are_texts_however_they_are_called", large::texts_in_a_body_are_texts_however_they_are_called),
        ("hooks_of_all_levels_are_made_changed_and_deleted", hooks::hooks_of_all_levels_are_made_changed_and_deleted),
        ("forms_and_queries_are_as_good_as_json", hooks::forms_and_queries_are_as_good_as_json),
        (
            "headers_variables_and_templates_reach_the_receiver",
            hooks::headers_variables_and_templates_reach_the_receiver,
        ),
        (
            "a_test_re_enables_and_a_resend_sends_the_same_again",
            hooks::a_test_re_enables_and_a_resend_sends_the_same_again,
        ),
        ("each_role_may_do_what_its_row_says", access::each_role_may_do_what_its_row_says),
        ("bots_and_the_root_token_stay_in_their_place", access::bots_and_the_root_token_stay_in_their_place),
        ("errors_have_the_shape_of_their_api", access::errors_have_the_shape_of_their_api),
        ("a_body_of_null_is_no_body", clients::a_body_of_null_is_no_body),
        ("a_request_to_act_as_somebody_else_is_refused", clients::a_request_to_act_as_somebody_else_is_refused),
        ("namespaces_are_found_by_number_and_by_path", clients::namespaces_are_found_by_number_and_by_path),
        ("names_are_those_of_the_groups_above", clients::names_are_those_of_the_groups_above),
        (
            "a_project_in_a_namespace_that_is_not_there_is_refused",
            clients::a_project_in_a_namespace_that_is_not_there_is_refused,
        ),
        ("lists_of_parameters_are_bounded", clients::lists_of_parameters_are_bounded),
        ("lists_are_narrowed_as_clients_ask", clients::lists_are_narrowed_as_clients_ask),
        ("a_filter_that_is_not_here_is_refused", clients::a_filter_that_is_not_here_is_refused),
        ("the_scopes_of_a_token_are_kept_as_asked", clients::the_scopes_of_a_token_are_kept_as_asked),
        ("an_address_is_that_of_one_user", clients::an_address_is_that_of_one_user),
        ("projects_are_archived_and_users_blocked", clients::projects_are_archived_and_users_blocked),
        ("groups_are_moved_by_those_who_own_both_places", clients::groups_are_moved_by_those_who_own_both_places),
        ("a_members_role_is_found_wherever_it_comes_from", clients::a_members_role_is_found_wherever_it_comes_from),
        ("a_limit_says_when_it_ends", clients::a_limit_says_when_it_ends),
        ("a_trigger_that_a_level_does_not_have_is_refused", clients::a_trigger_that_a_level_does_not_have_is_refused),
        ("api_v1_refuses_parameters_that_it_does_not_have", clients::api_v1_refuses_parameters_that_it_does_not_have),
        ("tokens_are_made_shown_once_and_taken_back", access::tokens_are_made_shown_once_and_taken_back),
        ("changes_and_refusals_are_audited_without_values", access::changes_and_refusals_are_audited_without_values),
        (
            "every_endpoint_answers_each_role_by_the_table_and_shows_no_secret",
            matrix::every_endpoint_answers_each_role_by_the_table_and_shows_no_secret,
        ),
        ("a_failing_head_blocks_its_own_object_and_no_other", order::a_failing_head_blocks_its_own_object_and_no_other),
        ("a_hook_shows_its_own_client_certificate", certificates::a_hook_shows_its_own_client_certificate),
        ("images_in_composed_bodies_are_absolute", compose::images_in_composed_bodies_are_absolute),
        ("a_hooks_own_retries_are_its_own", hooks::a_hooks_own_retries_are_its_own),
        ("limits_and_bad_values_are_refused", hooks::limits_and_bad_values_are_refused),
        ("a_chain_of_events_does_not_come_back_to_a_hook", chains::a_chain_of_events_does_not_come_back_to_a_hook),
        ("a_namespace_has_so_many_deliveries_a_minute", chains::a_namespace_has_so_many_deliveries_a_minute),
        (
            "people_are_told_when_a_hook_is_disabled_and_when_it_is_well_again",
            health::people_are_told_when_a_hook_is_disabled_and_when_it_is_well_again,
        ),
        (
            "the_next_attempt_is_not_before_the_end_of_a_pause",
            health::the_next_attempt_is_not_before_the_end_of_a_pause,
        ),
        ("events_of_a_disabled_hook_are_held_or_dropped", health::events_of_a_disabled_hook_are_held_or_dropped),
        (
            "a_replay_sends_the_chosen_deliveries_once_more_and_survives_a_crash",
            replays::a_replay_sends_the_chosen_deliveries_once_more_and_survives_a_crash,
        ),
        ("the_replay_command_counts_runs_and_follows", replays::the_replay_command_counts_runs_and_follows),
        ("nineteen_receivers_that_misbehave_harm_nobody", rogues::nineteen_receivers_that_misbehave_harm_nobody),
        ("memory_goes_back_to_the_system", server_memory::memory_goes_back_to_the_system),
        ("a_hook_cannot_call_the_server_that_it_belongs_to", secrets::a_hook_cannot_call_the_server_that_it_belongs_to),
        ("whoever_makes_users_tests_no_oftener", hooks::whoever_makes_users_tests_no_oftener),
        ("whoever_makes_users_has_no_more_streams", streams::whoever_makes_users_has_no_more_streams),
        ("no_answer_and_no_error_shows_a_secret", secrets::no_answer_and_no_error_shows_a_secret),
        (
            "secrets_that_no_header_can_carry_are_refused_at_the_start",
            secrets::secrets_that_no_header_can_carry_are_refused_at_the_start,
        ),
        (
            "nothing_that_is_sent_twice_or_broken_is_taken_in_part",
            secrets::nothing_that_is_sent_twice_or_broken_is_taken_in_part,
        ),
        ("a_hook_cannot_call_the_server_that_it_belongs_to", secrets::a_hook_cannot_call_the_server_that_it_belongs_to),
        (
            "the_audit_log_names_clients_and_readings_of_bodies",
            secrets::the_audit_log_names_clients_and_readings_of_bodies,
        ),
        ("a_process_that_aborts_leaves_no_core", secrets::a_process_that_aborts_leaves_no_core),
        (
            "sources_have_secrets_modes_and_limits_of_their_own",
            relay::sources_have_secrets_modes_and_limits_of_their_own,
        ),
        (
            "a_source_that_wants_signatures_gets_a_secret_that_gitlab_signs_with",
            operation::a_source_that_wants_signatures_gets_a_secret_that_gitlab_signs_with,
        ),
        ("what_is_received_reaches_the_hooks_of_its_project", relay::what_is_received_reaches_the_hooks_of_its_project),
        (
            "filters_choose_by_what_events_say_and_are_tried_first",
            relay::filters_choose_by_what_events_say_and_are_tried_first,
        ),
        (
            "every_sample_is_received_twice_and_relayed_unchanged",
            relay::every_sample_is_received_twice_and_relayed_unchanged,
        ),
        ("a_relay_loses_nothing_whatever_happens_to_it", relay::a_relay_loses_nothing_whatever_happens_to_it),
        (
            "a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_one",
            sources::a_new_project_at_an_old_path_does_not_reach_the_hooks_of_the_old_one,
        ),
        (
            "a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group",
            sources::a_project_that_moves_in_gitlab_leaves_the_hooks_of_its_old_group,
        ),
        ("a_source_speaks_for_the_instance_that_it_is_for", sources::a_source_speaks_for_the_instance_that_it_is_for),
        (
            "a_repeated_signed_request_is_a_duplicate_under_every_instance",
            sources::a_repeated_signed_request_is_a_duplicate_under_every_instance,
        ),
        (
            "a_path_that_a_member_chose_brings_nobody_elses_events",
            sources::a_path_that_a_member_chose_brings_nobody_elses_events,
        ),
        ("a_stream_goes_on_where_it_broke_off", streams::a_stream_goes_on_where_it_broke_off),
        ("a_stream_goes_on_within_a_commit", streams::a_stream_goes_on_within_a_commit),
        ("only_those_may_follow_who_may_manage_hooks", streams::only_those_may_follow_who_may_manage_hooks),
        ("what_a_stream_brings_is_passed_on_at_least_once", streams::what_a_stream_brings_is_passed_on_at_least_once),
        ("what_was_chosen_is_passed_on_signed", streams::what_was_chosen_is_passed_on_signed),
        ("what_was_not_taken_is_sent_again", gaps::what_was_not_taken_is_sent_again),
        ("what_gitlab_still_has_is_fetched", gaps::what_gitlab_still_has_is_fetched),
        ("what_cannot_be_filled_is_said", gaps::what_cannot_be_filled_is_said),
        ("merge_requests_are_measured_and_explained", insights::merge_requests_are_measured_and_explained),
        ("who_is_who_is_applied_when_numbers_are_read", identities::who_is_who_is_applied_when_numbers_are_read),
        ("whoever_wants_not_to_be_seen_is_not", identities::whoever_wants_not_to_be_seen_is_not),
        ("what_was_merged_is_followed_to_its_deployment", insights::what_was_merged_is_followed_to_its_deployment),
        ("what_is_counted_is_proved_and_counted_anew", insights::what_is_counted_is_proved_and_counted_anew),
        (
            "history_of_a_repository_and_of_a_file_is_counted",
            backfill::history_of_a_repository_and_of_a_file_is_counted,
        ),
        ("an_alert_is_told_once_and_when_all_is_well", alerts::an_alert_is_told_once_and_when_all_is_well),
        ("branches_without_pushes_are_shown", monitoring::branches_without_pushes_are_shown),
        (
            "how_things_stand_is_shown_and_what_is_gone_is_gone",
            monitoring::how_things_stand_is_shown_and_what_is_gone_is_gone,
        ),
        ("what_gitlab_remembers_is_counted", backfill::what_gitlab_remembers_is_counted),
        ("the_demo_is_counted_and_proved", insights::the_demo_is_counted_and_proved),
        ("all_workers_are_listed_and_run", workers::all_workers_are_listed_and_run),
        ("the_error_of_a_worker_is_shown", workers::the_error_of_a_worker_is_shown),
        ("doctor_and_config_check_change_nothing", operation::doctor_and_config_check_change_nothing),
        (
            "a_database_that_hangs_is_answered_503_and_said_once",
            operation::a_database_that_hangs_is_answered_503_and_said_once,
        ),
        (
            "config_check_and_doctor_refuse_what_serve_refuses",
            operation::config_check_and_doctor_refuse_what_serve_refuses,
        ),
        (
            "a_start_shows_no_secret_in_a_log_and_leaves_no_key_when_it_fails",
            operation::a_start_shows_no_secret_in_a_log_and_leaves_no_key_when_it_fails,
        ),
        (
            "a_missing_file_of_insights_is_counted_again_and_said",
            operation::a_missing_file_of_insights_is_counted_again_and_said,
        ),
        (
            "addresses_that_are_shown_can_be_posted_to_and_pushes_have_a_user",
            operation::addresses_that_are_shown_can_be_posted_to_and_pushes_have_a_user,
        ),
        ("kill_9_under_load_loses_nothing", kill::kill_9_under_load_loses_nothing),
    ];
    let mut trials = vec![Trial::test("guard_check_answers_every_case", || {
        guard::guard_check_answers_every_case();
        Ok(())
    })];
    trials.push(Trial::test("alerts_and_dashboard_ask_for_metrics_that_there_are", || {
        monitoring::alerts_and_dashboard_ask_for_metrics_that_there_are();
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
