//! The tools of one round, which run at the same time.

use std::collections::HashMap;
use std::time::Duration;

use llmpool_core::chat::{Content, Message, Part, ToolCall};
use tokio::task::{Id, JoinSet};

use super::callable_tool::CallableTool;
use super::output::ToolOutput;
use crate::clock;

/// A call of a tool that has ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct FinishedTool {
    /// The call that the model made.
    pub call: ToolCall,
    /// The result or the error.
    pub output: ToolOutput,
    /// The duration of the call.
    pub duration: Duration,
}

/// The tool calls of one round. Each runs in a task of its own, so that a panic ends only that task. Dropping the value
/// aborts all of them.
pub(crate) struct RunningTools {
    tasks: JoinSet<(ToolOutput, Duration)>,
    /// The index in `calls` of each task.
    indices: HashMap<Id, usize>,
    calls: Vec<(ToolCall, Option<ToolOutput>)>,
}

impl RunningTools {
    /// Starts all calls. A call of an unknown tool ends with an error that lists the tools.
    pub(crate) fn start(tools: &[CallableTool], calls: Vec<ToolCall>) -> Self {
        let mut running = Self {
            tasks: JoinSet::new(),
            indices: HashMap::new(),
            calls: Vec::with_capacity(calls.len()),
        };
        for (index, call) in calls.into_iter().enumerate() {
            let tool = tools.iter().find(|tool| tool.name() == call.name()).cloned();
            let unknown = tool.is_none().then(|| unknown_tool(tools, call.name()));
            let arguments = call.arguments().to_owned();
            let task = async move {
                let started = clock::now();
                let output = match (tool, unknown) {
                    (Some(tool), _) => tool.call(&arguments).await,
                    (None, error) => error.unwrap_or_default(),
                };
                (output, clock::now().since(started))
            };
            let task = running.tasks.spawn(task);
            running.indices.insert(task.id(), index);
            running.calls.push((call, None));
        }
        running
    }

    /// Returns the next call that ends. `None` once all have.
    pub(crate) async fn next_finished(&mut self) -> Option<FinishedTool> {
        let (id, output, duration) = match self.tasks.join_next_with_id().await? {
            Ok((id, (output, duration))) => (id, output, duration),
            Err(error) => (error.id(), ToolOutput::error("the tool panicked"), Duration::ZERO),
        };
        let index = *self.indices.get(&id)?;
        let (call, slot) = self.calls.get_mut(index)?;
        *slot = Some(output.clone());
        Some(FinishedTool {
            call: call.clone(),
            output,
            duration,
        })
    }

    /// Returns the results in the order of the calls, and then a message with the attachments, if there are any. The
    /// result of a tool that still runs is an error.
    pub(crate) fn into_messages(self) -> Vec<Message> {
        let mut attachments = Vec::new();
        let mut messages = Vec::with_capacity(self.calls.len() + 1);
        for (call, output) in self.calls {
            let output = output.unwrap_or_else(|| ToolOutput::error("the call ended before the tool did"));
            if !output.attachments.is_empty() {
                attachments.push(Part::text(format!("Attachments of {}:", described(&call))));
                attachments.extend(output.attachments);
            }
            messages.push(Message::tool_result(&call, output.text));
        }
        if !attachments.is_empty() {
            messages.push(Message::user(Content::Parts(attachments)));
        }
        messages
    }
}

/// Returns the name of a tool with the id of its call, which tells two calls of one tool apart.
fn described(call: &ToolCall) -> String {
    match &call.id {
        Some(id) => format!("{} ({id})", call.name()),
        None => call.name().to_owned(),
    }
}

fn unknown_tool(tools: &[CallableTool], name: &str) -> ToolOutput {
    let names: Vec<_> = tools.iter().map(CallableTool::name).collect();
    ToolOutput::error(format!(
        "there is no tool `{name}`; the tools are: {}",
        names.join(", ")
    ))
}
