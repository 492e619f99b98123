//! One suite for both databases. Every check runs on SQLite in a temporary folder, and on PostgreSQL if
//! `QUICKDRAW_TEST_POSTGRES` names a server (`./test` starts one). Otherwise the checks on PostgreSQL are reported as
//! ignored.

mod access;
mod access_filters;
mod activity;
mod appends;
mod attempts;
mod audit;
mod deliveries;
mod documents;
mod events;
mod examine;
mod fixture;
mod gaps;
mod history;
mod hooks;
mod identity;
mod insights;
mod inspectors;
mod items;
mod moves;
mod nodes;
mod notifications;
mod operations;
mod ordering;
mod overview;
mod rebuild;
mod replays;
mod schema;
mod scopes;
mod sessions;
mod shown;
mod sign_in;
mod sources;
mod ssh_keys;

use fixture::Fixture;
use libtest_mimic::{Arguments, Trial};

type Check = fn(Fixture) -> futures_util::future::BoxFuture<'static, ()>;

macro_rules! checks {
    ($($module:ident :: $name:ident),+ $(,)?) => {
        &[$((concat!(stringify!($module), "::", stringify!($name)), |fixture| Box::pin($module::$name(fixture)))),+]
    };
}

const CHECKS: &[(&str, Check)] = checks![
    events::an_appended_event_comes_back_byte_for_byte,
    events::a_repeated_key_returns_the_first_event,
    events::keys_of_different_sources_are_independent,
    events::a_received_key_is_recognised_under_any_project,
    events::a_decided_event_is_queued_only_if_the_directory_changed,
    events::a_delivery_claimed_at_the_append_is_leased_and_settles_under_its_fence,
    events::a_delivery_claimed_by_a_dead_node_is_rescheduled,
    events::a_fan_out_runs_once_for_each_event_and_hook,
    events::a_fan_out_with_an_outdated_directory_does_nothing,
    events::skips_are_stored_with_their_reason,
    events::chains_remember_the_hooks_that_fired,
    events::many_callers_share_commits_and_lose_nothing,
    events::events_are_listed_page_by_page,
    events::a_rare_kind_is_searched_in_steps,
    events::pruning_deletes_old_events_and_keeps_owed_ones,
    activity::the_calls_of_a_hook_are_those_since_a_time,
    activity::a_hook_with_many_attempts_shows_a_sample,
    activity::the_newest_calls_of_all_hooks_come_first,
    activity::open_deliveries_are_counted_with_the_oldest_and_the_next,
    activity::open_deliveries_have_the_time_of_their_event,
    appends::events_follow_in_the_order_of_commits_whatever_their_ids,
    appends::following_can_start_at_a_time,
    appends::a_position_before_the_retained_events_is_reported_as_lost,
    deliveries::a_claim_leases_and_a_second_claim_finds_nothing,
    attempts::a_manual_lease_of_one_delivery_appears_in_the_log_of_its_hook,
    deliveries::a_settle_needs_the_fence_of_its_claim,
    deliveries::a_lapsed_lease_is_an_unknown_attempt_and_is_rescheduled,
    deliveries::a_failure_is_rescheduled_and_a_success_ends_the_delivery,
    deliveries::the_retry_policy_of_a_hook_applies,
    deliveries::four_failures_disable_a_hook_and_a_success_re_enables_it,
    deliveries::a_hook_without_permits_does_not_delay_another,
    deliveries::first_attempts_and_retries_have_separate_limits,
    deliveries::a_limited_claim_continues_with_the_next_hook,
    deliveries::deliveries_of_a_deleted_hook_are_cancelled,
    deliveries::released_deliveries_are_due_at_once_without_a_record,
    attempts::attempts_are_listed_by_delivery_and_by_hook,
    deliveries::deliveries_of_a_disabled_hook_are_held_within_a_budget,
    history::events_are_found_by_each_filter,
    history::events_are_found_by_their_deliveries,
    history::deliveries_are_found_by_each_filter,
    history::attempts_are_found_by_each_filter,
    history::skips_are_found_by_each_filter,
    history::only_the_last_page_of_a_search_has_no_next,
    history::a_search_examines_a_bounded_number_of_rows_for_a_page,
    audit::audit_entries_are_found_by_user_and_time,
    audit::audit_entries_are_found_by_login_method_path_and_answer,
    audit::only_the_last_page_of_the_audit_log_has_no_next,
    ordering::a_failing_head_blocks_only_its_own_queue,
    ordering::a_blocked_delivery_can_be_sent_manually_and_keeps_its_place,
    ordering::listing_queues_continues_where_it_ended,
    ordering::no_delivery_advances_before_older_events_are_fanned_out,
    ordering::blocked_deliveries_are_held_within_the_budget_and_replayed_in_order,
    insights::facts_join_in_any_order_and_rollups_agree_with_facts,
    insights::an_event_is_projected_once,
    insights::an_unreadable_event_is_set_aside_and_listed,
    gaps::gaps_are_found_from_received_events,
    items::merge_requests_join_in_any_order_and_are_found_by_lifetime,
    items::items_of_every_family_join_across_batches,
    insights::people_can_be_renamed_and_old_facts_deleted,
    rebuild::a_shadow_is_compared_and_swapped_in,
    documents::a_document_is_replaced_only_at_its_current_version,
    moves::backfilled_pushes_move_branches_and_are_no_gaps,
    notifications::a_rule_comes_back_with_its_target,
    notifications::rules_are_listed_by_scope_and_limited,
    notifications::a_rule_changes_only_from_its_current_version,
    notifications::active_rules_are_found_by_their_kinds,
    notifications::a_change_of_a_topic_state_is_news_once,
    notifications::every_topic_is_known_again,
    notifications::news_is_due_at_its_time_and_after_a_pause,
    notifications::a_sent_message_takes_its_news_along,
    notifications::a_message_that_is_given_up_takes_its_news_along,
    notifications::too_much_news_is_only_counted,
    notifications::a_rule_that_is_not_active_gets_no_news,
    notifications::the_last_messages_of_a_rule_are_kept,
    notifications::large_backlogs_are_counted_up_to_a_bound,
    notifications::one_node_watches_at_a_time,
    operations::an_operation_is_replaced_only_at_its_current_version,
    overview::sums_of_commits_agree_with_the_facts,
    overview::the_newest_items_are_read_within_a_budget,
    overview::branches_are_listed_in_pages_with_the_moves_of_deleted_branches,
    ssh_keys::keys_are_listed_by_user_and_deleted_with_the_user,
    ssh_keys::a_key_belongs_to_one_user,
    ssh_keys::a_user_has_a_bounded_number_of_keys,
    ssh_keys::two_users_who_add_the_same_key_at_once_get_it_once,
    sources::sources_are_read_with_their_secrets_and_listed_in_the_directory,
    sources::a_source_is_bound_to_an_instance_once_and_keeps_its_projects,
    sources::the_default_secret_is_generated_once_and_sealed,
    sources::the_last_requests_are_kept_for_each_node,
    sources::users_of_events_are_created_once_and_never_changed,
    identity::projects_of_other_instances_are_created_at_their_path,
    identity::a_new_project_at_an_old_path_is_another_project,
    identity::a_path_chosen_by_a_member_matches_no_received_project,
    identity::a_project_follows_its_path_in_gitlab_unless_an_administrator_moved_it,
    identity::a_group_moves_with_its_projects,
    scopes::groups_and_projects_have_unique_paths,
    scopes::deleting_a_group_deletes_its_projects_and_hooks,
    hooks::hooks_are_read_with_their_secrets_and_only_in_their_scope,
    hooks::a_hook_is_replaced_only_at_its_current_version,
    access::tokens_end_when_they_expire_or_are_revoked,
    scopes::simultaneous_changes_are_all_kept,
    scopes::renaming_a_group_changes_the_paths_below_it,
    access::users_are_edited_and_deleted_with_their_tokens_and_memberships,
    access::the_token_of_a_project_is_a_member_and_can_be_rotated,
    scopes::lists_continue_after_an_id,
    access::the_highest_inherited_role_counts,
    scopes::groups_and_projects_are_edited_searched_and_moved,
    scopes::searches_find_text_in_names_and_paths,
    replays::a_replay_reads_deliveries_in_order,
    replays::replays_are_listed_by_their_scope,
    replays::replays_are_listed_by_the_time_of_their_creation,
    replays::results_of_a_replay_count_only_hooks_of_its_scope,
    replays::a_replay_reschedules_ended_deliveries_and_stores_its_position,
    replays::replays_are_paused_cancelled_and_listed,
    hooks::past_settings_of_a_hook_are_kept_as_long_as_history,
    hooks::every_change_increases_the_directory_version,
    hooks::a_hook_for_all_events_keeps_its_restriction_and_its_pause,
    hooks::silent_mode_is_stored_with_a_new_version_of_the_directory,
    deliveries::deliveries_of_a_paused_hook_are_held_within_a_budget,
    replays::skipped_events_are_read_by_reason_in_the_order_of_events,
    replays::deliveries_of_skipped_events_are_made_once_with_their_position,
    access::the_root_token_is_found_by_its_digest_only,
    sessions::a_session_is_found_until_it_was_idle_for_too_long,
    sessions::a_used_session_ends_after_its_longest_time,
    sessions::a_session_has_the_scopes_of_its_token_and_ends_with_it,
    sessions::a_blocked_user_has_no_session,
    sessions::a_block_ends_all_sessions_for_good,
    sessions::a_new_password_ends_all_sessions_but_one,
    sessions::sessions_are_ended_one_by_one_or_together,
    sessions::a_further_session_ends_the_one_that_was_unused_for_the_longest_time,
    nodes::a_wrong_key_is_refused_at_the_start,
    examine::an_examination_shows_whether_the_key_fits,
    examine::an_examination_creates_no_database,
    nodes::a_second_process_is_refused_on_sqlite_and_allowed_on_postgres,
    nodes::only_running_nodes_are_counted,
    nodes::the_state_shows_nodes_space_and_keys,
    inspectors::an_inspector_is_read_with_its_secrets_and_changed_once,
    inspectors::a_user_has_a_bounded_number_of_inspectors,
    inspectors::an_inspector_keeps_the_newest_requests_with_their_bodies,
    inspectors::an_inspector_keeps_a_bounded_number_of_bytes,
    inspectors::an_inspector_is_deleted_when_its_time_is_over,
    shown::details_contain_the_names_of_parent_groups,
    shown::groups_and_projects_are_filtered_by_role_place_and_visibility,
    shown::lists_can_be_read_in_descending_order,
    access_filters::users_members_and_tokens_are_filtered,
    shown::archiving_and_blocking_can_be_undone,
    sign_in::a_password_is_found_by_the_username_in_any_case,
    sign_in::a_user_is_created_with_a_password,
    sign_in::the_setup_link_is_valid_once_and_until_its_end,
    sign_in::a_setup_with_a_taken_username_keeps_the_link,
    sign_in::an_identity_belongs_to_one_user,
    sign_in::a_user_and_an_identity_are_created_together,
    sign_in::users_are_found_by_their_address,
    sign_in::a_portal_session_is_found_until_its_end,
    sign_in::a_portal_session_ends_with_its_user_and_its_project,
    sign_in::a_project_has_a_bounded_number_of_portal_sessions,
    shown::a_moved_group_takes_its_projects_along,
];

fn main() {
    let arguments = Arguments::from_args();
    let postgres = std::env::var("QUICKDRAW_TEST_POSTGRES").ok();
    let mut trials = Vec::new();

    for (name, check) in CHECKS {
        let check = *check;
        trials.push(Trial::test(format!("sqlite::{name}"), move || run(check, None)));

        let url = postgres.clone();
        let trial = Trial::test(format!("postgres::{name}"), move || run(check, url));
        trials.push(trial.with_ignored_flag(postgres.is_none()));
    }

    let url = postgres.clone();
    let parity = Trial::test("both::schemas_have_the_same_tables_columns_and_checks", move || {
        block_on(schema::schemas_have_the_same_tables_columns_and_checks(
            url.unwrap_or_default(),
        ));
        Ok(())
    });
    trials.push(parity.with_ignored_flag(postgres.is_none()));

    let url = postgres.clone();
    let turns = Trial::test(
        "postgres::ordering::two_nodes_advance_a_queue_one_after_the_other",
        move || {
            block_on(ordering::two_nodes_advance_a_queue_one_after_the_other(
                url.unwrap_or_default(),
            ));
            Ok(())
        },
    );
    trials.push(turns.with_ignored_flag(postgres.is_none()));

    let url = postgres.clone();
    let waited = Trial::test(
        "postgres::appends::events_wait_for_older_open_transactions",
        move || {
            block_on(appends::events_wait_for_older_open_transactions(
                url.unwrap_or_default(),
            ));
            Ok(())
        },
    );
    trials.push(waited.with_ignored_flag(postgres.is_none()));

    let url = postgres.clone();
    let restored = Trial::test(
        "postgres::appends::numbers_continue_after_a_dump_was_restored",
        move || {
            block_on(appends::numbers_continue_after_a_dump_was_restored(
                url.unwrap_or_default(),
            ));
            Ok(())
        },
    );
    trials.push(restored.with_ignored_flag(postgres.is_none()));

    let url = postgres.clone();
    let written = Trial::test(
        "postgres::examine::a_store_writes_again_as_soon_as_its_server_is_writable",
        move || {
            block_on(examine::a_store_writes_again_as_soon_as_its_server_is_writable(
                url.unwrap_or_default(),
            ));
            Ok(())
        },
    );
    trials.push(written.with_ignored_flag(postgres.is_none()));

    let url = postgres.clone();
    let woken = Trial::test("postgres::nodes::another_node_is_woken_by_a_signal", move || {
        block_on(nodes::another_node_is_woken_by_a_signal(url.unwrap_or_default()));
        Ok(())
    });
    trials.push(woken.with_ignored_flag(postgres.is_none()));
    libtest_mimic::run(&arguments, trials).exit();
}

fn run(check: Check, postgres: Option<String>) -> Result<(), libtest_mimic::Failed> {
    block_on(async move {
        let fixture = Fixture::open(postgres).await;
        let cleanup = fixture.clone();
        check(fixture).await;
        cleanup.close().await;
    });

    Ok(())
}

fn block_on(future: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(future);
}
