//! `Limit`: the name of each limit that a request can meet, as it stands in answers, records and logs.
//!
//! Owns the names alone: how much each allows is in [`Limits`](crate::Limits), and who enforces it, there.

macro_rules! limits {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A limit that a request can meet, by its key in the table `[limits]` of the configuration.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        #[non_exhaustive]
        pub enum Limit {
            $($(#[$doc])* $variant,)*
        }

        impl Limit {
            /// Every limit, in the order in which records name them.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The stable name.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }
    };
}

limits! {
    /// Calls of a token in a minute, which only tokens and policies have.
    Rate = "rate",
    /// Calls of a tenant in a minute, which only tenants have.
    TenantRate = "tenant-rate",
    /// Bytes of the request's body.
    RequestBytes = "request-bytes",
    /// Bytes of the component.
    ComponentBytes = "component-bytes",
    /// Time to fetch the component.
    Fetch = "fetch",
    /// Components fetched at the same time.
    Fetches = "fetches",
    /// Components of one tenant fetched at the same time.
    TenantFetches = "tenant-fetches",
    /// Time to compile the component.
    Compile = "compile",
    /// Invocations at the same time.
    Invocations = "invocations",
    /// Invocations of one tenant at the same time.
    TenantInvocations = "tenant-invocations",
    /// Invocations of one token, and of all that is made from it, at the same time.
    TokenInvocations = "token-invocations",
    /// Header fields of the request.
    HeaderFields = "header-fields",
    /// Memory of the compiler.
    CompileMemory = "compile-memory",
    /// Bytes of native code.
    CompiledBytes = "compiled-bytes",
    /// Components compiled at the same time.
    Compilers = "compilers",
    /// Answers that are read at the same time, as many as connections.
    Connections = "connections",
    /// Wall-clock time.
    Wall = "wall",
    /// CPU time.
    Cpu = "cpu",
    /// Linear memory.
    Memory = "memory",
    /// Elements of a table.
    TableElements = "table-elements",
    /// Core instances.
    Instances = "instances",
    /// Linear memories.
    Memories = "memories",
    /// Tables.
    Tables = "tables",
    /// The stack.
    Stack = "stack",
    /// Bytes handed to the host in one call.
    HostcallBytes = "hostcall-bytes",
    /// Live host resources.
    Resources = "resources",
    /// Bytes of one head.
    HeaderBytes = "header-bytes",
    /// Random bytes in one call.
    RandomBytes = "random-bytes",
    /// Random bytes of all calls.
    RandomTotal = "random-total",
    /// Bytes of the response's body.
    ResponseBytes = "response-bytes",
    /// Outbound calls.
    Calls = "calls",
    /// Outbound calls at the same time.
    ConcurrentCalls = "concurrent-calls",
    /// Bytes of one outbound response.
    OutboundBytes = "outbound-bytes",
    /// Bytes of all outbound bodies.
    OutboundTotal = "outbound-total",
    /// Bytes of a body that is signed.
    SignedBytes = "signed-bytes",
    /// Time to connect to an origin.
    Connect = "connect",
    /// Log lines.
    LogLines = "log-lines",
    /// Log bytes.
    LogBytes = "log-bytes",
    /// Bytes of one log line.
    LogLine = "log-line",
    /// Readers of live logs at the same time.
    LogReaders = "log-readers",
    /// Readers of one tenant's live log at the same time.
    TenantLogReaders = "tenant-log-readers",
}

// One bit for each.
const _: () = assert!(Limit::ALL.len() <= 64, "LimitSet has 64 bits");

impl Limit {
    /// The limit that wasmtime named when it refused to compile a component that could not be instantiated
    /// in the pool.
    ///
    /// wasmtime has no types for it, and its words serve records alone: a test has it say each.
    pub(crate) fn of_refused_component(reason: &str) -> Option<Self> {
        let said = [
            ("core module instances, which exceeds", Self::Instances),
            ("linear memories, which exceeds", Self::Memories),
            ("defined memories count of", Self::Memories),
            ("tables, which exceeds", Self::Tables),
            ("defined tables count of", Self::Tables),
            ("has a minimum byte size of", Self::Memory),
            ("has a minimum element size of", Self::TableElements),
        ];
        let reason = reason.split_whitespace().collect::<Vec<_>>().join(" ");
        let found = said.into_iter().find(|(words, _)| reason.contains(words));
        found.map(|(_, limit)| limit)
    }
}

impl std::fmt::Display for Limit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// What a host call answers that refuses something because of a limit, where the interface has no error for
/// it: the guest ends.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the limit {0} is used up")]
pub(crate) struct Exceeded(pub(crate) Limit);

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_limit_has_a_name_of_its_own() {
        let names: BTreeSet<_> = Limit::ALL.iter().map(|limit| limit.name()).collect();
        assert_eq!(names.len(), Limit::ALL.len());
        for name in names {
            let kebab = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(name.bytes().all(kebab), "{name}");
        }
    }
}
