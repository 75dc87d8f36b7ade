//! Log lines with a level, which the host tags with the request and the token.
//!
//! ```no_run
//! # let id = 7;
//! webtask::log::info!("charged {id}");
//! ```
//!
//! The context of a line is the module that logs it. `println!` and panics go to the same log, without
//! a level. The host bounds the number of lines and their length; never log a secret.
use crate::__bindings::wasi::logging::logging;
use crate::host;
use std::borrow::Cow;
use std::fmt;

#[doc(hidden)]
pub use logging::Level;

#[doc(hidden)]
pub fn write(level: Level, context: &str, message: fmt::Arguments<'_>) {
    let message = message
        .as_str()
        .map_or_else(|| Cow::Owned(message.to_string()), Cow::Borrowed);
    host::log(level, context, &message);
}

macro_rules! levels {
    ($d:tt $($name:ident $macro:ident $level:ident $text:literal;)*) => { $(
        #[doc(hidden)]
        #[macro_export]
        macro_rules! $macro {
            ($d($d arg:tt)+) => {
                $crate::log::write($crate::log::Level::$level, module_path!(), format_args!($d($d arg)+))
            };
        }
        #[doc = concat!("Logs a line of the level *", $text, "*; takes what [`format!`] takes.")]
        #[doc(inline)]
        pub use $macro as $name;
    )* };
}

levels! { $
    trace __log_trace Trace "trace";
    debug __log_debug Debug "debug";
    info __log_info Info "info";
    warn __log_warn Warn "warn";
    error __log_error Error "error";
}
