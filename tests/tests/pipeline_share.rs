//! How much goes on, and to whom: fractions by user, rates, splits over a group of targets.

use std::collections::{BTreeMap, BTreeSet};

use mirror_tests::{Config, Mirror, Server, WITHIN, json};

/// The users, one a request, that got to each of the targets `a`, `b` and `c`, after each of `users` asked so many times.
fn users(pipeline: mirror_tests::Value, users: usize, times: usize) -> BTreeMap<&'static str, Vec<String>> {
    let (upstream, targets) = (Server::ok(), ["a", "b", "c"].map(|name| (name, Server::ok())));
    let config = targets
        .iter()
        .fold(Config::upstream(upstream.address()), |config, (name, target)| config.shadow(name, target.address()));
    let mirror = Mirror::start(config.set("pipeline", pipeline));
    let mut client = mirror.connect();
    for _ in 0..times {
        for user in 0..users {
            client.exchange(&format!("GET /u/{user}/x HTTP/1.1\r\nHost: app\r\nCookie: a=1; user={user}\r\n\r\n"));
        }
    }
    let all = (users * times) as u64;
    mirror.wait_for(WITHIN, |metrics| {
        ["a", "b", "c"].iter().all(|name| {
            let skipped = metrics.sum("mirror_sink_skipped_total", &[&format!("sink=\"{name}\"")]) as u64;
            metrics.settled(name) + skipped == all
        })
    });
    mirror.terminate().assert_exact();
    let user = |line: &str| line.split('/').nth(2).unwrap_or_default().to_owned();
    let of = |target: &Server| target.requests().iter().map(|request| user(request.start_line())).collect();
    targets.iter().map(|(name, target)| (*name, of(target))).collect()
}

#[test]
fn a_user_is_in_or_out_with_all_requests_and_at_every_target() {
    for by in ["cookie.user", "path.2"] {
        let users = users(json!([{ "fraction": { "of": "50%", "by": by } }]), 40, 3);
        let once: BTreeSet<_> = users["a"].iter().collect();
        assert!((8..32).contains(&once.len()), "{by}: about half of forty: {once:?}");
        assert_eq!(users["a"].len(), 3 * once.len(), "{by}: all requests of each");
        for other in ["b", "c"] {
            assert_eq!(users[other].iter().collect::<BTreeSet<_>>(), once, "{by}");
        }
    }
}

#[test]
fn no_more_than_the_rate_goes_on() {
    let users = users(json!([{ "rate": { "requests": "1/h", "burst": 3, "by": "cookie.user" } }]), 4, 5);
    let mut count = BTreeMap::new();
    users["a"].iter().for_each(|user| *count.entry(user.as_str()).or_insert(0) += 1);
    assert_eq!(count, BTreeMap::from([("0", 3), ("1", 3), ("2", 3), ("3", 3)]));
}

#[test]
fn targets_of_a_group_take_turns_and_others_get_all() {
    let users = users(json!([{ "split": { "targets": { "a": 3, "b": 1 } } }]), 20, 2);
    assert_eq!((users["a"].len(), users["b"].len(), users["c"].len()), (30, 10, 40));
}

#[test]
fn a_user_stays_with_one_target_of_a_group() {
    let users = users(json!([{ "split": { "targets": ["a", "b", "c"], "by": "cookie.user" } }]), 30, 3);
    let sets: Vec<BTreeSet<_>> = users.values().map(|users| users.iter().collect()).collect();
    assert_eq!(sets.iter().map(BTreeSet::len).sum::<usize>(), 30, "each with one: {users:?}");
    assert!(sets.iter().all(|set| !set.is_empty()), "all are used: {users:?}");
    assert_eq!(users.values().map(Vec::len).sum::<usize>(), 90);
}

#[test]
fn stages_come_in_the_order_of_the_file() {
    // Each user once: what the filter leaves out takes nothing of the rate, but not the other way round.
    let filter = json!({ "filter": "path = /u/1?/*" });
    let rate = json!({ "rate": { "requests": "1/h", "burst": 10 } });
    assert_eq!(users(json!([filter, rate]), 20, 1)["a"].len(), 10);
    assert_eq!(users(json!([rate, filter]), 20, 1)["a"].len(), 0);
}
