//! Tests of the answers that pages about webhooks show: status, previews, the catalog, the search, the overview, gaps,
//! streams and alerts.

mod catalog;
mod hook_status;
mod overview;
mod previews;
mod relay;
mod search;

use crate::Check;

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    hook_status::the_status_of_hooks_says_whether_they_work,
    hook_status::a_temporarily_disabled_hook_names_its_next_attempt,
    hook_status::a_paused_hook_names_the_person_and_waits,
    hook_status::the_status_of_a_foreign_hook_does_not_exist,
    hook_status::the_backlog_of_a_hook_shows_since_when_deliveries_wait,
    previews::a_url_preview_names_the_rule_of_the_guard,
    previews::a_url_preview_names_the_secrets_that_another_address_drops,
    previews::a_template_preview_uses_the_newest_real_event,
    previews::a_template_preview_uses_a_sample_without_events,
    previews::a_template_preview_names_the_line_of_a_problem,
    previews::a_filter_preview_counts_the_events_that_pass,
    previews::a_filter_that_cannot_be_saved_is_refused,
    previews::previews_are_not_in_the_audit_log,
    previews::the_guard_can_be_tested_with_the_addresses_of_a_host,
    catalog::the_catalog_has_every_kind_with_its_meaning,
    catalog::a_kind_of_the_catalog_has_a_sample,
    search::hooks_and_projects_are_found_by_a_part_of_their_name,
    search::events_and_deliveries_are_found_by_their_id,
    search::an_event_is_found_by_the_key_of_its_request,
    search::events_are_found_by_their_object_and_commit,
    search::a_member_finds_only_own_objects,
    overview::hooks_that_fail_come_first,
    overview::the_minutes_of_an_hour_count_events_and_deliveries,
    overview::a_source_that_refuses_requests_needs_attention,
    overview::the_overview_of_a_project_knows_only_the_project,
    relay::completeness_can_be_limited_to_missing_events,
    relay::an_owner_of_a_group_reads_the_gaps_of_its_projects,
    relay::open_streams_are_listed_and_ended,
    relay::an_alert_is_shown_and_a_refusal_names_its_field,
    relay::selected_deliveries_are_replayed,
    relay::an_administrator_finds_own_replays_at_the_project,
    relay::an_event_names_the_items_that_it_counts_for,
];
