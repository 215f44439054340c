//! What the downstream is told when the upstream fails, and whose fault it is in the log.

use std::time::Duration;

use mirror::outcome::Abort;
use pingora::{Error, ErrorSource, ErrorType};

use crate::connector::LOOP;

/// A failure as it is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The status to answer with; none where nobody is left to answer.
    pub(crate) status: Option<u16>,
    /// Whose fault it is.
    pub(crate) fault: Abort,
    /// In words, for the log and the answer's body.
    pub(crate) reason: String,
}

/// Reads pingora's error.
pub(crate) fn failure(error: &Error, upstream: &str, connect_timeout: Duration, read_timeout: Duration) -> Failure {
    use ErrorType::*;
    let from_upstream = |status, reason: String| Failure { status: Some(status), fault: Abort::Upstream, reason };
    match (error.esource(), error.etype()) {
        (ErrorSource::Downstream, WriteError | ReadError | ConnectionClosed | WriteTimedout) => {
            Failure { status: None, fault: Abort::Downstream, reason: "the client left".into() }
        }
        (ErrorSource::Downstream, ReadTimedout) => Failure {
            status: Some(408),
            fault: Abort::Downstream,
            reason: "the client stopped within its request".into(),
        },
        (ErrorSource::Downstream, HTTPStatus(status)) => {
            Failure { status: Some(*status), fault: Abort::Downstream, reason: "a bad request".into() }
        }
        (ErrorSource::Downstream, _) => {
            Failure { status: Some(400), fault: Abort::Downstream, reason: "a bad request".into() }
        }
        (_, etype) if *etype == LOOP => Failure {
            status: Some(508),
            fault: Abort::Upstream,
            reason: format!(
                "the connection to {upstream} leads back to this proxy: its own connections are redirected to it"
            ),
        },
        (_, ConnectTimedout) => from_upstream(504, format!("no connection to {upstream} within {connect_timeout:?}")),
        (_, ReadTimedout) => from_upstream(504, format!("{upstream} said nothing for {read_timeout:?}")),
        (_, WriteTimedout) => from_upstream(504, format!("{upstream} did not take the request")),
        (_, ConnectRefused) => from_upstream(502, format!("{upstream} refused the connection")),
        (_, ConnectNoRoute | ConnectError | SocketError | BindError) => {
            from_upstream(502, format!("no connection to {upstream}"))
        }
        (_, ConnectionClosed | ReadError | WriteError) => {
            from_upstream(502, format!("{upstream} closed or reset the connection before its answer was whole"))
        }
        (_, InvalidHTTPHeader | H1Error) => from_upstream(502, format!("what {upstream} answered is not HTTP/1")),
        (_, HTTPStatus(status)) => from_upstream(*status, context(error)),
        (ErrorSource::Upstream, _) => from_upstream(502, format!("{upstream} failed")),
        _ => Failure { status: Some(500), fault: Abort::Shutdown, reason: "an error of the proxy itself".into() },
    }
}

/// What kind of error it is, for the log. pingora's own words may have the head in them that it could not read, with all its secrets.
pub(crate) fn kind(error: &Error) -> String {
    let kind = error.etype().as_str();
    match error.cause.as_ref().and_then(|cause| cause.downcast_ref::<std::io::Error>()) {
        Some(cause) => format!("{kind}: {cause}"),
        None => kind.to_owned(),
    }
}

fn context(error: &Error) -> String {
    error.context.as_ref().map_or_else(String::new, |context| context.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_not_be_read_is_not_told() {
        let head = Error::explain(ErrorType::InvalidHTTPHeader, "buf: Set-Cookie: sid=secret");
        assert_eq!(kind(&head), "InvalidHTTPHeader");
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(kind(&Error::because(ErrorType::ReadError, "buf: secret", reset)), "ReadError: connection reset");
    }

    #[test]
    fn each_failure_has_its_status_and_its_culprit() {
        for (etype, source, status, fault) in [
            (ErrorType::ConnectRefused, ErrorSource::Upstream, Some(502), Abort::Upstream),
            (ErrorType::ConnectTimedout, ErrorSource::Upstream, Some(504), Abort::Upstream),
            (ErrorType::ReadTimedout, ErrorSource::Upstream, Some(504), Abort::Upstream),
            (ErrorType::ConnectionClosed, ErrorSource::Upstream, Some(502), Abort::Upstream),
            (ErrorType::InvalidHTTPHeader, ErrorSource::Upstream, Some(502), Abort::Upstream),
            (ErrorType::ConnectionClosed, ErrorSource::Downstream, None, Abort::Downstream),
            (ErrorType::ReadTimedout, ErrorSource::Downstream, Some(408), Abort::Downstream),
            (ErrorType::InvalidHTTPHeader, ErrorSource::Downstream, Some(400), Abort::Downstream),
            (ErrorType::InternalError, ErrorSource::Internal, Some(500), Abort::Shutdown),
        ] {
            let error = Error::create(etype.clone(), source.clone(), None, None);
            let told = failure(&error, "app:1", Duration::from_secs(1), Duration::from_secs(2));
            assert_eq!((told.status, told.fault), (status, fault), "{etype:?} of {source:?}");
        }
    }
}
