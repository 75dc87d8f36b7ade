use std::{io, path::PathBuf};

/// Why a webtask does not run in a test.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The answer did not come, or not whole.
    #[error("no whole answer; the log of the webtask says why")]
    Answer(#[source] hyper::Error),
    /// The component cannot be read.
    #[error("the component {path} cannot be read; build it with `webtask build`")]
    Component {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Its directory cannot be opened.
    #[error("the directory of the component cannot be used")]
    Directory(#[from] webtask_host::CodePrefixError),
    /// The live log was not given.
    #[error("the live log answered {0}")]
    Log(http::StatusCode),
    /// What is asked for is no request.
    #[error("this is no request")]
    Request(#[from] http::Error),
    /// A socket of loopback failed.
    #[error("loopback failed")]
    Socket(#[from] io::Error),
    /// The runtime does not start.
    #[error("the runtime does not start")]
    Start(#[from] webtask_host::StartError),
    /// A grant or a slot is none.
    #[error("{text:?} is no {what}")]
    Text {
        /// What it should be.
        what: &'static str,
        /// What it is.
        text: String,
        /// What is wrong with it.
        #[source]
        source: webtask_token::ParseError,
    },
    /// The claims do not fit into a token.
    #[error("no token holds this")]
    Token(#[from] webtask_token::SealError),
}
