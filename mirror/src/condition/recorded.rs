//! Conditions on what was recorded.

use super::{Condition, Facts, ResponseFacts};
use crate::recording::Record;

impl Condition {
    /// Whether it holds for a recorded exchange. All that is asked for is known: what was not recorded is not there.
    pub fn holds_for(&self, record: &Record) -> bool {
        let request = record.request.message.headers();
        let response = record.response.as_ref().map(|response| response.message.headers());
        let facts = Facts {
            method: &record.request.method,
            target: &record.request.target,
            headers: &request,
            client: record.client,
            source: &record.source,
            request_size: Some(record.request.message.body_length),
            response: Some(ResponseFacts {
                status: record.response.as_ref().map(|response| response.status),
                headers: response.as_ref(),
                latency: record.response_start,
                size: record.response.as_ref().map(|response| response.message.body_length),
            }),
        };
        self.holds(&facts).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::recording::avro::tests::small;

    #[test]
    fn all_fields_of_a_record() {
        let mut record = small(7);
        record.request.target = "http://app:80/a/b?x=1".into();
        record.request.message.headers.push(("Cookie".into(), "sid=9".into()));
        record.request.message.body_length = 5;
        record.response_start = Some(Duration::from_millis(20));
        for (condition, holds) in [
            ("method = GET and host = app and path = /a/* and query.x = 1 and cookie.sid = 9", true),
            ("source = proxy and client = 127.0.0.0/8", true),
            ("status = 200 and response_size = 2 and latency >= 20ms and request_size = 5", true),
            ("latency > 20ms", false),
            ("status >= 500", false),
            ("response_header.x", false),
        ] {
            assert_eq!(condition.parse::<Condition>().unwrap().holds_for(&record), holds, "{condition}");
        }
        record.response = None;
        record.response_start = None;
        for (condition, holds) in [("status", false), ("not status", true), ("response_size < 1", false)] {
            assert_eq!(condition.parse::<Condition>().unwrap().holds_for(&record), holds, "{condition}");
        }
    }
}
