//! Every file in `testdata/configs`, with what doorkeeper says to it.

#![expect(
    clippy::unwrap_used,
    clippy::wildcard_enum_match_arm,
    reason = "tests may unwrap"
)]

use std::collections::{BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use doorkeeper_io_tokio::config::{self, Compiled, Problems};

fn folder(name: &str) -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    root.join("testdata/configs").join(name)
}

/// The files of a folder, in order.
fn files(name: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder(name)).unwrap();
    let mut files: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|it| it == "yaml"))
        .collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

fn variables() -> HashMap<String, String> {
    let variables = [
        ("AUDIT_HOST", "audit.internal"),
        ("BOOTSTRAP_PORT", "29092"),
        ("KAFKA", "kafka"),
    ];
    variables
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into()
}

fn compile(path: &Path) -> Result<Compiled, Problems> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let text = fs::read_to_string(path).unwrap();
    config::compile(&config::parse(name, &text, variables())?)
}

fn snapshot(name: &str, path: &Path, said: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(folder(name));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| {
        insta::assert_snapshot!(path.file_stem().unwrap().to_str().unwrap(), said);
    });
}

#[test]
fn bad_files_name_every_problem_and_its_place() {
    for path in files("bad") {
        let problems = compile(&path).unwrap_err();
        assert!(problems.has_errors());
        snapshot("bad", &path, &problems.to_string());
    }
}

#[test]
fn good_files_come_to_their_plan() {
    for path in files("good") {
        let compiled = compile(&path).unwrap();
        let mut said = String::new();
        if !compiled.warnings.problems.is_empty() {
            let _ = writeln!(said, "{}\n", compiled.warnings);
        }
        for (listener, addresses) in compiled.plan.listeners.iter().zip(&compiled.reach) {
            let _ = writeln!(said, "{}: {:?}", listener.id, listener.limits);
            let _ = writeln!(said, "  {:?}", listener.silent);
            for reach in addresses {
                let at = format!("{} at {}", reach.advertised, reach.bind);
                let _ = writeln!(said, "  {}: {at}", reach.target);
            }
            let snapshot = &listener.snapshot;
            let _ = writeln!(said, "  {:#?}\n  {:?}", snapshot.limits, snapshot.offered);
            if let Some(login) = &snapshot.login {
                let _ = writeln!(said, "  {login:?}");
            }
            if snapshot.upstream_login {
                said.push_str("  logs in at the brokers\n");
            }
        }
        for cluster in &compiled.plan.clusters {
            let _ = writeln!(said, "{}: {:#?}", cluster.id, cluster.discovery);
        }
        snapshot("good", &path, &said);
    }
}

/// One line for each address that leads to nobody, at its place; ports of a listener have one host.
#[test]
fn localhost_that_leads_nowhere_is_reported_at_its_place() {
    let text = "\
clusters: { main: { bootstrap: [kafka:9092] } }
listeners:
  ports:
    cluster: main
    bind: 127.0.0.1
    advertised_host: localhost
    route: { ports: { bootstrap: 19092, brokers: 19093, broker_ids: 0-2 } }
  explicit:
    cluster: main
    route:
      explicit:
        - { broker_id: bootstrap, bind: '[::1]:1', advertised: 'localhost:1' }
        - { broker_id: 1, bind: '127.0.0.1:2', advertised: 'localhost:2' }
";
    let loaded = config::parse("file.yaml", text, HashMap::new()).unwrap();
    let warnings = |localhost: &[&str]| -> Vec<String> {
        let mut compiled = config::compile(&loaded).unwrap();
        assert!(compiled.advertises_localhost());
        let localhost: Vec<_> = localhost.iter().map(|ip| ip.parse().unwrap()).collect();
        compiled.warn_of_localhost(&loaded, &localhost);
        let problems = compiled.warnings.problems;
        problems
            .iter()
            .map(|it| format!("{}: {}: {}", it.at.line, it.path, it.message))
            .collect()
    };
    assert_eq!(warnings(&["::1", "127.0.0.1"]), Vec::<String>::new());
    assert_eq!(
        warnings(&["127.0.0.1"]),
        [
            "12: listeners.explicit.route.explicit[0].advertised: clients cannot connect to \
             localhost (here 127.0.0.1): doorkeeper listens at ::1; bind it to 127.0.0.1, or \
             write advertised: [::1]:1"
        ]
    );
    let lines: Vec<_> = warnings(&["::1"]);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[0].starts_with("6: listeners.ports.advertised_host: "));
    assert!(lines[1].starts_with("13: listeners.explicit.route.explicit[1].advertised: "));
}

#[test]
fn a_file_that_is_not_there_says_so() {
    let problems = config::load(
        "no-such-file.yaml",
        HashMap::new(),
        &mut config::Sources::default(),
    )
    .unwrap_err();
    let said = problems.to_string();
    assert!(
        said.starts_with("no-such-file.yaml: error: cannot read it: "),
        "{said}"
    );
}

#[test]
fn the_reference_in_docs_is_the_generated_one() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/configuration.md");
    let generated = config::reference();
    if std::env::var_os("DOORKEEPER_WRITE_DOCS").is_some() {
        fs::write(&path, &generated).unwrap();
    }
    let written = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == generated,
        "docs/configuration.md is stale: run this test with DOORKEEPER_WRITE_DOCS=1"
    );
}

#[test]
fn what_check_prints_comes_to_the_same() {
    for path in files("good") {
        let text = fs::read_to_string(&path).unwrap();
        let loaded = config::parse("given", &text, variables()).unwrap();
        let printed = config::written_out(&loaded.config);
        let again = config::parse("printed", &printed, HashMap::new()).unwrap();
        assert_eq!(config::written_out(&again.config), printed);
        let plan = |loaded| match config::compile(loaded) {
            Ok(compiled) => format!("{:?} {:?}", compiled.plan, compiled.reach),
            Err(problems) => panic!("{problems}\n{printed}"),
        };
        assert_eq!(plan(&again), plan(&loaded));
    }
}

#[test]
fn no_format_of_the_schema_means_something_else_in_json_schema() {
    let mut todo = vec![config::json_schema()];
    let mut formats = BTreeSet::new();
    while let Some(json) = todo.pop() {
        let is_schema = json.get("type").is_some();
        let format = json.get("format").filter(|_| is_schema);
        let format = format.and_then(|it| it.as_str());
        formats.extend(format.map(str::to_owned));
        match json {
            serde_json::Value::Object(fields) => todo.extend(fields.into_iter().map(|it| it.1)),
            serde_json::Value::Array(items) => todo.extend(items),
            _ => {}
        }
    }
    assert_eq!(formats, ["uint16", "uint32"].map(str::to_owned).into());
}
