//! One suite for both engines: every check runs on SQLite in a temporary folder, and on PostgreSQL when
//! `QUICKDRAW_TEST_POSTGRES` names a server (`./test` starts one). Without it, those are shown as ignored.

mod access;
mod appends;
mod deliveries;
mod events;
mod examine;
mod fixture;
mod identity;
mod insights;
mod lines;
mod moves;
mod operations;
mod overview;
mod replays;
mod rest;
mod schema;
mod shown;
mod sources;

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
    events::a_key_seen_before_gives_the_first_event,
    events::keys_of_different_sources_never_meet,
    events::a_received_key_is_known_wherever_its_event_was_put,
    events::an_event_that_is_decided_is_not_queued_unless_the_directory_changed,
    events::what_is_taken_with_its_event_is_leased_and_settles_under_its_fence,
    events::what_was_taken_by_a_node_that_died_is_due_again,
    events::a_fan_out_runs_once_for_each_event_and_hook,
    events::a_fan_out_with_an_outdated_directory_does_nothing,
    events::skips_are_stored_with_their_reason,
    events::chains_remember_who_fired_in_them,
    events::many_callers_share_commits_and_lose_nothing,
    events::listing_goes_back_page_by_page,
    events::a_rare_kind_is_looked_for_in_steps,
    events::pruning_takes_what_is_old_and_leaves_what_is_owed,
    appends::events_follow_in_the_order_of_commits_whatever_their_ids,
    appends::a_look_begins_at_a_time,
    appends::whoever_comes_from_before_what_is_kept_is_told,
    deliveries::a_claim_leases_and_a_second_claim_finds_nothing,
    deliveries::one_delivery_is_leased_by_hand_and_shows_in_its_hooks_log,
    deliveries::a_settle_needs_the_fence_of_its_claim,
    deliveries::a_lapsed_lease_is_an_unknown_attempt_and_due_again,
    deliveries::a_failure_is_due_again_later_and_success_ends_it,
    deliveries::a_hooks_own_retry_policy_counts,
    deliveries::four_failures_disable_and_a_success_heals,
    deliveries::a_hook_without_room_does_not_hold_up_another,
    deliveries::first_attempts_and_retries_are_claimed_apart,
    deliveries::a_walk_cut_short_goes_on_with_the_next_hook,
    deliveries::what_a_deleted_hook_was_owed_is_cancelled,
    deliveries::released_deliveries_are_due_at_once_without_a_record,
    deliveries::attempts_are_listed_by_delivery_and_by_hook,
    deliveries::what_a_disabled_hook_is_owed_is_held_within_a_budget,
    lines::a_failing_head_blocks_its_own_line_and_no_other,
    lines::one_that_is_blocked_can_be_sent_by_hand_and_keeps_its_place,
    lines::a_look_at_all_lines_goes_on_where_it_ended,
    lines::nobody_moves_up_before_older_events_are_fanned_out,
    lines::what_is_blocked_is_held_within_the_budget_and_replayed_in_order,
    insights::facts_join_in_any_order_and_rollups_agree_with_facts,
    insights::an_event_is_projected_once,
    insights::a_poison_event_is_set_aside_and_shown,
    insights::what_never_came_is_told_from_what_came,
    insights::merge_requests_join_in_any_order_and_are_found_while_they_live,
    insights::items_of_every_family_join_across_batches,
    insights::people_get_other_names_and_what_a_project_no_longer_keeps_goes,
    insights::a_shadow_is_compared_and_put_in_its_place,
    insights::who_is_who_is_changed_from_its_last_version_only,
    moves::what_was_only_told_of_moved_branches_and_is_no_gap,
    operations::an_operation_is_changed_from_its_last_version_only,
    overview::commits_are_summed_as_they_are_counted,
    overview::the_newest_is_read_until_it_is_enough,
    overview::branches_are_read_page_by_page_with_the_moves_of_those_that_were_deleted,
    sources::sources_come_back_with_their_secrets_and_are_in_the_directory,
    sources::an_instance_is_learnt_once_and_has_what_the_source_knew,
    sources::the_default_secret_is_made_once_and_is_sealed,
    sources::the_last_requests_are_kept_for_each_node,
    sources::users_who_are_seen_are_made_once_and_change_nobody,
    identity::projects_of_other_instances_find_their_place,
    identity::a_new_project_at_a_path_that_was_anothers_is_another_project,
    identity::a_path_that_a_member_chose_joins_nothing,
    identity::a_project_moves_with_its_path_there_unless_an_administrator_pinned_it,
    identity::a_group_moves_with_all_that_lies_in_it,
    rest::groups_and_projects_have_unique_paths,
    rest::deleting_a_group_takes_its_projects_and_hooks,
    rest::hooks_come_back_with_their_secrets_and_only_in_their_scope,
    rest::an_update_replaces_a_hook_that_nobody_else_changed,
    access::tokens_end_when_they_expire_or_are_taken_back,
    rest::changes_at_the_same_time_lose_nothing,
    rest::a_renamed_group_takes_the_paths_below_it_along,
    access::users_are_changed_and_deleted_with_all_that_is_theirs,
    access::a_projects_token_is_a_member_and_rotates,
    rest::lists_go_on_behind_a_number,
    access::roles_are_inherited_from_the_groups_above_and_the_highest_counts,
    rest::groups_and_projects_are_changed_searched_and_moved,
    rest::texts_are_found_in_names_and_paths,
    replays::a_replay_looks_at_deliveries_in_their_order,
    replays::a_replay_makes_due_what_is_over_and_remembers_how_far_it_came,
    replays::replays_are_paused_cancelled_and_listed,
    rest::past_settings_of_a_hook_are_kept_with_history,
    rest::the_directory_version_rises_with_every_change,
    access::the_root_token_is_found_by_its_digest_only,
    rest::a_wrong_key_is_refused_at_the_start,
    examine::an_examination_tells_whether_the_key_fits,
    examine::a_place_without_a_database_stays_without_one,
    rest::a_second_opening_is_refused_or_shares,
    rest::nodes_are_counted_while_they_live,
    shown::groups_and_projects_are_shown_with_the_names_of_the_groups_above,
    shown::groups_and_projects_are_narrowed_by_role_place_and_visibility,
    shown::lists_go_down_as_well_as_up,
    shown::users_members_and_tokens_are_narrowed,
    shown::projects_are_archived_and_users_blocked_until_that_is_taken_back,
    shown::a_group_moves_with_all_that_is_in_it,
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
        block_on(schema::schemas_have_the_same_tables_columns_and_checks(url.unwrap_or_default()));
        Ok(())
    });
    trials.push(parity.with_ignored_flag(postgres.is_none()));
    let url = postgres.clone();
    let turns = Trial::test("postgres::lines::two_nodes_move_a_line_up_one_after_the_other", move || {
        block_on(lines::two_nodes_move_a_line_up_one_after_the_other(url.unwrap_or_default()));
        Ok(())
    });
    trials.push(turns.with_ignored_flag(postgres.is_none()));
    let url = postgres.clone();
    let waited = Trial::test("postgres::appends::nothing_is_passed_over_while_a_transaction_is_under_way", move || {
        block_on(appends::nothing_is_passed_over_while_a_transaction_is_under_way(url.unwrap_or_default()));
        Ok(())
    });
    trials.push(waited.with_ignored_flag(postgres.is_none()));
    let url = postgres.clone();
    let restored = Trial::test("postgres::appends::numbers_go_on_after_a_dump_was_restored", move || {
        block_on(appends::numbers_go_on_after_a_dump_was_restored(url.unwrap_or_default()));
        Ok(())
    });
    trials.push(restored.with_ignored_flag(postgres.is_none()));
    let url = postgres.clone();
    let written = Trial::test("postgres::examine::a_store_writes_again_as_soon_as_its_server_does", move || {
        block_on(examine::a_store_writes_again_as_soon_as_its_server_does(url.unwrap_or_default()));
        Ok(())
    });
    trials.push(written.with_ignored_flag(postgres.is_none()));
    let url = postgres.clone();
    let woken = Trial::test("postgres::rest::another_node_is_woken_by_a_signal", move || {
        block_on(rest::another_node_is_woken_by_a_signal(url.unwrap_or_default()));
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
