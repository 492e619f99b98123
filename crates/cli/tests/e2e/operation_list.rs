//! The list of tests about rate limits of sources and silent mode.

use crate::{Check, silence, source_limits};

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    source_limits::requests_with_a_right_token_are_no_strangers,
    source_limits::requests_with_a_right_signature_are_no_strangers,
    source_limits::wrong_requests_do_not_limit_right_ones_beside_them,
    source_limits::wrong_signatures_of_an_address_are_limited,
    source_limits::strangers_are_limited_by_address,
    source_limits::a_sender_over_its_limit_is_refused_with_a_warning,
    source_limits::a_stop_logs_refusals_that_no_line_has_counted,
    source_limits::a_changed_source_logs_the_refusals_under_its_old_limits,
    source_limits::refusals_of_a_minute_share_a_row_of_the_list_of_requests,
    source_limits::new_sources_have_the_limits_of_the_default_source,
    silence::silent_mode_stores_events_with_the_reason_and_calls_nobody,
    silence::retries_wait_for_the_end_of_silent_mode,
    silence::skipped_events_are_delivered_later_by_a_replay,
    silence::tests_are_refused_in_silent_mode,
    silence::silent_mode_is_shown_to_operators,
    silence::the_setting_of_silent_mode_wins_over_the_api,
    silence::the_metric_of_silent_mode_follows_the_switch_at_once,
    silence::silent_mode_stops_the_deliveries_of_all_nodes,
    silence::a_replay_of_skipped_events_refuses_other_reasons_and_states,
];
