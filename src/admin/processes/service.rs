//! The service of the endpoint for several processes: routes requests to them, and sends the responses.

use std::time::{Duration, Instant};

use crate::admin::clients::Clients;
use crate::admin::http::{ContentType, Form, HttpCodec, RequestHead, Status, refusal, response};
use crate::connection::CloseReason;
use crate::net::Sender;
use crate::offload::{JobPanicked, Offload};
use crate::service::{Context, Orders, PeerInfo, ReplyToken, Service};
use crate::slab::Key;

use super::fetch::{self, Response};
use super::{ProcessEndpoint, ProcessList, merge};

/// The longest time for one request to one process.
const TIMEOUT: Duration = Duration::from_secs(2);

/// The longest time to ask all processes. A scrape of Prometheus waits for 10 seconds.
const TIMEOUT_OF_ALL: Duration = Duration::from_secs(6);

const PATHS: &str = "/ /metrics /healthz /readyz /loop /process/NAME/PATH, such as /process/1/connections\n";

pub(super) struct ProcessesService {
    processes: ProcessList,
    offload: Offload,
    sender: Sender<ProcessesAnswer>,
    clients: Clients,
}

/// A whole response for a client.
pub(super) struct ProcessesAnswer {
    token: ReplyToken,
    bytes: Result<Vec<u8>, JobPanicked>,
    keeps_alive: bool,
}

/// What a request asks for.
#[derive(Debug, PartialEq, Eq)]
enum ProcessesRoute {
    Index,
    Metrics,
    Readiness,
    Loop,
    /// The name of a process, and what to ask it.
    Process(String, String),
}

impl ProcessesRoute {
    /// Returns `None` for a path that does not exist.
    fn of(request: &RequestHead<'_>) -> Option<Self> {
        match request.path {
            "/" => Some(Self::Index),
            "/metrics" => Some(Self::Metrics),
            "/readyz" => Some(Self::Readiness),
            "/loop" => Some(Self::Loop),
            path => {
                let (name, rest) = path.strip_prefix("/process/")?.split_once('/')?;
                let query = if request.query.is_empty() { "" } else { "?" };
                Some(Self::Process(name.to_owned(), format!("/{rest}{query}{}", request.query)))
            }
        }
    }

    /// The response. Blocks while the processes are asked.
    fn response(&self, processes: &[ProcessEndpoint], form: Form) -> Vec<u8> {
        let text = |status, text: &str| response(status, ContentType::Text, text.as_bytes(), form);
        match self {
            Self::Index => response(Status::OK, ContentType::Html, index(processes).as_bytes(), form),
            Self::Metrics => response(Status::OK, ContentType::Metrics, all_metrics(processes).as_bytes(), form),
            Self::Readiness => {
                let all = ask_all(processes, "/readyz");
                let is_ready = all.iter().any(|(_, answer)| answer.as_ref().is_some_and(|answer| answer.status == 200));
                let status = if is_ready { Status::OK } else { Status::UNAVAILABLE };
                let lines = all.iter().map(|(name, answer)| {
                    let stage =
                        answer.as_ref().map_or("no answer\n".into(), |answer| String::from_utf8_lossy(&answer.body));
                    format!("{name} {stage}")
                });
                text(status, &lines.collect::<String>())
            }
            Self::Loop => {
                let all = ask_all(processes, "/loop");
                let reports = all.iter().filter_map(|(_, answer)| serde_json::from_slice(&answer.as_ref()?.body).ok());
                match merge::loop_reports(reports) {
                    Some(sum) => response(Status::OK, ContentType::Json, format!("{sum}\n").as_bytes(), form),
                    None => text(Status::BAD_GATEWAY, "no process answers\n"),
                }
            }
            Self::Process(name, target) => match processes.iter().find(|process| process.name == *name) {
                None => text(Status::NOT_FOUND, "no such process\n"),
                Some(process) => match process.path.as_ref().and_then(|path| fetch::get(path, target, TIMEOUT).ok()) {
                    Some(Response { status, content_type, body }) => {
                        response(Status::of(status), content_type, &body, form)
                    }
                    None => text(Status::BAD_GATEWAY, "the process does not answer, or its response is too long\n"),
                },
            },
        }
    }
}

/// Asks each process. After the time for all of them, the rest counts as silent.
fn ask_all<'p>(processes: &'p [ProcessEndpoint], target: &str) -> Vec<(&'p str, Option<Response>)> {
    let deadline = Instant::now() + TIMEOUT_OF_ALL;
    let ask = |process: &'p ProcessEndpoint| {
        let timeout = deadline.saturating_duration_since(Instant::now()).min(TIMEOUT);
        let path = process.path.as_deref().filter(|_| !timeout.is_zero());
        let answer = path.and_then(|path| fetch::get(path, target, timeout).ok());
        (process.name.as_str(), answer)
    };
    processes.iter().map(ask).collect()
}

fn all_metrics(processes: &[ProcessEndpoint]) -> String {
    let all = ask_all(processes, "/metrics");
    let pages = all.iter().filter_map(|(name, answer)| Some((*name, str::from_utf8(&answer.as_ref()?.body).ok()?)));
    let mut page = merge::metrics(pages);
    page.push_str("# HELP readyloop_process_up Whether the process has answered.\n# TYPE readyloop_process_up gauge\n");
    for (name, answer) in &all {
        page += &format!("readyloop_process_up{{process=\"{name}\"}} {}\n", u8::from(answer.is_some()));
    }
    page.push_str("# HELP readyloop_process_starts_total How often the process was started.\n");
    page.push_str("# TYPE readyloop_process_starts_total counter\n");
    for ProcessEndpoint { name, starts, .. } in processes {
        page += &format!("readyloop_process_starts_total{{process=\"{name}\"}} {starts}\n");
    }
    page
}

/// Links to the page of each process.
fn index(processes: &[ProcessEndpoint]) -> String {
    let link = |ProcessEndpoint { name, .. }: &ProcessEndpoint| {
        format!("<li><a href=\"process/{name}/\">process {name}</a></li>")
    };
    let links: String = processes.iter().map(link).collect();
    format!(
        "<!doctype html><meta charset=\"utf-8\"><meta name=\"color-scheme\" content=\"light dark\">\
         <title>readyloop</title><h1>Processes</h1><ul>{links}</ul>\
         <p>All together: <a href=\"metrics\">metrics</a>, <a href=\"loop\">loop</a>, <a href=\"readyz\">readyz</a></p>\n"
    )
}

impl ProcessesService {
    pub(super) fn new(processes: ProcessList, offload: Offload, sender: Sender<ProcessesAnswer>) -> Self {
        Self { processes, offload, sender, clients: Clients::default() }
    }
}

impl Service for ProcessesService {
    type Codec = HttpCodec;
    type Peer = ();
    type Message = ProcessesAnswer;

    fn on_open(&mut self, (): &mut (), _: &PeerInfo<'_>, cx: &mut Context<'_, Self>) {
        if let Some(replaced) = self.clients.add(cx.key()) {
            cx.orders().close(replaced);
        }
    }

    fn on_frame(&mut self, (): &mut (), request: Result<RequestHead<'_>, Status>, cx: &mut Context<'_, Self>) {
        let request = match request {
            Ok(request) => request,
            Err(status) => {
                cx.send(&refusal(status));
                return cx.finish();
            }
        };
        let form = request.form;
        let fixed = |status, text: &str| response(status, ContentType::Text, text.as_bytes(), form);
        let at_once = match ProcessesRoute::of(&request) {
            _ if request.path == "/healthz" => fixed(Status::OK, "ok\n"),
            None => fixed(Status::NOT_FOUND, PATHS),
            Some(route) => {
                let (token, keeps_alive, processes) = (cx.defer_reply(), form.keeps_alive, self.processes.all());
                self.clients.handle_request(token.key());
                let work = move || route.response(&processes, form);
                let answer = move |bytes| ProcessesAnswer { token, bytes, keeps_alive };
                if self.offload.submit(&self.sender, work, answer).is_err() {
                    // More requests wait than there are clients, so processes hang.
                    cx.orders().close(token.key());
                }
                return;
            }
        };
        cx.send(&at_once);
        if !form.keeps_alive {
            cx.finish();
        }
        self.clients.handle_answer(cx.key());
    }

    fn on_message(
        &mut self,
        ProcessesAnswer { token, bytes, keeps_alive }: ProcessesAnswer,
        orders: &mut Orders<'_, Self>,
    ) {
        let key = token.key();
        match bytes {
            Ok(bytes) if orders.answer(token, &[&bytes]).is_ok() => {
                self.clients.handle_answer(key);
                if !keeps_alive {
                    orders.finish(key);
                }
            }
            Ok(_) | Err(JobPanicked) => orders.close(key),
        }
    }

    fn on_close(&mut self, (): (), key: Key, _: CloseReason, _: &mut Orders<'_, Self>) {
        self.clients.remove(key);
    }
}
