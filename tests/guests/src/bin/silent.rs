//! Ends, or has nothing more to wait for, without a response.
use webtask_test_guests::raw;

#[cfg(not(feature = "p3"))]
raw!(|_, out| drop(out));

#[cfg(feature = "p3")]
raw!(async |_| std::future::pending().await);
