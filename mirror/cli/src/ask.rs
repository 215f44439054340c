//! `mirror reload`: asks a running `mirror` by its admin endpoint.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use axum::http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use mirror::config::UpstreamAddress;

use crate::BAD_INPUT;
use crate::say::{self, tell};

/// How long it may take: the running one may have to open a recording on a slow disk.
const WITHIN: Duration = Duration::from_secs(60);

/// More is not told of one reload; what answers with more is something else.
const LONGEST_ANSWER: usize = 1 << 20;

/// Has it read its file again, and prints what has changed, or all that is wrong with the file.
pub(crate) fn reload(admin: &UpstreamAddress) -> anyhow::Result<ExitCode> {
    let runtime = crate::run::control_runtime()?;
    let asked = runtime.block_on(async { tokio::time::timeout(WITHIN, post(admin, "/reload")).await });
    let (status, answer) = asked
        .map_err(|_| anyhow::anyhow!("no answer within {} s", WITHIN.as_secs()))
        .flatten()
        .with_context(|| format!("{admin}: no mirror's admin endpoint that can be asked"))?;
    match status {
        StatusCode::OK => say::all(&answer),
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
            Err(anyhow::anyhow!("{admin}: {status}: this is no mirror that can reload"))
        }
        _ => {
            tell!("{}", answer.trim_end());
            Ok(BAD_INPUT.into())
        }
    }
}

async fn post(to: &UpstreamAddress, path: &str) -> anyhow::Result<(StatusCode, String)> {
    let request = Request::post(format!("http://{to}{path}")).body(Empty::<axum::body::Bytes>::new())?;
    let client = Client::builder(TokioExecutor::new()).build(HttpConnector::new());
    let answer = client.request(request).await?;
    let status = answer.status();
    let body =
        Limited::new(answer.into_body(), LONGEST_ANSWER).collect().await.map_err(|error| anyhow::anyhow!(error))?;
    Ok((status, String::from_utf8_lossy(&body.to_bytes()).into_owned()))
}
