//! Several recordings at once: each is a sink of its own.

use std::path::Path;

use mirror::config::Draft;
use mirror::recording::Recordings;
use mirror_tests::{Config, Folder, Mirror, Server, Value, json, refusal, run_to_end};

/// What was asked for, as recorded.
fn targets(path: &Path) -> Vec<String> {
    let recordings = Recordings::open(&[path.to_owned()]).expect("a recording");
    let target = |record: mirror::recording::Record| String::from_utf8_lossy(&record.request.target).into_owned();
    recordings.map(|record| target(record.expect("a record"))).collect()
}

fn recording(path: &Path) -> Value {
    json!({ "path": path, "flush_interval": "10ms" })
}

fn ask(mirror: &Mirror, request_line: &str) {
    let request = format!("{request_line} HTTP/1.1\r\nHost: app\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(mirror.connect().exchange(&request).text(), "ok");
}

#[test]
fn each_has_its_own_file_pipeline_and_counts() {
    let (upstream, folder) = (Server::ok(), Folder::new());
    let [all, posts] = ["all.avro", "posts.jsonl"].map(|name| folder.path(name));
    let of_posts = json!({
        "name": "posts", "path": posts, "flush_interval": "10ms", "pipeline": [{ "filter": { "allow": { "method": "POST" } } }],
    });
    let mirror = Mirror::start(Config::upstream(upstream.address()).set("record", json!([recording(&all), of_posts])));
    for line in ["GET /a", "POST /b", "GET /c"] {
        ask(&mirror, line);
    }
    mirror.wait_delivered("record", 3);
    let metrics = mirror.wait_delivered("posts", 1);
    let written = ["record", "posts"].map(|sink| metrics.of_sink("mirror_record_records_total", sink));
    assert_eq!(written, [3, 1], "{metrics:#?}");
    let sinks: Value = serde_json::from_str(&mirror.admin("/sinks").text()).expect("JSON");
    assert!(sinks.to_string().contains(&posts.display().to_string()), "{sinks:#}");
    let summary = mirror.terminate();
    assert_eq!((summary.sink("record").delivered, summary.sink("posts").delivered), (3, 1));
    assert_eq!(summary.sink("posts").reason("skipped filter"), 2, "{summary:#?}");
    assert_eq!((targets(&all), targets(&posts)), (["/a", "/b", "/c"].map(str::to_owned).into(), vec!["/b".to_owned()]));
}

#[test]
fn they_come_and_go_while_it_runs() {
    let (upstream, folder) = (Server::ok(), Folder::new());
    let [a, b, c] = ["a.avro", "b.avro", "c.gor"].map(|name| folder.path(name));
    let settings = Config::upstream(upstream.address());
    let mirror = Mirror::start(settings.clone().set("record", json!([recording(&a), recording(&b)])));
    ask(&mirror, "GET /1");
    mirror.wait_delivered("record", 1);
    mirror.wait_delivered("record-2", 1);

    let mut named = recording(&c);
    named["name"] = json!("gor");
    let said = mirror.reload(&settings.clone().set("record", json!([recording(&a), named])));
    let to = format!("record gor: to {}\nrecord record-2: removed; it finishes what it has\n", c.display());
    assert!(said.ends_with(&to), "{said}");
    ask(&mirror, "GET /2");
    mirror.wait_delivered("record", 2);
    mirror.wait_delivered("gor", 1);

    // What is said of one that goes on waits for the next start.
    let mut longer = recording(&a);
    longer["max_body"] = json!("1MiB");
    let said = mirror.reload(&settings.set("record", longer));
    assert!(said.contains("record gor: removed") && said.contains("record.max_body"), "{said}");
    ask(&mirror, "GET /3");
    mirror.wait_delivered("record", 3);
    mirror.terminate();
    let recorded = [a, b, c].map(|path| targets(&path).concat());
    assert_eq!(recorded, ["/1/2/3", "/1", "/2"]);
}

#[test]
fn flags_and_what_does_not_go_together() {
    let folder = Folder::new();
    let here = folder.path("");
    let run = |arguments: &[&str]| {
        let output = run_to_end(&here, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).expect("UTF-8")
    };
    let proxy = ["--listen=:0", "--upstream=:1", "--print-config"];
    let records = |arguments: &[&str]| {
        let yaml = run(&[&proxy[..], arguments].concat());
        let config = Draft::parse(&yaml).and_then(Draft::typed).expect("settings");
        let told = config
            .record
            .iter()
            .map(|record| format!("{} {} {}", record.label(), record.path.display(), record.max_body));
        (told.collect::<Vec<_>>(), yaml)
    };
    let (one, yaml) = records(&["--record=a.avro", "--max-body=1kB"]);
    assert!(one == ["record a.avro 1kB"] && yaml.contains("record:\n  path: a.avro"), "one alone is no list: {yaml}");
    let (two, _) = records(&["--record=a.avro", "--record=b.gor", "--max-body=1kB"]);
    assert_eq!(two, ["record a.avro 1kB", "record-2 b.gor 1kB"]);

    folder.write("two.yaml", "{listen: ':0', upstream: ':1', record: [a.avro, {path: b.avro, name: b}]}");
    let told = run(&["check", "two.yaml"]);
    assert!(told.contains("records to a.avro (100%), b.avro (100%)"), "{told}");
    let printed = run(&["run", "two.yaml", "--record=c.avro", "--print-config"]);
    assert!(printed.contains("path: c.avro") && !printed.contains("b.avro"), "{printed}");

    let said = refusal(&here, &["--listen=:0", "--upstream=:1", "--record=a.avro", "--record=./a.avro"]);
    assert!(said.contains("--record: \"./a.avro\": expected a file that no other recording is written to"), "{said}");
    folder.write(
        "bad.yaml",
        "{listen: ':0', upstream: ':1', shadow: {target: ':2', name: b}, record: [a.avro, {path: b.avro, name: b}]}",
    );
    let said = refusal(&here, &["check", "bad.yaml"]);
    assert!(said.contains("shadow.name: \"b\": expected a name other than that of record[1]"), "{said}");
}
