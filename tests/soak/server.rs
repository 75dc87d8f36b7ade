//! The real binary as a process: its directory, its memory, its counts and its log.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{BufRead as _, BufReader, Read},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use tempfile::TempDir;
use webtask_tests::{BUILT, claims_for};
use webtask_token::{Claims, Keyring};

use crate::{caller, corpus::Place};

/// Low enough that the corpus meets each of them in seconds. Of connections the hostile addresses may have
/// five sixths together: a bound for all is a bound for the polite one, too.
const CONFIG: &str = r#"
unknown-tenants = "refuse"

[limits]
wall = "3s"
cpu = "500ms"
memory = "32MiB"
resources = 128
header-bytes = "16KiB"
random-total = "1MiB"
hostcall-bytes = "1MiB"
request-bytes = "1MiB"
response-bytes = "2MiB"
calls = 10
concurrent-calls = 4
outbound-bytes = "1MiB"
outbound-total = "4MiB"
signed-bytes = "16KiB"
pool = 32
connect = "1s"
log-lines = 100
log-bytes = "16KiB"
component-bytes = "4MiB"
fetch = "2s"
fetches = 8
tenant-fetches = 4
compile = "6s"
compile-memory = "256MiB"
compiled-bytes = "16MiB"
invocations = 48
tenant-invocations = 24
token-invocations = 12
queue = 16
queue-time = "500ms"
connections = 900
connections-per-address = 150
streams = 32
head = "3s"
idle = "5s"
stall = "3s"
cache-bytes = "64MiB"
cache-disk-bytes = "64MiB"

[tenants.hostile]
[tenants.crowd]
[tenants.polite]
"#;

/// A running server, ended when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) operations: SocketAddr,
    /// Of its log.
    pub(crate) lines: Arc<AtomicU64>,
    /// For code that is made on the way.
    pub(crate) code: PathBuf,
    alarms: Arc<Mutex<VecDeque<String>>>,
    keyring: Keyring,
    child: Mutex<Child>,
    pid: u32,
    _dir: TempDir,
}

/// `target/debug/webtask` for `target/debug/deps/soak-…`.
pub(crate) fn beside_this_program() -> PathBuf {
    let this = std::env::current_exe().unwrap_or_default();
    let profile = this.parent().and_then(Path::parent);
    profile.unwrap_or(Path::new(".")).join("webtask")
}

impl Server {
    pub(crate) async fn start(binary: &Path, place: &Place) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let file = |name: &str| dir.path().join(name);
        let keyring = Keyring::generate(None);
        std::fs::write(file("keys.toml"), keyring.to_toml().as_bytes()).expect("a file");
        private(&file("keys.toml"));
        std::fs::write(file("webtask.toml"), CONFIG).expect("a file");
        std::fs::create_dir(file("code")).expect("a directory");
        let mut child = Command::new(binary)
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
            .args(["--allow-private", "127.0.0.0/8", "--log-format", "json"])
            .args(["--allow-code", BUILT, "--allow-code"])
            .arg(file("code"))
            .args(["--allow-code", &format!("{}/", place.slow.url)])
            .args(["--allow-code", &place.origin.url("/code/")])
            .arg("--keys")
            .arg(file("keys.toml"))
            .arg("--config")
            .arg(file("webtask.toml"))
            .arg("--cache-dir")
            .arg(file("cache"))
            .env("WEBTASK_LOG", "info")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", binary.display()));
        let (lines, alarms) = (Arc::default(), Arc::default());
        watch(child.stderr.take().expect("piped"), &lines, &alarms);
        let mut addresses = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut next = || -> SocketAddr {
            let line = addresses.next().and_then(Result::ok);
            let line = line.unwrap_or_else(|| panic!("it does not start: {alarms:?}"));
            let (_, address) = line.split_once("http://").expect("an address");
            address.parse().expect("an address")
        };
        Self {
            address: next(),
            operations: next(),
            lines,
            code: file("code"),
            alarms,
            keyring,
            pid: child.id(),
            child: Mutex::new(child),
            _dir: dir,
        }
    }

    /// A token of `tenant` for the component at `wasm`, changed.
    pub(crate) fn seal(
        &self,
        tenant: &str,
        wasm: &str,
        change: impl FnOnce(&mut Claims),
    ) -> String {
        let mut claims = claims_for(wasm);
        tenant.clone_into(&mut claims.tenant);
        change(&mut claims);
        self.keyring.seal(&claims).expect("valid claims")
    }

    /// Whether it is still the process that was started.
    pub(crate) fn lives(&self) -> bool {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        child.try_wait().is_ok_and(|ended| ended.is_none())
    }

    /// Bytes that it has in memory, 0 if it is gone.
    pub(crate) fn rss(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most since [`Self::forget_peak`].
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Begins the peak anew (proc(5), `clear_refs`).
    pub(crate) fn forget_peak(&self) {
        let _ = std::fs::write(format!("/proc/{}/clear_refs", self.pid), "5");
    }

    fn status(&self, name: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let number = line.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or(0)
            * 1024
    }

    /// What it counted so far, nothing if it does not say.
    pub(crate) async fn counted(&self) -> Counted {
        let said = caller::operations(self.operations, "/metrics").await;
        Counted::parse(&said.unwrap_or_default())
    }

    /// Lines of its log that nothing of a caller or a guest should cause.
    pub(crate) fn alarms(&self) -> Vec<String> {
        let alarms = self.alarms.lock().unwrap_or_else(PoisonError::into_inner);
        alarms.iter().cloned().collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut child = self.child.lock().unwrap_or_else(PoisonError::into_inner);
        let _ = child.kill();
        let _ = child.wait();
    }
}

fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).expect("its owner");
}

/// Counts the lines of the log, and keeps the first ones that are about the host itself.
fn watch(
    log: impl Read + Send + 'static,
    lines: &Arc<AtomicU64>,
    alarms: &Arc<Mutex<VecDeque<String>>>,
) {
    let (lines, alarms) = (lines.clone(), alarms.clone());
    std::thread::spawn(move || {
        for line in BufReader::new(log).split(b'\n') {
            let Ok(line) = line else { return };
            lines.fetch_add(1, Relaxed);
            let line = String::from_utf8_lossy(&line);
            // What guests log is theirs, whatever it says.
            let own = !line.contains("\"webtask::guest\"");
            let alarming = ["panicked", "\"internal\"", "\"compiler-failed\""];
            if own && (alarming.iter().any(|word| line.contains(word)) || !line.starts_with('{')) {
                let mut alarms = alarms.lock().unwrap_or_else(PoisonError::into_inner);
                if alarms.len() < 20 {
                    alarms.push_back(line.into_owned());
                }
            }
        }
    });
}

/// Counters and gauges, by name and labels as they stand in the text.
#[derive(Default)]
pub(crate) struct Counted(BTreeMap<String, f64>);

impl Counted {
    fn parse(text: &str) -> Self {
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let pairs = lines.filter_map(|line| {
            let (name, value) = line.rsplit_once(' ')?;
            Some((name.to_owned(), value.parse().ok()?))
        });
        Self(pairs.collect())
    }

    /// The one without labels.
    pub(crate) fn one(&self, name: &str) -> Option<u64> {
        self.0.get(name).map(|value| *value as u64)
    }

    /// How much each has grown.
    pub(crate) fn since(&self, before: &Self) -> Self {
        let grown = self.0.iter().map(|(name, value)| {
            let before = before.0.get(name).copied().unwrap_or(0.0);
            (name.clone(), value - before)
        });
        Self(grown.collect())
    }

    /// All of a family whose labels hold `with`, by the value of one label, without zeros.
    pub(crate) fn by(&self, family: &str, label: &str, with: &str) -> BTreeMap<String, u64> {
        let mut by = BTreeMap::new();
        for (name, value) in &self.0 {
            let labels = name
                .strip_prefix(family)
                .filter(|labels| labels.starts_with('{'));
            let Some(labels) = labels.filter(|labels| labels.contains(with)) else {
                continue;
            };
            let value_of = labels
                .split_once(&format!("{label}=\""))
                .and_then(|(_, rest)| rest.split_once('"'));
            let Some((of, _)) = value_of.filter(|_| *value >= 1.0) else {
                continue;
            };
            *by.entry(of.to_owned()).or_insert(0) += *value as u64;
        }
        by
    }
}
