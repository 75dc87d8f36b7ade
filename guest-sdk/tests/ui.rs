//! What `#[webtask::main]` says to a wrong signature, and where.
//!
//! Every message is the macro's own: what the compiler adds changes from release to release.

#[test]
fn wrong_signatures_are_reported_where_they_are_wrong() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}
