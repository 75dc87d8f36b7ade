//! Write webtasks.
