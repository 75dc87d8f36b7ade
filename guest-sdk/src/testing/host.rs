//! What a webtask asks its host for, out of the world that the test made. Has the names of `host` in a component.
use super::{Given, INSIDE, Inside, NOW, Sent, TIMERS};
use crate::secrets::Reason;
use crate::timeouts::{Timeouts, nanoseconds};
use crate::{ErrorKind, Request, Response, SendError, executor, log};
use std::rc::Rc;
use std::task::Poll;

/// What the call at hand says; what there is outside of any, otherwise.
fn ask<T>(otherwise: T, ask: impl FnOnce(&Inside) -> T) -> T {
    INSIDE.with_borrow(|inside| inside.as_ref().map_or(otherwise, ask))
}

pub(crate) fn now() -> u64 {
    NOW.get()
}

pub(crate) async fn sleep(nanoseconds: u64) {
    let until = now().saturating_add(nanoseconds);
    std::future::poll_fn(|cx| {
        if now() >= until {
            return Poll::Ready(());
        }
        TIMERS.with_borrow_mut(|timers| timers.push((until, cx.waker().clone())));
        Poll::Pending
    })
    .await;
}

pub(crate) fn secret(name: &str) -> Result<String, Reason> {
    ask(Err(Reason::NotGranted), |inside| {
        let secret = inside.state.secrets.get(name);
        secret
            .ok_or(Reason::NotGranted)?
            .clone()
            .ok_or(Reason::Bound)
    })
}

pub(crate) fn secret_names() -> Vec<String> {
    ask(Vec::new(), |inside| {
        inside.state.secrets.keys().cloned().collect()
    })
}

pub(crate) fn param(name: &str) -> Option<String> {
    ask(None, |inside| inside.state.params.get(name).cloned())
}

pub(crate) fn params() -> Vec<(String, String)> {
    ask(Vec::new(), |inside| {
        inside.state.params.clone().into_iter().collect()
    })
}

pub(crate) fn tenant() -> String {
    ask("default".to_owned(), |inside| inside.state.tenant.clone())
}

pub(crate) fn token_id() -> String {
    ask(String::new(), |inside| inside.state.token_id.clone())
}

pub(crate) fn request_id() -> String {
    ask(String::new(), |inside| inside.state.request_id.clone())
}

pub(crate) fn remaining() -> u64 {
    ask(0, |inside| {
        let end = inside.began.saturating_add(nanoseconds(inside.state.wall));
        end.saturating_sub(now())
    })
}

pub(crate) fn log(level: log::Level, context: &str, message: &str) {
    let level = match level {
        log::Level::Trace => "TRACE",
        log::Level::Debug => "DEBUG",
        log::Level::Info => "INFO",
        log::Level::Warn => "WARN",
        log::Level::Error => "ERROR",
        log::Level::Critical => "CRITICAL",
    };
    let line = format!("{level} {context}: {message}");
    eprintln!("{line}");
    ask((), |inside| inside.state.logs.borrow_mut().push(line));
}

pub(crate) async fn send(
    request: Request,
    timeouts: Option<&Timeouts>,
) -> Result<Response, SendError> {
    if request.uri().host().is_none() {
        return Err(SendError::invalid("the URL names no host"));
    }
    let inside = INSIDE.with_borrow(Clone::clone);
    let origin = inside.and_then(|inside| {
        inside.state.sent.borrow_mut().push(Sent {
            method: request.method().clone(),
            uri: request.uri().clone(),
            headers: request.headers().clone(),
        });
        inside.state.origin.clone()
    });
    let Some(origin) = origin else {
        let detail = "no grant: the test's world has no origin";
        return Err(SendError::new(ErrorKind::Denied, detail));
    };
    let origin = Rc::clone(&origin);
    let answer = origin(request);
    let limit = timeouts.and_then(|timeouts| timeouts.first_byte);
    let answer = match limit {
        None => Some(answer.await),
        Some(limit) => executor::timeout(limit, answer).await,
    };
    let response = answer.unwrap_or_else(|| Err(ErrorKind::Timeout.into()))?;
    Ok(response.map(|body| Given::wrap(body, None, true)))
}
