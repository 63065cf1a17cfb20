//! What a registry's log must say of a push, whatever went wrong on the way.

use std::collections::BTreeMap;
use std::time::Duration;

use dockless::serve::log::Record;

/// How much two clocks may differ that were read in one process.
const TICK: Duration = Duration::from_millis(10);

/// One upload session: its requests with bytes, in order.
struct Session<'a> {
    id: &'a str,
    requests: Vec<&'a Record>,
}

/// Where the bytes of a request begin in their blob, and where they end; `next` is where the one before it ended.
fn part(request: &Record, next: u64) -> (u64, u64) {
    let length = request.length.unwrap_or_default();
    match request.range.as_deref().and_then(|range| range.split_once('-')) {
        Some((start, end)) => {
            let (start, end): (u64, u64) = (start.parse().expect("a number"), end.parse().expect("a number"));
            assert_eq!(end + 1 - start, length, "{request:?}");
            (start, end + 1)
        }
        // An end without bytes, or all of the blob at once.
        None if length == 0 => (next, next),
        None => (0, length),
    }
}

impl Session<'_> {
    /// Holds a session to its rules; the size of the blob that it brought, or nothing where it was given up.
    ///
    /// Each request goes on where the one before it ended, by the client's own count. Only after a failure the same
    /// bytes come again, and they are passed over only where the registry said that it has them.
    fn outcome(&self, part_size: u64) -> Option<u64> {
        let mut next = 0;
        // The bytes that failed, and whether the registry has turned out to have them.
        let mut failed: Option<(u64, u64, bool)> = None;
        let mut blob = None;
        let mut before: Option<&Record> = None;
        for &request in &self.requests {
            let (id, shown) = (self.id, format!("{:#?}", self.requests));
            assert!(blob.is_none(), "{id} goes on after its end: {shown}");
            if let Some(before) = before.replace(request) {
                assert!(before.time + before.elapsed <= request.time + TICK, "{id} sends two parts at once: {shown}");
            }
            let (start, end) = part(request, next);
            match failed {
                None => assert_eq!(start, next, "{id} does not go on where it was: {shown}"),
                Some((from, to, landed)) => {
                    let again = (start, end) == (from, to);
                    assert!(again || (landed && start == to), "{id} does not go on where it was: {shown}");
                }
            }
            let is_part = request.method == "PATCH";
            assert!(!is_part || end - start == part_size, "a part of {} bytes: {shown}", end - start);
            let whole = request.bytes_in == end - start;
            let kept = request.error.as_deref() == Some("the answer is lost by a fault") && whole;
            let landed = format!("instead of {end}");
            match request.status {
                Some(200..=204) => (next, failed) = (end, None),
                Some(416) => {
                    let landed = request.error.as_deref().is_some_and(|error| error.ends_with(&landed));
                    failed = Some((start, end, landed));
                }
                _ => failed = Some((start, end, false)),
            }
            if !is_part && (failed.is_none() || kept) {
                blob = Some(end);
            }
        }
        if blob.is_none() {
            assert!(failed.is_some(), "{} is given up without a reason: {:#?}", self.id, self.requests);
            let last = self.requests.last().expect("a request");
            assert_ne!(last.status, Some(429), "{} is given up for a 429: {:#?}", self.id, self.requests);
        }
        blob
    }
}

fn sessions<'a>(records: &'a [Record], repository: &str) -> Vec<Session<'a>> {
    let folder = format!("/v2/{repository}/blobs/uploads/");
    let mut sessions: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for record in records.iter().filter(|record| matches!(&*record.method, "PATCH" | "PUT")) {
        if let Some(id) = record.path.strip_prefix(&folder) {
            sessions.entry(id).or_default().push(record);
        }
    }
    let session = |(id, mut requests): (_, Vec<&'a Record>)| {
        requests.sort_by_key(|request| request.time);
        Session { id, requests }
    };
    sessions.into_iter().map(session).collect()
}

/// Holds the log of a push to the rules: each blob whose size is given came once, in order, by the client's own count;
/// what came twice is the part in flight or belongs to a session that was lost; no upload's status was asked for; each
/// of so many manifests was put once, and again only after a failure; and no quota was passed.
///
/// The sizes of the blobs must differ: the log has no digests.
#[track_caller]
pub(crate) fn holds(records: &[Record], repository: &str, part_size: u64, blobs: &[u64], manifests: usize) {
    let asked: Vec<_> =
        records.iter().filter(|record| record.method == "GET" && record.path.contains("/blobs/uploads/")).collect();
    assert!(asked.is_empty(), "an upload's status is asked for: {asked:#?}");

    let sessions = sessions(records, repository);
    let mut came: Vec<u64> = sessions.iter().filter_map(|session| session.outcome(part_size)).collect();
    let mut wanted = blobs.to_vec();
    came.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(came, wanted, "the blobs that came, by their size");

    let puts: Vec<&Record> =
        records.iter().filter(|record| record.method == "PUT" && record.path.contains("/manifests/")).collect();
    let mut by_path: BTreeMap<&str, Vec<&Record>> = BTreeMap::new();
    for put in &puts {
        by_path.entry(&put.path).or_default().push(put);
    }
    assert_eq!(by_path.len(), manifests, "{by_path:#?}");
    for puts in by_path.values() {
        let (last, before) = puts.split_last().expect("a manifest");
        assert_eq!(last.status, Some(201), "{puts:#?}");
        assert!(before.iter().all(|put| put.status != Some(201)), "put again after it was taken: {puts:#?}");
    }
    within_quota(&puts, 10);
}

/// In no second there were more requests than the quota.
#[track_caller]
pub(crate) fn within_quota(requests: &[&Record], quota: usize) {
    let mut times: Vec<_> = requests.iter().map(|request| request.time).collect();
    times.sort_unstable();
    for window in times.windows(quota + 1) {
        let apart = window[quota].duration_since(window[0]).unwrap_or_default();
        // A request that is begun in time may arrive a little later than the one after it.
        assert!(apart >= Duration::from_millis(900), "{} requests within {apart:?}", quota + 1);
    }
}
