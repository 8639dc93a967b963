//! The same exchange through llmpool and through plain hyper.

use std::cell::RefCell;

use bytes::Bytes;
use http::{Request, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use llmpool::chat::{ChatRequest, Message};
use llmpool::function::FunctionError;
use llmpool::structured::{JsonSchema, json_schema, schemars};
use llmpool::{
    ApiFormat, ApiKeyPool, KeyLimits, Limits, LlmInterface, OpenAiCompatible, RateLimit, TargetSettings,
    llm_function,
};

pub(crate) const NAMES: [&str; 12] = [
    "plain",
    "parsed",
    "function",
    "raw-paced",
    "typed-paced",
    "raw-burst",
    "typed-burst",
    "translated-paced",
    "translated-burst",
    "floor-plain",
    "floor-paced",
    "floor-burst",
];

const SYSTEM: &str = "You are a helpful assistant that answers in one sentence.";
const MAIL: &str = "Where is my refund of 40 euros? I have been waiting since Monday.";
const PROMPT: &str = "What does a token bucket do, and why do providers count their requests with one?";

pub(crate) enum Client {
    Plain(OpenAiCompatible, ChatRequest),
    Parsed(OpenAiCompatible, ChatRequest),
    Function(OpenAiCompatible),
    Raw(OpenAiCompatible, Bytes),
    Typed(OpenAiCompatible, ChatRequest),
    Floor(RefCell<http1::SendRequest<Full<Bytes>>>, String, Bytes),
}

impl Client {
    pub(crate) async fn new(case: &str, port: u16, events: usize) -> Self {
        let (kind, answer) = case.split_once('-').unwrap_or((case, "plain"));
        let (kind, answer) = match kind {
            "plain" => ("typed", "plain"),
            "parsed" | "function" => (kind, "ticket"),
            kind => (kind, answer),
        };
        let base = format!("http://127.0.0.1:{port}/{answer}/{events}/v1");
        match (kind, answer) {
            ("floor", _) => {
                let socket = tokio::net::TcpStream::connect(("127.0.0.1", port)).await.unwrap();
                socket.set_nodelay(true).unwrap();
                let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.unwrap();
                tokio::spawn(connection);
                let path = format!("/{answer}/{events}/v1/chat/completions");
                Self::Floor(RefCell::new(sender), path, encoded(answer != "plain"))
            }
            ("raw", _) => Self::Raw(target(&base, ApiFormat::ChatCompletions), encoded(true)),
            ("parsed", _) => Self::Parsed(target(&base, ApiFormat::ChatCompletions), ticket_request()),
            ("function", _) => Self::Function(target(&base, ApiFormat::ChatCompletions)),
            ("typed", "plain") => Self::Plain(target(&base, ApiFormat::ChatCompletions), request()),
            ("typed", _) => Self::Typed(target(&base, ApiFormat::ChatCompletions), request()),
            ("translated", _) => Self::Typed(target(&base, ApiFormat::Responses), request()),
            _ => panic!("unknown case {case}; known: {}", NAMES.join(" ")),
        }
    }

    pub(crate) async fn call(&self) {
        match self {
            Self::Plain(target, request) => {
                let answer = target.chat(request).await.unwrap();
                assert_eq!(answer.usage().unwrap().total_tokens(), Some(55));
                assert_eq!(answer.text().len(), 116);
            }
            Self::Parsed(target, request) => {
                let answer = target.chat(request).await.unwrap();
                assert_eq!(answer.parse::<Ticket>().unwrap().tags.len(), 2);
            }
            Self::Function(target) => assert_eq!(triage(target, MAIL).await.unwrap().tags.len(), 2),
            Self::Raw(target, body) => {
                let mut stream = target.raw_chat_stream(body.clone()).await.unwrap();
                let mut seen = 0;
                while let Some(frame) = stream.next().await {
                    seen += usize::from(frame.unwrap().flags.content);
                }
                assert!(seen > 0 && stream.report().usage.is_some());
            }
            Self::Typed(target, request) => read(target, request).await,
            Self::Floor(sender, path, body) => floor(sender, path, body).await,
        }
    }
}

/// A support ticket.
#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
struct Ticket {
    /// What the customer wants, in one sentence.
    #[expect(dead_code, reason = "only read")]
    summary: String,
    #[expect(dead_code, reason = "only read")]
    urgency: Urgency,
    tags: Vec<String>,
}

#[derive(serde::Deserialize, JsonSchema)]
#[schemars(crate = "schemars")]
#[serde(rename_all = "lowercase")]
enum Urgency {
    Low,
    High,
}

/// Sort this support mail. Urgent means money or safety.
#[llm_function]
async fn triage(llm: &dyn LlmInterface, mail: &str) -> Result<Ticket, FunctionError>;

/// The request that `triage` sends, made once.
fn ticket_request() -> ChatRequest {
    let system = Message::system("Sort this support mail. Urgent means money or safety.");
    let mut request = ChatRequest::new([system, Message::user(MAIL)]);
    request.response_format = Some(json_schema::<Ticket>().unwrap());
    request
}

/// Text, finish reason and usage of every chunk.
async fn read(target: &OpenAiCompatible, request: &ChatRequest) {
    let mut stream = target.chat_stream(request).await.unwrap();
    let (mut text, mut finished, mut usage) = (0, false, None);
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.unwrap();
        for choice in &chunk.choices {
            text += choice.delta.text().len();
            finished |= choice.finish_reason.is_some();
        }
        usage = chunk.usage.or(usage);
    }
    assert!(text > 0 && finished && usage.is_some());
}

#[expect(
    clippy::await_holding_refcell_ref,
    reason = "one call at a time on one thread"
)]
async fn floor(sender: &RefCell<http1::SendRequest<Full<Bytes>>>, path: &str, body: &Bytes) {
    let request = Request::post(path)
        .header(header::HOST, "127.0.0.1")
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, "Bearer sk-bench-1")
        .body(Full::new(body.clone()))
        .unwrap();
    let mut sender = sender.borrow_mut();
    sender.ready().await.unwrap();
    let mut answer = sender.send_request(request).await.unwrap().into_body();
    let mut length = 0;
    while let Some(frame) = answer.frame().await {
        length += frame.unwrap().into_data().unwrap().len();
    }
    assert!(length > 0);
}

fn request() -> ChatRequest {
    let mut request = ChatRequest::new(vec![Message::system(SYSTEM), Message::user(PROMPT)]);
    request.temperature = Some(0.5);
    request
}

fn encoded(stream: bool) -> Bytes {
    let mut body = serde_json::to_value(request()).unwrap();
    body["model"] = "gpt-4o-mini".into();
    if stream {
        body["stream"] = true.into();
        body["stream_options"] = serde_json::json!({"include_usage": true});
    }
    serde_json::to_vec(&body).unwrap().into()
}

/// All features enabled: three keys with a concurrency limit, a rate limit, all timeouts.
fn target(base: &str, api: ApiFormat) -> OpenAiCompatible {
    let limits = KeyLimits {
        limits: Limits {
            max_concurrency: Some(8),
            ..Limits::default()
        },
        ..KeyLimits::default()
    };
    let keys = ["sk-bench-1", "sk-bench-2", "sk-bench-3"].map(|key| (key.into(), limits));
    let pool = ApiKeyPool::with_limits("bench", keys).unwrap();
    let settings = TargetSettings {
        api,
        limits: Limits {
            rate_limit: Some(RateLimit::new(1_000_000, 1_000_000.0).unwrap()),
            ..Limits::default()
        },
        ..TargetSettings::default()
    };
    OpenAiCompatible::builder(&pool, "gpt-4o-mini", base)
        .settings(settings)
        .build()
        .unwrap()
}
