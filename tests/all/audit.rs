//! What the audit says of components of other toolchains is what the host then does with them.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use webtask_host::audit::{Interface, Needs, Power, Standing};
use webtask_tests::{ALL, TestHost, wait_for_line};

/// A component in the manner of an older toolchain: it imports these interfaces, with what is given of
/// them, and serves HTTP by `wasi:http@0.2.0`, with a handler that ends without a response.
fn component(imports: &[&str], of_them: &str) -> Vec<u8> {
    let imports: String = imports
        .iter()
        .map(|name| format!("(import {name:?} (instance {of_them}))\n"))
        .collect();
    let text = format!(
        r#"(component
            (import "wasi:http/types@0.2.0" (instance $types
                (export "incoming-request" (type (sub resource)))
                (export "response-outparam" (type (sub resource)))))
            {imports}
            (alias export $types "incoming-request" (type $request))
            (alias export $types "response-outparam" (type $out))
            (core module $m (func (export "handle") (param i32 i32)))
            (core instance $i (instantiate $m))
            (type $handle (func (param "request" (own $request)) (param "response-out" (own $out))))
            (func $f (type $handle) (canon lift (core func $i "handle")))
            (instance $h (export "handle" (func $f)))
            (export "wasi:http/incoming-handler@0.2.0" (instance $h)))"#
    );
    wat::parse_str(text).expect("valid text")
}

/// The same in the manner of WASI 0.3, with a handler of another type: it loads, and cannot be called.
fn newer_component(imports: &str) -> Vec<u8> {
    let text = format!(
        r#"(component
            {imports}
            (core module $m (func (export "handle")))
            (core instance $i (instantiate $m))
            (func $f (canon lift (core func $i "handle")))
            (instance $h (export "handle" (func $f)))
            (export "wasi:http/handler@0.3.0" (instance $h)))"#
    );
    wat::parse_str(text).expect("valid text")
}

/// The component in a file of a directory.
fn file(dir: &tempfile::TempDir, wasm: &[u8]) -> PathBuf {
    let path = dir
        .path()
        .canonicalize()
        .expect("a directory")
        .join("c.wasm");
    std::fs::write(&path, wasm).expect("a file");
    path
}

/// The code of the host's answer, and the line of its log with `text`; no code if the guest ran.
async fn served(wasm: &[u8], text: &str) -> (String, String) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = file(&dir, wasm);
    let code = dir.path().to_str().expect("text");
    let host = TestHost::builder().code(code).start().await;
    let token = host.token(path.to_str().expect("text"));
    let reply = host.get(&token, "/").await;
    let line = wait_for_line(reply.request_id(), text).await;
    (reply.code(), line)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn older_interfaces_of_another_toolchain_are_told_right_and_run() {
    let wasm = component(
        &[
            "wasi:http/outgoing-handler@0.2.3",
            "wasi:cli/environment@0.2.0",
            "wasi:cli/stdout@0.2.3",
            "wasi:filesystem/preopens@0.2.0",
            "wasi:sockets/tcp@0.2.3",
            "wasi:clocks/wall-clock@0.2.6",
            "wasi:random/random@0.2.0",
            "wasi:io/poll@0.2.0",
        ],
        "",
    );
    let needs = Needs::of(&wasm).expect("a component");
    let told: Vec<_> = needs
        .imports
        .iter()
        .map(|import| (import.to_string(), import.power(), import.standing()))
        .collect();
    let told: Vec<_> = told
        .iter()
        .map(|(name, power, standing)| (name.as_str(), *power, *standing))
        .collect();
    assert_eq!(
        told,
        [
            (
                "wasi:http/outgoing-handler@0.2.3",
                Some(Power::OutboundHttp),
                Standing::Granted
            ),
            (
                "wasi:cli/environment@0.2.0",
                Some(Power::Parameters),
                Standing::Always
            ),
            (
                "wasi:cli/stdout@0.2.3",
                Some(Power::Logging),
                Standing::Always
            ),
            (
                "wasi:clocks/wall-clock@0.2.6",
                Some(Power::Clocks),
                Standing::Always
            ),
            (
                "wasi:random/random@0.2.0",
                Some(Power::Random),
                Standing::Always
            ),
            (
                "wasi:http/types@0.2.0",
                Some(Power::Types),
                Standing::Nothing
            ),
            ("wasi:io/poll@0.2.0", Some(Power::Types), Standing::Nothing),
            (
                "wasi:filesystem/preopens@0.2.0",
                Some(Power::Files),
                Standing::Nothing
            ),
            (
                "wasi:sockets/tcp@0.2.3",
                Some(Power::Sockets),
                Standing::Nothing
            ),
        ]
    );
    assert!(needs.refusals().is_empty(), "{:?}", needs.refusals());
    let (code, _) = served(&wasm, "guest-no-response").await;
    assert_eq!(code, "guest-no-response");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_audit_says_is_refused_is_refused() {
    for import in [
        "wasi:keyvalue/store@0.2.0-draft",
        "wasi:http/outgoing-handler@0.1.0",
        "wasi:config/store@0.2.0",
        "wasi:random/random@0.3.0",
        "other:runtime/secrets@0.1.0",
        "plain-name",
    ] {
        let wasm = component(&[import], "(export \"f\" (func))");
        let needs = Needs::of(&wasm).expect("a component");
        let refusals = needs.refusals();
        assert!(
            refusals.len() == 1 && refusals[0].contains(import),
            "{refusals:?}"
        );
        let (code, line) = served(&wasm, import).await;
        assert_eq!(code, "component-invalid", "{line}");
    }
    let none = wat::parse_str("(component)").expect("valid text");
    let refusals = Needs::of(&none).expect("a component").refusals();
    assert!(refusals[0].contains("incoming-handler"), "{refusals:?}");
    assert_eq!(
        served(&none, "component-invalid").await.0,
        "component-invalid"
    );
}

/// What is in the table and imported by no guest: the guests run, so the linker has what they import.
fn imported_by_no_guest(generation: &str) -> Vec<String> {
    let mut imported = BTreeSet::new();
    for (_, path) in ALL {
        let needs = Needs::of(&std::fs::read(path).expect("built")).expect("a component");
        imported.extend(needs.imports.iter().map(ToString::to_string));
    }
    let all = Interface::all().map(|(interface, _)| interface.to_string());
    all.filter(|name| name.contains("@0.3.") == (generation == "0.3"))
        .filter(|name| !imported.contains(name))
        .collect()
}

fn resource(name: &str) -> String {
    format!("(export {name:?} (type (sub resource)))")
}

fn function(name: &str, of: &str) -> String {
    format!("(export {name:?} (func {of}))")
}

/// The audit's table is the linker's. What no guest imports of it is asked of the linker here, by a function
/// or a resource of it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_interface_of_the_table_is_linked() {
    let u64_of = |name| function(name, "(result u64)");
    let members: BTreeMap<&str, String> = [
        (
            "wasi:random/insecure@0.2.12",
            u64_of("get-insecure-random-u64"),
        ),
        ("wasi:random/random@0.2.12", u64_of("get-random-u64")),
        ("wasi:sockets/network@0.2.12", resource("network")),
        ("wasi:sockets/tcp@0.2.12", resource("tcp-socket")),
        ("wasi:sockets/udp@0.2.12", resource("udp-socket")),
        (
            "wasi:sockets/ip-name-lookup@0.2.12",
            resource("resolve-address-stream"),
        ),
    ]
    .into();
    for name in imported_by_no_guest("0.2") {
        let member = members.get(name.as_str());
        let wasm = component(
            &[&name],
            member.unwrap_or_else(|| panic!("{name} is asked by nobody")),
        );
        assert!(Needs::of(&wasm).expect("a component").refusals().is_empty());
        let (code, line) = served(&wasm, "guest-no-response").await;
        assert_eq!(code, "guest-no-response", "{line}");
    }
}

/// The same for WASI 0.3.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_interface_of_the_table_is_linked_for_0_3() {
    // A resource of one interface in a function of another.
    let terminal = |name: &str, of: &str| {
        let import = format!(
            "(import \"wasi:cli/{of}@0.3.0\" (instance $of {}))",
            resource(of)
        );
        let alias = format!("(alias export $of {of:?} (type $r))");
        let used = format!("(alias outer 1 $r (type $o)) (export {of:?} (type $t (eq $o)))");
        let get = function(&format!("get-{name}"), "(result (option (own $t)))");
        (format!("{import} {alias}"), format!("{used} {get}"))
    };
    let plain = |member: String| (String::new(), member);
    let failing = "(type $c (enum \"io\" \"illegal-byte-sequence\" \"pipe\"))
        (export \"error-code\" (type $e (eq $c)))";
    let write = function(
        "write-via-stream",
        "(param \"data\" (stream u8)) (result (future (result (error $e))))",
    );
    for name in imported_by_no_guest("0.3") {
        let (before, member) = match name.as_str() {
            "wasi:cli/stderr@0.3.0" => plain(format!("{failing} {write}")),
            "wasi:cli/exit@0.3.0" => plain(function("exit", "(param \"status\" (result))")),
            "wasi:cli/terminal-input@0.3.0" => plain(resource("terminal-input")),
            "wasi:cli/terminal-output@0.3.0" => plain(resource("terminal-output")),
            "wasi:cli/terminal-stdin@0.3.0" => terminal("terminal-stdin", "terminal-input"),
            "wasi:cli/terminal-stdout@0.3.0" => terminal("terminal-stdout", "terminal-output"),
            "wasi:cli/terminal-stderr@0.3.0" => terminal("terminal-stderr", "terminal-output"),
            "wasi:clocks/system-clock@0.3.0" => plain(function("get-resolution", "(result u64)")),
            "wasi:random/insecure@0.3.0" => {
                plain(function("get-insecure-random-u64", "(result u64)"))
            }
            "wasi:random/insecure-seed@0.3.0" => {
                plain(function("get-insecure-seed", "(result (tuple u64 u64))"))
            }
            name => panic!("{name} is asked by nobody"),
        };
        let with = |member: &str| {
            let wasm = newer_component(&format!("{before} (import {name:?} (instance {member}))"));
            assert!(Needs::of(&wasm).expect("a component").refusals().is_empty());
            wasm
        };
        // Linked: it comes as far as the call of a handler that is none.
        let (code, line) = served(&with(&member), "webtask::access").await;
        assert_eq!(code, "guest-trap", "{line}");
        // What the linker does not have is refused before.
        let other = function("no-such-thing", "(result u64)");
        let (code, line) = served(&with(&other), &name).await;
        assert_eq!(code, "component-invalid", "{line}");
    }
}
