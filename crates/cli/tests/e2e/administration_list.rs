//! The list of tests about inspectors and about administration.

use crate::{Check, administration, inspectors};

pub(crate) const CHECKS: &[(&str, Check)] = checks![
    inspectors::an_inspector_keeps_a_request_with_its_headers_and_body,
    inspectors::an_inspector_takes_every_method_and_bytes_that_are_no_text,
    inspectors::the_credentials_of_a_request_are_checked,
    inspectors::an_inspector_answers_as_its_owner_chose,
    inspectors::an_answer_that_a_browser_could_use_is_refused,
    inspectors::an_inspector_shows_no_secret,
    inspectors::inspectors_of_others_exist_for_administrators_only,
    inspectors::a_user_has_ten_inspectors,
    inspectors::a_project_token_cannot_create_an_inspector,
    inspectors::a_webhook_can_call_an_inspector_of_the_server,
    inspectors::a_large_body_is_noted_and_not_kept,
    inspectors::requests_to_an_inspector_are_limited,
    inspectors::long_methods_and_paths_of_other_pages_are_not_kept,
    inspectors::an_unknown_inspector_is_not_found,
    inspectors::requests_are_listed_page_by_page_and_cleared,
    inspectors::a_stream_shows_requests_as_they_come,
    inspectors::a_server_that_stops_answers_delayed_requests,
    administration::settings_show_their_values_and_origins,
    administration::a_secret_setting_shows_only_that_it_is_set,
    administration::the_status_shows_database_queues_nodes_and_keys,
    administration::the_status_counts_refusals_of_the_guard,
    administration::the_support_bundle_describes_the_server_without_secrets,
    administration::every_refusal_of_the_default_source_is_listed_with_its_reason,
    administration::a_source_shows_its_requests_of_the_last_hour,
];
