//! The last requests of each source. Equal refusals of one address share a row, so that a flood of them does not push
//! out everything else. Accepted requests in turn do not push out the refusals.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

use quickdraw_domain::SourceId;
use quickdraw_domain::source::client_network;
use quickdraw_store::sources::SourceRequests;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Rows of a source that are kept.
pub(super) const MAX_REQUESTS: usize = 100;
/// Minutes of the traffic that is shown, and minutes that are counted: the current one is incomplete.
const MINUTES: i64 = 60;
const MAX_MINUTES: usize = 61;
/// Length of a minute in microseconds.
const MINUTE: i64 = 60_000_000;

/// A request as a source saw it, refused or not.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RequestRecord {
    /// The time at which it came, in microseconds since 1970. The time of the last one if it stands for several.
    pub at: i64,

    /// The address of the client.
    pub address: String,

    /// The status of the answer.
    pub status: u16,

    /// The reason of a refusal, or that it was a duplicate.
    pub note: Option<String>,

    /// `X-Gitlab-Event`, as sent.
    pub event: Option<String>,

    /// Bytes of its body, as far as it was read.
    pub bytes: usize,

    /// The event that it became.
    pub event_id: Option<Uuid>,

    /// Number of requests that the record stands for.
    #[serde(default = "one")]
    pub count: u32,
}

/// The count of records from before equal refusals shared one.
const fn one() -> u32 {
    1
}

impl RequestRecord {
    const fn is_refused(&self) -> bool {
        self.status >= 400
    }

    /// Whether another request is an equal refusal in the same minute: same address, status and reason. The client
    /// chooses `X-Gitlab-Event`, so it does not matter.
    fn repeats(&self, other: &Self) -> bool {
        self.is_refused()
            && self.status == other.status
            && self.at.div_euclid(MINUTE) == other.at.div_euclid(MINUTE)
            && self.note == other.note
            && (self.address == other.address || network(&self.address) == network(&other.address))
    }
}

/// The network of a client, as the rate limit counts it.
fn network(address: &str) -> Option<IpAddr> {
    address.parse().ok().map(client_network)
}

/// Requests of a source in one minute. Another node reads it from the store.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct MinuteCount {
    /// Minutes since 1970.
    minute: i64,
    accepted: u32,
    duplicates: u32,
    refused: u32,

    /// The time of the last request, in microseconds since 1970. Counts from before it was recorded have 0.
    #[serde(default)]
    last_at: i64,
}

/// Requests of a source in the last 60 minutes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Traffic {
    /// Requests whose event was stored and is delivered.
    pub accepted: u64,

    /// Requests whose event had come before, through the same hook or another one.
    pub duplicates: u64,

    /// Refused requests.
    pub refused: u64,

    /// The time of the last request that is remembered, in microseconds since 1970. It can be older than an hour.
    pub last_at: Option<i64>,
}

impl Traffic {
    /// All requests.
    #[must_use]
    pub const fn requests(&self) -> u64 {
        self.accepted + self.duplicates + self.refused
    }

    /// Adds the minutes of the last hour, and the time of the last request of all minutes.
    pub(super) fn add<'a>(&mut self, minutes: impl IntoIterator<Item = &'a MinuteCount>, now: i64) {
        let oldest = now.div_euclid(MINUTE) - MINUTES;
        for count in minutes {
            let last_at = count.last_at.max(count.minute * MINUTE);
            self.last_at = self.last_at.max(Some(last_at));

            if count.minute > oldest {
                self.accepted += u64::from(count.accepted);
                self.duplicates += u64::from(count.duplicates);
                self.refused += u64::from(count.refused);
            }
        }
    }
}

/// The last requests of all sources.
#[derive(Default)]
pub(super) struct Requests(HashMap<SourceId, Rows>);

/// The last requests of a source, the newest last.
#[derive(Default)]
struct Rows {
    last: VecDeque<RequestRecord>,
    minutes: VecDeque<MinuteCount>,
    changed: bool,
}

impl Requests {
    /// Remembers a request of a source.
    pub(super) fn note(&mut self, source: SourceId, mut request: RequestRecord) {
        let rows = self.0.entry(source).or_default();
        rows.changed = true;
        rows.count(&request);

        let known = rows.last.iter().rposition(|row| request.repeats(row));
        if let Some(row) = known.and_then(|index| rows.last.remove(index)) {
            request.count = row.count.saturating_add(request.count);
        }

        rows.last.push_back(request);
        while rows.last.len() > MAX_REQUESTS {
            let leaving = leaving(&rows.last);
            rows.last.remove(leaving);
        }
    }

    /// The last requests of a source.
    pub(super) fn of(&self, source: SourceId) -> impl Iterator<Item = &RequestRecord> {
        self.0.get(&source).into_iter().flat_map(|rows| &rows.last)
    }

    /// The minutes of all sources.
    pub(super) fn minutes(&self) -> impl Iterator<Item = (SourceId, &VecDeque<MinuteCount>)> {
        self.0.iter().map(|(source, rows)| (*source, &rows.minutes))
    }

    /// The lists that changed since the last call, in JSON.
    pub(super) fn take_changed(&mut self) -> Vec<SourceRequests> {
        let mut changed = Vec::new();
        for (source, rows) in &mut self.0 {
            if !std::mem::take(&mut rows.changed) {
                continue;
            }

            let lists = (serde_json::to_string(&rows.last), serde_json::to_string(&rows.minutes));
            if let (Ok(requests), Ok(minutes)) = lists {
                changed.push(SourceRequests {
                    source: *source,
                    requests,
                    minutes,
                });
            }
        }

        changed
    }
}

/// The row that leaves a full list, whose oldest row is the first: the oldest of accepted requests or of refusals,
/// whichever have more than half of the rows. An operator looks for refusals among many accepted requests, and for
/// accepted requests among many refusals.
fn leaving(rows: &VecDeque<RequestRecord>) -> usize {
    let refusals = rows.iter().filter(|row| row.is_refused()).count();
    let leaves = |row: &RequestRecord| row.is_refused() == (refusals > rows.len() / 2);
    rows.iter().position(leaves).unwrap_or_default()
}

/// The rows that are shown of the lists of all nodes, the newest first.
pub(super) fn newest(mut all: Vec<RequestRecord>) -> Vec<RequestRecord> {
    all.sort_by_key(|request| request.at);

    let mut rows = VecDeque::from(all);
    while rows.len() > MAX_REQUESTS {
        let leaving = leaving(&rows);
        rows.remove(leaving);
    }

    rows.into_iter().rev().collect()
}

impl Rows {
    /// Counts a request in its minute. The clock can be set back, so the minute need not be the last one.
    fn count(&mut self, request: &RequestRecord) {
        let minute = request.at.div_euclid(MINUTE);
        let known = self.minutes.iter().rposition(|count| count.minute == minute);
        let index = known.unwrap_or_else(|| {
            self.minutes.push_back(MinuteCount {
                minute,
                ..MinuteCount::default()
            });
            self.minutes.len() - 1
        });

        let count = &mut self.minutes[index];
        let counter = match (request.status, &request.note) {
            (400.., _) => &mut count.refused,
            (_, Some(_)) => &mut count.duplicates,
            (_, None) => &mut count.accepted,
        };
        *counter = counter.saturating_add(1);
        count.last_at = count.last_at.max(request.at);

        while self.minutes.len() > MAX_MINUTES {
            self.minutes.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: SourceId = SourceId(1);

    fn request(seconds: i64, address: &str, status: u16) -> RequestRecord {
        RequestRecord {
            at: seconds * 1_000_000,
            address: address.to_owned(),
            status,
            note: None,
            event: None,
            bytes: 0,
            event_id: None,
            count: 1,
        }
    }

    /// The seconds, addresses and counts of the rows after these requests.
    fn rows(noted: &[(i64, &str, u16)]) -> Vec<(i64, String, u32)> {
        let mut requests = Requests::default();
        for (seconds, address, status) in noted {
            requests.note(SOURCE, request(*seconds, address, *status));
        }

        let row = |row: &RequestRecord| (row.at / 1_000_000, row.address.clone(), row.count);
        requests.of(SOURCE).map(row).collect()
    }

    fn expected(rows: &[(i64, &str, u32)]) -> Vec<(i64, String, u32)> {
        rows.iter()
            .map(|(at, address, count)| (*at, (*address).to_owned(), *count))
            .collect()
    }

    #[test]
    fn equal_refusals_of_an_address_share_a_row_for_a_minute() {
        let noted = [(0, "192.0.2.1", 429), (1, "192.0.2.2", 429), (59, "192.0.2.1", 429)];
        assert_eq!(rows(&noted), expected(&[(1, "192.0.2.2", 1), (59, "192.0.2.1", 2)]));
        assert_eq!(rows(&[(59, "192.0.2.1", 429), (60, "192.0.2.1", 429)]).len(), 2);
    }

    #[test]
    fn addresses_of_one_ipv6_network_share_a_row() {
        let noted = [
            (0, "2001:db8::1", 401),
            (1, "2001:db8::2", 401),
            (2, "2001:db8:1::1", 401),
        ];
        assert_eq!(
            rows(&noted),
            expected(&[(1, "2001:db8::2", 2), (2, "2001:db8:1::1", 1)])
        );
    }

    #[test]
    fn accepted_requests_and_different_refusals_have_rows_of_their_own() {
        let noted = [(0, "192.0.2.1", 200), (1, "192.0.2.1", 200), (2, "192.0.2.1", 401)];
        assert_eq!(rows(&noted).len(), 3);
    }

    #[test]
    fn accepted_requests_push_out_no_refusals_and_refusals_no_accepted_requests() {
        let statuses = |noted: &[(i64, u16)]| {
            let mut requests = Requests::default();
            for (number, (seconds, status)) in noted.iter().enumerate() {
                // Every refusal has an address, so that each has a row.
                let address = format!("192.0.2.{number}");
                requests.note(SOURCE, request(*seconds, &address, *status));
            }
            let refused = requests.of(SOURCE).filter(|row| row.is_refused()).count();
            (refused, requests.of(SOURCE).count() - refused)
        };
        let many = |status| (1..=150).map(move |at| (at, status));

        let after: Vec<_> = [(0, 429)].into_iter().chain(many(200)).collect();
        assert_eq!(statuses(&after), (1, 99));

        let after: Vec<_> = many(200).chain(many(401)).collect();
        assert_eq!(statuses(&after), (50, 50));

        let all = (0..150).map(|at| request(at, "192.0.2.1", if at == 0 { 401 } else { 200 }));
        let shown = newest(all.collect());
        let ends = (shown.first().map(|row| row.at), shown.last().map(|row| row.status));
        assert_eq!((shown.len(), ends), (MAX_REQUESTS, (Some(149_000_000), Some(401))));
    }

    #[test]
    fn a_stored_record_without_a_count_stands_for_one_request() {
        let stored = r#"{"at":1,"address":"::1","status":401,"note":null,"event":null,"bytes":0,"event_id":null}"#;
        let record: RequestRecord = serde_json::from_str(stored).expect("a record");
        assert_eq!(record.count, 1);
    }

    #[test]
    fn traffic_counts_accepted_duplicate_and_refused_requests_of_the_last_hour() {
        let mut requests = Requests::default();
        let mut note = |seconds, status, note: Option<&str>| {
            requests.note(
                SOURCE,
                RequestRecord {
                    note: note.map(str::to_owned),
                    ..request(seconds, "192.0.2.1", status)
                },
            );
        };
        note(0, 200, None);
        note(3600, 200, None);
        note(3601, 200, Some("duplicate"));
        note(3660, 401, Some("wrong token"));
        note(3661, 401, Some("wrong token"));

        let mut traffic = Traffic::default();
        for (_, minutes) in requests.minutes() {
            traffic.add(minutes, 3_700_000_000);
        }

        let expected = Traffic {
            accepted: 1,
            duplicates: 1,
            refused: 2,
            last_at: Some(3_661_000_000),
        };
        assert_eq!(traffic, expected);
        assert_eq!(traffic.requests(), 4);
    }

    #[test]
    fn a_bounded_number_of_minutes_is_counted() {
        let mut requests = Requests::default();
        for minute in 0..500 {
            requests.note(SOURCE, request(minute * 60, "192.0.2.1", 200));
        }

        let counted: usize = requests.minutes().map(|(_, minutes)| minutes.len()).sum();
        assert_eq!(counted, MAX_MINUTES);
    }
}
