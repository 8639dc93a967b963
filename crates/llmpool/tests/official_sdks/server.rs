//! A minimal server in place of the gateway: it forwards requests of either format to a provider through llmpool and responds in the
//! client's format. It has no callers, routes or limits.
//!
//! Below `/same/v1` requests are sent to the provider in the client's format, below `/translated/v1` in the other one. The model name
//! selects the scene.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::channel::{Channel, SendError, Sender};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use llmpool::chat::ChatRequest;
use llmpool::responses::ResponsesRequest;
use llmpool::{
    ApiKeyPool, CallOptions, ChatStream, Error, ErrorKind, EventStream, FailureKind, LlmInterface,
    OpenAiCompatible, OpenAiResponsesCompatible, TargetSettings,
};
use llmpool_core::sse_writer;
use llmpool_core::translate::{
    self, ChatCapabilities, ChunkToEventTranslator, FailedResponse, ResponseEnvelope, UnsupportedField,
};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};

type Reply = Response<Either<Full<Bytes>, Channel<Bytes>>>;
type SendResult = Result<(), SendError>;

/// One model of one provider, callable in either format.
pub struct Scene {
    chat: OpenAiCompatible,
    responses: OpenAiResponsesCompatible,
}

impl Scene {
    pub fn new(name: &str, provider: &str, key: &str) -> Self {
        let pool = ApiKeyPool::new("simulated", [key]).unwrap();
        let settings = TargetSettings {
            max_retries: 0,
            ..TargetSettings::default()
        };
        Self {
            chat: OpenAiCompatible::builder(&pool, name, provider)
                .settings(settings.clone())
                .build()
                .unwrap(),
            responses: OpenAiCompatible::builder(&pool, name, provider)
                .settings(settings)
                .build_responses()
                .unwrap(),
        }
    }
}

/// Serves until the runtime ends. Returns the base URL.
pub async fn start(scenes: BTreeMap<&'static str, Scene>) -> String {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let scenes = Arc::new(scenes);
    tokio::spawn(async move {
        loop {
            let (socket, _) = listener.accept().await.unwrap();
            tokio::spawn(serve(socket, scenes.clone()));
        }
    });
    format!("http://{address}")
}

async fn serve(socket: TcpStream, scenes: Arc<BTreeMap<&'static str, Scene>>) {
    let service = service_fn(|request| async {
        let reply = answer(&scenes, request).await;
        Ok::<_, Infallible>(reply.unwrap_or_else(|error| error.reply()))
    });
    // A client that disconnects ends its connection with an error.
    let _ = http1::Builder::new()
        .serve_connection(TokioIo::new(socket), service)
        .await;
}

async fn answer(scenes: &BTreeMap<&str, Scene>, request: Request<Incoming>) -> Result<Reply, ErrorReply> {
    let path = request.uri().path().to_owned();
    let body = request.into_body().collect().await;
    let body = body
        .map_err(|error| ErrorReply::invalid(error.to_string()))?
        .to_bytes();
    match path.as_str() {
        "/same/v1/chat/completions" => {
            let request: ChatRequest = decode(&body)?;
            chat(&scene(scenes, &request.model)?.chat, &request).await
        }
        "/translated/v1/chat/completions" => {
            let request: ChatRequest = decode(&body)?;
            chat(&scene(scenes, &request.model)?.responses, &request).await
        }
        "/same/v1/responses" => {
            let request: ResponsesRequest = decode(&body)?;
            respond(&scene(scenes, &request.model)?.responses, &request).await
        }
        "/translated/v1/responses" => {
            let request: ResponsesRequest = decode(&body)?;
            respond_with_chat(&scene(scenes, &request.model)?.chat, &request).await
        }
        _ => Err(ErrorReply::new(404, "no such path")),
    }
}

fn decode<T: for<'a> serde::Deserialize<'a>>(body: &[u8]) -> Result<T, ErrorReply> {
    serde_json::from_slice(body).map_err(|error| ErrorReply::invalid(error.to_string()))
}

fn scene<'a>(scenes: &'a BTreeMap<&str, Scene>, model: &Option<String>) -> Result<&'a Scene, ErrorReply> {
    let scene = scenes.get(model.as_deref().unwrap_or_default());
    scene.ok_or_else(|| ErrorReply::new(404, "no such model"))
}

async fn chat(model: &dyn LlmInterface, request: &ChatRequest) -> Result<Reply, ErrorReply> {
    if request.stream == Some(true) {
        let stream = model.chat_stream_with(request, &CallOptions::default()).await?;
        return Ok(streamed(|out| send_chunks(stream, out)));
    }
    let answer = model.chat_with(request, &CallOptions::default()).await?;
    Ok(whole(200, &answer.completion))
}

async fn send_chunks(mut stream: ChatStream, mut out: Out) -> SendResult {
    while let Some(chunk) = stream.next().await {
        match chunk {
            Ok(chunk) => out.data(&chunk).await?,
            Err(error) => return out.data(&ErrorReply::from(error).body()).await,
        }
    }
    out.done().await
}

async fn respond(model: &OpenAiResponsesCompatible, request: &ResponsesRequest) -> Result<Reply, ErrorReply> {
    if request.stream == Some(true) {
        let stream = model
            .create_response_stream_with(request, &CallOptions::default())
            .await?;
        return Ok(streamed(|out| send_events(stream, out)));
    }
    let answer = model
        .create_response_with(request, &CallOptions::default())
        .await?;
    Ok(whole(200, &answer.response))
}

async fn send_events(mut stream: EventStream, mut out: Out) -> SendResult {
    let mut number = 0;
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => out.event(event.kind.as_str(), &event).await?,
            Err(error) => {
                let ErrorReply { message, code, .. } = error.into();
                let event = json!({"type": "error", "sequence_number": number, "code": code, "message": message, "param": null});
                return out.event("error", &event).await;
            }
        }
        number += 1;
    }
    Ok(())
}

async fn respond_with_chat(
    model: &OpenAiCompatible,
    request: &ResponsesRequest,
) -> Result<Reply, ErrorReply> {
    static ANSWERS: AtomicUsize = AtomicUsize::new(0);
    let number = ANSWERS.fetch_add(1, Ordering::Relaxed);
    let envelope = ResponseEnvelope::new(request, format!("test{number}"), 1_700_000_000);
    let chat = translate::responses_request_to_chat(request, ChatCapabilities::default())?.request;
    if request.stream == Some(true) {
        let stream = model.chat_stream_with(&chat, &CallOptions::default()).await?;
        let translator = ChunkToEventTranslator::new(envelope);
        return Ok(streamed(|out| send_translated(stream, translator, out)));
    }
    let answer = model.chat_with(&chat, &CallOptions::default()).await?;
    Ok(whole(
        200,
        &translate::completion_to_response(answer.completion, &envelope)?,
    ))
}

async fn send_translated(
    mut stream: ChatStream,
    mut translator: ChunkToEventTranslator,
    mut out: Out,
) -> SendResult {
    loop {
        let chunk = stream.next().await;
        let is_last = !matches!(chunk, Some(Ok(_)));
        match chunk {
            Some(Ok(chunk)) => translator.push(chunk),
            Some(Err(error)) => translator.fail(&failed(error)),
            None => translator.finish(),
        }
        while let Some(event) = translator.next_event() {
            out.event(event.kind.as_str(), &event).await?;
        }
        if is_last {
            return Ok(());
        }
    }
}

fn failed(error: Error) -> FailedResponse {
    let ErrorReply { message, code, .. } = error.into();
    FailedResponse {
        code,
        message: Some(message),
    }
}

fn whole(status: u16, body: &impl Serialize) -> Reply {
    let body = Full::from(serde_json::to_vec(body).unwrap());
    reply(status, "application/json", Either::Left(body))
}

/// Returns a streamed reply whose body is written by a separate task.
fn streamed<F: Future<Output = SendResult> + Send + 'static>(write: impl FnOnce(Out) -> F) -> Reply {
    let (sender, channel) = Channel::new(16);
    tokio::spawn(write(Out(sender)));
    reply(200, "text/event-stream", Either::Right(channel))
}

fn reply(status: u16, content_type: &str, body: Either<Full<Bytes>, Channel<Bytes>>) -> Reply {
    let reply = Response::builder()
        .status(status)
        .header("content-type", content_type);
    reply.body(body).unwrap()
}

/// Event sink that writes a keep-alive comment before each event. Fails after the client disconnected.
struct Out(Sender<Bytes>);

impl Out {
    async fn data(&mut self, data: &impl Serialize) -> SendResult {
        self.send(sse_writer::event(json_of(data).as_bytes())).await
    }

    async fn event(&mut self, name: &str, data: &impl Serialize) -> SendResult {
        self.send(sse_writer::named_event(name, json_of(data).as_bytes()))
            .await
    }

    async fn done(&mut self) -> SendResult {
        self.send(sse_writer::DONE).await
    }

    async fn send(&mut self, event: Bytes) -> SendResult {
        self.0.send_data(sse_writer::KEEP_ALIVE).await?;
        self.0.send_data(event).await
    }
}

fn json_of(data: &impl Serialize) -> String {
    serde_json::to_string(data).unwrap()
}

/// Error response in OpenAI's format.
struct ErrorReply {
    status: u16,
    message: String,
    param: Option<String>,
    code: Option<String>,
}

impl ErrorReply {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    fn body(&self) -> Value {
        let kind = match self.status {
            400..500 => "invalid_request_error",
            _ => "server_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }

    fn reply(&self) -> Reply {
        whole(self.status, &self.body())
    }
}

impl From<Error> for ErrorReply {
    fn from(error: Error) -> Self {
        let status = match error.kind() {
            ErrorKind::Unsendable => 400,
            // A key rejected by an earlier call: no response, hence no status.
            ErrorKind::Attempt(FailureKind::InvalidKey) => 401,
            _ => error.status().filter(|status| *status >= 400).unwrap_or(502),
        };
        let message = || error.to_string();
        Self {
            status,
            message: error.provider_message().map_or_else(message, str::to_owned),
            param: error.param().map(str::to_owned),
            code: error.code().map(str::to_owned),
        }
    }
}

impl From<UnsupportedField> for ErrorReply {
    fn from(field: UnsupportedField) -> Self {
        Self {
            param: Some(field.param.clone()),
            ..Self::invalid(field.to_string())
        }
    }
}

impl From<FailedResponse> for ErrorReply {
    fn from(failed: FailedResponse) -> Self {
        Self {
            code: failed.code,
            ..Self::new(502, failed.message.unwrap_or_default())
        }
    }
}
