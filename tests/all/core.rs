//! What no compiler makes: core modules by hand that declare, grow, fill, and fail where their author can see it.

use std::{path::Path, time::Duration};

use webtask_tests::{
    Builder, Reply, SOON, TestHost, claims_for,
    core::{component, written},
    lines_of, names, wait_for_line,
};
use webtask_token::{Claims, Secret, SecretClaim};

/// A host that runs one component made by hand.
struct Made {
    host: TestHost,
    claims: Claims,
    _dir: tempfile::TempDir,
}

impl Made {
    async fn of(component: &[u8], builder: Builder) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let text = |path: &Path| path.to_str().expect("a path is text").to_owned();
        let claims = claims_for(&text(&written(dir.path(), "made.wasm", component)));
        let host = builder.code(&text(dir.path())).start().await;
        Self {
            host,
            claims,
            _dir: dir,
        }
    }

    /// Calls it; it meets this limit.
    async fn meets(&self, code: &str, limit: &str) -> Reply {
        let token = self.host.seal(&self.claims);
        self.host.meets(&token, "/", code, limit).await
    }
}

fn simple(core: &str) -> Vec<u8> {
    component("made.wat", core, "", "")
}

/// A handler that does this for ever.
fn forever(declared: &str, done: &str) -> Vec<u8> {
    simple(&format!(
        r#"{declared} (func (export "handle") (param i32 i32) (loop {done} (br 0)))"#
    ))
}

/// Trap 13: a table that grows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_grows_to_its_limit() {
    let grow = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 1000)) (i32.const -1)) (then unreachable))";
    let made = Made::of(&forever("(table $t 1 funcref)", grow), TestHost::builder()).await;
    made.meets("guest-table", "table-elements").await;
}

/// Trap 13: memory by declaration, where a token allows less than the host, and where the host does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_component_declares_is_bounded() {
    let declared = |declared: &str| forever(declared, "unreachable");
    let mut made = Made::of(&declared("(memory 128)"), TestHost::builder()).await;
    made.claims.lim.memory = Some(4 << 20);
    made.meets("guest-memory", "memory").await;

    let many = |n: usize, one: &str| one.repeat(n);
    let tables = format!("(core module $t {})", many(9, "(table 0 funcref) "));
    let nine = format!(
        "(core module $t (table 0 funcref)) {}",
        many(9, "(core instance (instantiate $t)) ")
    );
    let instances = format!(
        "(core module $e) {}",
        many(33, "(core instance (instantiate $e)) ")
    );
    let beside = |beside: &str| {
        component(
            "made.wat",
            r#"(func (export "handle") (param i32 i32))"#,
            beside,
            "",
        )
    };
    for (wasm, limit) in [
        (declared("(memory 2000)"), "memory"),
        (declared("(table 30000 funcref)"), "table-elements"),
        (
            beside(&format!("{tables} (core instance (instantiate $t))")),
            "tables",
        ),
        (beside(&nine), "tables"),
        (beside(&instances), "instances"),
    ] {
        let made = Made::of(&wasm, TestHost::builder()).await;
        made.meets("component-invalid", limit).await;
    }
}

/// Trap 9: one instruction fills or copies all of the memory, and the loop round it is interrupted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn trap_9_bulk_instructions_are_interrupted() {
    const CPU: Duration = Duration::from_millis(200);
    let all = "(i32.const 67108864)";
    let half = "(i32.const 33554432)";
    for (declared, done) in [
        (
            "(memory 1024)",
            format!("(memory.fill (i32.const 0) (i32.const 1) {all})"),
        ),
        (
            "(memory 1024)",
            format!("(memory.copy (i32.const 0) {half} {half})"),
        ),
        (
            "(table $t 20000 funcref)",
            "(table.fill $t (i32.const 0) (ref.null func) (i32.const 20000))".to_owned(),
        ),
        (
            "(table $t 20000 funcref)",
            "(table.copy $t $t (i32.const 0) (i32.const 1) (i32.const 19999))".to_owned(),
        ),
    ] {
        let made = Made::of(
            &forever(declared, &done),
            TestHost::builder().limits(|limits| limits.cpu = CPU),
        )
        .await;
        let reply = made.meets("guest-cpu", "cpu").await;
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        let used = record.split_once("cpu_us=").expect("the record has it").1;
        let used = used.split(' ').next().and_then(|used| used.parse().ok());
        let late = Duration::from_micros(used.expect("a number")).saturating_sub(CPU);
        println!("{done}: ended {late:?} after the limit");
        assert!(late < SOON, "{late:?}");
    }
}

/// Trap 13: resources of the component's own are in no table of the host's, and their handles are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handles_are_bounded() {
    let core = r#"(import "host" "new" (func $new (param i32) (result i32)))
        (func (export "handle") (param i32 i32) (loop (drop (call $new (i32.const 7))) (br 0)))"#;
    let beside = r#"(type $mine (resource (rep i32)))
        (core func $new (canon resource.new $mine))
        (core instance $host (export "new" (func $new)))"#;
    let wasm = component(
        "made.wat",
        core,
        beside,
        r#"(with "host" (instance $host))"#,
    );
    let made = Made::of(&wasm, TestHost::builder()).await;
    made.meets("guest-resources", "resources").await;
}

const FAILS: &str = r#"
  (func $innermost (param $n i32)
    i32.const 7
    local.get $n
    i32.div_s
    drop)
  (func $in_the_middle
    (call $innermost (i32.const 0)))
  (func $handle (export "handle") (param i32 i32)
    call $in_the_middle)"#;

/// The author sees where: names, and source lines where the component has debug information. The caller sees nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_is_logged_with_the_places_in_the_source() {
    let wasm = component("src/task.wat", FAILS, "", "");
    let made = Made::of(&wasm, TestHost::builder()).await;
    let reply = made.host.get(&made.host.seal(&made.claims), "/").await;
    assert_eq!(reply.code(), "guest-trap");
    assert!(!reply.text().contains("innermost"), "{}", reply.text());
    let line = wait_for_line(reply.request_id(), "backtrace: ").await;
    assert!(line.contains("webtask::guest"), "{line}");
    let places = [
        "innermost (",
        // Where exactly a trap in the middle of arithmetic was, the compiler does not keep.
        "src/task.wat:",
        " < in_the_middle (",
        "src/task.wat:8:",
        " < handle (",
        "src/task.wat:10:",
    ];
    let mut rest = line.as_str();
    for place in places {
        let (_, after) = rest
            .split_once(place)
            .unwrap_or_else(|| panic!("no {place:?} in {line}"));
        rest = after;
    }
    let failed = wait_for_line(reply.request_id(), "the webtask failed").await;
    assert!(
        failed.contains("divide by zero") && !failed.contains("innermost"),
        "{failed}"
    );

    // With more debug information than is read there are names and offsets.
    let without = TestHost::builder().limits(|limits| limits.debug_bytes = 10);
    let made = Made::of(&wasm, without).await;
    let reply = made.host.get(&made.host.seal(&made.claims), "/").await;
    let line = wait_for_line(reply.request_id(), "backtrace: ").await;
    assert!(
        line.contains("innermost (+0x") && !line.contains("task.wat"),
        "{line}"
    );
}

/// Names of functions are the guest's: they are masked like all of its log, and few bytes however long.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backtrace_is_masked_and_bounded() {
    let wasm = simple(&FAILS.replace("$innermost", "$my_secret_word"));
    let mut made = Made::of(&wasm, TestHost::builder()).await;
    let secret = SecretClaim {
        value: Secret::new("secret_word".to_owned()),
        slots: Vec::new(),
    };
    made.claims.secrets.insert("word".into(), secret);
    let reply = made.host.get(&made.host.seal(&made.claims), "/").await;
    let line = wait_for_line(reply.request_id(), "backtrace: ").await;
    assert!(line.contains("my_[secret word]"), "{line}");
    assert!(
        lines_of(reply.request_id())
            .iter()
            .all(|line| !line.contains("secret_word"))
    );

    // A name of a megabyte, and a call for each of many frames.
    let long = "x".repeat(1 << 20);
    let core = format!(
        r#"(func ${long} (param $n i32)
          (if (i32.eqz (local.get $n)) (then unreachable))
          (call ${long} (i32.sub (local.get $n) (i32.const 1))))
        (func (export "handle") (param i32 i32) (call ${long} (i32.const 1000)))"#
    );
    let made = Made::of(&simple(&core), TestHost::builder()).await;
    let reply = made.host.get(&made.host.seal(&made.claims), "/").await;
    assert_eq!(reply.code(), "guest-trap");
    wait_for_line(reply.request_id(), "backtrace: ").await;
    let record = wait_for_line(reply.request_id(), "webtask::access").await;
    assert_eq!(names(&record), [""; 0], "{record}");
    for line in lines_of(reply.request_id()) {
        assert!(line.len() < 6_000, "{} bytes", line.len());
    }
}
