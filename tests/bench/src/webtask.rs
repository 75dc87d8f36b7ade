//! The runtime under test, and tokens for it.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use sha2::{Digest as _, Sha256};
use webtask_token::{Caveat, Claims, Keyring, Secret, SecretClaim, attenuate};

use crate::process::{Cores, Process};

/// A component on disk, and its digest.
#[derive(Clone, Debug)]
pub(crate) struct Component {
    pub(crate) path: PathBuf,
    pub(crate) sha256: [u8; 32],
}

impl Component {
    pub(crate) fn at(path: PathBuf) -> io::Result<Self> {
        let bytes = std::fs::read(&path)
            .map_err(|error| io::Error::other(format!("{}: {error}", path.display())))?;
        let sha256 = Sha256::digest(bytes).into();
        Ok(Self { path, sha256 })
    }

    /// The same code under another digest: with a section of its own, which means nothing.
    pub(crate) fn another(&self, number: usize, directory: &Path) -> io::Result<Self> {
        let mut bytes = std::fs::read(&self.path)?;
        let text = format!("n{number:06}");
        // A custom section: its kind, its length, and a name with its length.
        bytes.extend([0, text.len() as u8 + 1, text.len() as u8]);
        bytes.extend(text.as_bytes());
        let path = directory.join(format!("{number}.wasm"));
        std::fs::write(&path, bytes)?;
        Self::at(path)
    }
}

/// Where everything is.
pub(crate) struct Place {
    pub(crate) binary: PathBuf,
    /// Components of WASI 0.2 and 0.3.
    pub(crate) p2: PathBuf,
    pub(crate) p3: PathBuf,
    /// Components that are made here.
    pub(crate) made: PathBuf,
    /// Compiled code of earlier runs.
    pub(crate) cache: PathBuf,
    keyring: Keyring,
    directory: tempfile::TempDir,
}

impl Place {
    /// Everything below `root`, the directory `target/bench`.
    pub(crate) fn new(root: &Path, binary: PathBuf) -> io::Result<Self> {
        let root = root.canonicalize()?;
        let directory = tempfile::tempdir_in(&root)?;
        let keyring = Keyring::generate(None);
        let keys = directory.path().join("keys.toml");
        std::fs::write(&keys, keyring.to_toml().as_bytes())?;
        private(&keys)?;
        let made = root.join("made");
        std::fs::create_dir_all(&made)?;
        let built = |generation: &str| root.join(generation).join("wasm32-wasip2/guest");
        Ok(Self {
            binary,
            p2: built("p2"),
            p3: built("p3"),
            made,
            cache: root.join("cache"),
            keyring,
            directory,
        })
    }

    pub(crate) fn p2(&self, name: &str) -> io::Result<Component> {
        Component::at(self.p2.join(format!("{name}.wasm")))
    }

    pub(crate) fn p3(&self, name: &str) -> io::Result<Component> {
        Component::at(self.p3.join(format!("{name}.wasm")))
    }

    /// A directory of this run's own.
    pub(crate) fn own(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `webtask serve`, with its log in a file and what `limits` says in the place of the defaults.
    pub(crate) fn serve(&self, name: &str, cores: Cores, with: &Serve<'_>) -> io::Result<Process> {
        let config = self.own(&format!("{name}.toml"));
        std::fs::write(&config, format!("[limits]\n{}\n", with.limits))?;
        let mut command = Command::new(&self.binary);
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--ops", "127.0.0.1:0"])
            .args(["--allow-private", "127.0.0.0/8", "--allow-code"])
            .args([&self.p2, Path::new("--allow-code"), &self.p3])
            .arg("--allow-code")
            .arg(&self.made)
            .arg("--keys")
            .arg(self.own("keys.toml"))
            .arg("--revocations")
            .arg(self.own(&format!("{name}.revocations")))
            .arg("--config")
            .arg(&config)
            .env_remove("WEBTASK_LOG")
            .env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
        if let Some(origin) = with.code {
            command.args(["--allow-code", &format!("http://{origin}/")]);
        }
        if let Some(cache) = with.cache {
            command.arg("--cache-dir").arg(cache);
        }
        Process::start(command, cores, 2, Some(&self.own(&format!("{name}.log"))))
    }

    /// Compiles what is not in the cache directory yet.
    pub(crate) fn warm(&self, components: &[Component]) -> io::Result<()> {
        let mut command = Command::new(&self.binary);
        command.args(["warm", "--allow-code"]).arg(&self.made);
        command.arg("--cache-dir").arg(&self.cache);
        command.args(components.iter().map(|component| &component.path));
        let done = command
            .env("WEBTASK_LOG", "warn")
            .stdout(Stdio::null())
            .status()?;
        match done.success() {
            true => Ok(()),
            false => Err(io::Error::other("`webtask warm` failed")),
        }
    }

    /// A token for `component`, changed.
    pub(crate) fn token(&self, component: &Component, change: impl FnOnce(&mut Claims)) -> String {
        let url = format!("file://{}", component.path.display());
        let mut claims = Claims::new(url, now());
        claims.sha256 = Some(component.sha256);
        change(&mut claims);
        self.keyring.seal(&claims).expect("valid claims")
    }

    /// The time that opening a token takes, in microseconds: the median of many.
    pub(crate) fn opening(&self, token: &str) -> f64 {
        let mut times = Vec::new();
        for _ in 0..2_001 {
            let started = std::time::Instant::now();
            for _ in 0..10 {
                let opened = self.keyring.open(std::hint::black_box(token), now());
                drop(std::hint::black_box(opened.expect("a valid token")));
            }
            times.push(started.elapsed().as_secs_f64() * 1e5);
        }
        crate::table::median(&mut times)
    }
}

/// How a runtime is started.
#[derive(Default)]
pub(crate) struct Serve<'a> {
    /// Lines of `[limits]`.
    pub(crate) limits: &'a str,
    pub(crate) cache: Option<&'a Path>,
    /// An origin of code.
    pub(crate) code: Option<SocketAddr>,
}

/// `token` with `many` caveats, each with two keys.
pub(crate) fn caveats(token: &str, many: usize) -> String {
    (0..many).fold(token.to_owned(), |token, _| {
        let caveat = Caveat {
            methods: Some(vec!["GET".to_owned(), "POST".to_owned()]),
            path: Some("/*".to_owned()),
            ..Caveat::default()
        };
        attenuate(&token, &caveat).expect("room for it")
    })
}

/// The grant to call `origin`, and a secret that the host puts into its calls.
pub(crate) fn bound(claims: &mut Claims, origin: SocketAddr) {
    let slot = format!("GET http://{origin}/* authorization: Bearer {{}}");
    let grant = format!("GET http://{origin}/*");
    claims.out = vec![grant.parse().expect("a grant")];
    let secret = SecretClaim {
        value: Secret::new("sk_live_0123456789abcdef".to_owned()),
        slots: vec![slot.parse().expect("a slot")],
    };
    claims.secrets = BTreeMap::from([("key".to_owned(), secret)]);
}

/// A request with a token.
pub(crate) fn request(token: &str, head: &str, body: &[u8]) -> Vec<u8> {
    plain(head, &format!("webtask-token: {token}\r\n"), body)
}

/// A request with the fields that every caller here sends, and `more`.
pub(crate) fn plain(head: &str, more: &str, body: &[u8]) -> Vec<u8> {
    let length = match body.len() {
        0 => String::new(),
        length => format!("content-length: {length}\r\n"),
    };
    let head = format!(
        "{head} HTTP/1.1\r\nhost: 127.0.0.1:8080\r\nuser-agent: bench\r\naccept: */*\r\n{more}{length}\r\n"
    );
    let mut request = head.into_bytes();
    request.extend(body);
    request
}

pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| now.as_secs())
}

fn private(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))
}
