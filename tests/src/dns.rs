//! A name server on loopback that answers by a function and counts what it was asked.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
};

use hickory_proto::{
    op::{Message, OpCode},
    rr::{RData, Record, RecordType},
};
use tokio::{net::UdpSocket, task::JoinHandle};

/// How long its answers say that they hold: a flip must be seen although this is long.
const TTL: u32 = 3_600;

/// A running name server, stopped when dropped.
pub struct Dns {
    /// Where it listens, UDP only.
    pub address: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
    served: JoinHandle<()>,
}

/// A question, sent once or, as UDP needs it, again and again.
#[derive(Eq, PartialEq)]
struct Question {
    name: String,
    kind: RecordType,
    id: u16,
}

impl Dns {
    /// A name server that answers with the addresses that `answer` returns for a name without its last
    /// dot and the number of times that its addresses were asked for before. With `None` it keeps silent.
    pub async fn start(
        answer: impl Fn(&str, usize) -> Option<Vec<IpAddr>> + Send + 'static,
    ) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.expect("a free port");
        let address = socket.local_addr().expect("a bound socket");
        let asked = Arc::new(Mutex::new(Vec::new()));
        let seen = asked.clone();
        let served = tokio::spawn(async move {
            let mut packet = [0; 4096];
            while let Ok((length, from)) = socket.recv_from(&mut packet).await {
                if let Some(reply) = reply(&packet[..length], &seen, &answer) {
                    let _ = socket.send_to(&reply, from).await;
                }
            }
        });
        Self {
            address,
            asked,
            served,
        }
    }

    /// Every name that was asked for IPv4 addresses, in order.
    pub fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let of_v4 = asked.iter().filter(|asked| asked.kind == RecordType::A);
        of_v4.map(|asked| asked.name.clone()).collect()
    }
}

fn reply(
    packet: &[u8],
    seen: &Mutex<Vec<Question>>,
    answer: &impl Fn(&str, usize) -> Option<Vec<IpAddr>>,
) -> Option<Vec<u8>> {
    let query = Message::from_vec(packet).ok()?;
    let question = query.queries.first()?;
    let (name, kind) = (
        question.name().to_ascii().to_lowercase(),
        question.query_type(),
    );
    let name = name.trim_end_matches('.').to_owned();
    let asked = Question {
        name: name.clone(),
        kind,
        id: query.metadata.id,
    };
    let before = {
        let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let at = seen.iter().position(|other| *other == asked);
        let earlier = &seen[..at.unwrap_or(seen.len())];
        let same = |other: &&Question| (&other.name, other.kind) == (&name, kind);
        let before = earlier.iter().filter(same).count();
        if at.is_none() {
            seen.push(asked);
        }
        before
    };
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    reply.metadata.recursion_available = true;
    reply.add_query(question.clone());
    for ip in answer(&name, before)? {
        let data = match ip {
            IpAddr::V4(ip) if kind == RecordType::A => RData::A(ip.into()),
            IpAddr::V6(ip) if kind == RecordType::AAAA => RData::AAAA(ip.into()),
            _ => continue,
        };
        reply.add_answer(Record::from_rdata(question.name().clone(), TTL, data));
    }
    reply.to_vec().ok()
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.served.abort();
    }
}
