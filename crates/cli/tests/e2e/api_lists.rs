//! The list of tests about lists of `/api/v1`: their filters, their pages and their errors.

mod faults;
mod filters;
mod pages;
mod projects;

use crate::{Check, history};

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    faults::a_filter_that_cannot_apply_to_a_list_is_refused_with_the_reason,
    faults::paths_without_parameters_refuse_every_parameter,
    faults::a_parameter_with_two_values_is_refused,
    faults::every_wrong_parameter_of_insights_is_named,
    faults::monitoring_paths_ignore_parameters,
    faults::wrong_fields_of_a_report_are_named,
    faults::an_unknown_trigger_of_a_report_is_refused_with_the_choices,
    faults::wrong_fields_of_a_backfill_are_named,
    faults::a_wrong_value_of_a_replay_is_refused_with_the_choices,
    filters::events_are_found_by_their_deliveries,
    filters::a_maintainer_finds_events_by_deliveries_to_own_hooks_only,
    filters::attempts_are_found_by_the_state_of_their_delivery,
    filters::the_audit_log_is_filtered_by_time,
    filters::replays_are_filtered_by_state_and_time,
    filters::requests_of_a_source_are_filtered,
    history::every_list_of_history_has_the_same_filters,
    history::deliveries_and_attempts_are_found_by_their_result,
    history::skips_are_listed_with_their_reason,
    history::only_the_last_page_has_no_next,
    history::a_maintainer_sees_deliveries_to_the_hooks_of_the_project_only,
    history::an_owner_sees_the_history_of_everything_in_the_group,
    history::a_list_needs_a_project_or_group_that_the_user_manages,
    history::foreign_events_and_deliveries_are_not_found,
    history::a_wrong_value_is_refused_with_the_choices,
    history::all_unknown_parameters_are_named_at_once,
    history::a_question_can_wait_until_reported_events_are_counted,
    pages::a_full_last_page_of_the_audit_log_has_no_next,
    pages::a_full_last_page_of_replays_has_no_next,
    pages::sources_are_listed_in_pages,
    pages::teams_members_and_alerts_are_listed_in_pages,
    pages::identities_are_listed_in_pages,
    projects::a_project_is_named_by_its_id_in_quickdraw_or_by_its_path,
    projects::an_unknown_project_is_not_found_and_the_near_path_is_named,
    projects::an_unknown_project_of_history_is_not_found_and_the_near_path_is_named,
    projects::a_maintainer_reads_gaps_and_completeness_of_own_projects,
    projects::gaps_are_filtered_by_kind_and_time,
];
