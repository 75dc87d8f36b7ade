//! A host in this process, on a port of its own.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::Request;
use http_body::Body;
use sha2::{Digest as _, Sha256};
use tokio::{sync::oneshot, task::JoinHandle};
use webtask_host::{
    CodePrefix, Compiler, Config, ConfigFile, Host, Limits, ListenAddress, Listener, Loads,
    RegistryAuth, Server, Tenants, Tls, Traces,
    audit::{Interface, Policy, Standing},
};
use webtask_token::{Claims, Grant, Keyring, Secret, SecretClaim};

use crate::{BUILT, Dns, Reply, SOON, client};

/// A running host, stopped when dropped.
pub struct TestHost {
    /// Where it listens.
    pub address: SocketAddr,
    /// Where its operations listener listens.
    pub operations: SocketAddr,
    keyring: Keyring,
    host: Arc<Host>,
    stop: Option<oneshot::Sender<()>>,
    served: JoinHandle<()>,
}

/// What the host is made of.
pub struct Builder {
    limits: Limits,
    cache: Option<PathBuf>,
    compiler: Compiler,
    code: Vec<CodePrefix>,
    mirrors: Vec<String>,
    registries: RegistryAuth,
    private: Vec<&'static str>,
    dns: Vec<SocketAddr>,
    ca: Vec<PathBuf>,
    policy: Option<Policy>,
    tls: Option<Arc<Tls>>,
    unix: Option<PathBuf>,
    drain: Duration,
    linger: Duration,
    tenants: String,
    traces: Option<Traces>,
}

async fn bind(address: &str) -> Listener {
    Listener::bind(address).await.expect("a free place")
}

fn tcp(listener: &Listener) -> SocketAddr {
    match listener.address() {
        ListenAddress::Tcp(address) => *address,
        other => panic!("{other} is no TCP socket"),
    }
}

impl Builder {
    /// Speaks TLS on its TCP socket.
    #[must_use]
    pub fn tls(mut self, tls: &Arc<Tls>) -> Self {
        self.tls = Some(tls.clone());
        self
    }

    /// Listens on a Unix socket as well.
    #[must_use]
    pub fn unix(mut self, path: &Path) -> Self {
        self.unix = Some(path.to_owned());
        self
    }

    /// Gives what runs this long at the end.
    #[must_use]
    pub fn drain(mut self, drain: Duration) -> Self {
        self.drain = drain;
        self
    }

    /// Goes on accepting for this long at the end.
    #[must_use]
    pub fn linger(mut self, linger: Duration) -> Self {
        self.linger = linger;
        self
    }

    /// Changes limits.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.limits);
        self
    }

    /// Compiles there.
    #[must_use]
    pub fn compiler(mut self, compiler: Compiler) -> Self {
        self.compiler = compiler;
        self
    }

    /// Keeps compiled code in this directory.
    #[must_use]
    pub fn cache(mut self, directory: &Path) -> Self {
        self.cache = Some(directory.to_owned());
        self
    }

    /// Allows code from one more prefix.
    #[must_use]
    pub fn code(mut self, prefix: &str) -> Self {
        self.code.push(prefix.parse().expect("a valid prefix"));
        self
    }

    /// Fetches code of one prefix from another.
    #[must_use]
    pub fn mirror(mut self, mirror: &str) -> Self {
        self.mirrors.push(mirror.to_owned());
        self
    }

    /// Has credentials of registries, in the form of docker's `config.json`.
    #[must_use]
    pub fn registries(mut self, json: &str) -> Self {
        self.registries = RegistryAuth::parse(json).expect("valid credentials");
        self
    }

    /// Opens loopback to grants that name it.
    #[must_use]
    pub fn loopback(mut self) -> Self {
        self.private = vec!["127.0.0.0/8"];
        self
    }

    /// Opens a range to grants that name an address in it.
    #[must_use]
    pub fn private(mut self, range: &'static str) -> Self {
        self.private.push(range);
        self
    }

    /// Asks this name server and no other.
    #[must_use]
    pub fn dns(mut self, dns: &Dns) -> Self {
        self.dns.push(dns.address);
        self
    }

    /// Trusts the authority of this file, beside the machine's.
    #[must_use]
    pub fn ca(mut self, file: &Path) -> Self {
        self.ca.push(file.to_owned());
        self
    }

    /// Sets the ceiling of the platform.
    #[must_use]
    pub fn policy(mut self, wit: &str) -> Self {
        self.policy = Some(Policy::parse("policy.wit", wit).expect("a valid policy"));
        self
    }

    /// Adds tables of tenants, as in a configuration file, and what stands before them.
    #[must_use]
    pub fn tenants(mut self, toml: &str) -> Self {
        self.tenants.push_str(toml);
        self
    }

    fn read_tenants(&self) -> Tenants {
        let mut file = ConfigFile::parse(&self.tenants).expect("a configuration");
        file.limits = self.limits.clone();
        file.tenants().expect("valid tenants")
    }

    /// Exports spans.
    #[must_use]
    pub fn traces(mut self, traces: Traces) -> Self {
        self.traces = Some(traces);
        self
    }

    /// Starts the host.
    pub async fn start(self) -> TestHost {
        crate::logs::capture();
        let keyring = Keyring::generate(None);
        let again = Keyring::from_toml(&keyring.to_toml()).expect("its own text");
        let private = self
            .private
            .iter()
            .map(|range| range.parse().expect("a range"))
            .collect();
        let config = Config {
            tenants: self.read_tenants(),
            limits: self.limits,
            cache: self.cache,
            compiler: self.compiler,
            mirrors: self
                .mirrors
                .iter()
                .map(|mirror| mirror.parse().expect("a valid mirror"))
                .collect(),
            registries: self.registries,
            private,
            dns: self.dns,
            ca: self.ca,
            policy: self.policy,
            traces: self.traces,
            ..Config::new(again, self.code)
        };
        let host = Arc::new(Host::new(config).expect("a host starts"));
        let (public, ops) = (bind("127.0.0.1:0").await, bind("127.0.0.1:0").await);
        let (address, operations) = (tcp(&public), tcp(&ops));
        let mut server = Server::new(host.clone())
            .listen(public)
            .ops(ops)
            .drain(self.drain)
            .linger(self.linger);
        if let Some(path) = self.unix {
            server = server.listen(bind(&format!("unix:{}", path.display())).await);
        }
        if let Some(tls) = self.tls {
            server = server.tls(tls);
        }
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(server.serve(async { drop(stopped.await) }));
        TestHost {
            address,
            operations,
            keyring,
            host,
            stop: Some(stop),
            served,
        }
    }
}

impl TestHost {
    /// A host that allows the guests and examples of this repository.
    pub fn builder() -> Builder {
        let mut limits = Limits::default();
        // Many hosts share this process: each takes address space for its pool.
        limits.invocations = 64;
        limits.wall = SOON * 2;
        Builder {
            limits,
            cache: None,
            compiler: Compiler::InProcess,
            code: vec![BUILT.parse().expect("the guests are built")],
            mirrors: Vec::new(),
            registries: RegistryAuth::default(),
            private: Vec::new(),
            dns: Vec::new(),
            ca: Vec::new(),
            policy: None,
            tls: None,
            unix: None,
            drain: SOON * 2,
            linger: Duration::ZERO,
            tenants: String::new(),
            traces: None,
        }
    }

    /// A host with the defaults of the tests.
    pub async fn start() -> Self {
        Self::builder().start().await
    }

    /// How components came into memory.
    pub fn loads(&self) -> Loads {
        self.host.loads()
    }

    /// See [`Host::prepare`]; the code of the error.
    pub async fn prepare(&self, token: &str) -> Result<(), &'static str> {
        self.host.prepare(token).await.map_err(|error| error.code())
    }

    /// Seals `claims` for this host.
    pub fn seal(&self, claims: &Claims) -> String {
        self.keyring.seal(claims).expect("valid claims")
    }

    /// Gives the host another keyring. Tokens of [`TestHost::seal`] are then of the old one.
    pub fn replace_keyring(&self, keyring: Keyring) {
        self.host.replace_keyring(keyring);
    }

    /// A token for the component at `wasm` that grants nothing.
    pub fn token(&self, wasm: &str) -> String {
        self.seal(&claims_for(wasm))
    }

    /// A token for `wasm` with secrets.
    pub fn token_with_secrets(&self, wasm: &str, secrets: &[(&str, &str)]) -> String {
        let mut claims = claims_for(wasm);
        for (name, value) in secrets {
            let secret = SecretClaim {
                value: Secret::new((*value).to_owned()),
                slots: Vec::new(),
            };
            claims.secrets.insert((*name).to_owned(), secret);
        }
        self.seal(&claims)
    }

    /// A token for `wasm` with outbound grants.
    pub fn token_with_grants(&self, wasm: &str, grants: &[&str]) -> String {
        let mut claims = claims_for(wasm);
        claims.out = grants
            .iter()
            .map(|grant| grant.parse::<Grant>().expect("a valid grant"))
            .collect();
        self.seal(&claims)
    }

    /// `GET /run{path}` with `token`.
    pub async fn get(&self, token: &str, path: &str) -> Reply {
        client::get(self.address, token, &format!("/run{path}")).await
    }

    /// Sends any request.
    pub async fn send<B>(&self, mut request: Request<B>) -> Reply
    where
        B: Body<Data = Bytes, Error: Into<Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'static,
    {
        let host = self.address.to_string().parse().expect("an authority");
        request.headers_mut().entry("host").or_insert(host);
        client::send(self.address, request).await
    }

    /// Stops as on SIGTERM, and does not wait.
    pub fn end(&mut self) {
        drop(self.stop.take());
    }

    /// Waits until the server has ended, and its spans are exported.
    pub async fn ended(mut self) {
        (&mut self.served).await.expect("the server ends well");
        self.host.clone().flush(SOON).await;
    }

    /// The host's counts, as OpenMetrics text.
    pub fn metrics(&self) -> String {
        self.host.metrics()
    }

    /// Stops as on SIGTERM and waits until what ran has finished.
    pub async fn stop(mut self) {
        self.end();
        self.ended().await;
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// Claims for the component at `wasm`, pinned to its digest, that grant nothing.
pub fn claims_for(wasm: &str) -> Claims {
    let code = std::fs::read(wasm).expect("the component is built");
    let mut claims = Claims::new(format!("file://{}", Path::new(wasm).display()), now());
    claims.sha256 = Some(Sha256::digest(&code).into());
    claims
}

/// Unix seconds.
pub fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("after 1970")
        .as_secs()
}

/// A policy under which every component of this repository loads: what is always there, and `more`, which
/// is WIT in its world.
pub fn policy_with(more: &str) -> String {
    let always = Interface::all().filter(|(_, power)| power.standing() == Standing::Always);
    let imports: String = always
        .map(|(interface, _)| format!("  import {interface};\n"))
        .collect();
    format!("package test:platform;\nworld policy {{\n{imports}{more}\n}}\n")
}
