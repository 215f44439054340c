//! Recorded clocks are not always right: they were set back, or never set.

use std::time::{Duration, SystemTime};

use mirror_tests::replay::replay;
use mirror_tests::{Server, Tape, json};

/// So many milliseconds.
const HOUR: u64 = 3_600_000;

#[test]
fn where_the_clock_was_set_back_time_goes_on_from_there() {
    let target = Server::ok();
    // An hour in which nothing is recorded would not end within the test.
    let tape = Tape::default().get(HOUR, "/a").get(HOUR + 300, "/b").get(0, "/c").get(300, "/d").get(600, "/e");
    let done = replay(&tape, &target, &[]);
    assert_eq!(done.code, Some(0), "{done:#?}");
    assert!((done.number("planned_seconds") - 0.9).abs() < 1e-6, "{done:#?}");
    let order: Vec<_> = target.requests().iter().map(|request| request.start_line().to_owned()).collect();
    assert_eq!(order, ["a", "b", "c", "d", "e"].map(|path| format!("GET /{path} HTTP/1.1")));
    assert_eq!(done.report["out_of_order"], 3);
    let told = "3 of 5 requests came behind one that began after them: they lasted longer than 1m, or the recorded clock was set back";
    assert_eq!(done.report["warnings"][0], json!(told));
    assert!(done.stdout.contains(&format!("warning: {told}\n")), "{}", done.stdout);
}

#[test]
fn one_that_lasted_long_moves_no_other() {
    let target = Server::ok();
    let lasted = |record: &mut mirror::recording::Record| record.end = Some(Duration::from_secs(110));
    let tape = Tape::default().get(0, "/a").get(100_000, "/b").get(200_000, "/c");
    let done = replay(&tape.with(90_000, "/long", lasted).get(200_400, "/d"), &target, &["--speed=400x"]);
    assert_eq!((done.code, &done.report["out_of_order"]), (Some(0), &json!(1)), "{done:#?}");
    assert!((done.number("planned_seconds") - 0.501).abs() < 1e-6, "{done:#?}");
}

#[test]
fn requests_of_before_1970_keep_their_gaps() {
    let target = Server::ok();
    let at = |millis: u64| SystemTime::UNIX_EPOCH - Duration::from_secs(1) + Duration::from_millis(millis);
    let starts = [0, 300, 900, 1200];
    let tape =
        starts.iter().fold(Tape::default(), |tape, &start| tape.with(0, "/", |record| record.started = at(start)));
    let done = replay(&tape, &target, &[]);
    assert_eq!((done.code, target.requests().len()), (Some(0), 4), "{done:#?}");
    assert!((done.number("planned_seconds") - 1.2).abs() < 1e-6, "{done:#?}");
    assert_eq!((&done.report["out_of_order"], &done.report["warnings"]), (&json!(0), &json!([])));
}

#[test]
fn requests_are_in_the_order_of_their_starts_wherever_that_shows() {
    let target = Server::ok();
    let lasted =
        |seconds| move |record: &mut mirror::recording::Record| record.end = Some(Duration::from_secs(seconds));
    // As they ended.
    let tape = Tape::default().get(5, "/b").get(9, "/c").with(0, "/a", lasted(20));
    let by_start = ["/a", "/b", "/c"];
    for (flags, order) in [
        (&["--rate=1000/s"][..], by_start),
        (&["--speed=max", "--concurrency=1"], by_start),
        (&["--speed=max", "--order=connection"], by_start),
        (&["--speed=max", "--carry=cookie:session"], by_start),
        (&["--speed=max", "--limit=3"], by_start),
        (&["--speed=max"], ["/b", "/c", "/a"]),
    ] {
        let folder = tempfile::tempdir().expect("a folder");
        let again = folder.path().join("again.avro");
        let done = replay(&tape, &target, &[flags, &["--record", again.to_str().expect("a path")]].concat());
        assert_eq!((done.code, &done.report["out_of_order"]), (Some(0), &json!(0)), "{flags:?}: {done:#?}");
        let records = mirror::recording::Recordings::open(&[again]).expect("a recording");
        let mut sent: Vec<_> = records.map(|record| record.expect("a record")).collect();
        // Ids count.
        sent.sort_by_key(|record| record.id);
        let sent: Vec<_> = sent.iter().map(|record| record.request.target.clone()).collect();
        assert_eq!(sent, order, "{flags:?}");
    }
}
