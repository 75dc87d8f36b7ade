//! A guest that meets a limit: what its caller, its record and its neighbours see of it.

use crate::{Reply, TestHost, examples, wait_for_line};

impl TestHost {
    /// Calls the guest, which `limit` ends: the answer has `code` and the limit, the access record has both, and the host
    /// serves the next request.
    pub async fn meets(&self, token: &str, path: &str, code: &str, limit: &str) -> Reply {
        let reply = self.get(token, path).await;
        assert_eq!(reply.code(), code, "{reply:?}");
        assert_eq!(reply.json()["limit"], limit, "{reply:?}");
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        assert!(record.contains(&format!("code={code:?}")), "{record}");
        assert!(names(&record).contains(&limit.to_owned()), "{record}");
        self.serves().await;
        reply
    }

    /// Calls the guest, to which `limit` refuses something; the guest answers all the same.
    pub async fn refuses(&self, token: &str, path: &str, limit: &str) -> Reply {
        let reply = self.get(token, path).await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        assert!(names(&record).contains(&limit.to_owned()), "{record}");
        self.serves().await;
        reply
    }

    /// Whether another request is served.
    pub async fn serves(&self) {
        let reply = self.get(&self.token(examples::HELLO), "/").await;
        assert_eq!(reply.status, 200, "{reply:?}");
        let record = wait_for_line(reply.request_id(), "webtask::access").await;
        assert_eq!(names(&record), [""; 0], "{record}");
    }
}

/// The limits that an access record names.
pub fn names(record: &str) -> Vec<String> {
    let said = record.split_once(" limits=\"").map(|(_, said)| said);
    let said = said.and_then(|said| said.split_once('"'));
    said.map_or_else(Vec::new, |(said, _)| {
        said.split(',').map(str::to_owned).collect()
    })
}
